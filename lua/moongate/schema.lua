-- The shape of moongate.lua: every key there is, and what its value must look like. What keys mean to each other
-- (a model's provider, an alias's target) is checked in crosscheck.lua; defaults are in defaults.lua.

local near = require "moongate.near"
local quota = require "moongate.quota"
local quirks = require "moongate.schema_quirks"
local shape = require "moongate.shape"

local text, choice, number, whole = shape.text, shape.choice, shape.number, shape.whole
local list, map, record, either, boolean = shape.list, shape.map, shape.record, shape.either, shape.boolean

local MOST = 2 ^ 53 - 1
local DAY = 86400

-- Splits "127.0.0.1:8080" or "[::1]:8080" into host and port; nil if it is neither.
local function address(value)
  local host, port = string.match(value, "^%[([%x:.]+)%]:(%d+)$")
  if not host then host, port = string.match(value, "^([%w.*-]+):(%d+)$") end
  port = tonumber(port)
  if not port or port > 65535 then return nil end
  return host, port
end

local listen_address = text(function(value)
  if not address(value) then return 'must be an address and a port, like "127.0.0.1:8080" or "[::1]:8080"' end
end)

-- What is said of an address of Redis never quotes it: there may be a password in it.
local function redis_fault(value)
  local place = string.match(value, "^redis://(.*)$")
  place = string.match(place, "@([^@]*)$") or place
  if string.find(place, "^/.") then return nil end -- a Unix socket
  local host, rest = string.match(place, "^(%[[%x:.]+%])(.*)$")
  if not host then host, rest = string.match(place, "^([%w._-]+)(.*)$") end
  if not host or string.find(value, "%s") then return "needs a host: redis://[:password@]HOST:PORT/DATABASE" end
  rest = string.gsub(rest, "%?.*$", "")
  if not string.find(rest, "^:?%d*/?%d*$") then return "has no port and database that are numbers behind its host" end
  return nil
end

local store_address = text(function(value)
  if value == "memory:" then return end
  if string.find(value, "^sqlite:.") then
    local option = string.match(value, "%?([^?]*)$")
    if not option or option == "sync=always" or option == "sync=second" then return end
    return string.format('has "?%s" behind the file: only "?sync=always" (as without) and "?sync=second" may stand '
      .. "there", option)
  end
  if string.find(value, "^redis://") then return redis_fault(value) end
  if string.find(value, "^rediss://") then return "cannot be reached by TLS: put a tunnel or a Unix socket between" end
  return 'must be "memory:", "sqlite:FILE" or "redis://[:password@]HOST:PORT/DATABASE"'
end)

local web_address = text(function(value)
  if not string.find(value, "^https?://[^%s/?#@]+[^%s?#]*$") then
    return "must be an http:// or https:// address without a query"
  end
end)

-- Names that stand in headers, labels and paths as they are.
local function plain_name(what)
  return function(name)
    if not string.find(name, "^%w[%w._-]*$") or #name > 63 then
      return "is no name for " .. what .. ": letters, digits, '.', '_' and '-', at most 63 of them"
    end
  end
end

local model_name = text(function(value)
  if string.find(value, "%s") then return "must not have blanks" end
  if value == "auto" then return '"auto" is kept for "let the policy choose"' end
  if #value > 127 then return "must be at most 127 bytes long" end
end)

local function limit_name(name)
  if not quota.parse(name) then
    return "unknown limit" .. near.hint(name, quota.names)
      .. "; there are " .. table.concat(quota.names, ", ") .. " and <unit>_per_<window>"
  end
end

local amount = whole(0, MOST)

local zone_name = text(function(value)
  if not string.find(value, "^%a[%w_+/-]*$") then return 'must be a time zone, like "America/Los_Angeles"' end
end)

local long_limit = record({ zone = zone_name, sliding = boolean }, { items = amount })

-- 30, or { 1000, zone = "America/Los_Angeles" }.
local limit = either {
  number = amount,
  table = function(value, path, report)
    long_limit(value, path, report)
    if #value ~= 1 then report(path, "needs exactly one number, like { 1000, zone = \"America/Los_Angeles\" }") end
  end,
}

local limits = map(limit, limit_name)
local patterns = list(text())
local price = number(0, 1e6)
local seconds = number(0.001, DAY)

local budget_fields = record({
  usd = number(0, 1e9), billed_tokens = whole(0, MOST), window = choice { "day", "month" },
})

local function budget(value, path, report)
  budget_fields(value, path, report)
  if type(value) == "table" and value.usd == nil and value.billed_tokens == nil then
    report(path, "needs usd or billed_tokens, or both")
  end
end

local provider = record({
  protocol = text(), base_url = web_address, like = text(),
  api_key = text(),
  api_keys = list(either {
    string = text(),
    table = record({ key = text(), pool = text() }, { items = text() }),
  }, 1),
  free = boolean, is_local = boolean, quality = number(0, 100),
  limits = limits, pool = text(),
  timeouts = record {
    connect = seconds, first_byte = seconds, first_content = seconds, idle = seconds, total = seconds,
  },
  retries = whole(0, 10),
  breaker = record { failures = whole(1, 1000), open = seconds },
  formats = list(choice { "chat", "responses" }, 1), quirks = quirks.check,
  limit_scope = choice { "model", "provider" }, resets = choice { "rolling", "fixed" },
  http2 = boolean, ca_file = text(),
  headers = map(text(), function(name)
    if not string.find(name, "^[%w!#$%%&'*+.^_`|~-]+$") then return "is no name for a header" end
  end),
  mock = function(value, path, report)
    if type(value) == "table" then shape.plain(value, path, report) else boolean(value, path, report) end
  end,
  checker = either {
    string = text(),
    table = record({ interval = number(10, DAY), base_url = web_address, api_key = text(), full = number(0, 1e9) },
      { items = text(), rest = shape.plain }),
  },
})

