-- `moongate probe PROVIDER`: has the running gateway send one small request to a provider, and tells what is known of
-- its limits then.
local asking = require "moongate.asking"
local command_line = require "moongate.command_line"
local control = require "moongate.control"
local json = require "moongate.core.json"
local near = require "moongate.near"
local process = require "moongate.core.process"

local command = {}

local HELP = [[
moongate probe PROVIDER [-c moongate.lua] [--json]

Has the running gateway send one request (one word in, one token out) to the chat model of that provider with the
smallest context, and tells what the provider says of its limits. The request is counted and kept in the ledger like
any other, on the surface "probe"; under zero_spend only a model that costs nothing is called. The gateway is found by
`listen` and asked with `admin_token` of the configuration.

  --json  as GET /v1/limits/PROVIDER answers it, and `probe`: what the request itself met

  moongate probe groq]]

local OPTIONS = { ["-c"] = "config", ["--config"] = "config" }
local FLAGS = { ["--json"] = "json", ["--help"] = "help", ["-h"] = "help" }
-- A provider's own time limit ends it sooner.
local SECONDS = 900

local function say(message)
  process.complain("moongate probe: " .. message)
  return 1
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function is_number(value) return type(value) == "number" end

local function count(value)
  return is_number(value) and string.format("%.14g", value) or "?"
end

local function wait(seconds)
  if not is_number(seconds) then return "" end
  seconds = math.ceil(seconds)
  if seconds >= 3600 then return string.format("%d h %d min", seconds / 3600, seconds % 3600 / 60) end
  if seconds >= 60 then return string.format("%d min %d s", seconds / 60, seconds % 60) end
  return seconds .. " s"
end

local function print_limits(told)
  local probed = told.probe or {}
  process.print(string.format("probed %s/%s: %s (%s ms, request %s)", told.provider, probed.model,
    probed.error or "answered", count(probed.latency_ms), probed.request_id))
  if probed.told == 0 then process.print "it told nothing of its limits" end
  if is_number(told.credits) then process.print(string.format("credits $%.2f", told.credits)) end
  if #told.limits == 0 then return end
  local row = "%-14s %-8s %12s %12s  %-12s %-13s %s"
  local function line(...) process.print((string.gsub(string.format(row, ...), "%s+$", ""))) end
  process.print ""
  line("METRIC", "WINDOW", "USED", "LIMIT", "RESET IN", "TOLD BY", "MODEL")
  for _, limit in ipairs(told.limits) do
    local used = is_number(limit.limit) and is_number(limit.remaining) and limit.limit - limit.remaining
    line(limit.metric, limit.window, count(used), count(limit.limit), wait(limit.reset_s), limit.told_by or "",
      limit.model or "")
  end
end

local function run(options, name)
  local settings, problem = control.load(options.config, {})
  if not settings then
    process.complain(problem)
    return 1
  end
  local config = control.current()
  if not config.providers[name] then
    local names = names_of(config.providers)
    local hint = near.hint(name, names)
    if hint == "" then hint = #names > 0 and "; there are: " .. table.concat(names, ", ") or "; it has none" end
    return say(string.format('the configuration has no provider "%s"%s', name, hint))
  end
  if not config.admin_token then
    return say 'the gateway is asked with the admin token: set admin_token in the configuration, and reload it'
  end
  local status, reply = asking.ask(config, { method = "POST", path = "/admin/probe/" .. name, seconds = SECONDS })
  if not status then return say(reply) end
  if status ~= 200 then return say(asking.refusal(config, status, reply)) end
  if type(reply.limits) ~= "table" then return say "the gateway's answer makes no sense" end
  if options.json then process.print(json.encode(reply)) else print_limits(reply) end
  return 0
end

---@param words string[]
---@return integer exit code
function command.run(words)
  local options, plain = command_line.read(words, OPTIONS, FLAGS)
  local wrong = not options and plain or nil
  if options and options.help then
    process.print(HELP)
    return 0
  end
  if options and not plain[1] then wrong = "which provider? name one, as in moongate probe groq" end
  if options and plain[2] then wrong = string.format('one provider at a time: "%s" is one too many', plain[2]) end
  if wrong then
    process.complain("moongate probe: " .. wrong .. "; moongate probe --help tells more")
    return 2
  end
  return run(options, plain[1])
end

return command
