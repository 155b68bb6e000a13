-- What a policy sees of targets and request: fresh light tables whose facts are read when they are asked for.
-- Writing to one harms only the writer; the target behind a candidate is known by its metatable, never by a field.

local by_target = require "moongate.by_target"
local facts_of = require "moongate.facts"
local list = require "moongate.list"
local money = require "moongate.money"
local near = require "moongate.near"
local new_table = require "table.new"

local candidates = {}

local metatable_of, set_metatable = debug.getmetatable, debug.setmetatable
local nothing = {}

local DEEPEST = 32

local function copy(value, depth)
  if type(value) ~= "table" then return value end
  local result = {}
  if depth < DEEPEST then
    for key, item in pairs(value) do result[key] = copy(item, depth + 1) end
  end
  return result
end

-- How each fact is read, by name: true where the target has it as it is, else a function of the target, the plan and
-- the candidate.
local readers = {}
-- Those that stay on the candidate once read: tables, which must be the same twice, and what is dear to ask.
local is_kept = { cost = true, strengths = true, left = true, used = true, balance = true }

for _, name in ipairs {
  "id", "model", "provider", "protocol", "is_local", "free", "quality", "rank", "context_length", "max_output", "tools",
  "vision", "json_schema", "embeddings", "priority", "keyed",
} do
  readers[name] = true
end

function readers.cost(target) return facts_of.guard("cost", copy(target.cost, 1)) end
function readers.strengths(target) return copy(target.strengths or {}, 1) end
function readers.left(target, plan) return plan.view:left(target) end
function readers.used(target, plan) return plan.view:used(target) end
function readers.balance(target, plan) return plan.view:balance(target.provider, target) end

-- A wait stays on the candidate: so it is known, when reasons are told, that the policy has asked.
function readers.retry_in(target, plan, candidate)
  local wait = plan.view:exhausted(target)
  if wait > 0 then rawset(candidate, "retry_in", wait) end
  return wait
end

-- A policy may have written to the candidate: what follows from another fact follows from its word.
function readers.exhausted(target, plan, candidate)
  local wait = rawget(candidate, "retry_in")
  if wait == nil then wait = readers.retry_in(target, plan, candidate) end
  return wait > 0
end

function readers.latency_ms(target, plan) return plan.view:latency_ms(target) or target.latency_ms end
function readers.error_rate(target, plan) return plan.view:error_rate(target) or 0 end
function readers.estimated_cost(target, plan) return money.estimate(target, plan.request) end
function readers.weight(target, plan) return plan.weights and plan.weights[target] or target.weight or 1 end
function readers.score(_, plan, candidate) return plan.trail.scores and plan.trail.scores[candidate] end

-- "exhausted" (said no more), "failing" (its circuit breaker is open) or "ready".
function readers.status(target, plan, candidate)
  local is_exhausted = rawget(candidate, "exhausted")
  if is_exhausted == nil then is_exhausted = readers.exhausted(target, plan, candidate) end
  if is_exhausted then return "exhausted" end
  return plan.view:open(target) and "failing" or "ready"
end

-- The names of all facts, for whoever documents them.
---@return string[]
function candidates.facts()
  local names = {}
  for name in pairs(readers) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The plan of the call under way. A policy's call is never interrupted by another one's.
local under_way

-- Under this a candidate's metatable has its target. No policy can have it, and so none can make a candidate.
local TARGET = {}

-- The metatable of all candidates of a target.
local metatable_for = by_target(function(target)
  return {
    __metatable = "candidate", [TARGET] = target,
    __index = function(candidate, name)
      local reader = readers[name]
      if reader == true then return target[name] end
      if not reader then error(near.missing("a candidate", name, candidates.facts()), 2) end
      local value = reader(target, under_way, candidate)
      if is_kept[name] then rawset(candidate, name, value) end
      return value
    end,
  }
end)

-- What candidates become when their request is over.
local dead = { __metatable = "candidate", __index = function() error(list.OVER, 2) end }

