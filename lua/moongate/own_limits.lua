-- The caller's own rate limits as headers of every answer, in the names that its protocol's clients know: what the
-- limit is, what remains of it, and when it is whole again. Nothing is asked where a key has no limits.
local store = require "moongate.core.store"

local own_limits = {}

-- Of each kind: the caller's field, and its names in the two styles.
local KINDS = {}
for name, field in pairs { requests = "rpm", tokens = "tpm" } do
  local openai, anthropic = "x-ratelimit-%s-" .. name, "anthropic-ratelimit-" .. name .. "-"
  KINDS[field] = {
    name = name,
    openai = { openai:format "limit", openai:format "remaining", openai:format "reset" },
    anthropic = { anthropic .. "limit", anthropic .. "remaining", anthropic .. "reset" },
  }
end

-- By caller: what the store is asked, and of which kind the answer is.
local questions = setmetatable({}, { __mode = "k" })

local function questions_of(caller)
  local list = {}
  for _, field in ipairs { "rpm", "tpm" } do
    local max, kind = caller[field], KINDS[field]
    if max then
      list[#list + 1] = {
        kind = kind, max = max,
        counter = { key = "key:" .. caller.key_id .. ":" .. kind.name, window = "minute", sliding = true, max = max },
      }
    end
  end
  questions[caller] = list
  return list
end

local PLAIN = 1e14 -- from there on a number is written with an exponent

local function whole(number)
  number = math.floor(number)
  return number < PLAIN and tostring(number) or string.format("%d", number)
end

-- limit, remaining, seconds to its reset
local function figures(question)
  local used, reset_s = store.used(question.counter)
  return whole(question.max), whole(math.max(0, question.max - used)), reset_s or 0
end

local function as_openai(list, headers)
  for i, question in ipairs(list) do
    local names = question.kind.openai
    local limit, remaining, reset_s = figures(question)
    local seconds = whole(math.ceil(reset_s))
    headers[names[1]], headers[names[2]], headers[names[3]] = limit, remaining, seconds .. "s"
    if i == 1 then
      headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"] = limit, remaining
      headers["x-ratelimit-reset"] = seconds
    end
  end
end

local function as_anthropic(list, headers, now)
  for _, question in ipairs(list) do
    local names = question.kind.anthropic
    local limit, remaining, reset_s = figures(question)
    headers[names[1]], headers[names[2]] = limit, remaining
    headers[names[3]] = os.date("!%Y-%m-%dT%H:%M:%SZ", math.ceil(now + reset_s))
  end
end

-- Adds them to headers.
---@param caller moongate.caller|nil
---@param format string|nil the caller's
---@param now number
---@param headers table<string, string>
function own_limits.add(caller, format, now, headers)
  if not caller or not (caller.rpm or caller.tpm) then return end
  caller = caller.unlabelled or caller
  local list = questions[caller] or questions_of(caller)
  if format == "anthropic" then return as_anthropic(list, headers, now) end
  as_openai(list, headers)
end

return own_limits
