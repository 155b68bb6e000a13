-- Forgets a mark that is over, unless it has been raised since it was read.
-- KEYS: the marks by target. ARGV: target, the mark as it was read.
if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call("HDEL", KEYS[1], ARGV[1])
