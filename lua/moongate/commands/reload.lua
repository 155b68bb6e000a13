-- `moongate reload`: has the running gateway read its configuration and policies again, and tells what came of it.
local asking = require "moongate.asking"
local json = require "moongate.core.json"
local process = require "moongate.core.process"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate reload [-c moongate.lua] [--json]

Has the running gateway read its configuration, its policies and its model table again, and waits until it has. What
does not load changes nothing: the last good version stays, and every problem is told as file:line: message, with exit
code 1. The gateway is found by `listen` and asked with `admin_token` of the configuration. (SIGHUP does the same
without an answer.)

  moongate reload -c /etc/moongate/moongate.lua]]

local SECONDS = 120

local function in_words(problem)
  local place = problem.file and (problem.line and problem.file .. ":" .. problem.line or problem.file) .. ": " or ""
  return place .. tostring(problem.message)
end

local function run(options)
  local config = verb.peek(options)
  if not config then return 1 end
  local reply, why = asking.answer(config, { method = "POST", path = "/admin/reload", seconds = SECONDS }, "problems")
  if not reply then return verb.fail("reload", why) end
  if options.json then process.print(json.encode(reply)) end
  local broken = {}
  for _, each in ipairs(reply.problems) do
    if each.what == "configuration" or each.what == "policy" then broken[#broken + 1] = in_words(each) end
  end
  for _, line in ipairs(broken) do process.complain(line) end
  if #broken > 0 then return 1 end
  if not options.json then process.print "reloaded" end
  return 0
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({ name = "reload", help = HELP, flags = { ["--json"] = "json" }, run = run }, words)
end

return command
