-- `make soak`: a gateway under load, with failing providers, callers that leave, reloads, policy saves and a kill; then
-- its memory, its descriptors and its books. Prints what it measured, and exits with 1 if anything grew or is missing.
--
--   SOAK_SECONDS=30      of mixed load
--   SOAK_REQUESTS=200000 requests one after the other, for memory
--   SOAK_STREAMS=10000   parked streams, for memory: so many, or as many as may be (each is two open files)
--   SOAK_PARTS="kill requests mixed streams"   in this order, or some of them
package.path = "./?.lua;" .. package.path
jit.off() -- Debian's miscompiles dkjson now and then
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local socket = require "socket"
local wait = require "spec.support.wait"
local ffi = require "ffi"

ffi.cdef [[
struct soak_limit { uint64_t soft, hard; };
int getrlimit(int which, struct soak_limit *limit);
int setrlimit(int which, const struct soak_limit *limit);
]]
local OPEN_FILES = 7

local SECONDS = tonumber(os.getenv "SOAK_SECONDS") or 30
local REQUESTS = tonumber(os.getenv "SOAK_REQUESTS") or 200000
local STREAMS = tonumber(os.getenv "SOAK_STREAMS") or 10000
local PARTS = os.getenv "SOAK_PARTS" or "kill requests mixed streams"
-- What a parked stream may cost (spec/bench/README.md says what for), and files of the gateway's besides: those that it
-- keeps for calls, and its own.
local STREAM_KB, OTHER_FILES = 64, 1200
local BESIDE = 50 -- requests beside the parked streams
-- What is left to an allocator between two moments that should be the same.
local SLACK_KB, SLACK_SHARE, SLACK_FILES = 8 * 1024, 0.10, 4
local LOAD = "spec/bench/soak_load.js"
local INPUT, OUTPUT = 9, 12 -- what the provider tells of every answer

-- By priority, whatever is known of them; saved again and again with another number in it.
local POLICY = [[
-- Version %d.
return function(request, candidates)
  return candidates:sort("priority", function(c) return -c.priority end)
end
]]

-- What the first provider does by the word that a caller says; the second is always well.
local CASES = {
  { when = "do-500.", kind = "error", status = 500 }, { when = "do-reset.", kind = "reset" },
  { when = "do-early.", wrong = "cut" }, { when = "do-cut.", wrong = "cut", after = 2 },
  { when = "do-endless.", endless = true, delay = 5 }, { when = "do-silence.", kind = "silence" },
  { when = "do-park.", hold = { after = 1, name = "park" } },
}

-- How many streams there can be, with the limit of open files raised as far as this user may; children inherit it.
local function affordable(streams)
  local limit = ffi.new "struct soak_limit"
  ffi.C.getrlimit(OPEN_FILES, limit)
  local wanted = 2 * streams + OTHER_FILES
  if limit.hard < wanted then ffi.C.setrlimit(OPEN_FILES, ffi.new("struct soak_limit", { wanted, wanted })) end
  ffi.C.getrlimit(OPEN_FILES, limit)
  return math.min(streams, math.floor((tonumber(limit.hard) - OTHER_FILES) / 2)), tonumber(limit.hard)
end

local streams, files_allowed = affordable(STREAMS)

local first, second = provider.open(), provider.open()
first:usually { cases = CASES }

local function openai(upstream)
  return { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0,
    breaker = { failures = 1000, open = 1 },
    timeouts = { connect = 5, first_byte = 60, first_content = 60, idle = 600 } }
end

local function cost(priority, id, name)
  return { id = id, provider = name, priority = priority, cost = { input = 1, output = 1 } }
end

local moongate = gateway.prepare {
  config = {
    store = "sqlite:moongate.db", policy = "in-order",
    providers = { first = openai(first), second = openai(second), demo = { protocol = "mock" } },
    models = { cost(90, "plain", "first"), cost(10, "plain", "second"), cost(90, "harm", "first"),
      { id = "echo", provider = "demo" } },
  },
  policies = { ["routing/in-order.lua"] = POLICY:format(0) },
}

