-- Makes callers' keys: checks what is wanted of one, draws its secret, and says what the store keeps of it. Used by the
-- admin calls and by `moongate key`; hash and random are handed in.
local json = require "moongate.core.json"
local near = require "moongate.near"

local key_maker = {}

-- 20 random bytes: nobody guesses them, so a plain hash is enough to keep them by.
local SECRET_BYTES = 20
local PREFIX_LENGTH = 9 -- "mg-" and six digits
local KNOWN = {
  name = "string", org = "string", tier = "string", label = "string", models = "table", rpm = "number", tpm = "number",
  budget = "table", policy = "string", privacy = "boolean",
}

local BUDGET = { usd = true, billed_tokens = true, window = true }

local function is_count(value)
  return type(value) == "number" and value > 0 and value == math.floor(value) and value <= 2 ^ 53
end

local function check_budget(budget)
  if budget == nil then return nil end
  for name in pairs(budget) do
    if not BUDGET[name] then return "budget." .. tostring(name) .. ": unknown; there are billed_tokens, usd, window" end
  end
  if budget.window ~= "day" and budget.window ~= "month" then return 'budget.window: expected "day" or "month"' end
  if budget.usd == nil and budget.billed_tokens == nil then return "budget: expected usd or billed_tokens" end
  for _, name in ipairs { "usd", "billed_tokens" } do
    local value = budget[name]
    if value ~= nil and not (type(value) == "number" and value > 0 and value < 1e12) then
      return "budget." .. name .. ": expected a number above 0"
    end
  end
  return nil
end

local function check(wanted, config)
  for name, value in pairs(wanted) do
    local kind = KNOWN[name]
    if not kind then return tostring(name) .. ": unknown" .. near.hint(tostring(name), near.names(KNOWN)) end
    if type(value) ~= kind then
      local got = value == json.null and "null" or "a " .. type(value)
      return string.format("%s: expected a %s, got %s", name, kind, got)
    end
  end
  if not wanted.name or not string.find(wanted.name, "^[%w_.%-@ ]+$") or #wanted.name > 64 then
    return "name: expected 1 to 64 letters, digits, blanks or _ . - @"
  end
  -- Without a table of tiers a tier is a name that the ledger keeps and policies see.
  if wanted.tier and config.tiers and next(config.tiers) and not config.tiers[wanted.tier] then
    return string.format('tier: there is no tier "%s"%s', wanted.tier, near.hint(wanted.tier, near.names(config.tiers)))
  end
  for _, name in ipairs { "rpm", "tpm" } do
    if wanted[name] ~= nil and not is_count(wanted[name]) then
      return name .. ": expected a whole number above 0"
    end
  end
  for place in pairs(wanted.models or {}) do
    if type(place) ~= "number" then return "models: expected a list of names or patterns" end
  end
  for i, pattern in ipairs(wanted.models or {}) do
    if type(pattern) ~= "string" or pattern == "" then
      return string.format("models[%d]: expected a name or pattern", i)
    end
  end
  return check_budget(wanted.budget)
end

-- What is wanted of a key -> { key, prefix, hash, settings, name }; or nil and what is wrong.
---@param wanted table
---@param config table
---@param hash fun(secret: string): string
---@param random fun(count: integer): string hexadecimal digits
---@return table|nil
---@return string|nil
function key_maker.make(wanted, config, hash, random)
  local wrong = check(wanted, config)
  if wrong then return nil, wrong end
  local key = "mg-" .. random(SECRET_BYTES)
  local prefix = string.sub(key, 1, PREFIX_LENGTH)
  local settings = { id = prefix }
  for name, value in pairs(wanted) do settings[name] = value end
  if settings.models then settings.models = json.array(settings.models) end
  return { key = key, prefix = prefix, hash = hash(key), settings = json.encode(settings), name = wanted.name }
end

-- Stored keys as they are shown: never the key itself.
---@param stored { prefix: string, settings: string, created: number, revoked: number|nil }[]
---@return table[]
function key_maker.list(stored)
  local list = {}
  for i, each in ipairs(stored) do
    local shown = json.decode(each.settings) or {}
    shown.id, shown.prefix, shown.created, shown.revoked = nil, each.prefix, each.created, each.revoked
    list[i] = shown
  end
  table.sort(list, function(a, b) return a.created < b.created end)
  return list
end

-- The refusal to revoke by a prefix that does not name exactly one key.
---@param prefix string
---@param count integer
---@return table
function key_maker.not_one(prefix, count)
  if count == 0 then
    return { status = 404, code = "key_not_found", message = string.format("no key in force begins with %q", prefix) }
  end
  return {
    status = 409, code = "key_ambiguous",
    message = string.format("%d keys begin with %q: give more of the one that is meant", count, prefix),
  }
end

return key_maker
