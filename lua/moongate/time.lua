-- Reads the times that providers write: waits, dates, durations, and the strict numbers they are made of. Pure: "now"
-- is always passed in. What does not fit the grammar is nil, never a guess.
jit.off(true, true) -- policies call this with what they like: compiled, it could not be stopped

local time = {}

local LARGEST = 2 ^ 53 - 1
time.LONGEST_WAIT = 31 * 86400

local DAY = 86400
-- No time is longer; what is costs matching time that grows with the square.
local LONGEST_TEXT = 100
local EPOCH_SECONDS, EPOCH_MILLISECONDS = 1e9, 1e11

-- "12" or "12.5", blanks and quotes around it allowed. Signs, exponents, hex, nan and inf, which tonumber takes, are no
-- numbers here; nor is anything too large to be exact.
---@param text any
---@return number|nil
function time.number(text)
  if type(text) ~= "string" or #text > LONGEST_TEXT then return nil end
  local digits = string.match(text, "^[%s\"']*(%d+%.?%d*)[%s\"']*$")
  if not digits or string.sub(digits, -1) == "." then return nil end
  local value = tonumber(digits)
  return value <= LARGEST and value or nil
end

-- A number that came as JSON number or as text.
---@param value any
---@return number|nil
function time.figure(value)
  if type(value) == "string" then return time.number(value) end
  if type(value) ~= "number" or value ~= value or value < 0 or value > LARGEST then return nil end
  return value
end

-- Seconds to wait, never negative, at most 31 days.
---@param seconds number
---@return number
function time.clamp(seconds)
  return math.min(math.max(seconds, 0), time.LONGEST_WAIT)
end

local UNITS = {
  d = DAY, h = 3600, m = 60, s = 1, ms = 1e-3, us = 1e-6, ns = 1e-9,
  ["\194\181s"] = 1e-6, ["\206\188s"] = 1e-6,
}

-- A run of number and unit as Go writes durations: "6m0s", "2m59.56s", "120ms", "1d2h3m4s".
---@param text string
---@return number|nil seconds
function time.duration(text)
  if type(text) ~= "string" or text == "" or #text > LONGEST_TEXT then return nil end
  local sum, at = 0, 1
  while at <= #text do
    local digits, unit, after = string.match(text, "^(%d+%.?%d*)([%a\194\181\206\188]+)()", at)
    local size = UNITS[unit]
    if not size or string.sub(digits, -1) == "." then return nil end
    sum, at = sum + tonumber(digits) * size, after
  end
  return sum <= LARGEST and sum or nil
end

local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in(year, month)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month == 2 and leap and 29 or MONTH_DAYS[month]
end

-- Seconds since 1970 of a date in UTC, or nil if there is no such moment.
local function epoch(year, month, day, hour, minute, second)
  if month < 1 or month > 12 or day < 1 or day > days_in(year, month) then return nil end
  if hour > 23 or minute > 59 or second >= 61 then return nil end
  -- Days since 1970-03-01 by years that begin in March: the leap day is then the last of its year.
  local y = month > 2 and year or year - 1
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
  days = days + math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1 - 719468
  return days * DAY + hour * 3600 + minute * 60 + second
end

-- RFC 3339, also with a blank for the T. Without a zone it means UTC plus `offset` seconds.
---@param text string
---@param offset number|nil
---@return number|nil
function time.rfc3339(text, offset)
  if type(text) ~= "string" or #text > LONGEST_TEXT then return nil end
  local year, month, day, hour, minute, second, rest =
    string.match(text, "^%s*(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(.-)%s*$")
  if not year then return nil end
  local fraction = string.match(rest, "^%.%d+")
  if fraction then rest = string.sub(rest, #fraction + 1) end
  local zone
  if rest == "" then
    zone = offset or 0
  elseif rest == "Z" or rest == "z" then
    zone = 0
  else
    local sign, hours, minutes = string.match(rest, "^([+-])(%d%d):(%d%d)$")
    if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
    zone = (tonumber(hours) * 3600 + tonumber(minutes) * 60) * (sign == "-" and -1 or 1)
  end
  local moment = epoch(tonumber(year), tonumber(month), tonumber(day), tonumber(hour), tonumber(minute),
    tonumber(second) + (fraction and tonumber("0" .. fraction) or 0))
  return moment and moment - zone
end

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

-- An HTTP date: "Thu, 01 Oct 2026 12:01:30 GMT".
---@param text string
---@return number|nil
function time.http_date(text)
  if type(text) ~= "string" or #text > LONGEST_TEXT then return nil end
  local day, month, year, hour, minute, second =
    string.match(text, "^%s*%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT%s*$")
  if not day or not MONTHS[month] then return nil end
  return epoch(tonumber(year), MONTHS[month], tonumber(day), tonumber(hour), tonumber(minute), tonumber(second))
end

-- Seconds from now until a time in any of the ways it is written: seconds, epoch seconds, epoch milliseconds, RFC 3339,
-- HTTP date, duration. Past moments are 0; waits end at 31 days.
---@param text any
---@param now number
---@param offset number|nil what a date without zone means, in seconds east of UTC
---@return number|nil
function time.wait(text, now, offset)
  if type(text) ~= "string" or #text > LONGEST_TEXT then return nil end
  local value = time.number(text)
  if value then
    if value >= EPOCH_MILLISECONDS then return time.clamp(value / 1000 - now) end
    if value >= EPOCH_SECONDS then return time.clamp(value - now) end
    return time.clamp(value)
  end
  local bare = string.match(text, "^[%s\"']*(.-)[%s\"']*$")
  local is_date = string.find(bare, ":", 1, true)
  local moment = is_date and (time.rfc3339(bare, offset) or time.http_date(bare))
  if moment then return time.clamp(moment - now) end
  local seconds = time.duration(bare)
  return seconds and time.clamp(seconds)
end

return time
