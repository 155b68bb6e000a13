-- What is measured: which body, how many at once, who takes part. `closed` sends as fast as answers come, `rate` so
-- many a second whatever happens, `streams` opens event streams, `memory` does so on a fresh process.

---@class bench.scenario
---@field name string
---@field kind "closed"|"rate"|"streams"|"memory"
---@field text string
---@field body string a name of bodies.write
---@field connections integer
---@field rate integer|nil a second
---@field repeats integer|nil streams one after the other on each connection
---@field keys integer|nil callers with keys of their own; else one key for all
---@field ramp integer|nil milliseconds over which the streams begin; a second else
---@field rounds integer|nil fewer than the usual
---@field who string[]

local ALL = { "direct", "nginx", "haproxy", "nginx-lua", "moongate", "moongate-second" }

return {
  { name = "1k-1", kind = "closed", body = "1k", connections = 1, who = ALL, text = "1 KB body, 1 connection" },
  { name = "1k-64", kind = "closed", body = "1k", connections = 64, who = ALL, text = "1 KB body, 64 connections" },
  { name = "1k-512", kind = "closed", body = "1k", connections = 512, who = ALL, text = "1 KB body, 512 connections" },
  { name = "32k-64", kind = "closed", body = "32k", connections = 64, who = ALL, text = "32 KB chat, 64 connections" },
  { name = "tools-64", kind = "closed", body = "tools", connections = 64, who = ALL,
    text = "32 KB, most of it tool schemas, 64 connections" },
  { name = "rate-500", kind = "rate", body = "1k", connections = 128, rate = 500, who = ALL,
    text = "1 KB body, 500 requests/s" },
  { name = "rate-2000", kind = "rate", body = "1k", connections = 128, rate = 2000, who = ALL,
    text = "1 KB body, 2,000 requests/s" },
  { name = "streams-200", kind = "streams", body = "stream", connections = 200, repeats = 2, who = ALL, rounds = 3,
    text = "200 streams at once, a chunk each every 20 ms" },
  { name = "streams-1000", kind = "streams", body = "stream", connections = 1000, repeats = 2, who = ALL, rounds = 3,
    text = "1,000 streams at once, a chunk each every 20 ms" },
  { name = "memory-1000", kind = "memory", body = "stream", connections = 1000, repeats = 1, rounds = 2,
    who = { "nginx", "haproxy", "nginx-lua", "moongate" }, text = "memory of 1,000 streams, each on a fresh process" },
  { name = "workers-2", kind = "closed", body = "1k", connections = 128, who = { "moongate", "moongate-2" },
    text = "1 KB body, two workers against one, 128 connections" },
  { name = "tls-64", kind = "closed", body = "1k", connections = 64, who = { "nginx-tls", "moongate-tls" },
    text = "1 KB body, TLS to the provider, 64 connections" },
}
