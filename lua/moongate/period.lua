-- Reads the ends of a period as people and programs write them: "7d", "now", "2026-11-30", "2026-11-30T12:00:00Z",
-- 1796083200. Pure: "now" is passed in.
local time = require "moongate.time"

local period = {}

local UNITS = { s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
local LATEST = 253402300799 -- the end of the year 9999

-- What a moment may look like, for messages.
period.EXPECTED = "a day such as 2026-11-30 (UTC), a time such as 2026-11-30T12:00:00Z, unix seconds, now, or how long "
  .. "ago: 30m, 24h, 7d, 4w"

-- The moment in unix seconds; nil if it is none.
---@param text string
---@param now number
---@return number|nil
function period.moment(text, now)
  if text == "now" then return now end
  local count, unit = string.match(text, "^(%d+)(%l)$")
  if count then return #count < 12 and UNITS[unit] and math.max(0, now - tonumber(count) * UNITS[unit]) or nil end
  local moment
  if string.find(text, "^%d+%.?%d*$") then
    moment = time.number(text)
  elseif string.find(text, "^%d%d%d%d%-%d%d%-%d%d$") then
    moment = time.rfc3339(text .. "T00:00:00Z")
  else
    moment = time.rfc3339(text)
  end
  return moment and moment >= 0 and moment <= LATEST and moment or nil
end

return period
