-- Keeps that a target is exhausted, or has recovered, and tells the others. Its end is only ever raised.
-- KEYS: the marks by target. ARGV: channel, target, that as JSON, until, step, the reason as JSON.
local channel, target, name, ends, step, reason = unpack(ARGV)
local had = redis.call("HGET", KEYS[1], target)
local before = had and string.match(had, '"until":(%-?%d+)')
if before and tonumber(before) > tonumber(ends) then
  ends, reason = before, string.match(had, '"reason":(.*)}$') or reason
end
local json = '{"target":' .. name .. ',"until":' .. ends .. ',"step":' .. step .. ',"reason":' .. reason .. "}"
if json ~= had then
  redis.call("HSET", KEYS[1], target, json)
  redis.call("PUBLISH", channel, "mark " .. json)
end
return "KEPT"
