-- The caller's own rate limits as headers of every answer, in the names that its protocol's clients know: what the
-- limit is, what remains of it, and when it is whole again. Nothing is asked where a key has no limits.
local clock = require "moongate.core.clock"
local store = require "moongate.core.store"

local own_limits = {}

local function names_of(kind, field)
  local anthropic = "anthropic-ratelimit-" .. kind
  return {
    kind = kind, field = field, limit = "x-ratelimit-limit-" .. kind, remaining = "x-ratelimit-remaining-" .. kind,
    reset = "x-ratelimit-reset-" .. kind, anthropic_limit = anthropic .. "-limit",
    anthropic_remaining = anthropic .. "-remaining", anthropic_reset = anthropic .. "-reset",
  }
end

local KINDS = { names_of("requests", "rpm"), names_of("tokens", "tpm") }

-- By string.format it would take longer, and beyond that tostring has no digits left.
local LARGEST = 1e14

local function whole(number) return number < LARGEST and tostring(number) or string.format("%d", number) end

-- By caller: of each of its limits the names, the figure as text, and what asks the store.
local kept = setmetatable({}, { __mode = "k" })

local function limits_of(caller)
  local list = kept[caller]
  if not list then
    list = {}
    for _, names in ipairs(KINDS) do
      local max = caller[names.field]
      list[#list + 1] = max and {
        names = names, max = max, text = whole(max),
        used = store.reader {
          key = "key:" .. caller.key_id .. ":" .. names.kind, window = "minute", sliding = true, max = max,
        },
      }
    end
    kept[caller] = list
  end
  return list
end

-- What remains of a limit, and the seconds until it is whole again.
local function stand_of(limit)
  local used, reset_s = limit.used()
  local left = limit.max - used
  return whole(left > 0 and left or 0), reset_s or 0
end

local function add_openai(list, headers)
  for i, limit in ipairs(list) do
    local names, remaining, reset_s = limit.names, stand_of(limit)
    local reset = whole(math.ceil(reset_s))
    headers[names.limit], headers[names.remaining], headers[names.reset] = limit.text, remaining, reset .. "s"
    if i == 1 then
      headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"] = limit.text, remaining
      headers["x-ratelimit-reset"] = reset
    end
  end
end

local function add_anthropic(list, headers)
  local now = clock.now()
  for _, limit in ipairs(list) do
    local names, remaining, reset_s = limit.names, stand_of(limit)
    headers[names.anthropic_limit], headers[names.anthropic_remaining] = limit.text, remaining
    headers[names.anthropic_reset] = os.date("!%Y-%m-%dT%H:%M:%SZ", math.ceil(now + reset_s))
  end
end

-- Adds them to headers.
---@param caller moongate.caller|nil
---@param format string|nil the caller's
---@param headers table<string, string>
function own_limits.add(caller, format, headers)
  if not caller or not (caller.rpm or caller.tpm) then return end
  local list = limits_of(caller.unlabelled or caller)
  if format == "anthropic" then return add_anthropic(list, headers) end
  add_openai(list, headers)
end

return own_limits
