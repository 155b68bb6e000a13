-- A gateway that is killed under load, again and again: what a caller saw completed is in the ledger once, with the
-- right figures, and what was under way is found. MOONGATE_ROUNDS says how often (50 takes under a minute),
-- MOONGATE_SEED where the dice begin.
local bench = require "spec.store.workbench"
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local ROUNDS = tonumber(os.getenv "MOONGATE_ROUNDS") or 5
local SEED = tonumber(os.getenv "MOONGATE_SEED") or 20260301
local CALLERS = 24
local NOON = 1772366400 -- 2026-03-01T12:00:00Z

-- What the provider counts for a request whose id ends in that figure.
local function figures(id)
  local figure = tonumber(id:match "(%d)$")
  return 10 + figure * 13, 1 + figure * 7
end

local function cases()
  local list = {}
  for figure = 0, 9 do
    local prompt, completion = figures(tostring(figure))
    list[#list + 1] = { when = "load-" .. figure .. ".", delay = figure % 3,
      usage = { prompt_tokens = prompt, completion_tokens = completion, total_tokens = prompt + completion } }
  end
  return list
end

describe("a gateway that is killed under load", function()
  local upstream, moongate, database

  setup(function()
    upstream = provider.open():usually { cases = cases() }
    moongate = gateway.prepare { clock = true, config = {
      store = "sqlite:moongate.db",
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0,
        limits = { rpd = 1e7, tpd = 1e9 } } },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } },
    } }
    moongate:shift(NOON - os.time()) -- no midnight in between
    database = moongate.folder .. "/moongate.db"
  end)

  teardown(gateway.stop_all)

  local function count(text) return select(2, text:gsub("\n", "")) end

  -- Lets callers begin and end so many requests between them, kills the gateway, and gives the ids that were begun,
  -- done, and seen by the provider.
  local function round(number, events)
    upstream:forget():usually { cases = cases() }
    moongate:open()
    local load = process.start { "node", "spec/faults/load.js", moongate.address, tostring(CALLERS), "round" .. number }
    wait.until_(function() return count(load:output()) >= events end, "the load", 60)
    moongate:kill()
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

  -- The rows of a round by request id; none twice.
  local function rows_of(number)
    local rows = {}
    for _, line in ipairs(bench.sql(database, ([[SELECT request_id || ' ' || outcome || ' ' || input_tokens || ' ' ||
      output_tokens || ' ' || cost_microusd || ' ' || estimated FROM ledger WHERE request_id LIKE 'round%d-%%']])
      :format(number))) do
      local id, outcome, input, output, cost, estimated = line:match "^(%S+) (%S+) (%d+) (%d+) (%d+) (%d)$"
      assert(id, line)
      assert(not rows[id], "twice in the ledger: " .. id)
      rows[id] = { outcome = outcome, input = tonumber(input), output = tonumber(output), cost = tonumber(cost),
        estimated = estimated == "1" }
    end
    return rows
  end

  local dice, tokens, lost, seen = SEED, 0, 0, 0

  for number = 1, ROUNDS do
    it("has what callers saw completed, and finds what was under way (round " .. number .. ")", function()
      dice = dice * 16807 % 2147483647
      local begun, done, reached = round(number, 1 + dice % 900)
      moongate:open():stop() -- closes as lost what was under way
      local rows = rows_of(number)
      for id in pairs(done) do
        assert.equal("ok", rows[id] and rows[id].outcome, id)
        seen = seen + 1
      end
      for id in pairs(reached) do assert.truthy(rows[id], id) end
      for id, row in pairs(rows) do
        assert.is_true(begun[id], id)
        if row.outcome == "lost" then
          assert.is_true(row.estimated and row.input > 0, id)
          lost = lost + 1
        else
          local prompt, completion = figures(id)
          assert.same({ outcome = "ok", input = prompt, output = completion, cost = prompt + 2 * completion,
            estimated = false }, row, id)
          tokens = tokens + prompt + completion
        end
      end
      assert.equal(0, bench.open_rows(database))
      assert.same({ "ok" }, bench.sql(database, "PRAGMA integrity_check"))
    end)
  end

  it("has counted the day's tokens: those of all rows, and at most those of the lost ones beyond", function()
    local counted = tonumber(bench.sql(database,
      "SELECT settled FROM counters WHERE window = 'day' AND key LIKE '%acme%tokens%'")[1])
    assert.is_true(seen > 0 and lost > 0)
    assert.is_true(counted >= tokens, counted)
    local most = select(1, figures "9") + select(2, figures "9")
    assert.is_true(counted <= tokens + lost * most, counted)
    assert.equal(tokens, tonumber(bench.sql(database,
      "SELECT sum(input_tokens + output_tokens) FROM ledger WHERE outcome = 'ok'")[1]))
  end)
end)
