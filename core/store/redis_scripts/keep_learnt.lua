-- Keeps a provider's word about a limit, unless there is a newer one, and tells the others; and puts the plain strings
-- that other tools read.
-- KEYS: the words of the provider, the names of providers; then the plain strings.
-- ARGV: channel, provider, field, the word as JSON, when it was heard; then for each plain string value, milliseconds.
local channel, provider, field, json, heard = unpack(ARGV, 1, 5)
local had = redis.call("HGET", KEYS[1], field)
local before = tonumber(had and string.match(had, '"seen_at":(%-?%d+)') or "")
heard = tonumber(heard)
-- Answers overtake each other by seconds; a word that is newer by an hour is of a clock that was ahead.
if before and before >= heard and before < heard + 3600000 then return "OLD" end
redis.call("HSET", KEYS[1], field, json)
redis.call("SADD", KEYS[2], provider)
for i = 3, #KEYS do redis.call("SET", KEYS[i], ARGV[2 * i], "PX", ARGV[2 * i + 1]) end
redis.call("PUBLISH", channel, "learnt " .. json)
return "KEPT"
