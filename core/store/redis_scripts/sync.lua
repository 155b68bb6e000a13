-- needs: sliding.lua
-- Puts a gateway's own figures in the place of whatever Redis has of it, however it came to that. KEYS: the gateway's
-- session, what it has touched, then a key each; ARGV: session, gateway, then of each: fixed or sliding, part, ttl (ms, 0:
-- none), own use (sliding: "part amount part amount ..."), the reserved part of that, lease.
local OK, AGAIN = 0, 3
local session, gateway = ARGV[1], ARGV[2]
if redis.call("GET", KEYS[1]) ~= session then return { AGAIN } end
local own_field, reserved_field, lease_field = "u:" .. gateway, "r:" .. gateway, "l:" .. gateway

local function set_fixed(key, ttl, own, reserved, lease)
  local told = redis.pcall("HMGET", key, "t", own_field, "L", lease_field)
  if told.err then return false end
  local total, before, leases, lease_before =
    tonumber(told[1] or 0), tonumber(told[2] or 0), tonumber(told[3] or 0), tonumber(told[4] or 0)
  if not (total and before and leases and lease_before) then return false end
  redis.call("HSET", key, "t", whole(total - before + own), own_field, own, reserved_field, reserved,
    "L", whole(leases - lease_before + lease), lease_field, lease)
  if ttl ~= "0" then redis.call("PEXPIRE", key, ttl) end
  redis.pcall("ZADD", KEYS[2], ttl ~= "0" and redis.call("TIME")[1] + ttl / 1000 or "+inf", key)
  return true
end

local function set_sliding(key, at, ttl, amounts)
  local total, newest = roll(key, gateway, at, ttl)
  if not total then return false end
  local own = key .. ":" .. gateway
  if redis.call("EXISTS", key) == 0 or redis.call("TYPE", own).ok ~= "hash" then redis.call("DEL", own) end
  local before, mine = parts_of(own) or {}, {}
  for part, amount in string.gmatch(amounts, "(%d+) (-?%d+)") do
    mine[tonumber(part)] = tonumber(amount)
    before[tonumber(part)] = before[tonumber(part)] or 0
  end
  for part, amount in pairs(before) do
    add_part(key, gateway, part, newest, (mine[part] or 0) - amount, ttl)
  end
  return true
end

for i = 3, #KEYS do
  local key, first = KEYS[i], 6 * i - 15
  local kind, part, ttl, own = ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local function set()
    if kind == "sliding" then return set_sliding(key, tonumber(part), ttl, own) end
    return set_fixed(key, ttl, own, ARGV[first + 4], ARGV[first + 5])
  end
  if not set() then
    set_aside(key)
    set()
  end
end
return { OK }
