-- A gateway has told its figures: may it count on Redis's now? Only when the others that were away too have told theirs.
-- KEYS: the gateway's session, all gateways, when each told its figures, when the server lost something. ARGV: session,
-- gateway, how many gateways it knew. Answers how many there are; 0: some are missing.
local SILENT, STEADY, GONE = 1.5, 3, 60
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return -1 end
local time = redis.call("TIME")
local now = time[1] + time[2] / 1000000
redis.call("ZADD", KEYS[2], now, ARGV[2])
if redis.call("TYPE", KEYS[3]).ok ~= "hash" then redis.call("DEL", KEYS[3]) end
redis.call("HSET", KEYS[3], ARGV[2], now)
redis.call("EXPIRE", KEYS[3], 60)
local lost = redis.pcall("GET", KEYS[4])
lost = type(lost) == "string" and tonumber(lost)
local count = redis.call("ZCARD", KEYS[2])
if lost and count < tonumber(ARGV[3]) then return 0 end
-- A gateway that Redis has served all along shows that there was no outage: who is silent then is dead, or away alone.
local all, is_missing, is_steady = redis.call("ZRANGE", KEYS[2], 0, -1, "WITHSCORES"), false, false
for i = 1, #all, 2 do
  local silent_for = now - all[i + 1]
  if all[i] ~= ARGV[2] and silent_for < GONE then
    local told = tonumber(redis.call("HGET", KEYS[3], all[i]) or 0)
    if lost and told < lost then return 0 end
    is_missing = is_missing or silent_for > SILENT
    is_steady = is_steady or (silent_for <= SILENT and now - told > STEADY)
  end
end
if is_missing and not is_steady then return 0 end
redis.call("PUBLISH", "moongate:news", "hello") -- there is one more to share with
return count
