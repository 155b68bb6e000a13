-- `moongate explain`: the ladder that a request would get, and why, without calling anyone. Asks the running gateway,
-- which knows how its targets stand; else decides by configuration and policies alone, as if nothing were used.
local asking = require "moongate.asking"
local callers = require "moongate.callers"
local clock = require "moongate.core.clock"
local debug = require "moongate.debug"
local decision = require "moongate.decision"
local json = require "moongate.core.json"
local near = require "moongate.near"
local policies = require "moongate.policies"
local process = require "moongate.core.process"
local providers = require "moongate.providers"
local quota = require "moongate.quota"
local registry = require "moongate.registry"
local router = require "moongate.router"
local surface = require "moongate.surfaces.router"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate explain [-c moongate.lua] REQUEST.json [--key NAME] [--policy P] [--privacy] [--task T]
                 [--priority cheap|balanced|best] [--max-cost USD] [--json]

Tells which models the request would be tried with, in which order, and why each other one is left out. Calls no
provider. REQUEST.json is the body of a chat completion or of /v1/chat; - reads it from standard input. A "seed" in it
draws the dice of a past request again. The other options are the x-moongate- headers of the same names.

A running gateway is asked how things stand now; without one the answer is as if nothing had been used yet.

  --key NAME  as the key of that name in the configuration would be answered; else any model may be used
  --json      as POST /v1/router/debug answers it

  echo '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}' | moongate explain -]]

local OPTIONS = {
  ["--policy"] = "x-moongate-policy", ["--priority"] = "x-moongate-priority", ["--max-cost"] = "x-moongate-max-cost",
  ["--task"] = "x-moongate-task", ["--key"] = "key",
}
local FLAGS = { ["--json"] = "json", ["--privacy"] = "privacy" }
local JSON_DEPTH = 100
local MILLISECONDS, BYTES = 100, 64 * 1024 * 1024
local WIDTH = 80

-- Also turns what is meant for headers into them.
local function check(given, plain)
  given.file, given.headers = plain[1], {}
  for name, value in pairs(given) do
    if string.sub(name, 1, 2) == "x-" then given.headers[name] = value end
  end
  if given.privacy then given.headers["x-moongate-privacy"] = "true" end
  return not given.file and "which request? name its JSON file, or - for standard input" or nil
end

local function say(message) return verb.fail("explain", message) end

local function read_request(file)
  if file == "-" then return io.read "*a" end
  local text, reason = process.read(file)
  if not text then return nil, file .. ": " .. reason end
  return text
end

-- ---- the running gateway ----

local function secret_of(config, name)
  for _, key in ipairs(config.keys or {}) do
    if key.name == name then return key.key end
  end
  return nil
end

-- What the gateway answers: its status and that; nil and why there is none that would tell.
local function ask(config, options, body)
  local secret = config.admin_token or false
  if options.key then secret = secret_of(config, options.key) end
  if options.key and not secret then return nil, "the configuration has only the hash of that key" end
  local status, reply = asking.ask(config, {
    method = "POST", path = "/v1/router/debug", seconds = 10, headers = options.headers, body = body, secret = secret,
  })
  local at = "at " .. config.listen[1].addr
  if status == 401 and secret then return nil, asking.refusal(config, status, reply) end
  if status == 401 then return nil, "the gateway " .. at .. " wants a key: name one with --key" end
  if status == 404 then
    local code = type(reply.error) == "table" and reply.error.code
    if code == "not_found" or not code then return nil, "what answers " .. at .. " cannot explain" end
  end
  return status, reply
end

-- ---- without one ----

-- Every target as it is before its first call.
local function unused_view()
  local function zeros(target)
    local counts = {}
    for i = 1, #target.provider_limits + #target.limits do counts[i] = 0 end
    return counts
  end
  local function nothing() return nil end
  return {
    exhausted = function() return 0, "" end, open = function() return false end, random = math.random,
    left = function(_, target) return quota.left(decision.left(target, zeros(target))) end,
    used = function(_, target) return quota.used(decision.used(target, zeros(target))) end,
    latency_ms = nothing, error_rate = nothing, balance = nothing,
  }
end

