-- `moongate reload`: has the running gateway read its configuration and policies again, and tells what came of it.
local asking = require "moongate.asking"
local command_line = require "moongate.command_line"
local control = require "moongate.control"
local json = require "moongate.core.json"
local process = require "moongate.core.process"

local command = {}

local HELP = [[
moongate reload [-c moongate.lua] [--json]

Has the running gateway read its configuration, its policies and its model table again, and waits until it has. What
does not load changes nothing: the last good version stays, and every problem is told as file:line: message, with exit
code 1. The gateway is found by `listen` and asked with `admin_token` of the configuration. (SIGHUP does the same
without an answer.)

  moongate reload -c /etc/moongate/moongate.lua]]

local OPTIONS = { ["-c"] = "config", ["--config"] = "config" }
local FLAGS = { ["--json"] = "json", ["--help"] = "help", ["-h"] = "help" }

local function say(message)
  process.complain("moongate reload: " .. message)
  return 1
end

local function in_words(problem)
  local place = problem.file and (problem.line and problem.file .. ":" .. problem.line or problem.file) .. ": " or ""
  return place .. tostring(problem.message)
end

local function run(options)
  local config, problem = control.peek(options.config)
  if not config then
    process.complain(problem)
    return 1
  end
  local status, reply = asking.ask(config, { method = "POST", path = "/admin/reload", seconds = 120 })
  if not status then return say(reply) end
  if status ~= 200 or type(reply.problems) ~= "table" then return say(asking.refusal(config, status, reply)) end
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
  local options, plain = command_line.read(words, OPTIONS, FLAGS)
  local wrong = not options and plain or plain[1] and string.format('"%s" is one word too many', plain[1]) or nil
  if options and options.help then
    process.print(HELP)
    return 0
  end
  if wrong then
    process.complain("moongate reload: " .. wrong .. "; moongate reload --help tells more")
    return 2
  end
  return run(options)
end

return command
