-- What the admin token opens: callers' keys. The commands of the same names come this way while a gateway runs.
local exchange = require "moongate.exchange"
local json = require "moongate.core.json"
local key_maker = require "moongate.key_maker"
local keys = require "moongate.core.keys"

local admin = {}

local NOT_CREATED = "the key could not be stored; nothing was created (GET /ready says what is wrong)"
local NOT_REVOKED = "this gateway takes the key no more, but that is not stored yet (GET /ready says what is wrong): "
  .. "until it is, other gateways take the key, and so would this one after a restart"

local JSON = { ["content-type"] = "application/json" }

local function reply(handle, status, value)
  handle:reply(status, JSON, json.encode(value))
end

-- True for the admin; else the request is refused.
local function is_admin(handle, state)
  if state.callers:is_admin(handle) then return true end
  local message = state.config.admin_token and "this needs the admin token: send it as Authorization: Bearer TOKEN"
    or "there is no admin token: set admin_token in the configuration"
  exchange.refuse(handle, { status = 401, message = message, code = "admin_token_required" })
  return false
end

function admin.list_keys(handle, state)
  if not is_admin(handle, state) then return end
  reply(handle, 200, { keys = json.array(key_maker.list(keys.all())) })
end

-- POST { name, org, tier, models, rpm, budget = { usd, window }, policy }: the key, shown this once.
function admin.create_key(handle, state)
  if not is_admin(handle, state) then return end
  local wanted, message = json.decode(handle:body())
  local made
  if type(wanted) == "table" then made, message = key_maker.make(wanted, state.config, keys.hash, keys.random) end
  if not made then
    return exchange.refuse(handle, { status = 400, message = message or "the body must be a JSON object" })
  end
  local saved = keys.add(made.prefix, made.hash, made.settings)
  if not saved then
    return exchange.refuse(handle, { status = 500, message = NOT_CREATED })
  end
  reply(handle, 201, { key = made.key, prefix = made.prefix, name = made.name })
end

function admin.revoke_key(handle, state, prefix)
  if not is_admin(handle, state) then return end
  local outcome = keys.revoke(prefix)
  if outcome == true then return reply(handle, 200, { revoked = prefix }) end
  if outcome == false then
    return exchange.refuse(handle, { status = 500, message = NOT_REVOKED })
  end
  exchange.refuse(handle, key_maker.not_one(prefix, outcome or 0))
end

return admin
