-- What a dead gateway had reserved and lent itself becomes free; what it has settled stays counted. KEYS: all gateways, what
-- it has touched, its session; ARGV: its name, how many counters at most. Answers how many are left.
local gateway = ARGV[1]
local r, l, u = "r:" .. gateway, "l:" .. gateway, "u:" .. gateway
local keys = redis.pcall("ZRANGE", KEYS[2], 0, tonumber(ARGV[2]) - 1)
if keys.err then keys = {} end
for _, key in ipairs(keys) do
  local told = redis.pcall("HMGET", key, r, l)
  local reserved, lease = not told.err and tonumber(told[1] or 0) or 0, not told.err and tonumber(told[2] or 0) or 0
  if reserved ~= 0 then
    local back = string.format("%.0f", -reserved)
    redis.pcall("HINCRBY", key, "t", back)
    redis.pcall("HINCRBY", key, u, back)
  end
  if lease ~= 0 then redis.pcall("HINCRBY", key, "L", string.format("%.0f", -lease)) end
  if not told.err then redis.call("HDEL", key, r, l) end
  redis.call("ZREM", KEYS[2], key)
end
local left = redis.pcall("ZCARD", KEYS[2])
if type(left) == "number" and left > 0 then return left end
redis.call("DEL", KEYS[2], KEYS[3])
redis.pcall("ZREM", KEYS[1], gateway)
return 0
