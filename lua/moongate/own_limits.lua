-- The caller's own rate limits as headers of every answer, in the names that its protocol's clients know: what the
-- limit is, what remains of it, and when it is whole again. Nothing is asked where a key has no limits.
local clock = require "moongate.core.clock"
local digits = require "moongate.digits"
local store = require "moongate.core.store"

local own_limits = {}

local whole = digits.whole

local FIELDS = { requests = "rpm", tokens = "tpm" } -- of a caller

-- By caller: its limits by their kind, each with its figure as text, and what asks the store.
local kept = setmetatable({}, { __mode = "k" })

local function limits_of(caller)
  local limits = kept[caller]
  if not limits then
    limits = {}
    for kind, field in pairs(FIELDS) do
      local max = caller[field]
      limits[kind] = max and {
        max = max, text = whole(max),
        used = store.reader {
          key = "key:" .. caller.key_id .. ":" .. kind, window = "minute", sliding = true, max = max,
        },
      }
    end
    kept[caller] = limits
  end
  return limits
end

-- What remains of a limit, and the seconds until it is whole again.
local function stand_of(limit)
  local used, reset_s = limit.used()
  local left = limit.max - used
  return whole(left > 0 and left or 0), reset_s or 0
end

local function of_openai(limit)
  if not limit then return nil end
  local remaining, reset_s = stand_of(limit)
  return limit.text, remaining, whole(math.ceil(reset_s))
end

-- The names in OpenAI's format, and in their order the values; nil where there is no such limit. Those without a kind
-- tell of requests, or else of tokens.
own_limits.names = {
  "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-limit-requests",
  "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "x-ratelimit-limit-tokens",
  "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
}

---@param caller moongate.caller|nil
---@return string|nil ...
function own_limits.values(caller)
  if not caller or not (caller.rpm or caller.tpm) then return nil end
  local limits = limits_of(caller.unlabelled or caller)
  local most, left, reset = of_openai(limits.requests)
  local most_tokens, left_tokens, reset_tokens = of_openai(limits.tokens)
  return most or most_tokens, left or left_tokens, reset or reset_tokens, most, left, reset and reset .. "s",
    most_tokens, left_tokens, reset_tokens and reset_tokens .. "s"
end

local function add_openai(caller, headers)
  local values = { own_limits.values(caller) }
  for i, name in ipairs(own_limits.names) do headers[name] = values[i] end
end

local function add_anthropic(caller, headers)
  local limits, now = limits_of(caller.unlabelled or caller), clock.now()
  for kind, limit in pairs(limits) do
    local start, remaining, reset_s = "anthropic-ratelimit-" .. kind, stand_of(limit)
    headers[start .. "-limit"], headers[start .. "-remaining"] = limit.text, remaining
    headers[start .. "-reset"] = os.date("!%Y-%m-%dT%H:%M:%SZ", math.ceil(now + reset_s))
  end
end

-- Adds them to headers.
---@param caller moongate.caller|nil
---@param format string|nil the caller's
---@param headers table<string, string>
function own_limits.add(caller, format, headers)
  if not caller or not (caller.rpm or caller.tpm) then return end
  if format == "anthropic" then return add_anthropic(caller, headers) end
  add_openai(caller, headers)
end

return own_limits