local failed = false

local function tell(fine, words, ...)
  failed = failed or not fine
  print(("%-4s %s"):format(fine and "ok" or "BAD", words:format(...)))
  io.flush()
end

local function resident()
  local _, status = process.run { "cat", "/proc/" .. moongate.process.pid .. "/status" }
  return tonumber(status:match "VmRSS:%s+(%d+) kB")
end

local function open_files()
  local _, list = process.run { "ls", "/proc/" .. moongate.process.pid .. "/fd" }
  return select(2, list:gsub("\n", ""))
end

local function start(mode, size) return process.start { "node", LOAD, mode, moongate.address, tostring(size) } end

-- Waits for a load to end; what it saw.
local function result(job, patience)
  wait.until_(function() return job:has_ended() end, "the load to end", patience)
  return assert(json.decode(job:output()), job:errors())
end

-- The usage of one model, nothing where it has none.
local function used(model)
  local answer = moongate:admin "/v1/usage?by=model"
  for _, group in ipairs(answer.groups) do
    if group.model == model then return group, answer.totals end
  end
  return { requests = 0, input_tokens = 0, output_tokens = 0, cost_microusd = 0 }, answer.totals
end

local function answered(upstream, word)
  local counts = upstream:count { "plain.", "do-500.", "do-reset.", "do-early." }
  local sum = 0
  for each, states in pairs(counts) do
    if not word or each == word then sum = sum + (states.answered or 0) end
  end
  return sum
end

-- How many requests with that word a provider was asked.
local function reached(upstream, word)
  local sum = 0
  for _, number in pairs(upstream:count { word }[word] or {}) do sum = sum + number end
  return sum
end

-- Every stream has ended.
local function calm()
  wait.until_(function()
    return moongate:request({ path = "/metrics" }).body:find("\nmoongate_streams_open 0\n", 1, true)
  end, "every stream to end", 60)
end

-- Connections that the providers closed are noticed with the next calls.
local function files_are_back(before, when)
  local now
  first:hang_up()
  second:hang_up()
  pcall(wait.until_, function()
    moongate:chat { model = "plain" }
    now = open_files()
    return now <= before + SLACK_FILES
  end, "descriptors")
  tell(now <= before + SLACK_FILES, "descriptors %s: %d open, %d before", when, now, before)
end

local function is_flat(before, after) return after - before <= math.max(SLACK_KB, before * SLACK_SHARE) end

local function kill()
  local job = start("mixed", 4)
  wait.until_(function() return answered(second) > 100 end, "answers")
  moongate:kill()
  local seen = result(job, 60)
  moongate:open()
  local plain = used "plain"
  tell(plain.requests >= seen.whole, "a kill under load: %d answers were seen whole, %d are in the ledger", seen.whole,
    plain.requests)
  first:forget():usually { cases = CASES }
  second:forget()
end

local function many_requests()
  result(start("bulk", math.max(5000, REQUESTS / 10)), 600)
  local files, before = open_files(), resident()
  local began = socket.gettime()
  local seen = result(start("bulk", REQUESTS), 3600)
  local after = resident()
  tell(seen.answered == REQUESTS and seen.odd == 0, "%d requests in %.0f s, %d answered well", REQUESTS,
    socket.gettime() - began, seen.answered)
  tell(is_flat(before, after), "memory after these: %.1f MB, %.1f MB before", after / 1024, before / 1024)
  files_are_back(files, "after these")
end

