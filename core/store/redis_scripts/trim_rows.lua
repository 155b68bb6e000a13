-- Forgets the oldest ledger rows of before a time. Answers how many.
-- KEYS: the index by time, the stream. ARGV: before time, how many at most.
local found = redis.call("ZRANGE", KEYS[1], "-inf", "(" .. ARGV[1], "BYSCORE", "LIMIT", 0, ARGV[2])
if #found > 0 then
  redis.call("ZREM", KEYS[1], unpack(found))
  for i, member in ipairs(found) do found[i] = string.match(member, "^[^%z]+") end
  redis.call("XDEL", KEYS[2], unpack(found))
end
return #found
