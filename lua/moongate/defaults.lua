-- Fills in every default: a checked moongate.lua becomes the one shape that the rest of the gateway reads: plain data,
-- lists sorted, paths relative to the config's folder, nothing left to guess.

local percent = require "moongate.address"
local quirks = require "moongate.quirks"
local quota = require "moongate.quota"

local defaults = {}

local timeouts = { connect = 5, first_byte = 60, first_content = 60, idle = 60, total = 600 }
local breaker = { failures = 5, open = 15 }
local limits = {
  body_bytes = 10 * 1024 * 1024, policy_ms = 20, policy_mb = 64,
  header_s = 10, body_s = 30, idle_s = 75, drain_s = 30,
}

-- `given` over `otherwise`, in a new table.
local function over(given, otherwise)
  local result = {}
  for name, value in pairs(otherwise or {}) do result[name] = value end
  for name, value in pairs(given or {}) do result[name] = value end
  return result
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for name, item in pairs(value) do result[name] = copy(item) end
  return result
end

-- { rpm = 30, rpd = { 1000, zone = "UTC" } } as a list of limits, in the order people read them. documented: they are
-- those of a built-in table, which yield to what the provider itself tells.
---@param given table|nil
---@param documented true|nil
---@return table[]
function defaults.limits(given, documented)
  local list = {}
  for name, value in pairs(given or {}) do
    local long = type(value) == "table" and value or { value }
    local metric, window = quota.parse(name)
    list[#list + 1] = {
      -- The name that policies read it by: requests_per_day is rpd.
      name = quota.name(metric, window), metric = metric, window = window, max = long[1], zone = long.zone,
      sliding = long.sliding, documented = documented,
    }
  end
  local rank = {}
  for i, name in ipairs(quota.names) do rank[name] = i end
  table.sort(list, function(a, b)
    local first, second = rank[a.name] or 100, rank[b.name] or 100
    if first ~= second then return first < second end
    return a.name < b.name
  end)
  return list
end

-- A path as the gateway opens it: relative ones start at the config's folder.
---@param path string|nil
---@param filename string
---@return string|nil
function defaults.path(path, filename)
  if not path or string.sub(path, 1, 1) == "/" then return path end
  local folder = string.match(filename, "^(.*/)[^/]*$")
  return folder and folder .. path or path
end