local function caller_of(config, name)
  local all, names = callers.new(config), {}
  if not name then return all.anonymous or all.operator end
  for _, caller in pairs(all.configured) do
    if caller.name == name then return caller end
    names[#names + 1] = caller.name
  end
  table.sort(names)
  return nil, string.format('there is no key "%s" in the configuration%s', name, near.hint(name, names))
end

-- The plan as debug tells it; or nil and why there is none.
local function decide(config, options, body)
  local caller, wrong = caller_of(config, options.key)
  if not caller then return nil, wrong end
  local document, fault = json.scan(body, JSON_DEPTH)
  if not document then
    return nil, string.format("%s: not valid JSON: %s (line %d, column %d)", options.file, fault.message, fault.line,
      fault.column)
  end
  local request, refusal = surface.explained.parse(document, options.headers, "chat")
  if not request then return nil, refusal.message end
  request.caller = { name = caller.name, org = caller.org, tier = caller.tier }
  request.privacy = request.privacy or caller.privacy
  request.now, request.seed = clock.now(), request.seed or math.random(1, 2 ^ 31 - 1)
  local files, reason = process.policies(config.policies)
  if not files then return nil, reason end
  local set = policies.new { milliseconds = MILLISECONDS, bytes = BYTES }
  for _, problem in ipairs(set:install(files).problems) do
    process.complain(string.format("%s%s: %s", problem.file, problem.line and ":" .. problem.line or "",
      problem.message))
  end
  local plan
  plan, refusal = router.plan(request, caller, registry.new(config, providers.get), set, unused_view())
  if not plan and not refusal.plan then return nil, refusal.message end
  return debug.told(plan, refusal)
end

-- ---- for people ----

-- Words in lines of at most that many characters.
local function wrap(text, width)
  local lines, line = {}, ""
  for word in string.gmatch(text, "%S+") do
    if line == "" then
      line = word
    elseif #line + 1 + #word <= width then
      line = line .. " " .. word
    else
      lines[#lines + 1], line = line, word
    end
  end
  lines[#lines + 1] = line
  return lines
end

local function price(cost)
  if type(cost) ~= "number" then return "?" end
  return cost == 0 and "$0" or string.format("$%.6f", cost)
end

local function print_row(width, rank, id, score, cost, reason)
  local left = string.format("%3s  %-" .. width .. "s  %5s  %9s  ", rank, id, score, cost)
  if #id > width then
    process.print(string.format("%3s  %s", rank, id))
    left = string.format("%3s  %-" .. width .. "s  %5s  %9s  ", "", "", score, cost)
  end
  for i, line in ipairs(wrap(reason, math.max(20, WIDTH - #left))) do
    process.print((i == 1 and left or string.rep(" ", #left)) .. line)
  end
end

local function print_plan(told)
  process.print(string.format("policy %s, task %s\n", told.policy, told.task))
  local rank, width = {}, 6
  for i, id in ipairs(told.ladder) do rank[id] = i end
  for _, each in ipairs(told.candidates) do width = math.min(30, math.max(width, #each.id)) end
  print_row(width, "", "TARGET", "SCORE", "COST", "REASON")
  for _, each in ipairs(told.candidates) do
    local score = type(each.score) == "number" and string.format("%.2f", each.score) or ""
    print_row(width, rank[each.id] or "", each.id, score, price(each.estimated_cost), each.reason)
  end
  process.print ""
  local sentence = told.status and string.format("refused with %d: %s", told.status, told.reason) or told.reason
  for _, line in ipairs(wrap(sentence, WIDTH)) do process.print(line) end
end

local function run(options)
  local body, reason = read_request(options.file)
  if not body then return say(reason) end
  local config = verb.load(options)
  if not config then return 1 end
  local status, told = ask(config, options, body)
  if not status then
    process.complain("(" .. told .. "; explained as if nothing had been used yet)")
    told, reason = decide(config, options, body)
    if not told then return say(reason) end
  elseif status ~= 200 or type(told.ladder) ~= "table" then
    return say(asking.refusal(config, status, told))
  end
  if options.json then process.print(json.encode(told)) else print_plan(told) end
  return 0
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({
    name = "explain", help = HELP, options = OPTIONS, flags = FLAGS, most = 1, check = check, run = run,
  }, words)
end

return command
