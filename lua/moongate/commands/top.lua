-- `moongate top`: the running gateway, live in the terminal; where there is no terminal, once.
local asking = require "moongate.asking"
local clock = require "moongate.core.clock"
local offline = require "moongate.core.offline"
local process = require "moongate.core.process"
local terminal = require "moongate.core.terminal"
local top_view = require "moongate.top_view"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate top [-c moongate.lua]

Shows the running gateway at work, anew every second: requests a second, providers with their quotas and whether they
have capacity, the ladder as it is now, the newest requests. q or Ctrl-C ends it. When the gateway goes away it says
so, and goes on when that is back. Where the output is no terminal it is shown once, without colours (as with NO_COLOR
set).

The gateway is found by `listen` and asked with `admin_token` of the configuration.

  moongate top -c /etc/moongate/moongate.lua]]

local EVERY, SECONDS = 1, 2
local MOST_REQUESTS = 50
-- What the ladder is asked for.
local SMALL = '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'
local HOME, CLEAR_LINE, CLEAR_REST = "\27[H", "\27[K", "\27[J"
local QUITS = { q = true, Q = true, ["\3"] = true, ["\4"] = true, ["\27"] = true }

-- What the gateway answers; nil and a sentence.
local function ask(config, path, method, body)
  local status, reply = asking.ask(config, { method = method, path = path, body = body, seconds = SECONDS })
  if not status then return nil, reply end
  if status == 200 then return reply end
  return nil, asking.refusal(config, status, reply), reply
end

-- The rate over the last few seconds: one alone jumps.
local function rate_of(history, count, now)
  history[#history + 1] = { count = count, at = now }
  if history[#history - 1] and count < history[#history - 1].count then -- another process answers now
    for i = 1, #history do history[i] = nil end
    history[1] = { count = count, at = now }
  end
  while #history > 6 do table.remove(history, 1) end
  local first, last = history[1], history[#history]
  if last.at - first.at < 0.2 then return nil end
  return (last.count - first.count) / (last.at - first.at)
end

-- Brings the state up to date. True: the gateway answered.
local function look_at(config, state, history)
  state.now = clock.now()
  local overview, why = ask(config, "/admin/overview")
  state.away = why
  if not overview or type(overview.providers) ~= "table" then
    state.away = why or "the gateway's answer makes no sense"
    return false
  end
  state.overview = overview
  state.rate = rate_of(history, overview.counts.requests, clock.monotonic())
  local requests = ask(config, "/admin/requests?limit=" .. MOST_REQUESTS)
  state.requests = requests and requests.requests or state.requests
  local ladder, _, refusal = ask(config, "/v1/router/debug", "POST", SMALL)
  state.ladder = ladder or refusal or state.ladder
  return true
end

local function draw(state, look)
  look.columns, look.rows = terminal.size()
  local lines = top_view.lines(state, look)
  -- Cleared before it is written: at the end of a full line, its last character would go.
  local text = table.concat(lines, "\r\n" .. CLEAR_LINE, 1, math.min(#lines, look.rows))
  terminal.write(HOME .. CLEAR_LINE .. text .. (#lines < look.rows and "\r\n" .. CLEAR_REST or ""))
end

local function speaks_utf8()
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
    local value = process.env(name)
    if value then return string.find(string.lower(value), "utf%-?8") ~= nil end
  end
  return false
end

-- Until somebody quits.
local function live(config, state, history, look)
  while true do
    local drawn_at = clock.monotonic()
    draw(state, look)
    local is_due = false
    while not is_due do
      local key = terminal.wait(math.max(0, drawn_at + EVERY - clock.monotonic()))
      if key == false or QUITS[key] then return end
      if key == "" then draw(state, look) end -- another size
      is_due = key == nil
    end
    look_at(config, state, history)
  end
end

local function run(options)
  local config = verb.peek(options)
  if not config then return 1 end
  local state, history = { address = config.listen[1].addr, now = clock.now() }, {}
  if not look_at(config, state, history) then return verb.fail("top", state.away) end
  local look = { colour = process.env "NO_COLOR" == nil, utf8 = speaks_utf8() }
  if not terminal.open() then
    look.colour, look.utf8, look.columns = false, speaks_utf8(), offline.columns() or 120
    for _, line in ipairs(top_view.lines(state, look)) do process.print((string.gsub(line, "%s+$", ""))) end
    return 0
  end
  local fine, fault = pcall(live, config, state, history, look)
  terminal.close()
  if not fine then return verb.fail("top", tostring(fault)) end
  return 0
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({ name = "top", help = HELP, run = run }, words)
end

return command
