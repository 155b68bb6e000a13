-- `moongate replay`: runs the recorded decisions through a changed policy and tells what would have been different.
-- Reads the ledger beside the gateway, calls nobody, changes nothing.
local clock = require "moongate.core.clock"
local decision = require "moongate.decision"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"
local offline = require "moongate.core.offline"
local period = require "moongate.period"
local policies = require "moongate.policies"
local process = require "moongate.core.process"
local providers = require "moongate.providers"
local registry = require "moongate.registry"
local replay = require "moongate.replay"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate replay [-c moongate.lua] --policy FILE [--since 7d] [--json]

Decides the recorded requests again with FILE, and tells what would have been different: requests, providers, USD,
refusals, and the ten requests that differ most. FILE stands in the place of the routing policy of its name
(access.lua: of the access policy); where there is none of that name, in the place of every routing policy. Nobody is
called and nothing changes; the gateway may run meanwhile.

  --since   how far back: 30m, 12h, 7d (the default) or 4w ago, a day such as 2026-11-01 (UTC), or unix seconds
  --json    the same as JSON

What another model would have cost is worked out from the tokens that were used, taking the first rung for the one that
serves. Texts and headers of requests are not recorded: what a policy makes of them cannot be replayed.

  moongate replay --policy policies/routing/free-tier.lua --since 24h]]

local OPTIONS = { ["--policy"] = "policy", ["--since"] = "since" }
-- What is in a policies folder and decides something else.
local OTHER_FILES = { task = true, billing = true }
local OTHER_FOLDERS = { hooks = true, lib = true, protocols = true, checkers = true }
local MILLISECONDS, BYTES = 100, 64 * 1024 * 1024
local MOMENT = 0.1 -- seconds between two looks of the progress bar

-- Also reads since when.
local function check(given)
  if not given.policy then return "--policy FILE is needed: the policy to try" end
  local now, text = clock.now(), given.since or "7d"
  given.now, given.since = now, period.moment(text, now)
  if not given.since then return string.format('--since: "%s" is no time: expected %s', text, period.EXPECTED) end
  if given.since >= now then return string.format('--since: "%s" leaves no time to look at', text) end
  return nil
end

local function say(message) return verb.fail("replay", message) end

local function hash_of(text, bytes)
  return (string.gsub(string.sub(keys.hash(text), 1, bytes), ".", function(byte)
    return string.format("%02x", string.byte(byte))
  end))
end

