-- needs: sliding.lua
-- Takes every claim of a call, or none. KEYS: the gateway's session, what it has touched, then a key a claim. ARGV:
-- session, gateway, then of each claim: fixed or sliding, part, ttl (ms, 0: none), max (-1: none), amount, the lease it
-- would like. Answers a status and of each claim: total, own, how it fits, what the lease grew by, recall number (fixed),
-- or part (sliding: where it went, or whose end makes room).
local GRANTED, BLOCKED, LEASED, AGAIN, BROKEN = 0, 1, 2, 3, 4
local FITS, FULL, LENT = 0, 1, 2
local session, gateway = ARGV[1], ARGV[2]
if redis.call("GET", KEYS[1]) ~= session then return { AGAIN } end

local function read_fixed(key)
  local told = redis.pcall("HMGET", key, "t", "u:" .. gateway, "L", "l:" .. gateway, "n")
  if told.err then return nil end
  local read = {
    total = tonumber(told[1] or 0), own = tonumber(told[2] or 0), leases = tonumber(told[3] or 0),
    lease = tonumber(told[4] or 0), recall = tonumber(told[5] or 0), is_new = not told[2],
  }
  return read.total and read.own and read.leases and read.lease and read.recall and read
end

local function read_sliding(key, at, ttl)
  local total, newest = roll(key, gateway, at, ttl)
  return total and { total = total, own = 0, leases = 0, lease = 0, part = newest }
end

-- Whose end makes room for amount; -1: none's.
local function part_in_the_way(key, total, amount, max)
  local parts, numbers = parts_of(key), {}
  for part in pairs(parts) do numbers[#numbers + 1] = part end
  table.sort(numbers)
  for _, part in ipairs(numbers) do
    total = total - parts[part]
    if amount <= max - total then return part end
  end
  return -1
end

local counters, claims, status = {}, {}, GRANTED
for i = 3, #KEYS do
  local key, first = KEYS[i], 6 * i - 15
  local claim = {
    key = key, is_sliding = ARGV[first] == "sliding", ttl = ARGV[first + 2], max = tonumber(ARGV[first + 3]),
    amount = tonumber(ARGV[first + 4]), want = tonumber(ARGV[first + 5]), fits = FITS, grown = 0,
  }
  local counter = counters[key]
  if not counter then
    if claim.is_sliding then
      counter = read_sliding(key, tonumber(ARGV[first + 1]), claim.ttl)
    else
      counter = read_fixed(key)
    end
    if not counter then
      set_aside(key)
      return { BROKEN, i - 2 }
    end
    counters[key], counter.before = counter, counter.total
  end
  claim.counter, claims[#claims + 1] = counter, claim
  local free = claim.max - counter.total
  if claim.amount > 0 and claim.max >= 0 and claim.amount > free then
    claim.fits, status = FULL, BLOCKED
  elseif claim.amount > 0 and claim.max >= 0 and claim.amount > free - (counter.leases - counter.lease) then
    claim.fits = LENT
    if status == GRANTED then status = LEASED end
  else
    -- What others have lent themselves stays; one's own lease is used if nothing else is left.
    claim.grown = claim.max >= 0 and math.min(0, free - counter.leases - claim.amount) or 0
    counter.leases, counter.lease = counter.leases + claim.grown, counter.lease + claim.grown
    counter.total = counter.total + claim.amount
  end
end

if status == GRANTED then
  local touched = {}
  for _, claim in ipairs(claims) do
    local counter, key = claim.counter, claim.key
    if claim.is_sliding then
      add_part(key, gateway, counter.part, counter.part, claim.amount, claim.ttl)
    else
      local amount = whole(claim.amount)
      if claim.amount > 0 then
        redis.call("HINCRBY", key, "t", amount)
        counter.own = redis.call("HINCRBY", key, "u:" .. gateway, amount)
        redis.call("HINCRBY", key, "r:" .. gateway, amount)
      end
      local room = claim.max - counter.total - counter.leases
      if claim.max >= 0 and claim.amount > 0 and claim.want > counter.lease and room >= claim.max / 2 then
        claim.grown = claim.grown + claim.want - counter.lease
        counter.leases, counter.lease = counter.leases + claim.want - counter.lease, claim.want
      end
      if claim.grown ~= 0 then
        redis.call("HINCRBY", key, "L", whole(claim.grown))
        redis.call("HINCRBY", key, "l:" .. gateway, whole(claim.grown))
      end
      if counter.is_new and claim.amount > 0 and not touched[key] then
        touched[key] = true
        local ttl = tonumber(claim.ttl)
        if ttl > 0 then redis.call("PEXPIRE", key, claim.ttl) end
        redis.pcall("ZADD", KEYS[2], ttl > 0 and redis.call("TIME")[1] + ttl / 1000 or "+inf", key)
      end
    end
  end
elseif status == LEASED then
  for _, claim in ipairs(claims) do
    if claim.fits == LENT then
      claim.counter.recall = redis.call("HINCRBY", claim.key, "n", 1)
      redis.call("PUBLISH", "moongate:news", "recall " .. claim.key .. " " .. claim.counter.recall)
    end
  end
end

local answer = { status }
for _, claim in ipairs(claims) do
  local counter, last = claim.counter, claim.counter.recall
  if claim.is_sliding then
    last = counter.part
    if claim.fits == FULL then last = part_in_the_way(claim.key, counter.total, claim.amount, claim.max) end
  end
  local is_granted = status == GRANTED
  for _, number in ipairs { is_granted and counter.total or counter.before, counter.own, claim.fits,
    is_granted and claim.grown or 0, last } do
    answer[#answer + 1] = number
  end
end
return answer
