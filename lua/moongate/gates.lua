-- What keeps a target from being offered to any policy: the caller's patterns, privacy, what the model cannot do, and
-- the caller's max_cost. Each gate has its refusal for when nothing gets past it. Pure.

local deprecation = require "moongate.deprecation"
local money = require "moongate.money"
local patterns = require "moongate.patterns"

local gates = {}

-- What the target lacks for this request; nil when it can do it. What is not known of a model is not held against it.
local function lack(target, request, needed)
  if target.retired_at and deprecation.is_over(target, request.now) then return deprecation.words(target) end
  if request.surface == "embeddings" then
    if target.embeddings == false then return "makes no embeddings" end
  elseif target.embeddings then
    return "makes embeddings only"
  end
  if request.tools and target.tools == false then return "has no tools" end
  if request.images and target.vision == false then return "cannot see images" end
  if request.json_schema and target.json_schema == false then return "has no JSON schema output" end
  if target.context_length and needed > target.context_length then
    return string.format("holds %d tokens, the request needs about %d", target.context_length, needed)
  end
  return nil
end

-- Why a target may cost money; nil when it is known to cost nothing. C has the last word, see core/gate/firewall.c.
local function dear(target)
  if target.costs_nothing then return nil end
  if target.cost == nil then return "has no known price" end
  if not target.free and (target.tabled or not target.is_local) then return "is not declared free" end
  return "has a price"
end

local refusals = {}

-- Said in the words of the rule that the first one fell by.
function refusals.access(asked, state)
  asked = asked == "this request" and "any model here" or string.gsub(asked, '"', "")
  return {
    status = 403, code = "model_not_allowed", type = "permission_error",
    message = string.format("%s may not use %s: %s", state.rule.who, asked, state.rule.why),
  }
end

function refusals.place(asked, _, because)
  return {
    status = 403, code = "local_only", type = "permission_error",
    message = because .. ", and no local model (on this machine) serves " .. asked,
  }
end

function refusals.spend(asked, state)
  local more = state.counts.spend > 1 and string.format(" (nor are %d others)", state.counts.spend - 1) or ""
  return {
    status = 403, code = "zero_spend", type = "permission_error",
    message = string.format("zero_spend is on, and nothing that serves %s is free for sure: %s %s%s", asked,
      state.dear.id, state.dear_because, more),
  }
end

function refusals.ability(asked, state)
  local target, reason = state.last, state.lack
  local code = string.find(reason, "^holds ") and "context_length_exceeded" or "unsupported_by_model"
  local more = state.counts.ability > 1 and string.format(" (nor can %d others)", state.counts.ability - 1) or ""
  return {
    status = 400, code = code, type = "invalid_request_error",
    message = string.format("nothing that serves %s can do this: %s %s%s", asked, target.id, reason, more),
  }
end

function refusals.price(asked, state, _, request)
  local least = state.cheapest and string.format(": the cheapest, %s, is estimated at %.6g USD", state.cheapest.id,
    state.cheapest_cost) or ": no price is known"
  return {
    status = 403, code = "max_cost_exceeded", type = "permission_error",
    message = string.format("nothing for %s within max_cost %.6g USD%s", asked, request.max_cost, least),
  }
end

local MOST_SHOWN = 5 -- patterns in a message

