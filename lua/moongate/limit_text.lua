-- What providers say in words: how long to wait, which limit and window is meant, and whether it is about money,
-- context or capacity. Works on lower-case text. Only figures that a text states become limits.
local headers = require "moongate.limit_headers"
local time = require "moongate.time"

local limit_text = {}

local LONGEST = 8192

-- `text` as the finders here want it: bounded and in lower case.
---@param text string
---@return string
function limit_text.prepare(text)
  return string.lower(string.sub(text, 1, LONGEST))
end

local function finder(patterns)
  return function(text)
    for _, pattern in ipairs(patterns) do
      if string.find(text, pattern) then return true end
    end
    return false
  end
end

---@type fun(text: string): boolean
limit_text.is_context = finder({
  "context length", "context_length", "maximum context", "context window", "prompt is too long",
  "exceeds the available context size", "exceed_context_size", "input token count", "too many tokens: total",
  "too many tokens: size",
})

---@type fun(text: string): boolean
limit_text.is_billing = finder({
  "insufficient[_ ]quota", "insufficient[_ ]balance", "insufficient[_ ]credit", "credit balance", "payment[_ ]required",
  "requires more credits", "account balance", "suspended", "recharge",
})

---@type fun(text: string): boolean
limit_text.is_key = finder({
  "api key not valid", "invalid api key", "invalid_api_key", "incorrect api key", "api key is invalid",
  "api key expired", "api_key_invalid", "invalid authentication", "invalid x%-api%-key",
})

---@type fun(text: string): boolean
limit_text.is_usage_limit = finder({ "usage limit", "usage_limit", "billing", "balance" })

---@type fun(text: string): boolean
limit_text.is_overloaded = finder({ "overloaded" })

-- Not in the key's tier at all. `limit: 0.5` and `limit: 05` are other numbers.
---@type fun(text: string): boolean
limit_text.is_limit_zero = finder({ "limit:%s*0$", "limit:%s*0[^%d%.]", "limit:%s*0%.$", "limit:%s*0%.[^%d]" })

-- Larger than a whole minute's budget: waiting never helps.
---@type fun(text: string): boolean
limit_text.is_too_large = finder({ "request too large" })

-- Windows named in words: a day and longer, then shorter.
local names_long = finder({
  "per day", "daily", "/ ?day%f[%A]", "perday", "byday", "%f[%a][rt]pd%f[%A]", "per%-day", "per 86400s", "per week",
  "weekly", "/ ?week%f[%A]", "perweek", "per month", "monthly", "/ ?month%f[%A]", "permonth", "5[ %-]hours? limit",
  "5[ %-]hours? window", "reached for 5[ %-]hour",
})
local names_short = finder({
  "per min", "/ ?min%f[%A]", "/ ?minute%f[%A]", "perminute", "byminute", "%f[%a][rt]pm%f[%A]", "per%-min", "per sec",
  "/ ?s%f[%A]", "/ ?sec%f[%A]", "/ ?second%f[%A]", "persecond", "bysecond", "%f[%a][rt]ps%f[%A]", "per hour",
  "/ ?hour%f[%A]", "perhour", "byhour", "hourly", "concurren", "per 60s", "per 3600s",
})

-- "long" (a day and more), "short", or nil where no window is named. Of OpenRouter's names only the one that was hit
-- counts: the rest of the sentence advertises.
---@param text string
---@return "long"|"short"|nil
function limit_text.window(text)
  local named = string.match(text, "free%-models%-per%-(%a+)")
  if named == "day" then return "long" end
  if named == "min" then return "short" end
  if names_long(text) then return "long" end
  if names_short(text) then return "short" end
  return nil
end

-- A number that may be grouped (`10,000`), from position `at`; the comma of a sentence (`6000, used`) ends it.
local function grouped(text, at)
  local digits, after = string.match(text, "^(%d+)()", at)
  if not digits then return nil end
  if #digits <= 3 then
    while true do
      local group, behind = string.match(text, "^,(%d%d%d)%f[%D]()", after)
      if not group then break end
      digits, after = digits .. group, behind
    end
  end
  local fraction, behind = string.match(text, "^(%.%d+)()", after)
  return time.number(digits .. (fraction or "")), behind or after
end

local WORDS = {
  second = 1, seconds = 1, sec = 1, secs = 1, minute = 60, minutes = 60, min = 60, mins = 60, hour = 3600, hours = 3600,
  day = 86400, days = 86400,
}

-- A duration in words ("1 hour and 5 minutes", "45 min") from position `at`.
local function in_words(text, at)
  local sum
  while true do
    local number, after = grouped(text, at)
    if not number then return sum end
    local word, behind = string.match(text, "^%s*(%a+)()", after)
    if not WORDS[word] then return sum end
    sum, at = (sum or 0) + number * WORDS[word], behind
    at = string.match(text, "^,?%s*and%s+()", at) or string.match(text, "^,?%s+()", at) or at
  end
