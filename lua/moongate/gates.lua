-- What keeps a target from being offered to any policy: the caller's patterns, privacy, what the model cannot do, and
-- the caller's max_cost. Each gate has its refusal for when nothing gets past it. Pure.

local money = require "moongate.money"
local patterns = require "moongate.patterns"

local gates = {}

-- What the target lacks for this request; nil when it can do it. What is not known of a model is not held against it.
local function lack(target, request, needed)
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

local refusals = {}

function refusals.access(asked)
  return {
    status = 403, code = "model_not_allowed", type = "permission_error",
    message = "this key may not use " .. asked,
  }
end

function refusals.place(asked, _, because)
  return {
    status = 403, code = "local_only", type = "permission_error",
    message = because .. ", and no local model (on this machine) serves " .. asked,
  }
end

function refusals.ability(asked, state)
  local target = state.last
  local reason = state.why[#state.why]
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

-- True when every list of patterns lets the target through, by its model's name or its own.
local function permits(lists, target)
  for _, list in ipairs(lists) do
    if not (patterns.permit(list, target.model) or patterns.permit(list, target.id)) then return false end
  end
  return true
end

-- The lists of patterns that still have to be asked, target by target: a name that a list permits brings all its
-- targets with it, but "auto" stands for none.
---@param caller table models, tier_models
---@param name string
---@return table[]
function gates.lists(caller, name)
  local lists = {}
  local function add(list)
    local permitted = name ~= "auto" and patterns.permit(list, name)
    if not (permitted or patterns.everything(list)) then lists[#lists + 1] = list end
  end
  add(caller.models)
  add(caller.tier_models)
  return lists
end

local stages = { "access", "place", "ability", "price" }

-- Divides targets into those a policy may see and the others, with the reason of each. asked says in words what was
-- asked for; lists are the patterns of gates.lists; local_because is a clause when only this machine will do. The
-- fourth result is the refusal when nothing is left.
---@param targets table[]
---@param request table
---@param rules table { lists = table[], local_because = string or nil, asked = string }
---@return table[] offered
---@return table[] refused
---@return string[] why
---@return table|nil refusal
function gates.pass(targets, request, rules)
  local offered, refused, why = {}, {}, {}
  local state = { why = why, counts = { access = 0, place = 0, ability = 0, price = 0 } }
  local lists = rules.lists
  local needed = (request.estimated_tokens or 0) + (request.surface ~= "embeddings" and request.max_tokens or 0)
  local max_cost = request.max_cost
  local furthest = 0
  for i = 1, #targets do
    local target = targets[i]
    local stage = 0
    local reason
    if #lists > 0 and not permits(lists, target) then
      stage, reason = 1, "this key may not use it"
    elseif rules.local_because and not target.is_local then
      stage, reason = 2, "is not on this machine"
    else
      reason = lack(target, request, needed)
      if reason then
        stage = 3
        state.last = target
      elseif max_cost then
        local cost = money.estimate(target, request)
        if not cost or cost > max_cost then
          stage = 4
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