-- The folder's policies with the file in the place that its name tells; nil and what is wrong with the file.
local function install(config, path, text)
  local name = string.gsub(string.match(path, "[^/]*$"), "%.lua$", "")
  local is_access = name == "access" and not string.find(path, "routing/access.lua", 1, true)
  local folder = string.match(path, "policies/(%l+)/")
  if OTHER_FOLDERS[folder] or OTHER_FILES[name] and not string.find(path, "routing/", 1, true) then
    return nil, path .. " cannot be replayed: only routing policies and access.lua decide who serves"
  end
  local place = is_access and "access.lua" or "routing/" .. name .. ".lua"
  local files, reason = process.policies(config.policies)
  if not files then return nil, reason end
  local kept, is_new = {}, true
  for _, file in ipairs(files) do
    if file.path == place then is_new = false else kept[#kept + 1] = file end
  end
  kept[#kept + 1] = { path = place, text = text, version = hash_of(text, 4) }
  local set = policies.new { milliseconds = MILLISECONDS, bytes = BYTES }
  for _, problem in ipairs(set:install(kept).problems) do
    if problem.file == "policies/" .. place then
      return nil, string.format("%s%s: %s", path, problem.line and ":" .. problem.line or "", problem.message)
    end
  end
  return { policies = set, place = is_access and "access" or "routing", name = name, is_new = is_new and not is_access }
end

local function usd(amount) return string.format("$%.6f", amount) end

local function grouped(number)
  local text = tostring(number)
  repeat
    local changed
    text, changed = string.gsub(text, "^(-?%d+)(%d%d%d)", "%1,%2")
  until changed == 0
  return text
end

-- A bar over one line of a terminal: show(share, count) as often as there is news, done() when it is over.
local function bar_of(what)
  local last, is_shown = clock.monotonic(), false
  local function show(share, count)
    local now = clock.monotonic()
    if now - last < MOMENT then return end
    last, is_shown = now, true
    local full = math.floor(share * 36 + 0.5)
    offline.progress(string.format("%s [%s%s] %3d %%  %s requests", what, string.rep("#", full),
      string.rep(" ", 36 - full), math.floor(share * 100), grouped(count)))
  end
  return show, function() if is_shown then offline.progress "" end end
end

-- How far it is tells the time of a row: how many there are is not known before they are read.
local function walk(ledger, run, since, until_)
  local show, done = bar_of "replaying"
  local count, first = 0, nil
  for row in ledger:rows(since, until_) do
    first, count = first or row.time, count + 1
    run:add(row)
    show((row.time - first) / (until_ - first), count)
  end
  done()
end

-- A second time over those that came before their configuration was recorded: mostly a few at the beginning.
local function walk_again(ledger, run, since, until_)
  local total = run:left_over()
  if total == 0 then return end
  local show, done = bar_of "again"
  for row in ledger:rows(since, until_) do
    run:add(row, true)
    local count = total - run:left_over()
    show(count / total, count)
    if count == total then break end
  end
  done()
end

local function line(label, before, after, more)
  process.print((string.gsub(string.format("%-34s %14s %14s  %s", label, before, after, more or ""), "%s+$", "")))
end

local function cut(text, length)
  if #text <= length then return text end
  return (string.gsub(string.sub(text, 1, length - 3), "[\192-\255][\128-\191]*$", "")) .. "..."
end

local function change(before, after)
  if before == 0 then return "" end
  return string.format("%+.1f %%", (after - before) / before * 100)
end

local function print_shown(list)
  if #list == 0 then return end
  process.print(string.format("\nThe %s most:", #list == 1 and "one that differs" or #list .. " that differ"))
  for _, entry in ipairs(list) do
    process.print(string.format("  %s  %s  %s", os.date("!%m-%d %H:%M:%S", entry.time), entry.request_id,
      cut(entry.model, 20)))
    local function first(side)
      return (side.ladder[1] or "refused") .. " " .. usd(side.cost_microusd / 1e6)
    end
    process.print("    " .. first(entry.before) .. " -> " .. first(entry.after))
    process.print("    " .. cut(entry.reason, 74))
  end
end

local function print_report(report, path, stands_for)
  process.print(string.format("%s in the place of %s", path, stands_for))
  process.print("")
  line("", "BEFORE", "AFTER")
  line("requests replayed", grouped(report.replayed), grouped(report.replayed))
  line("ladders that differ", "", grouped(report.differences))
  line("refused", grouped(report.refusals.before), grouped(report.refusals.after))
  line("cost", usd(report.usd.before), usd(report.usd.after), change(report.usd.before, report.usd.after))
  process.print("")
  line("PROVIDER", "BEFORE", "AFTER")
  for _, each in ipairs(report.providers) do
    line(each.provider ~= "" and each.provider or "(none)", grouped(each.before), grouped(each.after))
  end
  print_shown(report.differ_most)
  local undecided = report.not_replayed
  if undecided.total > 0 then
    process.print(string.format("\nNot replayed: %s", grouped(undecided.total)))
    for _, each in ipairs(undecided.reasons) do
      process.print(string.format("  %8s  %s", grouped(each.count), each.reason))
    end
  end
  if report.faults.count > 0 then
    local times = report.faults.count == 1 and "once:" or grouped(report.faults.count) .. " times, first:"
    process.print(string.format("\nThe policy failed %s %s", times, report.faults.first))
  end
  if report.unpriced > 0 then
    process.print(string.format("\n%s requests would go where no price is known: they count as $0.",
      grouped(report.unpriced)))
  end
  if report.estimated > 0 then
    process.print(string.format("\n%s were never served: their cost is estimated.", grouped(report.estimated)))
  end
end

local function run(options)
  local since, now = options.since, options.now
  local text, reason = process.read(options.policy)
  if not text then return say(options.policy .. ": " .. reason) end
  local config = verb.load(options)
  if not config then return 1 end
  local installed, wrong = install(config, options.policy, text)
  if not installed then return say(wrong) end
  local ledger
  ledger, reason = offline.read(config.store)
  if not ledger then return say(reason) end
  installed.world = decision.world(registry.new(config, providers.get))
  installed.hash = hash_of(installed.world, 6)
  local again = replay.new(installed)
  walk(ledger, again, since, now)
  walk_again(ledger, again, since, now)
  ledger:close()
  local report = again:report()
  report.policy, report.since = options.policy, since
  report["until"] = now
  if options.json then
    process.print(json.encode(report))
  elseif report.requests == 0 then
    process.print("no request is recorded since " .. os.date("!%Y-%m-%d %H:%M UTC", since))
  else
    local other = installed.place == "access" and "the access policy"
      or installed.is_new and "every routing policy" or string.format('the routing policy "%s"', installed.name)
    print_report(report, options.policy, other)
  end
  return 0
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({
    name = "replay", help = HELP, options = OPTIONS, flags = { ["--json"] = "json" }, check = check, run = run,
  }, words)
end

return command
