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

-- A step that asks something of each candidate wants a name and a function: this was not given them.
local function refuse_step(method, name, value)
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

-- Merges two runs of indexes that follow each other, from `start` and from `middle`, with the keys they go by.
local function merge(from, from_keys, to, to_keys, start, middle, stop)
  local a, b, at = start, middle, start
  local first, second = from_keys[a], from_keys[b]
  while a < middle and b < stop do
    if second < first then
      to[at], to_keys[at], b = from[b], second, b + 1
      second = from_keys[b]
    else
      to[at], to_keys[at], a = from[a], first, a + 1
      first = from_keys[a]
    end
    at = at + 1
  end
  if a == middle then a, middle = b, stop end -- what is left of either
  for i = a, middle - 1 do
    to[at], to_keys[at] = from[i], from_keys[i]
    at = at + 1
  end
end

-- Indexes 1..n ordered by their keys; equal keys keep their order; items without a key come last. A merge sort: stable
-- by itself, and quicker here than a sort in C that calls back for each comparison.
local function ordered(keys, count)
  local from, from_keys, last, n = new_table(count, 0), new_table(count, 0), nil, 0
  for i = 1, count do
    local key = keys[i]
    if key == nil then
      last = last or {}
      last[#last + 1] = i
    else
      n = n + 1
      from[n], from_keys[n] = i, key
    end
  end
  local to, to_keys, width = new_table(n, 0), new_table(n, 0), 1
  while width < n do
    for start = 1, n, 2 * width do
      local middle, stop = start + width, start + 2 * width
      if middle > n + 1 then middle = n + 1 end
      if stop > n + 1 then stop = n + 1 end
      merge(from, from_keys, to, to_keys, start, middle, stop)
    end
    from, from_keys, to, to_keys, width = to, to_keys, from, from_keys, width * 2
  end
  for i = 1, last and #last or 0 do from[n + i] = last[i] end
  return from
end

local function check_key(name, found, kind, item)
  if found ~= "number" and found ~= "string" then
    error('sort "' .. name .. '" wants a number or a string for each candidate, not a ' .. found .. " ("
      .. describe(item) .. ")", 4)
  end
  if kind then error('sort "' .. name .. '" mixes numbers and strings', 4) end
end

-- Copies the items and fills in their keys; answers whether they are in order already.
local function fill(copy, keys, items, count, name, key)
  local kind, before, is_sorted = nil, nil, true
  for i = 1, count do
    local item = items[i]
    local value = key(item)
    if value == nil or value ~= value then -- not a number
      value, is_sorted = nil, false
    else
      local found = type(value)
      if found ~= kind then
        check_key(name, found, kind, item)
        kind = found
      end
      if before ~= nil and value < before then is_sorted = false end
    end
    copy[i], keys[i], before = item, value, value
  end
  return is_sorted
end

-- Keys of so many are written over by the next sort's.
local FEW = 32
local spare = new_table(FEW, 0)

local chance = { random = function() return math.random() end, task = function() return "chat" end }
local getmetatable, setmetatable, type = getmetatable, setmetatable, type -- nothing compiles what asks for these
local NONE = {} -- what a step left out that left nothing out

---@class list.family what lists of one origin share: their metatable, too. No policy gets at it.
---@field trail any[] of each step its kind, its name, and what it left out (false: it put them in order), one after the
---  other
---@field last integer how long the trail is
---@field scores table<table, number>|false|nil by item
---@field facts { random: (fun(self): number), task: (fun(self): string) } [0,1) is drawn of it, and by a task is scored
---@field over boolean|nil its request is

---@return list.family
local function family_of(self)
  local family = getmetatable(self)
  if type(family) ~= "table" or not family.trail then error("a step is of a list, as in candidates:keep(...)", 3) end
  if family.over then error(list.OVER, 3) end
  return family
end

local function note(family, kind, name, gone)
  if #name > LONGEST_NAME then name = string.sub(name, 1, LONGEST_NAME) .. "..." end
  local trail, last = family.trail, family.last
  trail[last + 1], trail[last + 2], trail[last + 3] = kind, name, gone
  family.last = last + 3
end

local function filtered(self, family, kind, name, test, is_drop)
  local count = #self
  local kept, gone, n = new_table(count, 0), nil, 0
  for i = 1, count do
    local item = self[i]
    if (not test(item)) == is_drop then
      n = n + 1
      kept[n] = item
    elseif gone then
      gone[#gone + 1] = item
    else
      gone = { item }
    end
  end
  note(family, kind, name, gone or NONE)
  return setmetatable(kept, family)
end

-- A copy, in that order.
local function arranged(self, order)
  local count = #self
  local result = new_table(count, 0)
  for i = 1, count do result[i] = self[order[i]] end
  return result
end

local methods = {}

function methods.keep(self, name, test)
  local family = family_of(self)
  if type(test) ~= "function" or type(name) ~= "string" or name == "" then refuse_step("keep", name, test) end
  return filtered(self, family, "keep", name, test, false)
end

function methods.drop(self, name, test)
  local family = family_of(self)
  if type(test) ~= "function" or type(name) ~= "string" or name == "" then refuse_step("drop", name, test) end
  return filtered(self, family, "drop", name, test, true)
end

function methods.sort(self, name, key)
  local family, count = family_of(self), #self
  if type(key) ~= "function" or type(name) ~= "string" or name == "" then refuse_step("sort", name, key) end
  local keys, sorted = count <= FEW and spare or new_table(count, 0), new_table(count, 0)
  spare = nil -- a key may be found by sorting
  if not fill(sorted, keys, self, count, name, key) then sorted = arranged(self, ordered(keys, count)) end
  note(family, "sort", name, false)
  if count <= FEW then spare = keys end
  return setmetatable(sorted, family)
end

function methods.prefer(self, name, test)
  local family = family_of(self)
  if type(test) ~= "function" or type(name) ~= "string" or name == "" then refuse_step("prefer", name, test) end
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
  note(family, "prefer", name, false)
  return setmetatable(result, family)
end

local function own_weight(item) return item.weight or 1 end

function methods.shuffle(self, name, weight)
  local family = family_of(self)
  if type(name) == "function" then name, weight = nil, name end
  if weight == nil then weight = own_weight end
  local called = name == nil and "by weight" or name
  if type(weight) ~= "function" or type(called) ~= "string" or called == "" then
    refuse_step("shuffle", called, weight)
  end
  local keys, facts = new_table(#self, 0), family.facts
  for i = 1, #self do
    local share = weight(self[i])
    if type(share) ~= "number" or not (share >= 0 and share < math.huge) then
      error("shuffle wants a weight of 0 or more for each candidate (" .. describe(self[i]) .. ")", 2)
    end
    -- The first of an order by -log(u)/w is drawn with probability w / sum; so is each next of what is left.
    keys[i] = share > 0 and -math.log(1 - facts:random()) / share or math.huge
  end
  note(family, "shuffle", name or "weight", false)
  return setmetatable(arranged(self, ordered(keys, #self)), family)
end

function methods.take(self, count)
  local family = family_of(self)
  if type(count) ~= "number" or count < 0 or count ~= count then error("take wants how many", 2) end
  local kept, gone = {}, {}
  for i = 1, #self do
    if i <= count then kept[i] = self[i] else gone[#gone + 1] = self[i] end
  end
  note(family, "take", tostring(count), gone)
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
  local family = family_of(self)
  local wrong = score.problem(weights)
  if wrong then error(wrong, 2) end
  check_candidates("score", self)
  local values = score.of(self, weights, family.facts:task())
  local scores, keys = family.scores or {}, {}
  family.scores = scores
  for i = 1, #self do
    scores[self[i]] = values[i]
    keys[i] = -values[i]
  end
  note(family, "sort", "score", false)
  return setmetatable(arranged(self, ordered(keys, #self)), family)
end

setmetatable(methods, {
  __index = function(_, name)
    if type(name) ~= "string" then return nil end
    error(string.format('a list has no step "%s"%s', name, near.hint(name, steps)), 2)
  end,
})

-- Makes these items a list, and a table its family; facts is all that has to be there.
---@param items table[] the list itself from now on
---@param family list.family|table
---@return list
function list.of(items, family)
  family.__index, family.__metatable, family.last = methods, family, 0 -- by this it is found, see family_of
  family.trail = family.trail or {}
  return setmetatable(items, family)
end

jit.on(list.of) -- it loops over nothing, and begins every decision

-- The same with a copy of the items. A policy may make its own: list.new{ a, b }.
---@param items table[]
---@param family list.family|table|nil
---@return list
function list.new(items, family)
  local copy = {}
  for i = 1, #items do copy[i] = items[i] end
  return list.of(copy, family or { facts = chance })
end

return list
