-- Keeps the models that a source brought, in the place of those before, with what that changed, and tells the others.
-- Answers under which time: each is later than the one before, and what was brought twice is one and changed nothing.
-- KEYS: the models by source, what imports changed by time. ARGV: channel, source, time, models, changes, 1: a copy, only
-- to be kept where there is none as new.
local channel, source, time, models, changes, is_copy = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]

for key, kind in pairs { [KEYS[1]] = "hash", [KEYS[2]] = "zset" } do
  local found = redis.call("TYPE", key).ok
  if found ~= kind and found ~= "none" then return redis.error_reply("BROKEN " .. key) end
end

local had_time, had = string.match(redis.call("HGET", KEYS[1], source) or "", "^(%d+)\n(.*)$")
local before = tonumber(had_time)
if before and before >= time and (is_copy == "1" or (before == time and had == models)) then return had_time end
if before and before >= time then time = before + 1 end
local stamp = string.format("%.0f", time)
redis.call("HSET", KEYS[1], source, stamp .. "\n" .. models)
if changes ~= "" and had ~= models then
  redis.call("ZADD", KEYS[2], stamp, string.format("%012d\n%s\n%s", redis.call("ZCARD", KEYS[2]) + 1, source, changes))
end
redis.call("PUBLISH", channel, "models " .. stamp .. " " .. source)
return stamp