-- Where ledger rows wait for Redis: in the config's folder, if the address names no other.
local function redis_store(address, filename)
  local server, query = string.match(address, "^([^?]*)%??(.*)$")
  local options, folder = {}, "."
  for option in string.gmatch(query, "[^&]+") do
    local named = string.match(option, "^spool=(.+)$")
    if named then folder = named else options[#options + 1] = option end
  end
  folder = percent.decoded(folder)
  folder = folder == "." and string.match(filename, "^(.+)/[^/]*$") or defaults.path(folder, filename)
  options[#options + 1] = "spool=" .. string.gsub(folder, "[^%w/._~-]", function(byte)
    return string.format("%%%02X", string.byte(byte))
  end)
  return server .. "?" .. table.concat(options, "&")
end

local function store(address, filename)
  if string.find(address, "^redis:") then return redis_store(address, filename) end
  local file = string.match(address, "^sqlite:(.*)$")
  if not file or string.sub(file, 1, 1) == ":" then return address end
  return "sqlite:" .. defaults.path(file, filename)
end

local function listeners(given, filename)
  if given == nil then given = "127.0.0.1:8080" end
  if type(given) == "string" or given.addr then given = { given } end
  local list = {}
  for i, each in ipairs(given) do
    if type(each) == "string" then each = { addr = each } end
    list[i] = {
      addr = each.addr, cert = defaults.path(each.cert, filename), key = defaults.path(each.key, filename),
    }
  end
  -- Those without TLS first: the commands ask the first one, and a certificate rarely bears this machine's own address.
  local ordered = {}
  for _, secure in ipairs { false, true } do
    for _, each in ipairs(list) do
      if (each.cert ~= nil) == secure then ordered[#ordered + 1] = each end
    end
  end
  return ordered
end

local function logging(given, filename)
  local result = over(given, { level = "info", format = "json", prompts = false })
  result.file = defaults.path(result.file, filename)
  return result
end

local function keys_of(given, implied)
  local keys = {}
  if given.api_key then keys[1] = { key = given.api_key, pool = given.pool } end
  for _, each in ipairs(given.api_keys or {}) do
    if type(each) == "string" then each = { each } end
    keys[#keys + 1] = { key = each[1] or each.key, pool = each.pool or given.pool }
  end
  if #keys == 0 and implied then keys[1] = { key = implied, pool = given.pool } end
  return keys
end

local function checker(given)
  if not given then return nil end
  if type(given) == "string" then given = { given } end
  local result = over(given, { interval = 60 })
  result.name, result[1] = given[1], nil
  result.base_url = given.base_url and string.gsub(given.base_url, "/+$", "") or nil
  return result
end

-- The built-in table's address with the {names} in it filled from the environment; nil and the missing variable.
---@param builtin table
---@param env fun(name: string): string|nil
---@return string|nil base_url
---@return string|nil missing
function defaults.address(builtin, env)
  local missing
  local url = string.gsub(builtin.base_url or "", "{([%w_]+)}", function(name)
    local variable = builtin.variables and builtin.variables[name] or name
    local value = env(variable)
    if value == nil or value == "" then missing = missing or variable end
    return value
  end)
  if missing or url == "" then return nil, missing end
  return url
end

-- The built-in table with the address at which it speaks that protocol.
local function speaking(builtin, protocol)
  local address = builtin.addresses and builtin.addresses[protocol]
  return address and over({ base_url = address }, builtin) or builtin
end

-- One provider. builtin is the table of its own name or of `like`; its address, and with it what is true of the
-- account there (limits, the usual key variable), holds unless the config gives another address.
---@param name string
---@param given table
---@param builtin table|nil
---@param env fun(name: string): string|nil
---@param filename string
---@return table
function defaults.provider(name, given, builtin, env, filename)
  if given.protocol == "mock" then builtin = nil end
  builtin = speaking(builtin or {}, given.protocol)
  local usual = defaults.address(builtin, env)
  local base_url = given.base_url or usual
  local protocol = given.protocol or builtin.protocol
  if base_url then base_url = string.gsub(base_url, "/+$", "") end
  -- Its compatible address is below its own, and better known.
  if base_url and protocol == "ollama" then base_url = string.gsub(base_url, "/v1$", "") end
  local home = usual ~= nil and base_url == usual
  local implied = given.base_url == nil and builtin.env and defaults.variable(builtin.env, env) or nil
  local is_local, free = given.is_local, given.free
  -- A cloud's free tier is a fact of its models, not of the whole provider.
  if home and builtin.is_local then
    is_local = is_local == nil or is_local
    if free == nil then free = builtin.free end
  end
  return {
    name = name, protocol = protocol, like = given.like,
    base_url = base_url, builtin_address = home,
    keys = keys_of(given, implied),
    free = free, is_local = is_local or false,
    quality = given.quality or builtin.quality,
    limits = given.limits and defaults.limits(given.limits) or defaults.limits(home and builtin.limits or nil, true),
    pool = given.pool,
    timeouts = over(given.timeouts, over(builtin.timeouts, timeouts)),
    retries = given.retries, -- not stated: moongate.climb decides
    breaker = over(given.breaker, breaker),
    formats = copy(given.formats or (home and builtin.formats) or (protocol == "openai" and { "chat" }) or nil),
    -- Of a table that speaks otherwise, they mean something else.
    quirks = given.quirks and quirks.merge(builtin.protocol == protocol and builtin.quirks or nil, given.quirks),
    limit_scope = given.limit_scope, resets = given.resets,
    http2 = given.http2 or false, headers = over(given.headers), ca_file = defaults.path(given.ca_file, filename),
    mock = type(given.mock) == "table" and copy(given.mock) or nil, checker = checker(given.checker),
  }
end

-- The value of the first of these variables that is set.
---@param names string|string[]
---@param env fun(name: string): string|nil
---@return string|nil value
---@return string|nil name
function defaults.variable(names, env)
  if type(names) == "string" then names = { names } end
  for _, name in ipairs(names) do
    local value = env(name)
    if value and value ~= "" then return value, name end
  end
  return nil
end

local function budget(given)
  return given and over(given, { window = "month" })
end

local function groups(given)
  local result = {}
  for name, group in pairs(given or {}) do
    local one = copy(group)
    one.budget = budget(group.budget)
    result[name] = one
  end
  return result
end

local function keys(given)
  local list = {}
  for i, each in ipairs(given or {}) do
    local key = copy(each)
    key.models = key.models or { "*" }
    key.budget = budget(key.budget)
    list[i] = key
  end
  return list
end

local function models(given)
  local list = {}
  for i, each in ipairs(given or {}) do
    local model = copy(each)
    model.aliases = nil
    model.limits = each.limits and defaults.limits(each.limits) or nil
    list[i] = model
  end
  return list
end

-- The aliases table, and what models say of themselves: { id = "m", provider = "p", aliases = { "fast" } }.
local function aliases(given, listed)
  local result = {}
  for name, alias in pairs(given or {}) do
    if type(alias) == "string" then alias = { alias } end
    local targets = {}
    for i, target in ipairs(alias) do
      if type(target) == "string" then target = { model = target } end
      targets[i] = { model = target.model, weight = target.weight }
    end
    result[name] = { targets = targets, order = alias.order or false }
  end
  for _, model in ipairs(listed or {}) do
    for _, name in ipairs(model.aliases or {}) do
      result[name] = result[name] or { targets = {}, order = false }
      table.insert(result[name].targets, { model = model.provider .. "/" .. model.id })
    end
  end
  return result
end

local function cors(given)
  if not given then return nil end
  return { origins = type(given.origins) == "string" and { given.origins } or copy(given.origins) }
end

-- Lists of models that are fetched now and then; once a day unless told otherwise.
local function syncs(given)
  local list = {}
  for i, each in ipairs(given or {}) do list[i] = over(each, { interval = 86400 }) end
  return list
end

-- The whole file. known.provider(name) gives built-in tables; known.is_folder(path), if there, tells whether the
-- usual policies folder is beside the file.
---@param given table
---@param filename string
---@param env fun(name: string): string|nil
---@param known table
---@return table config
function defaults.fill(given, filename, env, known)
  local providers = {}
  for name, provider in pairs(given.providers or {}) do
    providers[name] = defaults.provider(name, provider, known.provider(provider.like or name), env, filename)
  end
  local policies = defaults.path(given.policies, filename)
  local usual = defaults.path("policies", filename)
  if not policies and known.is_folder and known.is_folder(usual) then policies = usual end
  local table_of_models = copy(given.models_table)
  if table_of_models then
    table_of_models.csv = defaults.path(table_of_models.csv, filename)
    table_of_models.sqlite = defaults.path(table_of_models.sqlite, filename)
  end
  return {
    listen = listeners(given.listen, filename), workers = given.workers, seccomp = given.seccomp or false,
    jit = given.jit or false,
    store = store(given.store or "sqlite:moongate.db", filename), retention_days = given.retention_days or 0,
    policies = policies, policy = given.policy or "auto-cheapest", on_fault = given.on_fault or "default",
    zero_spend = given.zero_spend or false, auth = given.auth or "keys", admin_token = given.admin_token,
    premium_baseline = given.premium_baseline or "gpt-4o", cors = cors(given.cors),
    limits = over(given.limits, limits), log = logging(given.log, filename),
    sync = syncs(given.sync), price_alert = given.price_alert or 2,
    providers = providers, models = models(given.models), models_table = table_of_models,
    aliases = aliases(given.aliases, given.models),
    keys = keys(given.keys), tiers = groups(given.tiers), orgs = groups(given.orgs), agents = copy(given.agents or {}),
  }
end

return defaults
