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

local DEEPEST = 32
local LATER = nil -- a member that is to come: room is kept for it; a nil that is written out keeps none

local function copy(value, depth)
  if type(value) ~= "table" then return value end
  local result = {}
  if depth < DEEPEST then
    for key, item in pairs(value) do result[key] = copy(item, depth + 1) end
  end
  return result
end

-- How each fact is read, by name: true where the target has it as it is, else a function of the target, the run and
-- the candidate. Those stay on the candidate once read that are tables, which must be the same twice, or dear to ask.
local readers = {}

for _, name in ipairs {
  "id", "model", "provider", "protocol", "is_local", "free", "quality", "rank", "context_length", "max_output", "tools",
  "vision", "json_schema", "embeddings", "priority", "keyed",
} do
  readers[name] = true
end

local function keep(candidate, name, value)
  rawset(candidate, name, value)
  return value
end

function readers.cost(target, _, candidate)
  return keep(candidate, "cost", facts_of.guard("cost", copy(target.cost, 1)))
end

function readers.strengths(target, _, candidate)
  return keep(candidate, "strengths", copy(target.strengths or {}, 1))
end

function readers.left(target, run, candidate) return keep(candidate, "left", run.view:left(target)) end
function readers.used(target, run, candidate) return keep(candidate, "used", run.view:used(target)) end

function readers.balance(target, run, candidate)
  return keep(candidate, "balance", run.view:balance(target.provider, target))
end

-- A wait stays on the candidate: so it is known, when reasons are told, that the policy has asked.
function readers.retry_in(target, run, candidate)
  local wait = run.view:exhausted(target)
  if wait > 0 then rawset(candidate, "retry_in", wait) end
  return wait
end

-- A policy may have written to the candidate: what follows from another fact follows from its word.
local function is_exhausted(target, run, candidate)
  local wait = rawget(candidate, "retry_in")
  if wait ~= nil then return wait > 0 end
  wait = run.view:exhausted(target)
  if wait == 0 then return false end
  rawset(candidate, "retry_in", wait)
  return true
end
readers.exhausted = is_exhausted

function readers.latency_ms(target, run) return run.view:latency_ms(target) or target.latency_ms end
function readers.error_rate(target, run) return run.view:error_rate(target) or 0 end
function readers.estimated_cost(target, run) return money.estimate(target, run.request) end
function readers.weight(target, run) return run.weights and run.weights[target] or target.weight or 1 end
function readers.score(_, run, candidate) return run.scores and run.scores[candidate] or nil end

-- "exhausted" (said no more), "failing" (its circuit breaker is open) or "ready".
function readers.status(target, run, candidate)
  local exhausted = rawget(candidate, "exhausted")
  if exhausted == nil then exhausted = is_exhausted(target, run, candidate) end
  if exhausted then return "exhausted" end
  return run.view:open(target) and "failing" or "ready"
end

-- The names of all facts, for whoever documents them.
---@return string[]
function candidates.facts()
  local names = {}
  for name in pairs(readers) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The run under way. A policy's call is never interrupted by another one's.
local under_way

-- Under these a candidate's metatable has its target: while its run is under way, and ever. No policy can have them,
-- and so none can make a candidate.
local TARGET, OWNER = {}, {}

local function raise_over() error(list.OVER, 2) end

-- The metatables of all candidates of a target: while their run is under way, and afterwards.
local metatables_for = by_target(function(target)
  local own = {
    __metatable = "candidate", [TARGET] = target, [OWNER] = target,
    __index = function(candidate, name)
      local reader = readers[name]
      if reader == true then return target[name] end
      if not reader then error(near.missing("a candidate", name, candidates.facts()), 2) end
      return reader(target, under_way, candidate)
    end,
  }
  return { own, { __metatable = "candidate", [OWNER] = target, __index = raise_over } }
end)

-- The target behind a candidate of the run under way; nil if it is none.
---@param candidate any
---@return table|nil
function candidates.target(candidate)
  local meta = type(candidate) == "table" and metatable_of(candidate)
  return meta and rawget(meta, TARGET) or nil -- raw: it may be a policy's
end

-- The target behind what was a candidate of any run; nil if it was none: a policy's lists may have other things in
-- them.
---@param candidate any
---@return table|nil
function candidates.owner(candidate)
  local meta = type(candidate) == "table" and metatable_of(candidate)
  return meta and rawget(meta, OWNER) or nil
end

local TRAIL = 24 -- that there is room for beforehand: eight steps

---@class moongate.run: list.family one call of a routing policy: its lists and what they noted
---@field name string the policy's
---@field view moongate.view
---@field request table|nil until it is over
---@field weights table<table, number>|nil by target
---@field all table[] its candidates, and behind them the metatables that they have in the end

-- A list of candidates for these targets. run = { view, request, facts, weights } is the family of their lists from now
-- on.
---@param targets table[]
---@param run moongate.run
---@return list
function candidates.new(targets, run)
  local count = #targets
  local items, all = new_table(count, 0), new_table(2 * count, 0) -- a policy may write to its list
  run.trail, run.all, under_way = new_table(TRAIL, 0), all, run
  for i = 1, count do
    local metatables = metatables_for(targets[i])
    local candidate = setmetatable({ left = LATER }, metatables[1]) -- most policies ask
    items[i], all[i], all[count + i] = candidate, candidate, metatables[2]
  end
  return list.of(items, run)
end

-- Ends it all: a policy that kept the list could change what is told of a decision, and hold all of its request.
---@param run moongate.run
function candidates.close(run)
  local all = run.all
  local count = #all / 2
  for i = 1, count do set_metatable(all[i], all[count + i]) end
  run.over, run.all, run.request, run.facts, under_way = true, nil, nil, nil, nil
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

-- What is behind a request's own copy is its metatable: { request, task = function, and facts that outweigh the
-- request's }.
local function read_request(own, name)
  if not facts_of.of_request(name) then error(near.missing("a request", name, facts_of.names.request), 2) end
  local asked = metatable_of(own)
  local request, value = asked.request
  if name == "task" then
    value = asked:task()
  else
    value = asked[name]
    if value == nil then value = request[name] end
  end
  if unrecorded[name] then
    looked_at[request] = looked_at[request] or {}
    looked_at[request][name] = true
  end
  if type(value) == "table" then value = copy(value, 1) end
  if name == "caller" then facts_of.guard("caller", value) end
  if value ~= nil then rawset(own, name, value) end
  return value
end

-- The request as a policy sees it: its own to write to. `asked` holds facts that outweigh the request's, and task(); it
-- is the metatable of what is answered. The clock and the dice of a call are there from the beginning: the set of
-- policies reads them raw.
---@param request table
---@param asked table
---@return table
function candidates.request(request, asked)
  asked.request, asked.__index, asked.__metatable = request, read_request, "request"
  return setmetatable({ now = request.now, seed = request.seed, privacy = LATER }, asked)
end

local over = { __metatable = "request", __index = raise_over }

-- Ends what candidates.request answered.
---@param own table
function candidates.close_request(own) set_metatable(own, over) end

return candidates
