-- What the admin token opens: callers' keys, probes of providers, and pardons for targets that are left out. The
-- commands of the same names come this way while a gateway runs.
local address = require "moongate.address"
local exchange = require "moongate.exchange"
local json = require "moongate.core.json"
local key_maker = require "moongate.key_maker"
local keys = require "moongate.core.keys"
local log = require "moongate.core.log"
local near = require "moongate.near"
local operator = require "moongate.operator"
local probe = require "moongate.probe"
local store = require "moongate.core.store"

local admin = {}

local NOT_CREATED = "the key could not be stored; nothing was created (GET /ready says what is wrong)"
local NOT_REVOKED = "this gateway takes the key no more, but that is not stored yet (GET /ready says what is wrong): "
  .. "until it is, other gateways take the key, and so would this one after a restart"

local JSON = { ["content-type"] = "application/json" }

local function reply(handle, status, value)
  handle:reply(status, JSON, json.encode(value))
end

local is_admin = operator.is_admin

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

-- POST: one small request to the provider, for its limits.
function admin.probe(handle, state, name)
  if is_admin(handle, state) then probe.run(handle, state, name) end
end

-- A provider or a target of that name; as people write it in an address.
local function left_out(state, path)
  local name = address.decoded(path)
  if state.config.providers[name] or state.registry.by_id[name] then return name end
  local names = state.registry:near(name)
  local hint = #names > 0 and ' (did you mean "' .. names[1] .. '"?)'
    or near.hint(name, near.names(state.config.providers))
  return nil, {
    status = 404, code = "target_not_found",
    message = string.format('there is no "%s" here%s; name a PROVIDER or PROVIDER/MODEL',
      string.sub(string.gsub(name, "[^\32-\126]", "?"), 1, 100), hint),
  }
end

-- DELETE: what is left out for a while, for whatever reason, may be called again.
function admin.pardon(handle, state, path)
  if not is_admin(handle, state) then return end
  local name, refusal = left_out(state, path)
  if not name then return exchange.refuse(handle, refusal) end
  local seconds, reason = store.exhausted(name)
  local pardoned = store.pardon(name)
  if pardoned then
    log.write("warn", "a target that was left out may be called again", string.sub(json.encode {
      target = name, reason = reason, seconds = math.ceil(seconds),
    }, 2, -2))
  end
  reply(handle, 200, {
    target = name, pardoned = pardoned, reason = pardoned and reason or json.null,
    left_s = pardoned and math.ceil(seconds) or json.null,
  })
end

return admin
