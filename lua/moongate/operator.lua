-- Who holds the admin token: the one gate before everything below /admin/.
local exchange = require "moongate.exchange"

local operator = {}

-- True for the admin; else the request is refused.
---@param handle table
---@param state moongate.state
---@return boolean
function operator.is_admin(handle, state)
  if state.callers:is_admin(handle) then return true end
  local refusal = { status = 401, code = "admin_token_required",
    message = "this needs the admin token: send it as Authorization: Bearer TOKEN" }
  if not state.config.admin_token then
    refusal.code = "admin_token_not_set"
    refusal.message = "there is no admin token: set admin_token in the configuration"
  end
  exchange.refuse(handle, refusal)
  return false
end

-- The handler, for the admin alone.
---@param handler fun(handle: table, state: moongate.state, rest: string|nil)
---@return fun(handle: table, state: moongate.state, rest: string|nil)
function operator.only(handler)
  return function(handle, state, rest)
    if operator.is_admin(handle, state) then return handler(handle, state, rest) end
  end
end

return operator
