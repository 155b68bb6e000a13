-- `moongate status`: how the running gateway's providers and quotas stand; in one line for status bars, which call it
-- again and again: it is quick, and quiet when there is no gateway.
local asking = require "moongate.asking"
local json = require "moongate.core.json"
local offline = require "moongate.core.offline"
local process = require "moongate.core.process"
local status_told = require "moongate.status_told"
local verb = require "moongate.verb"

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

local FLAGS = { ["--line"] = "line", ["--json"] = "json" }
-- A status bar does not wait.
local LINE_SECONDS, SECONDS = 2, 10

local function check(options)
  return options.line and options.json and "either --line or --json" or nil
end

local function run(options)
  local config = verb.peek(options, options.line)
  if not config then return 1 end
  local reply, why = asking.answer(config, { path = "/v1/status", seconds = options.line and LINE_SECONDS or SECONDS },
    "providers")
  if not reply then return verb.fail("status", why) end
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
  return verb.run({ name = "status", help = HELP, flags = FLAGS, check = check, run = run }, words)
end

return command
