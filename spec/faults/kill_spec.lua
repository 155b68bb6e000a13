-- A gateway that is killed under load, again and again: what a caller saw completed is in the ledger once, with the
-- right figures, and what was under way is found. MOONGATE_ROUNDS says how often (50 takes under a minute),
-- MOONGATE_SEED where the dice begin.
local bench = require "spec.store.workbench"
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local rounds = require "spec.faults.rounds"

local ROUNDS = tonumber(os.getenv "MOONGATE_ROUNDS") or 5
local SEED = tonumber(os.getenv "MOONGATE_SEED") or 20260301

for _, store in ipairs { "sqlite:moongate.db", "sqlite:moongate.db?sync=second" } do
  describe("a gateway that is killed under load, with " .. store, function()
    local upstream, moongate, database

    setup(function()
      upstream = provider.open()
      moongate = rounds.gateway(store, upstream)
      database = moongate.folder .. "/moongate.db"
    end)

    teardown(gateway.stop_all)

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

    local dice, tally = SEED, { tokens = 0, lost = 0, seen = 0 }

    for number = 1, ROUNDS do
      it("has what callers saw completed, and finds what was under way (round " .. number .. ")", function()
        dice = dice * 16807 % 2147483647
        moongate:open()
        local round = rounds.load(moongate, upstream, "round" .. number)
        round.await(1 + dice % 900)
        moongate:kill()
        local begun, done, reached = round.harvest()
        moongate:open():stop() -- closes as lost what was under way
        rounds.check(rows_of(number), begun, done, reached, tally)
        assert.equal(0, bench.open_rows(database))
        assert.same({ "ok" }, bench.sql(database, "PRAGMA integrity_check"))
      end)
    end

    it("has counted the day's tokens: those of all rows, and at most those of the lost ones beyond", function()
      local counted = tonumber(bench.sql(database,
        "SELECT settled FROM counters WHERE window = 'day' AND key LIKE '%acme%tokens%'")[1])
      assert.is_true(tally.seen > 0 and tally.lost > 0)
      assert.is_true(counted >= tally.tokens, counted)
      assert.is_true(counted <= tally.tokens + tally.lost * rounds.most(), counted)
      assert.equal(tally.tokens, tonumber(bench.sql(database,
        "SELECT sum(input_tokens + output_tokens) FROM ledger WHERE outcome = 'ok'")[1]))
    end)
  end)
end
