-- The caller's own rate limits as headers of every answer, in the names that its protocol's clients know: what the
-- limit is, what remains of it, and when it is whole again. Nothing is asked where a key has no limits.
local store = require "moongate.core.store"

local own_limits = {}

local KINDS = { { name = "requests", field = "rpm" }, { name = "tokens", field = "tpm" } }

-- Of each limit of the caller: name, limit, remaining, seconds to its reset.
local function figures(caller)
  local list = {}
  for _, kind in ipairs(KINDS) do
    local max = caller[kind.field]
    if max then
      local used, reset_s = store.used {
        key = "key:" .. caller.key_id .. ":" .. kind.name, window = "minute", sliding = true, max = max,
      }
      list[#list + 1] = { name = kind.name, limit = max, remaining = math.max(0, max - used), reset_s = reset_s or 0 }
    end
  end
  return list
end

local function whole(number) return string.format("%d", number) end

local function as_openai(list, headers)
  for _, each in ipairs(list) do
    local ending = "-" .. each.name
    headers["x-ratelimit-limit" .. ending] = whole(each.limit)
    headers["x-ratelimit-remaining" .. ending] = whole(each.remaining)
    headers["x-ratelimit-reset" .. ending] = whole(math.ceil(each.reset_s)) .. "s"
  end
  local first = list[1]
  headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"] = whole(first.limit), whole(first.remaining)
  headers["x-ratelimit-reset"] = whole(math.ceil(first.reset_s))
end

local function as_anthropic(list, headers, now)
  for _, each in ipairs(list) do
    local start = "anthropic-ratelimit-" .. each.name
    headers[start .. "-limit"], headers[start .. "-remaining"] = whole(each.limit), whole(each.remaining)
    headers[start .. "-reset"] = os.date("!%Y-%m-%dT%H:%M:%SZ", math.ceil(now + each.reset_s))
  end
end

-- Adds them to headers.
---@param caller moongate.caller|nil
---@param format string|nil the caller's
---@param now number
---@param headers table<string, string>
function own_limits.add(caller, format, now, headers)
  if not caller or not (caller.rpm or caller.tpm) then return end
  local list = figures(caller)
  if format == "anthropic" then return as_anthropic(list, headers, now) end
  as_openai(list, headers)
end

return own_limits
