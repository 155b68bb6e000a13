-- needs: sliding.lua
-- A gateway is alive. KEYS: its session, what it has touched, all gateways, then the counters it wants to hear of. ARGV:
-- session, gateway, then fixed or sliding, part and ttl of each. Answers a status, how many gateways there are, how many of
-- them are dead, their names, and total and own use of each counter (-1: it is no counter).
local OK, AGAIN, DEAD_AFTER, FRESH = 0, 3, 660, 2.5
local gateway = ARGV[2]
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return { AGAIN } end
local time = redis.call("TIME")
local now = time[1] + time[2] / 1000000
redis.call("PEXPIRE", KEYS[1], 3600000)
-- Whoever has been silent itself, or whose server's clock has jumped, takes nobody else for dead.
local last = redis.call("ZSCORE", KEYS[3], gateway)
local is_fresh = last and now - last < FRESH and now >= tonumber(last)
redis.call("ZADD", KEYS[3], now, gateway)
redis.pcall("ZREMRANGEBYSCORE", KEYS[2], "-inf", time[1])
redis.call("EXPIRE", KEYS[2], 40 * 86400)
local dead = is_fresh and redis.call("ZRANGEBYSCORE", KEYS[3], "-inf", now - DEAD_AFTER) or {}
local answer = { OK, redis.call("ZCARD", KEYS[3]), #dead }
for _, name in ipairs(dead) do answer[#answer + 1] = name end
for i = 4, #KEYS do
  local key, first = KEYS[i], 3 * i - 9
  local total, own = -1, 0
  if ARGV[first] == "sliding" then
    total = roll(key, gateway, tonumber(ARGV[first + 1]), ARGV[first + 2]) or -1
  else
    local told = redis.pcall("HMGET", key, "t", "u:" .. gateway)
    total = not told.err and tonumber(told[1] or 0) or -1
    own = not told.err and tonumber(told[2] or 0) or 0
  end
  answer[#answer + 1], answer[#answer + 2] = total, own
end
return answer