-- The target behind a candidate of the call under way; nil if it is none.
---@param candidate any
---@return table|nil
function candidates.target(candidate)
  local meta = type(candidate) == "table" and metatable_of(candidate)
  return meta and rawget(meta, TARGET) or nil -- raw: it may be a policy's
end

local function note_owner(owner, candidate)
  local target = candidates.target(candidate)
  if target then owner[candidate] = target end
end

-- Whose the candidates are that a trail tells of. A policy's lists may have other things in them.
local function note_owners(trail, owner)
  for i = 1, #trail do
    local gone = trail[i].gone or nothing
    for k = 1, #gone do note_owner(owner, gone[k]) end
  end
  for candidate in next, trail.scores or nothing do note_owner(owner, candidate) end
end

local LATER = nil -- a member that is to come: room is kept for it; a nil that is written out keeps none
local MOST_STEPS = 8 -- that there is room for beforehand

-- A list of candidates for these targets. plan = { request, view, random, weights = by target or nil, task = function }
-- is the list's own from now on. Answers with the list; the target of each candidate that its trail tells of; the trail
-- of the steps to come, which keeps the view; and what ends it all: a policy that kept the list could change what is
-- told of a decision, and hold all of its request.
---@param targets table[]
---@param plan table
---@return list
---@return table<table, table> owner filled at the end
---@return table trail
---@return fun() close
function candidates.new(targets, plan)
  local count = #targets
  local owner, trail = {}, new_table(MOST_STEPS, 2)
  local items, all = new_table(count, 0), new_table(count, 0) -- a policy may write to its list
  trail.view, plan.trail, under_way = plan.view, trail, plan
  for i = 1, count do
    local target = targets[i]
    local candidate = setmetatable({ left = LATER }, metatable_for(target)) -- most policies ask
    items[i], all[i] = candidate, candidate
  end
  local function close()
    note_owners(trail, owner)
    for i = 1, count do set_metatable(all[i], dead) end
    trail.over, under_way = true, nil
    plan.request, plan.view, plan.random, plan.task = nil, nil, nil, nil
  end
  return list.of(items, trail, plan), owner, trail, close
end

-- What is too long or too private to be recorded with a decision.
local unrecorded = { messages = true, headers = true }
-- By request: which of these a policy has read.
local looked_at = setmetatable({}, { __mode = "k" })

-- What policies have read of a request that no record of the decision will have, by name; nil: nothing.
---@param request table
---@return string[]|nil
function candidates.looked(request)
  if not looked_at[request] then return nil end
  local names = {}
  for name in pairs(looked_at[request]) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- What a request's own copy is made of is kept in its metatable: { request, more }.
local function read_request(own, name)
  if not facts_of.of_request(name) then error(near.missing("a request", name, facts_of.names.request), 2) end
  local behind = metatable_of(own)
  local request, more = behind.request, behind.more
  if not request then error(list.OVER, 2) end
  local value
  if name == "task" then
    value = more.task()
  else
    value = more[name]
    if value == nil then value = request[name] end
  end
  if unrecorded[name] then
    looked_at[request] = looked_at[request] or {}
    looked_at[request][name] = true
  end
  value = copy(value, 1)
  if name == "caller" then facts_of.guard("caller", value) end
  if value ~= nil then rawset(own, name, value) end
  return value
end

-- The request as a policy sees it: its own to write to. `more` holds facts that outweigh the request's, and task().
-- The clock and the dice of a call are there from the beginning: the set of policies reads them raw.
---@param request table|nil
---@param more table|nil
---@return table
function candidates.request(request, more)
  return setmetatable({ now = request.now, seed = request.seed }, {
    __metatable = "request", __index = read_request, request = request, more = more,
  })
end

-- Ends what candidates.request answered.
---@param own table
function candidates.close_request(own)
  local behind = metatable_of(own)
  behind.request, behind.more = nil, nil
end

return candidates
