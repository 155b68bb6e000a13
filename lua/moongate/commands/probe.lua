-- `moongate probe PROVIDER`: has the running gateway send one small request to a provider, and tells what is known of
-- its limits then.
local asking = require "moongate.asking"
local json = require "moongate.core.json"
local near = require "moongate.near"
local process = require "moongate.core.process"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate probe PROVIDER [-c moongate.lua] [--json]

Has the running gateway send one request (one word in, one token out) to the chat model of that provider with the
smallest context, and tells what the provider says of its limits. The request is counted and kept in the ledger like
any other, on the surface "probe"; under zero_spend only a model that costs nothing is called. The gateway is found by
`listen` and asked with `admin_token` of the configuration.

  --json  as GET /v1/limits/PROVIDER answers it, and `probe`: what the request itself met

  moongate probe groq]]

-- A provider's own time limit ends it sooner.
local SECONDS = 900

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

local function check(_, plain)
  return not plain[1] and "which provider? name one, as in moongate probe groq" or nil
end

local function run(options, plain)
  local config = verb.load(options)
  if not config then return 1 end
  local name = plain[1]
  if not config.providers[name] then
    local names = near.names(config.providers)
    local hint = near.hint(name, names)
    if hint == "" then hint = #names > 0 and "; there are: " .. table.concat(names, ", ") or "; it has none" end
    return verb.fail("probe", string.format('the configuration has no provider "%s"%s', name, hint))
  end
  if not config.admin_token then
    return verb.fail("probe",
      "the gateway is asked with the admin token: set admin_token in the configuration, and reload it")
  end
  local order = { method = "POST", path = "/admin/probe/" .. name, seconds = SECONDS }
  local reply, why = asking.answer(config, order, "limits")
  if not reply then return verb.fail("probe", why) end
  if options.json then process.print(json.encode(reply)) else print_limits(reply) end
  return 0
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({
    name = "probe", help = HELP, flags = { ["--json"] = "json" }, most = 1, check = check, run = run,
  }, words)
end

return command
