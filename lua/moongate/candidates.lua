-- What a policy sees of targets and request: fresh light tables whose facts are read when they are asked for.
-- Writing to one harms only the writer; the router finds the target behind a candidate by identity, never by a field.

local facts_of = require "moongate.facts"
local list = require "moongate.list"
local money = require "moongate.money"
local near = require "moongate.near"
local quota = require "moongate.quota"

local candidates = {}

local DEEPEST = 32

local function copy(value, depth)
  if type(value) ~= "table" then return value end
  local result = {}
  if depth < DEEPEST then
    for key, item in pairs(value) do result[key] = copy(item, depth + 1) end
  end
  return result
end

-- Facts that are read off the target as they are.
local plain = {}

for _, name in ipairs {
  "id", "model", "provider", "protocol", "is_local", "free", "quality", "rank", "context_length", "max_output", "tools",
  "vision", "json_schema", "embeddings", "priority", "keyed",
} do
  plain[name] = true
end

-- Facts that are kept on the candidate once read: tables, which must be the same twice, and what is dear to ask.
local kept = {}

function kept.cost(target) return facts_of.guard("cost", copy(target.cost, 1)) end
function kept.strengths(target) return copy(target.strengths or {}, 1) end
function kept.retry_in(target, plan) return (plan.view.exhausted(target)) or 0 end
function kept.left(target, plan) return quota.left(plan.view.left(target)) end
function kept.used(target, plan) return quota.used(plan.view.used(target)) end
function kept.balance(target, plan) return plan.view.balance(target.provider, target) end

-- Facts that are worked out each time.
local facts = {}

function facts.exhausted(_, _, candidate) return candidate.retry_in > 0 end
function facts.latency_ms(target, plan) return plan.view.latency_ms(target) or target.latency_ms end
function facts.error_rate(target, plan) return plan.view.error_rate(target) or 0 end
function facts.estimated_cost(target, plan) return money.estimate(target, plan.request) end
function facts.weight(target, plan) return plan.weights and plan.weights[target] or target.weight or 1 end
function facts.score(_, plan, candidate) return plan.trail.scores and plan.trail.scores[candidate] end

-- "exhausted" (said no more), "failing" (its circuit breaker is open) or "ready".
function facts.status(target, plan, candidate)
  if candidate.exhausted then return "exhausted" end
  return plan.view.open(target) and "failing" or "ready"
end

-- The names of all facts, for whoever documents them.
---@return string[]
function candidates.facts()
  local names = {}
  for _, group in ipairs { plain, kept, facts } do
    for name in pairs(group) do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- A list of candidates for these targets. plan = { request, view, weights = by target or nil, task = function }.
-- Answers with the list, the target of each candidate, the trail of the steps to come, which keeps the view, and what
-- ends it all: a policy that kept the list could change what is told of a decision, and hold all of its request.
---@param targets table[]
---@param plan table
---@return list
---@return table<table, table> owner
---@return table trail
---@return fun() close
function candidates.new(targets, plan)
  local owner, trail, items = {}, { view = plan.view }, {}
  local own = { request = plan.request, view = plan.view, weights = plan.weights, trail = trail }
  local meta = {
    __metatable = "candidate",
    __index = function(candidate, name)
      if trail.over then error(list.OVER, 2) end
      local target = owner[candidate]
      if plain[name] then return target[name] end
      local fact = facts[name]
      if fact then return fact(target, own, candidate) end
      fact = kept[name]
      if not fact then error(near.missing("a candidate", name, candidates.facts()), 2) end
      local value = fact(target, own, candidate)
      rawset(candidate, name, value)
      return value
    end,
  }
  for i = 1, #targets do
    local candidate = setmetatable({}, meta)
    items[i] = candidate
    owner[candidate] = targets[i]
  end
  local facts_of_list = { random = plan.view.random, task = plan.task }
  local function close()
    trail.over = true
    own.request, own.view, facts_of_list.random, facts_of_list.task = nil, nil, nil, nil
  end
  return list.new(items, trail, facts_of_list), owner, trail, close
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

-- The request as a policy sees it: its own to write to. `more` holds facts that outweigh the request's, and task().
-- The clock and the dice of a call are there from the beginning: the set of policies reads them raw. Answers what ends
-- it, too.
---@param request table|nil
---@param more table|nil
---@return table
---@return fun() close
function candidates.request(request, more)
  local function close() request, more = nil, nil end
  return setmetatable({ now = request.now, seed = request.seed }, {
    __metatable = "request",
    __index = function(own, name)
      if not facts_of.of_request(name) then error(near.missing("a request", name, facts_of.names.request), 2) end
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
      rawset(own, name, value)
      return value
    end,
  }), close
end

return candidates
