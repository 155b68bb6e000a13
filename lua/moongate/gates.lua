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
    local who = rules.who or "this key"
    return { who = who, why = verdict, reason = who .. " may not use it: " .. verdict }
  end
  return nil
end

local function named(kind, name, otherwise)
  return name and name ~= "" and kind .. " " .. name or otherwise
end

-- Who is refused, in words: by the tier where there is one.
---@param caller table
---@return string
function gates.who(caller)
  return named("tier", caller.tier, named("key", caller.name, "this key"))
end

-- The lists of patterns that still have to be asked, target by target, and whose each is: a name that a list permits
-- brings all its targets with it, but "auto" stands for none. An access policy stands in the place of the tier's list.
---@param caller table models, tier_models
---@param name string
---@param has_policy boolean|nil
---@return table[] lists
---@return string[] owners
function gates.lists(caller, name, has_policy)
  local lists, owners = {}, {}
  local function add(list, owner)
    local permitted = name ~= "auto" and patterns.permit(list, name)
    if not (permitted or patterns.everything(list)) then
      lists[#lists + 1], owners[#owners + 1] = list, owner
    end
  end
  add(caller.models, named("key", caller.name, "this key"))
  if not has_policy then add(caller.tier_models, named("tier", caller.tier, "this key")) end
  return lists, owners
end

local stages = { "access", "place", "spend", "ability", "price" }

-- Divides targets into those a policy may see and the others, with the reason of each. asked says in words what was
-- asked for; lists and owners are those of gates.lists; verdicts are the access policy's, on who; local_because is a
-- clause when only this machine will do. The fourth result is the refusal when nothing is left.
---@param targets table[]
---@param request table
---@param rules table { lists, owners, verdicts, who, local_because, zero_spend, asked }
---@return table[] offered
---@return table[] refused
---@return string[] why
---@return table|nil refusal
function gates.pass(targets, request, rules)
  local offered, refused, why = {}, {}, {}
  local state = { why = why, counts = { access = 0, place = 0, spend = 0, ability = 0, price = 0 } }
  local asks_access = #rules.lists > 0 or rules.verdicts ~= nil
  local needed = (request.estimated_tokens or 0) + (request.surface ~= "embeddings" and request.max_tokens or 0)
  local max_cost = request.max_cost
  local furthest = 0
  for i = 1, #targets do
    local target = targets[i]
    local stage = 0
    local reason
    local rule = asks_access and barred(rules, target)
    if rule then
      stage, reason = 1, rule.reason
      state.rule = state.rule or rule
    elseif rules.local_because and not target.is_local then
      stage, reason = 2, "is not on this machine"
    elseif rules.zero_spend and dear(target) then
      stage, reason = 3, "zero spend: it " .. dear(target)
      state.dear, state.dear_because = target, dear(target)
    else
      reason = lack(target, request, needed)
      if reason then
        stage = 4
        state.last, state.lack = target, reason
      elseif max_cost then
        local cost = money.estimate(target, request)
        if not cost or cost > max_cost then
          stage = 5
          reason = cost and string.format("estimated at %.6g USD, over max_cost", cost) or "its price is not known"
          if cost and (not state.cheapest_cost or cost < state.cheapest_cost) then
            state.cheapest, state.cheapest_cost = target, cost
          end
        end
      end
    end
    if stage == 0 then
      offered[#offered + 1] = target
    else
      refused[#refused + 1], why[#why + 1] = target, reason
      local name = stages[stage]
      state.counts[name] = state.counts[name] + 1
      if stage > furthest then furthest = stage end
    end
  end
  if #offered > 0 or furthest == 0 then return offered, refused, why end
  return offered, refused, why, refusals[stages[furthest]](rules.asked, state, rules.local_because, request)
end

return gates
