-- A list of candidates as policies see it: an array with named steps, each giving a new list and noting what it left
-- out and why. Copies references only; items are never changed. Reasons are put into words by reasons.lua, on demand.

local near = require "moongate.near"
local new_table = require "table.new" -- with room for so many items: an array that grows costs more than it holds
local score = require "moongate.score"

jit.off(true, true) -- policies call this with what they like: compiled, it could not be stopped

local list = {}

---@class list
---@field keep fun(self: list, name: string, test: fun(candidate: table): any): list
---@field drop fun(self: list, name: string, test: fun(candidate: table): any): list
---@field sort fun(self: list, name: string, key: fun(candidate: table): number|string|nil): list
---@field prefer fun(self: list, name: string, test: fun(candidate: table): any): list
---@field shuffle fun(self: list, name: string|nil, weight: nil|fun(candidate: table): number): list
---@field take fun(self: list, count: integer): list
---@field concat fun(self: list, other: table): list
---@field score fun(self: list, weights: table<string, number>): list

local steps = { "keep", "drop", "sort", "prefer", "shuffle", "take", "concat", "score" }

local LONGEST_NAME = 100 -- of a step, in explanations

-- What is said to a policy that kept something for later.
list.OVER = "this request is over: what a policy keeps of one is of no use in the next"

-- What a step is given that asks something of each candidate.
local function check_step(method, name, value)
  if type(value) == "function" and type(name) == "string" and name ~= "" then return end
  if type(name) == "string" and name ~= "" then
    error(method .. ' "' .. name .. '" wants a function of a candidate, not a ' .. type(value), 3)
  end
  error(method .. ' wants a name first, which explains the step: list:' .. method
    .. '("has a free tier", function(c) return c.free end)', 3)
end

local function check_candidates(method, items)
  for i = 1, #items do
    if type(items[i]) ~= "table" then
      error(string.format("%s wants a list of candidates, and found a %s in it", method, type(items[i])), 3)
    end
  end
end

local function describe(item)
  local id = type(item) == "table" and item.id
  return type(id) == "string" and id or "an item"
end

