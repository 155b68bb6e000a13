-- needs: sliding.lua
-- Adds to counters what has changed since Redis was told last. KEYS: the gateway's session, what it has touched, then a
-- key each; ARGV: session, gateway, then of each: fixed or sliding, part, ttl (ms, 0: none), and by how much its own use,
-- the reserved part of that, and its lease grew.
local OK, AGAIN, BROKEN = 0, 3, 4
local session, gateway = ARGV[1], ARGV[2]
if redis.call("GET", KEYS[1]) ~= session then return { AGAIN } end
local answer = { OK }

local function grow(key, field, by)
  return by == "0" or type(redis.pcall("HINCRBY", key, field, by)) == "number"
end

local function add_fixed(key, ttl, used, reserved, lease)
  local is_new = redis.pcall("HEXISTS", key, "u:" .. gateway)
  local fine = type(is_new) == "number" and grow(key, "t", used) and grow(key, "u:" .. gateway, used)
    and grow(key, "r:" .. gateway, reserved) and grow(key, "L", lease) and grow(key, "l:" .. gateway, lease)
  if not fine then return false end
  if is_new == 0 then
    if ttl ~= "0" then redis.call("PEXPIRE", key, ttl) end
    redis.pcall("ZADD", KEYS[2], ttl ~= "0" and redis.call("TIME")[1] + ttl / 1000 or "+inf", key)
  end
  return true
end

for i = 3, #KEYS do
  local key, first = KEYS[i], 6 * i - 15
  local part, ttl, used = ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local fine
  if ARGV[first] == "sliding" then
    local total, newest = roll(key, gateway, tonumber(part), ttl)
    fine = total ~= nil
    if fine then add_part(key, gateway, tonumber(part), newest, tonumber(used), ttl) end
  else
    fine = add_fixed(key, ttl, used, ARGV[first + 4], ARGV[first + 5])
  end
  if not fine then
    set_aside(key)
    answer = { BROKEN, i - 2 }
  end
end
return answer
