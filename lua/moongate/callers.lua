-- Who calls: finds the key that a request carries, in the configuration or in the store, by its hash. What it says of
-- a caller is what routing, limits and the ledger go by.
local address = require "moongate.address"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"

local callers = {}
callers.__index = callers

---@class moongate.caller
---@field name string
---@field key_id string names its counters
---@field org string
---@field tier string
---@field label string
---@field unlabelled moongate.caller|nil the same without the label that it was used with
---@field policy string|nil
---@field privacy boolean
---@field models string[] patterns
---@field rpm number|nil
---@field tpm number|nil
---@field by_tier table<string, boolean> which of these are the tier's
---@field budget { usd: number|nil, billed_tokens: number|nil, window: string }|nil the key's own
---@field tier_budget table|nil what its tier gives each key
---@field identity { name: string, org: string, tier: string }|nil what policies are told of it, see callers.identity

local MOST_CACHED = 10000
local LONGEST_LABEL = 64

local function from_hex(text)
  return (string.gsub(text, "%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Both a key's own limit and its tier's hold: the lower one. The second result: it is the tier's.
local function lower(own, tiers)
  if tiers and (not own or tiers < own) then return tiers, true end
  return own
end

local function either(own, tier, name)
  if own[name] ~= nil then return own[name] end
  return tier[name]
end

-- A key's own settings over those of its tier, but its tier's limits hold too.
local function new_caller(settings, id, config)
  local tier = config.tiers and settings.tier and config.tiers[settings.tier] or {}
  local rpm, is_tiers_rpm = lower(settings.rpm, tier.rpm)
  local tpm, is_tiers_tpm = lower(settings.tpm, tier.tpm)
  return {
    name = settings.name, key_id = id, org = settings.org or "", tier = settings.tier or "",
    label = settings.label or "", policy = either(settings, tier, "policy"),
    privacy = either(settings, tier, "privacy") == true,
    models = settings.models or { "*" }, tier_models = tier.models,
    rpm = rpm, tpm = tpm, by_tier = { rpm = is_tiers_rpm, tpm = is_tiers_tpm },
    budget = settings.budget, tier_budget = tier.budget,
  }
end

-- The callers that the configuration knows.
---@param config table
function callers.new(config)
  local self = setmetatable({ config = config, configured = {}, cache = {}, cached = 0, generation = 0 }, callers)
  for _, settings in ipairs(config.keys or {}) do
    local hash = settings.key and keys.hash(settings.key) or from_hex(settings.key_hash)
    self.configured[hash] = new_caller(settings, "config:" .. settings.name, config)
  end
  if config.auth == "none" then
    self.anonymous = new_caller({ name = "anonymous" }, "anonymous", config)
  end
  self.admin = config.admin_token and keys.hash(config.admin_token) or nil
  -- As whom the holder of the admin token asks what would become of a request.
  self.operator = new_caller({ name = "admin" }, "admin", config)
  return self
end

local function query_key(query)
  for name, value in string.gmatch(query, "([^&=]+)=([^&]*)") do
    if name == "key" then return address.decoded(value) end
  end
  return nil
end

-- What follows the word "Bearer", written as nearly everybody does, or in some other way.
local function bearer_of(authorization)
  if #authorization > 7 and string.sub(authorization, 1, 7) == "Bearer " and
    not string.find(authorization, " ", 8, true) and not string.find(authorization, "\t", 8, true) then
    return string.sub(authorization, 8)
  end
  return string.match(authorization, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)%s*$")
end

-- The secret that the request carries, wherever its protocol puts it.
local function credential(handle)
  local authorization = handle:header "authorization"
  local secret = authorization and bearer_of(authorization)
  return secret or handle:header "x-api-key" or handle:header "x-goog-api-key" or query_key(handle:query())
end

function callers:find(secret)
  local hash = keys.hash(secret)
  local found = self.configured[hash]
  if found then return found end
  local generation = keys.generation()
  if generation ~= self.generation or self.cached > MOST_CACHED then
    self.cache, self.cached, self.generation = {}, 0, generation
  end
  found = self.cache[hash]
  if found == nil then
    local settings = keys.find(hash)
    settings = settings and json.decode(settings)
    found = settings and new_caller(settings, settings.id or settings.name, self.config) or false
    self.cache[hash], self.cached = found, self.cached + 1
  end
  return found or nil
end

local function labelled(caller, label)
  return setmetatable({ label = label, unlabelled = caller }, { __index = caller })
end

-- The caller of a request, or why it is refused. A key may be used as "key:label".
---@param handle table
---@return moongate.caller|nil
---@return table|nil refusal
function callers:of(handle)
  local secret = credential(handle)
  if not secret then
    if self.anonymous then return self.anonymous end
    return nil, {
      status = 401, code = "missing_api_key",
      message = "no API key: send one as Authorization: Bearer KEY, x-api-key or x-goog-api-key",
    }
  end
  local caller = self:find(secret)
  if caller then return caller end
  local key, label = string.match(secret, "^(.+):([%w_.%-]+)$")
  caller = key and #label <= LONGEST_LABEL and self:find(key)
  if caller then return labelled(caller, label) end
  if self.anonymous then return self.anonymous end -- SDKs insist on a key; without keys any will do
  return nil, { status = 401, message = "unknown API key" }
end

-- What policies are told of a caller: made once, and nobody's to change.
---@param caller moongate.caller
---@return { name: string, org: string, tier: string }
function callers.identity(caller)
  local identity = caller.identity
  if not identity then
    identity = { name = caller.name, org = caller.org, tier = caller.tier }
    caller.identity = identity
  end
  return identity
end

-- True if the request carries the admin token.
---@param handle table
---@return boolean
function callers:is_admin(handle)
  local secret = credential(handle)
  -- Digests are compared, so the time taken tells nothing of the token.
  return self.admin ~= nil and secret ~= nil and keys.hash(secret) == self.admin
end

return callers
