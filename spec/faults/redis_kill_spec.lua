-- Gateway and Redis are killed under load, again and again: what a caller saw completed is in the ledger on Redis once,
-- with the right figures, and what was under way is found. MOONGATE_ROUNDS says how often, MOONGATE_SEED where the dice
-- begin.
local bench = require "spec.store.workbench"
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local rounds = require "spec.faults.rounds"
local wait = require "spec.support.wait"

local ROUNDS = tonumber(os.getenv "MOONGATE_ROUNDS") or 4
local SEED = tonumber(os.getenv "MOONGATE_SEED") or 20260301

describe("with its ledger on Redis, a gateway", function()
  local upstream, server, moongate

  setup(function()
    upstream = provider.open()
    server = redis.start { appendonly = true, args = { "--appendfsync", "everysec" } }
    moongate = rounds.gateway(("redis://127.0.0.1:%d/0"):format(server.port), upstream)
  end)

  teardown(function()
    gateway.stop_all()
    server:free()
  end)

  -- The rows of a round by request id; none twice.
  local function rows_of(prefix)
    local rows = {}
    for _, entry in ipairs(server:command("XRANGE", "moongate:ledger", "-", "+")) do
      local fields = {}
      for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
      local id = fields.request_id
      if id:sub(1, #prefix) == prefix then
        assert(not rows[id], "twice in the ledger: " .. id)
        rows[id] = { outcome = fields.outcome, input = tonumber(fields.input_tokens),
          output = tonumber(fields.output_tokens), cost = tonumber(fields.cost_microusd),
          estimated = fields.estimated == "true" }
      end
    end
    return rows
  end

  local function all_of(ids, rows)
    for id in pairs(ids) do
      if not rows[id] then return false end
    end
    return true
  end

  local function is_ready()
    local answer = moongate:request { path = "/ready" }
    return answer.status == 200 and answer:json().status == "ready"
  end

  -- How the rounds differ: what is killed besides the gateway, and when.
  local kinds = {
    { "when it is killed", function(round, dice)
      round.await(1 + dice % 900)
    end },
    { "when Redis is killed, and it is a while after", function(round, dice)
      round.await(1 + dice % 300)
      server:kill()
      round.await(301 + dice % 300)
      server:restart()
      wait.until_(is_ready, "the gateway to have Redis back")
      round.await(901)
    end },
    { "when Redis is killed, and then it is", function(round, dice)
      round.await(1 + dice % 300)
      server:kill()
      round.await(301 + dice % 300)
    end },
    { "when Redis is frozen, and then it is killed", function(round, dice)
      round.await(1 + dice % 300)
      server:freeze()
      round.await(301 + dice % 300)
    end },
  }

  local dice, tally = SEED, { tokens = 0, lost = 0, seen = 0 }

  for number = 1, ROUNDS do
    local kind = kinds[(number - 1) % #kinds + 1]

    it(("has what callers saw completed, %s (round %d)"):format(kind[1], number), function()
      dice = dice * 16807 % 2147483647
      local prefix = "round" .. number .. "-"
      moongate:open()
      local round = rounds.load(moongate, upstream, "round" .. number)
      kind[2](round, dice)
      moongate:kill()
      if server.frozen then server:thaw() end
      if server.process:has_ended() then server:restart() end
      local begun, done, reached = round.harvest()
      moongate:open() -- delivers what was left, and closes as lost what was under way
      local rows = {}
      wait.until_(function()
        rows = rows_of(prefix)
        return all_of(done, rows) and all_of(reached, rows)
      end, "the rows")
      moongate:stop()
      rounds.check(rows_of(prefix), begun, done, reached, tally)
      local spool = moongate.folder .. "/moongate-spool-1.db"
      assert.same({ "0" }, bench.sql(spool, "SELECT count(*) FROM ledger"))
      assert.equal(0, bench.open_rows(spool))
      assert.is_false(bench.exists(moongate.folder .. "/moongate-spool-2.db"))
    end)
  end

  it("has seen some of either, and as many rows by time as in all", function()
    assert.is_true(tally.seen > 0 and tally.lost > 0)
    assert.equal(server:command("XLEN", "moongate:ledger"), server:command("ZCARD", "moongate:ledger:times"))
  end)
end)
