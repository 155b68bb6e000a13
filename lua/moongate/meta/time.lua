---@meta moongate.time
-- `require "moongate.time"`: for editors only, never run. What does not fit the grammar is nil.

---@class moongate.time
---@field LONGEST_WAIT number seconds: 31 days
local time = {}

---"12" or "12.5" as a number.
---@param text any
---@return number|nil
function time.number(text) end

---A number that came as a number or as a text.
---@param value any
---@return number|nil
function time.figure(value) end

---From 0 to 31 days.
---@param seconds number
---@return number
function time.clamp(seconds) end

---"2m59.5s" in seconds.
---@param text string
---@return number|nil
function time.duration(text) end

---"2026-11-20T23:00:00Z" in unix seconds; without a zone it means UTC plus offset.
---@param text string
---@param offset number|nil seconds east of UTC
---@return number|nil
function time.rfc3339(text, offset) end

---"Thu, 01 Oct 2026 12:01:30 GMT" in unix seconds.
---@param text string
---@return number|nil
function time.http_date(text) end

---Seconds from now until a time in any of these ways.
---@param text any
---@param now number
---@param offset number|nil
---@return number|nil
function time.wait(text, now, offset) end

return time
