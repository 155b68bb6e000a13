-- Gives a lease back, as another gateway asked by a recall. KEYS: the gateway's session, what it has touched, the
-- counter; ARGV: session, gateway. The recall number counts up: what was lent before it is void.
local OK, AGAIN = 0, 3
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return { AGAIN } end
local lease = redis.pcall("HGET", KEYS[3], "l:" .. ARGV[2])
lease = type(lease) == "string" and tonumber(lease)
if lease then
  if lease ~= 0 then redis.call("HINCRBY", KEYS[3], "L", string.format("%.0f", -lease)) end
  redis.call("HSET", KEYS[3], "l:" .. ARGV[2], 0)
  redis.call("HINCRBY", KEYS[3], "n", 1)
end
return { OK }