end

-- A duration in either writing, from position `at`. A full stop behind it belongs to the sentence.
local function duration(text, at)
  local token = string.gsub(string.match(text, "^[%w%.\194\181\206\188]+", at) or "", "%.+$", "")
  return time.duration(token) or in_words(text, at)
end

local PHRASES = {
  "try again in%s+~?()", "try again after%s+~?()", "retry in%s+~?()", "retry after%s+~?()", "please wait%s+~?()",
  "reset after%s+~?()", "reset in%s+~?()", "resets after%s+~?()", "resets in%s+~?()",
}

-- How long the text says to wait, or nil. `offset` is the zone of stamps without one, in seconds east of UTC.
---@param text string
---@param now number
---@param offset number|nil
---@return number|nil
function limit_text.wait(text, now, offset)
  for _, phrase in ipairs(PHRASES) do
    for at in string.gmatch(text, phrase) do
      local seconds = duration(text, at)
      if seconds then return time.clamp(seconds) end
    end
  end
  for stamp in string.gmatch(text, "resets? at%s+(%d%d%d%d%-%d%d%-%d%d[t ]%d%d:%d%d:%d%d[%d%.z+%-:]*)") do
    local moment = time.rfc3339((string.gsub(stamp, "[%.:%-+]+$", "")), offset)
    if moment then return time.clamp(moment - now) end
  end
  return nil
end

local METRICS = {
  token = "tokens", tokens = "tokens", request = "requests", requests = "requests",
  ["input tokens"] = "input_tokens", ["output tokens"] = "output_tokens",
}
local WINDOWS = {
  s = "second", sec = "second", second = "second", min = "minute", minute = "minute", hour = "hour", day = "day",
  week = "week", month = "month",
}
local LETTERS = { r = "requests", t = "tokens" }
local LETTER_WINDOWS = { s = "second", m = "minute", h = "hour", d = "day" }

local function left(limit, used)
  return used and math.max(0, limit - used) or nil
end

-- "on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619"
local function read_sentence(text, add)
  for start, window, at in string.gmatch(text, "() per (%a+)()") do
    -- Looking back a little keeps this linear in a text that somebody else writes.
    local before = string.sub(text, math.max(1, start - 20), start - 1)
    local metric = METRICS[string.match(before, "%f[%a]on (%a+)$") or string.match(before, "%f[%a]on (%a+ %a+)$")]
    if metric and WINDOWS[window] then
      local stop = string.find(text, " per ", at, true) or #text
      local part = string.sub(text, at, stop)
      local limit = grouped(part, string.match(part, "%f[%a]limit:?%s*()%d") or #part + 1)
      local used = grouped(part, string.match(part, "%f[%a]used:?%s*()%d") or #part + 1)
      if limit then add(metric, WINDOWS[window], limit, left(limit, used)) end
    end
  end
end

-- "Rate limit of 50 per 86400s exceeded for UserByModelByDay"
local function read_rate(text, add)
  for at in string.gmatch(text, "rate limit of ()%d") do
    local limit, after = grouped(text, at)
    local seconds, subject = string.match(text, "^ per (%d+)s exceeded for (%w+)", after)
    if limit and subject == "userconcurrentrequests" then
      add("concurrency", "none", limit)
    elseif limit and seconds then
      add("requests", headers.window(tonumber(seconds)), limit)
    end
  end
end

-- "max RPM: 3", "max concurrency: 1", "TPD rate limit,current:1500200, limit:1500000"
local function read_letters(text, add)
  for letter, ending, at in string.gmatch(text, "max ([rt])p([smhd]):%s*()%d") do
    add(LETTERS[letter], LETTER_WINDOWS[ending], (grouped(text, at)))
  end
  for at in string.gmatch(text, "max concurrency:%s*()%d") do add("concurrency", "none", (grouped(text, at))) end
  for letter, ending, at in string.gmatch(text, "%f[%a]([rt])p([smhd]) rate limit,?%s*current:%s*()%d") do
    local used, after = grouped(text, at)
    local limit_at = string.match(text, "^,?%s*limit:%s*()%d", after)
    local limit = limit_at and grouped(text, limit_at)
    if limit then add(LETTERS[letter], LETTER_WINDOWS[ending], limit, left(limit, used)) end
  end
end

local function read_neurons(text, add)
  for at in string.gmatch(text, "daily free allocation of ()%d") do add("neurons", "day", (grouped(text, at))) end
end

-- The limits that a refusal states. `add(metric, window, limit, remaining)`: remaining is nil unless the text says what
-- was used.
---@param text string
---@param add fun(metric: string, window: string, limit: number, remaining: number|nil)
function limit_text.limits(text, add)
  read_sentence(text, add)
  read_rate(text, add)
  read_letters(text, add)
  read_neurons(text, add)
end

return limit_text
