-- GET /admin/events: what happens, as it happens. `hello` tells the gateway's time; `overview` tells how everything
-- stands whenever that has changed, once a second at most; `request` tells of one that has ended, on whichever worker.
-- Nothing waits for whoever reads slowly: it misses what the bulletin no longer has.
local board = require "moongate.board"
local bulletin = require "moongate.core.bulletin"
local clock = require "moongate.core.clock"
local exchange = require "moongate.exchange"
local gate = require "moongate.core.gate"
local json = require "moongate.core.json"

local events = {}

local TICK, SECOND, SILENCE = 0.2, 1, 15
-- Reading it all takes so much of a worker at most.
local SHARE = 20
local HEADERS = {
  ["content-type"] = "text/event-stream; charset=utf-8", ["cache-control"] = "no-store", ["x-accel-buffering"] = "no",
}

-- The events that are due: their text, and what follow shall remember once they are taken.
local function due(state, seen, now)
  local parts = {}
  local number, notices = bulletin.since(seen.number)
  for line in string.gmatch(notices, "[^\n]+") do parts[#parts + 1] = "event: request\ndata: " .. line .. "\n\n" end
  local after = { number = number, text = seen.text, look_at = seen.look_at, said_at = seen.said_at }
  if now >= seen.look_at then
    local text = board.text(state)
    after.look_at = now + math.max(SECOND, SHARE * (clock.monotonic() - now))
    if text ~= seen.text then
      parts[#parts + 1] = "event: overview\ndata: " .. text .. "\n\n"
      after.text = text
    end
  end
  if #parts == 0 and now - seen.said_at > SILENCE then parts[1] = ": still here\n\n" end
  if #parts > 0 then after.said_at = now end
  return table.concat(parts), after
end

-- Until the reader leaves, the gateway drains, or another configuration, whose token may be another, is in force.
local function follow(handle, state)
  local seen = { number = (bulletin.since(0)), look_at = 0, said_at = clock.monotonic() }
  while not (gate.state().draining or state.is_over) do
    local text, after = due(state, seen, clock.monotonic())
    if text == "" or handle:offer(text) then seen = after end
    if not clock.sleep(TICK) then return end
  end
  handle:finish()
end

function events.stream(handle, state)
  if not bulletin.watch() then
    return exchange.refuse(handle, {
      status = 503, code = "too_many_onlookers", retry_after = 30,
      message = "as many follow the events as may: close a dashboard, or ask GET /admin/overview now and then",
    })
  end
  handle:begin(200, HEADERS)
  handle:offer("event: hello\ndata: " .. json.encode { now = clock.now() } .. "\n\n")
  local fine, fault = xpcall(follow, debug.traceback, handle, state)
  bulletin.leave()
  if not fine then error(fault, 0) end
end

return events
