-- Puts ledger rows into the stream, each once, whoever sends it however often. Answers how many were new.
-- KEYS: the stream, its index by time; then for each row its mark and the entry of its request.
-- ARGV: how many seconds marks last, the fields that stand beside an entry's id in the index; then for each row its time,
-- the number of its words, and those: field, value, ...
local stream, times, lasting, beside = KEYS[1], KEYS[2], ARGV[1], {}
for name in string.gmatch(ARGV[2], "%S+") do beside[#beside + 1] = name end

for key, kind in pairs { [stream] = "stream", [times] = "zset" } do
  local found = redis.call("TYPE", key).ok
  if found ~= kind and found ~= "none" then return redis.error_reply("BROKEN " .. key) end
end

-- Padded, so that the texts are in the order in which rows came; no value has a NUL.
local function member(id, first, last)
  local moment, number = string.match(id, "^(%d+)-(%d+)$")
  local parts, values = { string.format("%s-%07d", moment, number) }, {}
  for i = first, last, 2 do values[ARGV[i]] = ARGV[i + 1] end
  for i, name in ipairs(beside) do parts[i + 1] = values[name] or "" end
  return table.concat(parts, "\0")
end

local at, fresh = 3, 0
for key = 3, #KEYS, 2 do
  local time, count = ARGV[at], tonumber(ARGV[at + 1])
  if redis.call("EXISTS", KEYS[key]) == 0 then
    local id = redis.call("XADD", stream, "*", unpack(ARGV, at + 2, at + 1 + count))
    redis.call("ZADD", times, time, member(id, at + 2, at + 1 + count))
    redis.call("SET", KEYS[key], id, "EX", lasting)
    redis.call("SET", KEYS[key + 1], id, "EX", lasting)
    fresh = fresh + 1
  end
  at = at + 2 + count
end
return fresh
