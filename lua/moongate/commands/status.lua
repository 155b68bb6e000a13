-- `moongate status`: how the running gateway's providers and quotas stand; in one line for status bars, which call it
-- again and again: it is quick, and quiet when there is no gateway.
local asking = require "moongate.asking"
local command_line = require "moongate.command_line"
local control = require "moongate.control"
local json = require "moongate.core.json"
local offline = require "moongate.core.offline"
local process = require "moongate.core.process"
local status_told = require "moongate.status_told"

local command = {}

local HELP = [[
moongate status [--line] [--json] [-c moongate.lua]

Tells how the running gateway is, and of every provider its state, whether it has a free tier, the quota of which the
smallest share is left, and its credits.

  --line  in one line: the free provider that would be called first and its tightest quota ("groq 950/1k rpd left"),
          "exhausted" when no free one can be used now, nothing where none is configured. Without a gateway: one line on
          standard error, exit code 1
  --json  as GET /v1/status answers it

  moongate status
  tmux set -g status-interval 5; tmux set -g status-right '#(moongate status --line -c /etc/moongate/moongate.lua)']]

local OPTIONS = { ["-c"] = "config", ["--config"] = "config" }
local FLAGS = { ["--line"] = "line", ["--json"] = "json", ["--help"] = "help", ["-h"] = "help" }
-- A status bar does not wait.
local LINE_SECONDS, SECONDS = 2, 10

local function say(message)
  process.complain("moongate status: " .. message)
  return 1
end

local function first_line(text)
  local line, more = string.match(text, "^([^\n]*)(\n?)")
  return more ~= "" and line .. " (and more; moongate check tells all)" or line
end

local function run(options)
  local config, problem = control.peek(options.config)
  if not config then
    process.complain(options.line and first_line(problem) or problem)
    return 1
  end
  local status, reply = asking.ask(config, { path = "/v1/status", seconds = options.line and LINE_SECONDS or SECONDS })
  if not status then return say(reply) end
  if status ~= 200 or type(reply.providers) ~= "table" then return say(asking.refusal(config, status, reply)) end
  if options.line then
    if reply.line ~= "" then process.print(reply.line) end
  elseif options.json then
    process.print(json.encode(reply))
  else
    for _, line in ipairs(status_told.table(reply, offline.columns())) do process.print(line) end
  end
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
  if options and options.line and options.json then wrong = "either --line or --json" end
  if wrong then
    process.complain("moongate status: " .. wrong .. "; moongate status --help tells more")
    return 2
  end
  return run(options)
end

return command