local function shown(list)
  local text = table.concat(list, ", ", 1, math.min(#list, MOST_SHOWN))
  if #list == 0 then return "none" end
  return #list > MOST_SHOWN and text .. ", ..." or text
end

local function named(kind, name, otherwise)
  return name and name ~= "" and kind .. " " .. name or otherwise
end

-- Who is refused, in words: by the tier where there is one.
local function who_is(caller)
  return caller and named("tier", caller.tier, named("key", caller.name, "this key")) or "this key"
end

-- The rule that a target falls by: { who, why, reason }; nil when it may be used. A list lets it through by its model's
-- name or its own.
local function barred(rules, target)
  for i, list in ipairs(rules.lists) do
    if not (patterns.permit(list, target.model) or patterns.permit(list, target.id)) then
      local who = rules.owners and rules.owners[i] or "this key"
      local why = "not among its models (" .. shown(list) .. ")"
      return { who = who, why = why, reason = who .. " may not use it: " .. why }
    end
  end
  local verdict = rules.verdicts and rules.verdicts[target]
  if verdict and verdict ~= true then
    local who = who_is(rules.caller)
    return { who = who, why = verdict, reason = who .. " may not use it: " .. verdict }
  end
  return nil
end

local NONE = {}

local function asks(list, name)
  return not (name ~= "auto" and patterns.permit(list, name) or patterns.everything(list))
end

-- The lists of patterns that still have to be asked, target by target, and whose each is: a name that a list permits
-- brings all its targets with it, but "auto" stands for none. An access policy stands in the place of the tier's list.
---@param caller table models, tier_models
---@param name string
---@param has_policy boolean|nil
---@return table[] lists
---@return string[] owners
function gates.lists(caller, name, has_policy)
  local asks_key = asks(caller.models, name)
  local asks_tier = not has_policy and asks(caller.tier_models, name)
  if not (asks_key or asks_tier) then return NONE, NONE end
  local lists, owners = {}, {}
  if asks_key then lists[1], owners[1] = caller.models, named("key", caller.name, "this key") end
  if asks_tier then
    lists[#lists + 1], owners[#owners + 1] = caller.tier_models, named("tier", caller.tier, "this key")
  end
  return lists, owners
end

local stages = { "access", "place", "spend", "ability", "price" }

-- Why a target is not offered: the number of the gate, the reason, and what the refusal is to tell of it; nil if it is.
local function stopped(target, request, rules, needed, asks_access)
  local rule = asks_access and barred(rules, target)
  if rule then return 1, rule.reason, rule end
  if rules.local_because and not target.is_local then return 2, "is not on this machine" end
  local dear_because = rules.zero_spend and dear(target)
  if dear_because then return 3, "zero spend: it " .. dear_because, dear_because end
  local lacking = lack(target, request, needed)
  if lacking then return 4, lacking end
  local max_cost = request.max_cost
  if max_cost then
    local cost = money.estimate(target, request)
    if not cost then return 5, "its price is not known" end
    if cost > max_cost then return 5, string.format("estimated at %.6g USD, over max_cost", cost), cost end
  end
  return nil
end

-- Notes of one that was stopped what a refusal would tell.
local function note(state, stage, target, reason, more)
  local name = stages[stage]
  state.counts[name] = (state.counts[name] or 0) + 1
  if stage > state.furthest then state.furthest = stage end
  if stage == 1 then
    state.rule = state.rule or more
  elseif stage == 3 then
    state.dear, state.dear_because = target, more
  elseif stage == 4 then
    state.last, state.lack = target, reason
  elseif stage == 5 and more and (not state.cheapest_cost or more < state.cheapest_cost) then
    state.cheapest, state.cheapest_cost = target, more
  end
end

-- By list of targets, which do not change: what holds for all of them, so that most requests need not ask each.
local summaries = setmetatable({}, { __mode = "k" })

local function summary_of(targets)
  local summary = summaries[targets]
  if summary then return summary end
  summary = { context_length = math.huge, tools = true, vision = true, json_schema = true }
  for _, target in ipairs(targets) do
    if target.context_length then summary.context_length = math.min(summary.context_length, target.context_length) end
    for _, ability in ipairs { "tools", "vision", "json_schema" } do
      if target[ability] == false then summary[ability] = false end
    end
    if target.retired_at or target.embeddings then summary.is_mixed = true end
  end
  summaries[targets] = summary
  return summary
end

-- What is needed of a context.
local function needed_by(request)
  return (request.estimated_tokens or 0) + (request.surface ~= "embeddings" and request.max_tokens or 0)
end

-- Whether the request alone keeps none of them from being offered, for sure: then they need not be asked one by one.
---@param targets table[]
---@param request table
---@return boolean
function gates.are_open(targets, request)
  if request.max_cost or request.surface == "embeddings" then return false end
  local summary = summary_of(targets)
  return not summary.is_mixed and needed_by(request) <= summary.context_length
    and (summary.tools or not request.tools) and (summary.vision or not request.images)
    and (summary.json_schema or not request.json_schema)
end

-- Divides targets into those a policy may see and the others, with the reason of each. asked(name) says in words what
-- was asked for; lists and owners are those of gates.lists; verdicts are the access policy's, on the caller;
-- local_because is a clause when only this machine will do. The fourth result is the refusal when nothing is left.
---@param targets table[]
---@param request table
---@param rules table { lists, owners, verdicts, caller, local_because, zero_spend, asked, name }
---@return table[] offered
---@return table[] refused
---@return string[] why
---@return table|nil refusal
function gates.pass(targets, request, rules)
  local asks_access = #rules.lists > 0 or rules.verdicts ~= nil
  local needed = needed_by(request)
  local offered, refused, why, state = {}, {}, {}, nil
  for i = 1, #targets do
    local target = targets[i]
    local stage, reason, more = stopped(target, request, rules, needed, asks_access)
    if stage then
      refused[#refused + 1], why[#why + 1] = target, reason
      state = state or { counts = {}, furthest = 0 }
      note(state, stage, target, reason, more)
    else
      offered[#offered + 1] = target
    end
  end
  if #offered > 0 or not state then return offered, refused, why end
  local refusal = refusals[stages[state.furthest]]
  return offered, refused, why, refusal(rules.asked(rules.name), state, rules.local_because, request)
end

return gates