local function parked_streams()
  tell(true, "%d streams of %d can be parked: this machine allows %d open files", streams, STREAMS, files_allowed)
  local files, before = open_files(), resident()
  local job = start("park", streams)
  wait.until_(function() return job:output():find '"parked"' or job:has_ended() end, "the streams to be parked", 300)
  local parked = json.decode(job:output()) or {}
  tell(parked.parked == streams and parked.refused == 0, "%d streams stand, %d were refused", parked.parked or 0,
    parked.refused or 0)
  local during, open = resident(), open_files()
  local each = (during - before) / streams
  tell(each < STREAM_KB, "%d parked streams: %.1f KB each (%.1f MB; %.1f MB before), %d descriptors", streams, each,
    during / 1024, before / 1024, open)
  local served, worst = 0, 0
  for number = 1, BESIDE do
    local began = socket.gettime()
    local answer = moongate:chat { model = number % 2 == 0 and "plain" or "echo" }
    if answer.status == 200 and answer.complete then served = served + 1 end
    worst = math.max(worst, socket.gettime() - began)
  end
  tell(served == BESIDE, "of %d requests beside them %d were served, the slowest in %.0f ms", BESIDE, served,
    worst * 1000)
  local ready = moongate:request({ path = "/ready" }):json()
  tell(ready.status == "ready", "/ready says %s beside them", ready.status)
  job:kill "TERM"
  job:wait()
  calm()
  files_are_back(files, "after these")
  first:forget():usually { cases = CASES }
end

local function mixed_load()
  local files, before = open_files(), resident()
  local plain_before, totals_before = used "plain"
  local job, saves, reloads = start("mixed", SECONDS), 0, 0
  wait.until_(function()
    saves = saves + 1
    moongate:write("policies/routing/in-order.lua", POLICY:format(saves))
    if saves % 5 == 0 then
      reloads = reloads + 1
      moongate:write("moongate.lua", (moongate:read "moongate.lua"))
      moongate.process:kill "HUP"
    end
    -- Not faster than people and their tools do it: a health check lies between two saves.
    for _ = 1, 20 do moongate:request { path = "/health" } end
    return job:has_ended()
  end, "the load to end", SECONDS + 120)
  local seen = result(job, 1)
  calm()
  local plain = used "plain"
  local requests = plain.requests - plain_before.requests
  tell(seen.odd_count == 0, "%d requests in %d s with failing providers, %d policy saves, %d reloads", seen.asked,
    SECONDS, saves, reloads)
  tell(seen.odd_count == 0, "of these %d came whole, %d were told as broken, %d were left, %d were odd %s", seen.whole,
    seen.broken, seen.left, seen.odd_count, table.concat(seen.odd, "; "))
  tell(requests == seen.whole, "the ledger has %d answers, callers saw %d", requests, seen.whole)
  local counted = answered(first, "plain.") + answered(second)
  tell(requests == counted, "the ledger has %d answers, the providers gave %d", requests, counted)
  local tokens = plain.input_tokens + plain.output_tokens - plain_before.input_tokens - plain_before.output_tokens
  tell(tokens == counted * (INPUT + OUTPUT), "the ledger has %d tokens of these, the providers told %d", tokens,
    counted * (INPUT + OUTPUT))
  -- Who leaves before the gateway has read the request leaves no row.
  local least = seen.whole + seen.broken + reached(first, "do-endless.") + reached(first, "do-silence.")
  local rows
  pcall(wait.until_, function()
    rows = select(2, used "plain").requests - totals_before.requests
    return rows >= least
  end, "the last rows")
  tell(rows >= least and rows <= seen.asked, "the ledger has %d rows; %d requests were made, %d were answered or "
    .. "reached a provider", rows, seen.asked, least)
  local ready = moongate:request({ path = "/ready" }):json()
  tell(ready.status == "ready", "/ready says %s", ready.status)
  files_are_back(files, "after these")
  local after = resident()
  tell(is_flat(before, after), "memory after these: %.1f MB, %.1f MB before", after / 1024, before / 1024)
end

moongate:open()
for name in PARTS:gmatch "%S+" do
  assert(({ kill = kill, requests = many_requests, mixed = mixed_load, streams = parked_streams })[name], name)()
end
gateway.stop_all()
print(failed and "soak: something is not as it should be" or "soak: all is well")
os.exit(failed and 1 or 0)
