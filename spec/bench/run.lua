-- moongate beside nginx, HAProxy and nginx with Lua, on this machine: `make bench`. The rounds are interleaved, so that
-- what else happens on the machine meets all alike. Nothing is waited for: a busy machine is told of, not avoided.
--
--   BENCH_QUICK=1       two short rounds, to see that all works
--   BENCH_ONLY=1k,tls   scenarios whose name has one of these
--   BENCH_SECONDS=2 BENCH_ROUNDS=5
package.path = "./?.lua;" .. package.path
local bodies = require "spec.bench.bodies"
local cast = require "spec.bench.cast"
local measure = require "spec.bench.measure"
local peers = require "spec.bench.peers"
local proc = require "spec.bench.proc"
local process = require "spec.support.process"
local report = require "spec.bench.report"
local scenarios = require "spec.bench.scenarios"
local socket = require "socket"

local quick = (os.getenv("BENCH_QUICK") or "") ~= ""
local only = os.getenv("BENCH_ONLY") or ""
local rounds = tonumber(os.getenv("BENCH_ROUNDS")) or quick and 2 or 5
local seconds = tonumber(os.getenv("BENCH_SECONDS")) or quick and 0.4 or 2

local function say(...) io.stderr:write(table.concat({ ... }), "\n") end

local function is_wanted(scenario)
  if only == "" then return true end
  for part in only:gmatch("[^,%s]+") do
    if scenario.name:find(part, 1, true) then return true end
  end
  return false
end

local chosen, needed = {}, {}
for _, scenario in ipairs(scenarios) do
  if is_wanted(scenario) then
    chosen[#chosen + 1] = scenario
    for _, name in ipairs(scenario.who) do needed[name] = true end
  end
end
if #chosen == 0 then
  local names = {}
  for index, scenario in ipairs(scenarios) do names[index] = scenario.name end
  say("BENCH_ONLY=", only, " fits no scenario; there are ", table.concat(names, ", "))
  os.exit(2)
end

local processors = proc.processors()
local places = cast.places(processors)
local found = peers.fetch(cast.programs .. "/peers")
local notes = {}
for _, why in ipairs(found.missing) do notes[#notes + 1] = "Not measured: " .. why end
local mock = cast.mock(places):start()
local stage = { mock = mock, others = {}, places = places, seconds = seconds, repeats = quick and 1 or nil,
  paths = bodies.write(process.folder()) }
local live = { direct = mock }

local makers = {
  nginx = function() return cast.nginx(places, found, mock) end,
  haproxy = function() return cast.haproxy(places, found, mock) end,
  ["nginx-lua"] = function() return cast.nginx_lua(places, found, mock) end,
  moongate = function() return cast.moongate(places, mock) end,
  ["moongate-second"] = function()
    return cast.moongate(places, mock, { name = "moongate-second", sync = "second" })
  end,
  ["moongate-2"] = function()
    return cast.moongate(places, mock, { name = "moongate-2", workers = 2,
      processors = places.two or places.one .. "," .. places.provider })
  end,
  ["nginx-tls"] = function()
    return cast.nginx(places, found, stage.tls, { name = "nginx-tls", authority = stage.authority })
  end,
  ["moongate-tls"] = function()
    local port = stage.tls.port
    return cast.moongate(places, mock, { name = "moongate-tls", ports = { port, port, port },
      authority = stage.authority })
  end,
}

-- Started, right, and warm: the first provider's day is used up.
local function ready(name)
  local who = makers[name]():start()
  who:check(stage.paths)
  measure.once({ kind = "closed", body = "1k", connections = 16 }, who,
    { mock = mock, others = {}, paths = stage.paths, places = places, seconds = quick and 0.3 or 1 })
  return who
end

-- What a gateway says it counted has to be what it was sent. Raises if not.
local function check_books(who)
  if not who.counted then return nil end
  local counted = who:counted()
  assert(counted.requests == who.sent.requests and counted.tokens == who.sent.tokens,
    ("%s counted %d requests and %d tokens, and was sent %d and %d"):format(who.name, counted.requests, counted.tokens,
      who.sent.requests, who.sent.tokens))
  return ("%s counted each of %d requests and %d tokens that it was sent."):format(who.name, counted.requests,
    counted.tokens)
end

if needed["nginx-tls"] or needed["moongate-tls"] then
  local well, provider, authority = pcall(cast.tls_provider, places, found, mock)
  if well then well, provider = pcall(provider.start, provider) end
  if well then
    stage.tls, stage.authority = provider, authority
    stage.others[#stage.others + 1] = provider
  else
    notes[#notes + 1] = "Not measured: TLS: " .. tostring(provider)
  end
end
for _, name in ipairs { "nginx", "haproxy", "nginx-lua", "moongate", "moongate-second", "moongate-2", "nginx-tls",
  "moongate-tls" } do
  if needed[name] and (stage.tls or not name:match("tls$")) then
    local well, who = pcall(ready, name)
    if well then
      live[name] = who
    else
      say("Without ", name, ": ", who)
      notes[#notes + 1] = "Not measured: " .. tostring(who):gsub("%s+", " ")
    end
  end
end
assert(live.moongate or live["moongate-tls"], "moongate itself does not run")

local function one(scenario, name)
  if scenario.kind ~= "memory" then return measure.once(scenario, live[name], stage) end
  local who = ready(name)
  local record = measure.once(scenario, who, stage)
  check_books(who)
  who:stop()
  return record
end

local records, began = {}, socket.gettime()
for _, scenario in ipairs(chosen) do
  local of_all = {}
  records[scenario.name] = of_all
  say(("%4.0f s  %s"):format(socket.gettime() - began, scenario.text))
  for round = 1, scenario.rounds and math.min(rounds, quick and 1 or scenario.rounds) or rounds do
    for turn = 1, #scenario.who do
      -- Each round begins with another, so that no one always follows the same.
      local name = scenario.who[(turn + round - 2) % #scenario.who + 1]
      if live[name] then
        local record = one(scenario, name)
        of_all[name] = of_all[name] or {}
        of_all[name][round] = record
        say(("        %-15s %8.2f us CPU  %7.0f/s  p50 %6.0f us  p99 %7.0f us  others %3.0f%%%s"):format(name,
          record.cpu, record.per_second, record.p50, record.p99, record.foreign * 100,
          record.errors > 0 and "  ERRORS " .. record.errors or ""))
      end
    end
  end
end
for _, name in ipairs { "nginx-lua", "moongate", "moongate-second", "moongate-2", "moongate-tls" } do
  if live[name] then notes[#notes + 1] = check_books(live[name]) end
end
if records["workers-2"] and not places.two then
  notes[#notes + 1] = ("What a second worker adds in requests/s takes four processors to measure; here are %d, so only"
    .. " its CPU a request is told."):format(#processors)
end
for _, who in pairs(live) do who:stop() end
if stage.tls then stage.tls:stop() end

local versions = peers.versions(found)
local _, kernel = process.run { "uname", "-sr" }
io.write(report.text { scenarios = chosen, records = records, notes = notes, has_room_for_two = places.two ~= nil,
  head = ("%s, %s, %d processors (%d used), %s. %d rounds of %g s, interleaved; medians (least–most), ratios within a"
    .. " round. One worker each; the provider and the callers have other processors. %s."):format(os.date("!%Y-%m-%d"),
    proc.processor_name(), #processors, math.min(#processors, 4), kernel:gsub("%s+$", ""), rounds, seconds,
    versions ~= "" and versions or "No peers") })
