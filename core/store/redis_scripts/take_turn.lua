-- Whose turn is it? Whoever has it keeps it as long as it asks in time.
-- KEYS: who has the turn, what was told. ARGV: gateway, milliseconds. Answers 1 if it is its turn, else 0; what was told
-- last, and for how many milliseconds the turn is taken.
local has = redis.pcall("GET", KEYS[1])
if has == ARGV[1] or type(has) ~= "string" then
  redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
  return { 1, "", 0 }
end
local told = redis.pcall("GET", KEYS[2])
return { 0, type(told) == "string" and told or "", redis.call("PTTL", KEYS[1]) }
