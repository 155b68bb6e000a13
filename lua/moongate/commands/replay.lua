-- `moongate replay`: runs the recorded decisions through a changed policy and tells what would have been different.
-- Reads the ledger beside the gateway, calls nobody, changes nothing.
local command_line = require "moongate.command_line"
local clock = require "moongate.core.clock"
local control = require "moongate.control"
local decision = require "moongate.decision"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"
local offline = require "moongate.core.offline"
local policies = require "moongate.policies"
local process = require "moongate.core.process"
local providers = require "moongate.providers"
local registry = require "moongate.registry"
local replay = require "moongate.replay"

local command = {}

local HELP = [[
moongate replay [-c moongate.lua] --policy FILE [--since 7d] [--json]

Decides the recorded requests again with FILE, and tells what would have been different: requests, providers, USD,
refusals, and the ten requests that differ most. FILE stands in the place of the routing policy of its name
(access.lua: of the access policy); where there is none of that name, in the place of every routing policy. Nobody is
called and nothing changes; the gateway may run meanwhile.

  --since   how far back: 30m, 12h, 7d (the default), 4w, or a day such as 2026-11-01 (UTC)
  --json    the same as JSON

What another model would have cost is worked out from the tokens that were used, taking the first rung for the one that
serves. Texts and headers of requests are not recorded: what a policy makes of them cannot be replayed.

  moongate replay --policy policies/routing/free-tier.lua --since 24h]]

local UNITS = { s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
local OPTIONS = { ["--policy"] = "policy", ["--since"] = "since", ["-c"] = "config", ["--config"] = "config" }
local FLAGS = { ["--json"] = "json", ["--help"] = "help", ["-h"] = "help" }
local MILLISECONDS, BYTES = 100, 64 * 1024 * 1024
local STEP = 500 -- rows between two looks at the clock

local function parse(words)
  local given, plain = command_line.read(words, OPTIONS, FLAGS)
  if not given then return nil, plain end
  if plain[1] then return nil, string.format('"%s" is one word too many', plain[1]) end
  given.since = given.since or "7d"
  return given
end

-- Days since 1970 of a date, proleptic.
local function days_of(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

-- When "7d" or "2026-11-01" is; nil if it is neither.
local function since_of(text, now)
  local count, unit = string.match(text, "^(%d+)(%l)$")
  if count and UNITS[unit] then return now - tonumber(count) * UNITS[unit] end
  local year, month, day = string.match(text, "^(%d%d%d%d)-(%d%d)-(%d%d)$")
  if not year then return nil end
  return days_of(tonumber(year), tonumber(month), tonumber(day)) * 86400
end

local function say(message)
  process.complain("moongate replay: " .. message)
  return 1
end

local function hash_of(text, bytes)
  return (string.gsub(string.sub(keys.hash(text), 1, bytes), ".", function(byte)
    return string.format("%02x", string.byte(byte))
  end))
end

-- The folder's policies with the file in the place that its name tells; nil and what is wrong with the file.
local function install(config, path, text)
  local name = string.gsub(string.match(path, "[^/]*$"), "%.lua$", "")
  local is_access = name == "access" and not string.find(path, "routing/access.lua", 1, true)
  for _, other in ipairs { "task", "billing" } do
    if name == other and not string.find(path, "routing/", 1, true) then
      return nil, name .. ".lua cannot be replayed: only routing policies and access.lua decide who serves"
    end
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

local function progress_of(until_)
  local last, first = 0, nil
  return function(row, count)
    if count % STEP ~= 0 then return end
    first = first or math.min(row.time, until_ - 1)
    local now = clock.monotonic()
    if now - last < 0.1 then return end
    last = now
    local share = math.max(0, math.min(1, (row.time - first) / math.max(1, until_ - first)))
    local full = math.floor(share * 40 + 0.5)
    offline.progress(string.format("replaying [%s%s] %3d %%  %d requests", string.rep("#", full),
      string.rep(" ", 40 - full), math.floor(share * 100), count))
  end
end

local function walk(ledger, run, since, until_)
  for _, again in ipairs { false, true } do
    if again and not run:needs_another() then break end
    local progress, count = progress_of(until_), 0
    for row in ledger:rows(since, until_) do
      run:add(row, again)
      count = count + 1
      progress(row, count)
    end
    if count >= STEP then offline.progress "" end
  end
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
    process.print(string.format("\nThe policy failed %s times, first: %s", grouped(report.faults.count),
      report.faults.first))
  end
  if report.unpriced > 0 then
    process.print(string.format("\n%s requests would go where no price is known: they count as $0.",
      grouped(report.unpriced)))
  end
  if report.estimated > 0 then
    process.print(string.format("\n%s were never served: their cost is estimated.", grouped(report.estimated)))
  end
end

local function run(options, since, now)
  local text, reason = process.read(options.policy)
  if not text then return say(options.policy .. ": " .. reason) end
  local settings, problem = control.load(options.config, {})
  if not settings then
    process.complain(problem)
    return 1
  end
  local config = control.current()
  local installed, wrong = install(config, options.policy, text)
  if not installed then return say(wrong) end
  local ledger
  ledger, reason = offline.read(config.store)
  if not ledger then return say(reason) end
  installed.world = decision.world(registry.new(config, providers.get))
  installed.hash = hash_of(installed.world, 6)
  local again = replay.new(installed)
  walk(ledger, again, since, now)
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
  local options, wrong = parse(words)
  if options and options.help then
    process.print(HELP)
    return 0
  end
  local now = clock.now()
  local since = options and since_of(options.since, now)
  if options and not options.policy then wrong = "--policy FILE is needed: the policy to try" end
  if options and not since then wrong = '--since: write 30m, 12h, 7d, 4w or a day like 2026-11-01, not "'
    .. options.since .. '"' end
  if wrong then
    process.complain("moongate replay: " .. wrong .. "; moongate replay --help tells more")
    return 2
  end
  return run(options, since, now)
end

return command