local model = record({
  id = model_name, provider = text(), upstream_id = text(), aliases = list(model_name),
  name = text(),
  cost = record { input = price, output = price, cached_input = price, cache_write = price },
  context_length = whole(1, MOST), max_output = whole(1, MOST),
  strengths = list(text()), quality = number(0, 100), latency_ms = number(0, DAY * 1000),
  tools = boolean, vision = boolean, json_schema = boolean, embeddings = boolean,
  free = boolean, priority = number(0, 100), limits = limits, pool = text(),
  deprecated = either { boolean = boolean, string = text() }, replacement = model_name,
}, { required = { "id", "provider" } })

local alias_target = either {
  string = model_name,
  table = record({ model = model_name, weight = number(0, 1e6) }, { required = { "model" } }),
}

local alias_table = record({ order = boolean }, { items = alias_target })

local alias = either {
  string = model_name,
  table = function(value, path, report)
    alias_table(value, path, report)
    if #value == 0 then report(path, "needs at least one { model = ... }") end
  end,
}

local key_hash = text(function(value)
  if not string.find(value, "^%x+$") or #value ~= 64 then return "must be the key's SHA-256 in 64 hex digits" end
end)

local key_text = text(function(value)
  if #value < 3 or #value > 256 or string.find(value, "[^\33-\126]") then
    return "must be 3 to 256 visible ASCII characters"
  end
end)

local key_fields = record({
  name = text(), key = key_text, key_hash = key_hash, org = text(), tier = text(), label = text(),
  models = patterns, rpm = amount, tpm = amount, budget = budget, policy = text(), privacy = boolean,
}, { required = { "name" } })

local function key(value, path, report)
  key_fields(value, path, report)
  if type(value) == "table" and (value.key == nil) == (value.key_hash == nil) then
    report(path, "needs either key or key_hash")
  end
end

local group = record {
  models = patterns, rpm = amount, tpm = amount, budget = budget, policy = text(), privacy = boolean,
}

local agent = record({
  system = either { string = function() end }, model = text(), max_tokens = whole(1, MOST),
  timeout_secs = seconds,
})

local sync = record({
  url = text(function(value)
    if not string.find(value, "^https?://[^%s/?#@]+[^%s#]*$") then return "must be an http:// or https:// address" end
  end),
  format = choice { "openrouter", "litellm", "table" }, interval = number(60, 31 * DAY),
}, { required = { "url" } })

local tls_listener = record({ addr = listen_address, cert = text(), key = text() }, { required = { "addr" } })

local listener = function(value, path, report)
  if type(value) == "number" then value = tostring(value) end -- a port alone is told what it lacks
  if type(value) ~= "table" then return listen_address(value, path, report) end
  tls_listener(value, path, report)
  if (value.cert == nil) ~= (value.key == nil) then report(path, "needs both cert and key for TLS, or neither") end
end

-- As a browser writes it: no path behind it, and no port where it is the usual one.
local origin = text(function(value)
  if value == "*" then return end
  if not string.find(value, "^%l[%l%d+.-]*://[^%s/?#@%u]+$") then
    return 'must be an origin as browsers send it, like "https://app.example" or "http://localhost:3000", or "*"'
  end
end)

local whole_file = record {
  listen = function(value, path, report)
    if type(value) == "table" and value.addr == nil and getmetatable(value) == nil then
      return list(listener, 1)(value, path, report)
    end
    listener(value, path, report)
  end,
  workers = whole(1, 256),
  store = store_address, retention_days = whole(0, 36500), seccomp = boolean, jit = boolean,
  policies = text(), policy = text(), on_fault = choice { "default", "refuse" },
  zero_spend = boolean, auth = choice { "keys", "none" }, admin_token = key_text, premium_baseline = text(),
  limits = record {
    body_bytes = whole(1024, 2 ^ 30), policy_ms = number(1, 10000), policy_mb = number(1, 4096),
    header_s = seconds, body_s = seconds, idle_s = seconds, drain_s = seconds,
  },
  cors = record({ origins = either { string = origin, table = list(origin, 1) } }, { required = { "origins" } }),
  log = record { level = choice { "debug", "info", "warn", "error" }, format = choice { "json", "text" },
    file = text(), prompts = boolean },
  providers = map(provider, plain_name "a provider"),
  models = list(model),
  models_table = function(value, path, report)
    record({ csv = text(), sqlite = text(), table = text() })(value, path, report)
    if type(value) == "table" and (value.csv == nil) == (value.sqlite == nil) then
      report(path, 'needs either csv = "FILE" or sqlite = "FILE" with table = "NAME"')
    elseif type(value) == "table" and (value.sqlite == nil) ~= (value.table == nil) then
      report(path, value.sqlite and 'needs table = "NAME" beside sqlite' or "table goes with sqlite, not with csv")
    end
  end,
  sync = list(sync), price_alert = number(1, 1e6),
  aliases = map(alias, function(name)
    if name == "auto" then return '"auto" is kept for "let the policy choose"' end
    if #name > 127 or string.find(name, "[%c%s]") then return "is no name for a model" end
  end),
  keys = list(key), tiers = map(group), orgs = map(group), agents = map(agent, plain_name "an agent"),
}

return { check = whole_file, address = address }
