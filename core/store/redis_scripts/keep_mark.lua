-- Keeps that a target is exhausted, has recovered or was pardoned, and tells the others. Its end is only ever raised, but
-- what was known before a pardon is void.
-- KEYS: the marks by target. ARGV: channel, target, that as JSON, until, step, when it was pardoned last, the reason as
-- JSON.
local channel, target, name, ends, step, pardoned, reason = unpack(ARGV)
local had = redis.call("HGET", KEYS[1], target)
local function before(field) return tonumber(had and string.match(had, '"' .. field .. '":(%-?%d+)') or 0) end
if before "pardoned" > tonumber(pardoned) then return "KEPT" end
if before "pardoned" == tonumber(pardoned) and before "until" > tonumber(ends) then
  ends, reason = string.match(had, '"until":(%-?%d+)'), string.match(had, '"reason":(.*)}$') or reason
end
local json = '{"target":' .. name .. ',"until":' .. ends .. ',"step":' .. step .. ',"pardoned":' .. pardoned
  .. ',"reason":' .. reason .. "}"
if json ~= had then
  redis.call("HSET", KEYS[1], target, json)
  redis.call("PUBLISH", channel, "mark " .. json)
end
return "KEPT"
