-- A gateway begins a session; what an older one still has on its way is void from here on. KEYS: the gateway's session,
-- all gateways, the run of the server, when it lost something. ARGV: session, gateway, the server's run id, whether
-- the gateway has had a session before. Answers how many gateways there are.
local now = redis.call("TIME")
local seconds = now[1] + now[2] / 1000000
local run, known = redis.pcall("GET", KEYS[3]), redis.call("EXISTS", KEYS[1]) == 1
local is_new_run = type(run) == "string" and run ~= ARGV[3]
-- A server that was started anew, took over from another or was emptied may lack what gateways were told it has.
if is_new_run or (ARGV[4] == "1" and not known) then
  redis.call("SET", KEYS[4], seconds, "PX", 5000, "NX")
end
redis.call("SET", KEYS[3], ARGV[3])
redis.call("SET", KEYS[1], ARGV[1], "PX", 3600000)
if redis.call("TYPE", KEYS[2]).ok ~= "zset" then redis.call("DEL", KEYS[2]) end
redis.call("ZADD", KEYS[2], "NX", seconds, ARGV[2])
return redis.call("ZCARD", KEYS[2])
