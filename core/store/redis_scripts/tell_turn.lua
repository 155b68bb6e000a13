-- What came of a turn, unless somebody else has it by now. KEYS, ARGV: as take_turn has them; then what is told. Answers
-- whether it is kept.
if redis.pcall("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
redis.call("SET", KEYS[2], ARGV[3], "PX", 3 * ARGV[2])
return 1
