-- What several scripts begin with: the parts of a sliding window. One hash a limit: t is their sum, n the newest part,
-- and each part's number its amount; a second one, with the gateway's name behind it, holds what is that gateway's own.
local PARTS = 61

-- The parts as numbers; nil if something else is among them.
local function parts_of(key)
  local all, list = redis.call("HGETALL", key), {}
  for i = 1, #all, 2 do
    local part, amount = tonumber(all[i]), tonumber(all[i + 1])
    if part and not amount then return nil end
    if part then list[part] = amount end
  end
  return list
end

local function whole(number) return number == 0 and "0" or string.format("%.0f", number) end

-- Keeps the parts that count at part `at`; of a clock that was far ahead everything is taken to be of now.
local function rewrite(key, at, ttl, is_ahead)
  local parts, kept, total = parts_of(key), {}, 0
  if not parts then return nil end
  for part, amount in pairs(parts) do
    local now = is_ahead and at or part
    if now > at - PARTS then
      kept[now] = (kept[now] or 0) + amount
      total = total + amount
    end
  end
  redis.call("DEL", key)
  for part, amount in pairs(kept) do redis.call("HSET", key, whole(part), whole(amount)) end
  redis.call("HSET", key, "t", whole(total), "n", whole(at))
  redis.call("PEXPIRE", key, ttl)
  return total
end

-- The total of the window at part `at`, and the part that is present: never an older one than has been seen, unless that
-- lies a window ahead. nil: there is no such window under that key.
local function roll(key, gateway, at, ttl)
  local told = redis.pcall("HMGET", key, "t", "n")
  if told.err then return nil end
  local total, newest = tonumber(told[1] or 0), tonumber(told[2] or at)
  if not total or not newest then return nil end
  if at > newest then
    total = rewrite(key, at, ttl, false)
  elseif newest - at >= PARTS then
    total = rewrite(key, at, ttl, true)
    rewrite(key .. ":" .. gateway, at, ttl, true)
  else
    at = newest
  end
  return total, at
end

-- Adds to a part of the window that roll has brought to `newest`.
local function add_part(key, gateway, part, newest, amount, ttl)
  if part <= newest - PARTS or amount == 0 then return end
  local own = key .. ":" .. gateway
  redis.call("HINCRBY", key, "t", whole(amount))
  redis.call("HINCRBY", key, whole(part), whole(amount))
  redis.call("HSET", key, "n", whole(newest))
  local mine = redis.pcall("HINCRBY", own, whole(part), whole(amount))
  if type(mine) == "table" then
    redis.call("DEL", own)
  elseif mine == amount then -- the first of a part
    redis.call("PEXPIRE", key, ttl)
    redis.call("PEXPIRE", own, ttl)
    if redis.call("HLEN", own) > 2 * PARTS then rewrite(own, newest, ttl, false) end
  end
end

-- Takes what is no counter out of the way; every gateway then tells its figures anew.
local function set_aside(key)
  redis.call("RENAME", key, key .. ":broken")
  redis.call("PUBLISH", "moongate:news", "broken " .. key)
end
