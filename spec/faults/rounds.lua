-- What specs share that kill something under load: the load, what the provider counts for each request, and how the
-- ledger must look afterwards.
local assert = require "luassert"
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local rounds = {}

local CALLERS = 24
local NOON = 1772366400 -- 2026-03-01T12:00:00Z

-- What the provider counts for a request whose id ends in that figure.
function rounds.figures(id)
  local figure = tonumber(id:match "(%d)$")
  return 10 + figure * 13, 1 + figure * 7
end

local function cases()
  local list = {}
  for figure = 0, 9 do
    local prompt, completion = rounds.figures(tostring(figure))
    list[#list + 1] = { when = "load-" .. figure .. ".", delay = figure % 3,
      usage = { prompt_tokens = prompt, completion_tokens = completion, total_tokens = prompt + completion } }
  end
  return list
end

-- A gateway that does not run yet, at noon: no midnight in between.
function rounds.gateway(store, upstream)
  local moongate = gateway.prepare { clock = true, config = {
    store = store,
    providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0,
      limits = { rpd = 1e7, tpd = 1e9 } } },
    models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } },
  } }
  moongate:shift(NOON - os.time())
  return moongate
end

-- A round of calls, whose request ids begin with `prefix`; ended by the gateway's end.
function rounds.load(moongate, upstream, prefix)
  upstream:forget():usually { cases = cases() }
  local load = process.start { "node", "spec/faults/load.js", moongate.address, tostring(CALLERS), prefix }
  local round = {}

  -- Waits until so many requests have begun and ended, together.
  function round.await(events)
    wait.until_(function() return select(2, load:output():gsub("\n", "")) >= events end, "the load", 60)
  end

  -- After the gateway has ended: the ids that were begun, seen complete, and seen by the provider.
  function round.harvest()
    load:wait()
    local begun, done, reached = {}, {}, {}
    for what, id in load:output():gmatch "(%l+) (%S+)" do
      assert(what ~= "odd", load:output():match "odd [^\n]*")
      if what == "begin" then begun[id] = true elseif what == "done" then done[id] = true end
    end
    for _, record in ipairs(upstream:seen()) do
      local id = record.body:match "This is ([^.]*)%."
      if id then reached[id] = true end
    end
    return begun, done, reached
  end

  return round
end

-- Holds a round's rows (by request id: outcome, input, output, cost, estimated) against what callers and provider saw,
-- and adds to the tally: tokens, lost, seen.
function rounds.check(rows, begun, done, reached, tally)
  for id in pairs(done) do
    assert.equal("ok", rows[id] and rows[id].outcome, id)
    tally.seen = tally.seen + 1
  end
  for id in pairs(reached) do assert.truthy(rows[id], id) end
  for id, row in pairs(rows) do
    assert.is_true(begun[id], id)
    if row.outcome == "lost" then
      assert.is_true(row.estimated and row.input > 0, id)
      tally.lost = tally.lost + 1
    else
      local prompt, completion = rounds.figures(id)
      assert.same({ outcome = "ok", input = prompt, output = completion, cost = prompt + 2 * completion,
        estimated = false }, row, id)
      tally.tokens = tally.tokens + prompt + completion
    end
  end
end

-- The most that one call can have counted for.
function rounds.most()
  local prompt, completion = rounds.figures "9"
  return prompt + completion
end

return rounds
