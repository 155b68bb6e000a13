-- The next ledger rows in the order of their time, and of closing where that is the same: time, fields, time, fields, ...
-- (fields are empty where the row is gone). Stops early when they become too long.
-- KEYS: the index by time, the stream. ARGV: from time, how many of that time to pass over, before time, how many, bytes.
local found = redis.call("ZRANGE", KEYS[1], ARGV[1], "(" .. ARGV[3], "BYSCORE", "LIMIT", ARGV[2], ARGV[4], "WITHSCORES")
local most, bytes, rows = tonumber(ARGV[5]), 0, {}
for i = 1, #found, 2 do
  local id = string.match(found[i], "^[^%z]+")
  local fields = (redis.call("XRANGE", KEYS[2], id, id)[1] or {})[2] or {}
  rows[#rows + 1], rows[#rows + 2] = found[i + 1], fields
  for _, word in ipairs(fields) do bytes = bytes + #word end
  if bytes > most then break end
end
return rows
