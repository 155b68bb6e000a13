-- Keeps a caller's key, or that it is revoked, and tells the others. Once revoked it stays so.
-- Answers KEPT, or TAKEN if another key has its prefix.
-- KEYS: the keys by hash, the hashes by prefix. ARGV: channel, hash, prefix, the key as JSON, 1 if it is revoked.
local channel, hash, prefix, json, is_revoked = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == "1"
local had = redis.call("HGET", KEYS[1], hash)
if had then
  if not is_revoked or not string.find(had, '"revoked":0}$') then return "KEPT" end
else
  local owner = redis.call("HGET", KEYS[2], prefix)
  if owner and owner ~= hash then return "TAKEN" end
  redis.call("HSET", KEYS[2], prefix, hash)
end
redis.call("HSET", KEYS[1], hash, json)
redis.call("PUBLISH", channel, "key " .. json)
return "KEPT"
