-- POST /v1/router/debug: what would become of a request. Takes the way of a live one up to the ladder, and calls
-- nobody: no provider, no counter, no ledger.
local exchange = require "moongate.exchange"
local json = require "moongate.core.json"
local reasons = require "moongate.reasons"
local router = require "moongate.surfaces.router"
local standing = require "moongate.standing"

local debug = {}

local JSON = { ["content-type"] = "application/json" }

-- A plan, or the refusal of one that came as far as its candidates, as the endpoint tells it.
---@param plan table|nil
---@param refusal table|nil
---@return table
function debug.told(plan, refusal)
  local told = reasons.explain(plan or refusal.plan)
  told.ladder, told.candidates = json.array(told.ladder), json.array(told.candidates)
  if refusal then
    told.reason, told.status = refusal.message, refusal.status
  elseif plan.standing and not plan.standing.first then
    told.status = plan.standing.refusal and 429 or 503
  end
  return told
end

-- For a caller, as that caller; for the holder of the admin token, as one who may use everything.
---@param handle table
---@param state moongate.state
function debug.explain(handle, state)
  local operator = state.callers:is_admin(handle) and state.callers.operator or nil
  local call, refusal = exchange.admit(handle, state, router.explained, "chat", operator)
  if not call then return exchange.refuse(handle, refusal, nil, router) end
  local plan
  plan, refusal = exchange.plan(call)
  if plan or refusal.plan then
    if plan then standing.note(plan, call.caller, state) end
    handle:reply(200, JSON, json.encode(debug.told(plan, refusal)))
  else
    -- An unknown model or policy leaves nothing to explain.
    exchange.refuse(handle, refusal, nil, router)
  end
  call.body:close()
end

return debug