-- Indexes 1..n ordered by their keys; equal keys keep their order; items without a key come last. nil: they are in
-- order. A merge sort: stable by itself, and quicker here than a sort in C that calls back for each comparison.
local function ordered(keys, count)
  local sorted = true
  for i = 2, count do
    local before, key = keys[i - 1], keys[i]
    if not (before and key and before <= key) then sorted = false break end
  end
  if sorted then return nil end
  local from, last, n = new_table(count, 0), {}, 0
  for i = 1, count do
    if keys[i] == nil then
      last[#last + 1] = i
    else
      n = n + 1
      from[n] = i
    end
  end
  local to, width = new_table(n, 0), 1
  while width < n do
    for start = 1, n, 2 * width do
      local a, b, at = start, math.min(start + width, n + 1), start
      local middle, stop = b, math.min(start + 2 * width, n + 1)
      while a < middle and b < stop do
        local first, second = from[a], from[b]
        if keys[second] < keys[first] then
          to[at], b = second, b + 1
        else
          to[at], a = first, a + 1
        end
        at = at + 1
      end
      for i = a, middle - 1 do
        to[at] = from[i]
        at = at + 1
      end
      for i = b, stop - 1 do
        to[at] = from[i]
        at = at + 1
      end
    end
    from, to, width = to, from, width * 2
  end
  for i = 1, #last do from[n + i] = last[i] end
  return from
end

local function sort_keys(items, name, key)
  local count, kind = #items, nil
  local keys = new_table(count, 0)
  for i = 1, count do
    local value = key(items[i])
    local found = type(value)
    if found == "number" or found == "string" then
      if value ~= value then value, found = nil, kind end
      kind = kind or found
      if kind ~= found then error('sort "' .. name .. '" mixes numbers and strings', 3) end
    elseif value ~= nil then
      error('sort "' .. name .. '" wants a number or a string for each candidate, not a ' .. found .. " ("
        .. describe(items[i]) .. ")", 3)
    end
    keys[i] = value
  end
  return keys
end

local chance = { random = math.random, task = function() return "chat" end }
local metatable_of = debug.getmetatable
local NONE = {} -- what a step left out that left nothing out

-- What lists of one origin share, kept as their metatable: { trail, facts }. No policy gets at it.
local function family_of(self)
  local family = metatable_of(self)
  local trail = family and family.trail
  if not trail then error("a step is of a list, as in candidates:keep(...)", 3) end
  if trail.over then error(list.OVER, 3) end
  return family, trail
end

local function note(trail, kind, name, gone)
  if #name > LONGEST_NAME then name = string.sub(name, 1, LONGEST_NAME) .. "..." end
  trail[#trail + 1] = { kind = kind, name = name, gone = gone }
end

local function filtered(self, family, kind, name, test, wanted)
  local count = #self
  local kept, gone, n = new_table(count, 0), nil, 0
  for i = 1, count do
    local item = self[i]
    if (test(item) and true or false) == wanted then
      n = n + 1
      kept[n] = item
    else
      gone = gone or {}
      gone[#gone + 1] = item
    end
  end
  note(family.trail, kind, name, gone or NONE)
  return setmetatable(kept, family)
end

-- A copy, in that order; without one, as it is.
local function arranged(self, family, order)
  local count = #self
  local result = new_table(count, 0)
  if order then
    for i = 1, count do result[i] = self[order[i]] end
  else
    for i = 1, count do result[i] = self[i] end
  end
  return setmetatable(result, family)
end

local methods = {}

function methods.keep(self, name, test)
  local family = family_of(self)
  check_step("keep", name, test)
  return filtered(self, family, "keep", name, test, true)
end

function methods.drop(self, name, test)
  local family = family_of(self)
  check_step("drop", name, test)
  return filtered(self, family, "drop", name, test, false)
end

function methods.sort(self, name, key)
  local family, trail = family_of(self)
  check_step("sort", name, key)
  local keys = sort_keys(self, name, key)
  note(trail, "sort", name)
  return arranged(self, family, ordered(keys, #self))
end

function methods.prefer(self, name, test)
  local family, trail = family_of(self)
  check_step("prefer", name, test)
  local count = #self
  local result, n, others = new_table(count, 0), 0, nil
  for i = 1, count do
    local item = self[i]
    if test(item) then
      n = n + 1
      result[n] = item
    else
      others = others or {}
      others[#others + 1] = item
    end
  end
  for i = 1, others and #others or 0 do result[n + i] = others[i] end
  note(trail, "prefer", name)
  return setmetatable(result, family)
end

local function own_weight(item) return item.weight or 1 end

function methods.shuffle(self, name, weight)
  local family, trail = family_of(self)
  if type(name) == "function" then name, weight = nil, name end
  if weight == nil then weight = own_weight end
  check_step("shuffle", name == nil and "by weight" or name, weight)
  local keys, random = new_table(#self, 0), family.facts.random
  for i = 1, #self do
    local share = weight(self[i])
    if type(share) ~= "number" or not (share >= 0 and share < math.huge) then
      error("shuffle wants a weight of 0 or more for each candidate (" .. describe(self[i]) .. ")", 2)
    end
    -- The first of an order by -log(u)/w is drawn with probability w / sum; so is each next of what is left.
    keys[i] = share > 0 and -math.log(1 - random()) / share or math.huge
  end
  note(trail, "shuffle", name or "weight")
  return arranged(self, family, ordered(keys, #self))
end

function methods.take(self, count)
  local family, trail = family_of(self)
  if type(count) ~= "number" or count < 0 or count ~= count then error("take wants how many", 2) end
  local kept, gone = {}, {}
  for i = 1, #self do
    if i <= count then kept[i] = self[i] else gone[#gone + 1] = self[i] end
  end
  note(trail, "take", tostring(count), gone)
  return setmetatable(kept, family)
end

function methods.concat(self, other)
  local family = family_of(self)
  if type(other) ~= "table" then error("concat wants another list", 2) end
  check_candidates("concat", other)
  local result, has = {}, {}
  for i = 1, #self do
    result[i] = self[i]
    has[self[i]] = true
  end
  for i = 1, #other do
    if not has[other[i]] then
      result[#result + 1] = other[i]
      has[other[i]] = true
    end
  end
  return setmetatable(result, family)
end

function methods.score(self, weights)
  local family, trail = family_of(self)
  local wrong = score.problem(weights)
  if wrong then error(wrong, 2) end
  check_candidates("score", self)
  local values = score.of(self, weights, family.facts.task())
  trail.scores = trail.scores or {}
  local keys = {}
  for i = 1, #self do
    trail.scores[self[i]] = values[i]
    keys[i] = -values[i]
  end
  note(trail, "sort", "score")
  return arranged(self, family, ordered(keys, #self))
end

setmetatable(methods, {
  __index = function(_, name)
    if type(name) ~= "string" then return nil end
    error(string.format('a list has no step "%s"%s', name, near.hint(name, steps)), 2)
  end,
})

-- Makes these items a list whose lists share one trail of steps: { kind, name, gone = { item... } } each, and
-- trail.scores by item. facts = { random = function() -> [0,1), task = function() -> string }.
---@param items table[] the list itself from now on
---@param trail table
---@param facts table
---@return list
function list.of(items, trail, facts)
  return setmetatable(items, { __index = methods, __metatable = "list", trail = trail, facts = facts })
end

-- The same with a copy of the items. A policy may make its own: list.new{ a, b }.
---@param items table[]
---@param trail table|nil
---@param facts table|nil
---@return list
function list.new(items, trail, facts)
  local copy = {}
  for i = 1, #items do copy[i] = items[i] end
  return list.of(copy, trail or {}, facts or chance)
end

return list
