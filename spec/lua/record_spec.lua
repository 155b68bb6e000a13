-- What is written down of a request: one row that is closed once, the amounts that are settled once, counters, and a
-- line of the log. However the request ends.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("the record of a request", function()
  local core, record, target

  before_each(function()
    core = fakes.install()
    record = require "moongate.record"
    target = fakes.target("one/small", {
      cost = { input = 2, output = 6, cached_input = 1 },
      provider_limits = { { name = "rpm", metric = "requests", window = "minute", max = 30 } },
    })
  end)
  after_each(function() core.restore() end)

  local usage = { input = 100, cached = 40, cache_write = 0, output = 50, reasoning = 10, total = 200 }
  local explained = { "policy", "task", "reason", "ladder", "candidates" }

  -- A call with a plan that explains itself.
  local function new_call(more)
    local call = fakes.call({ target }, more)
    local plan = { policy = "mine@12345678", task = "coding", reason = "because", ladder = { target },
      request = call.request, runs = {}, faults = {}, offered = {}, refused = {}, refused_why = {} }
    call.plan = plan
    call.calls = 2
    return call
  end

  local function answer_of(call)
    local claims = require "moongate.claims"
    local list = claims.list(target, call.caller, call.state.config)
    return { target = target, reservation = "r1", wanted = { claims = list } }
  end

  local function line(number)
    local told = core.of "log.write"
    local last = told[number or #told]
    return json.decode("{" .. last[3] .. "}"), last[1], last[2]
  end

  local function closed()
    local rows = core.of "ledger.close"
    assert.equal(1, #rows)
    return rows[1][1]
  end

  local function streams() return core.counted["moongate_streams_open{}"] or 0 end

  describe("that was answered", function()
    local function settle(more, used, kind, delivered)
      local call = new_call(more)
      call.handle.elapsed_s = 1.2345
      record.open(call)
      local row = record.settle(call, answer_of(call), kind or "ok", used, delivered or 0)
      return row, call
    end

    it("is a row that was opened before, closed once, with the provider's own figures", function()
      core.now = 1700000123
      local _, call = settle({ request = { model = "auto" }, caller = { label = "ci" } }, usage)
      local opened, row = core.of "ledger.open", closed()
      assert.equal(1, #opened)
      assert.same({ "request-1", "row-1" }, { opened[1][1].request_id, row.row_id })
      assert.same({ "dev", "acme", "pro", "ci", 1700000123 }, { row.key, row.org, row.tier, row.label, row.time })
      assert.same({ "chat", "coding", "mine@12345678", "one", "small", "ok" },
        { row.surface, row.task, row.policy, row.provider, row.model, row.outcome })
      assert.same({ 100, 40, 0, 50, 10 },
        { row.input_tokens, row.cached_tokens, row.cache_write_tokens, row.output_tokens, row.reasoning_tokens })
      assert.same({ 200, 100 * 2 + 40 * 1 + 60 * 6, false, 2, 200, 1235 },
        { row.billed_tokens, row.cost_microusd, row.estimated, row.attempts, row.status, row.latency_ms })
      assert.equal(row.row_id, call.row.row_id)
    end)

    it("tells while it is under way what was asked for, in case it is lost", function()
      local call = new_call { request = { model = "gpt-4" } }
      record.open(call)
      local row = core.of("ledger.open")[1][1]
      assert.same({ "gpt-4", 10, "mine@12345678" }, { row.model, row.input_tokens, row.policy })
      call = new_call()
      call.request.model = nil
      record.open(call)
      assert.equal("auto", core.of("ledger.open")[2][1].model)
    end)

    it("settles the reservation once, with the real amounts", function()
      settle({ caller = { rpm = 60, tpm = 900, budget = { usd = 1, billed_tokens = 1000, window = "day" } } }, usage)
      local calls = core.of "store.settle"
      assert.equal(1, #calls)
      assert.same({ "r1", 5 }, { calls[1][1], #calls[1][2] })
      assert.same({ 1, 1, 200, 200, 600 }, { unpack(calls[1], 3, calls[1].n) })
    end)

    it("is estimated from what went to and fro where the provider did not tell, and says so", function()
      local row = settle({ request = { text_length = 41 } }, nil, "ok", 10)
      assert.same({ 11, 3, 14, true },
        { row.usage.input, row.usage.output, row.billed_tokens, row.usage.estimated })
      assert.equal(11 * 2 + 3 * 6, row.cost_microusd)
      assert.is_true(line().estimated)
    end)

    it("keeps its attempts and the explanation with the row", function()
      local call = new_call()
      call.attempts = { { target = { provider = "one", model = "small" }, status = 200, ms = 5 } }
      record.open(call)
      record.settle(call, answer_of(call), "ok", usage, 0)
      local detail = json.decode(closed().detail)
      assert.same({ { provider = "one", model = "small", status = 200, ms = 5 } }, detail.attempts)
      for _, name in ipairs(explained) do assert.is_not_nil(detail.explanation[name], name) end
      assert.same({ "one/small" }, detail.explanation.ladder)
    end)

    it("tells the same of a decision that was written down before, and holds no more of it than that", function()
      local function detail_of(is_early)
        core.now = 1700000123 + (is_early and 7200 or 0) -- the world is due with both
        local call = new_call()
        record.open(call)
        local plan = call.plan
        if is_early then
          record.keep_decision(call)
          assert.same({ policy = plan.policy, task = plan.task }, call.plan)
        end
        record.settle(call, answer_of(call), "ok", usage, 0)
        local rows = core.of "ledger.close"
        return json.decode(rows[#rows][1].detail)
      end
      local whole = detail_of(false)
      assert.truthy(whole.decision and whole.explanation and whole.world)
      assert.same(whole, detail_of(true))
    end)

    it("keeps an empty list of attempts as a list", function()
      settle(nil, usage)
      assert.matches('"attempts":[]', closed().detail, 1, true)
    end)

    it("is counted: requests, durations, tokens by kind, cost", function()
      local call = new_call()
      call.handle.elapsed_s, call.upstream_seconds = 1.5, 1.25
      record.open(call)
      record.settle(call, answer_of(call), "ok", usage, 0)
      local function counted(name) return core.counted["moongate_" .. name] end
      assert.equal(1, counted 'requests_total{surface="chat",provider="one",model="small",status="200"}')
      assert.same({ 100, 40, 0, 50, 10 }, {
        counted 'tokens_total{kind="input"}', counted 'tokens_total{kind="cached_input"}',
        counted 'tokens_total{kind="cache_write"}', counted 'tokens_total{kind="output"}',
        counted 'tokens_total{kind="reasoning"}',
      })
      assert.same({ 200, 600 }, { counted "billed_tokens_total{}", counted "cost_microusd_total{}" })
      assert.same({ 1.5, 1.25, 0.25 }, { core.observed["moongate_request_seconds{}"],
        core.observed["moongate_upstream_seconds{}"], core.observed["moongate_overhead_seconds{}"] })
    end)

    it("has no overhead below nothing", function()
      local call = new_call()
      call.handle.elapsed_s, call.upstream_seconds = 1, 1.5
      record.open(call)
      record.settle(call, answer_of(call), "ok", usage, 0)
      assert.equal(0, core.observed["moongate_overhead_seconds{}"])
    end)

    it("counts its stream as open until it is closed", function()
      local call = new_call { request = { stream = true } }
      record.open(call)
      assert.equal(1, streams())
      record.settle(call, answer_of(call), "ok", usage, 0)
      assert.equal(0, streams())
    end)

    -- how the stream ended, outcome of the row
    for kind, outcome in pairs { ok = "ok", cancelled = "cancelled", cut = "error", timeout = "error" } do
      it("is " .. outcome .. " where it ended as " .. kind, function()
        local row = settle({ request = { stream = true } }, usage, kind)
        assert.same({ outcome, 200 }, { row.outcome, closed().status })
        assert.equal(1, #core.of "store.settle")
      end)
    end

    it("tells savings against the baseline's price, also where it was dearer", function()
      local call = new_call { config = { premium_baseline = "gpt-4o" } }
      call.state.registry.cost = function(_, name)
        return name == "gpt-4o" and { input = 1, output = 1 } or nil
      end
      record.open(call)
      assert.equal(200 - 600, record.settle(call, answer_of(call), "ok", usage, 0).savings_microusd)
    end)

    it("costs nothing where no price is known", function()
      target.cost = nil
      local row = settle(nil, usage)
      assert.same({ 0, 0 }, { row.cost_microusd, row.savings_microusd })
    end)

    describe("bills", function()
      local function billed(answer, fine)
        local call, seen = new_call(), nil
        call.state.policies = {
          billing = function() return { run = "run" } end,
          call = function(_, run, ...)
            seen = { run, ... }
            return fine ~= false, answer
          end,
        }
        record.open(call)
        return record.settle(call, answer_of(call), "ok", usage, 0).billed_tokens, seen
      end
      local faults = 'moongate_policy_faults_total{policy="billing",kind="result"}'

      it("by the billing policy, which sees caller, model and usage", function()
        local tokens, seen = billed(1.1)
        assert.equal(220, tokens)
        assert.same({ "run", { name = "dev", org = "acme", tier = "pro" } }, { seen[1], seen[2] })
        assert.same({ id = "small", provider = "one", is_local = false, cost = target.cost }, seen[3])
        assert.same({ input = usage.input, cached = usage.cached, cache_write = usage.cache_write,
          output = usage.output, reasoning = usage.reasoning, total = usage.total }, seen[4])
        assert.error_matches(function() return seen[2].teir end, 'a caller has no "teir" %(did you mean "tier"%?%)')
        assert.error_matches(function() return seen[3].provder end, 'a model has no "provder"')
        assert.error_matches(function() return seen[3].cost.imput end, 'a cost has no "imput"')
        assert.error_matches(function() return seen[4].totl end, 'a usage has no "totl" %(did you mean "total"%?%)')
      end)

      it("nothing where it says so, and rounds up", function()
        assert.equal(0, (billed(0)))
        assert.equal(1, (billed(0.0001)))
      end)

      it("once the total where the policy fails or answers nonsense, which is counted", function()
        assert.equal(200, (billed({ kind = "error" }, false)))
        assert.is_nil(core.counted[faults]) -- a policy that failed was counted when it did
        for i, answer in ipairs { "2", -1, 0 / 0, 2e6, {} } do
          assert.equal(200, (billed(answer)))
          assert.equal(i, core.counted[faults])
        end
      end)

      it("without a policy the total, and nothing for a local model", function()
        assert.equal(200, settle(nil, usage).billed_tokens)
        target.is_local = true
        assert.equal(0, settle(nil, usage).billed_tokens)
      end)
    end)

    it("has a line in the log, without secrets and without what was said", function()
      local handle = fakes.handle { headers = { authorization = "Bearer the-callers-key" }, body = "a secret prompt" }
      settle({ handle = handle, caller = { label = "ci", key = "the-callers-key" },
        body = '{"messages":[{"role":"user","content":"a secret prompt"}]}' }, usage)
      local told, level, message = line()
      assert.same({ "info", "request" }, { level, message })
      assert.same({ "request-1", "dev", "ci", "chat", "auto", "one", "small", "ok", 200, 2, 200, 600, 1235 },
        { told.request_id, told.key, told.label, told.surface, told.asked, told.provider, told.model, told.outcome,
          told.status, told.attempts, told.billed_tokens, told.cost_microusd, told.latency_ms })
      assert.is_nil(told.estimated or told.error)
      for _, call in ipairs(core.of "log.write") do
        for _, secret in ipairs { "secret-of-one", "the-callers-key", "a secret prompt" } do
          assert.not_matches(secret, call[3], 1, true)
        end
      end
    end)
  end)

  describe("whose caller left before the answer", function()
    it("is cancelled, and pays for the prompt that the provider has read", function()
      local call = new_call { request = { text_length = 40, stream = true }, caller = { tpm = 900 } }
      record.open(call)
      local ended = answer_of(call)
      ended.cancelled = "client_gone"
      record.abandon(call, ended)
      local row = closed()
      assert.same({ "cancelled", 499, "one", 10, 0, 10, 20, true },
        { row.outcome, row.status, row.provider, row.input_tokens, row.output_tokens, row.billed_tokens,
          row.cost_microusd, row.estimated })
      local settled = core.of("store.settle")[1]
      assert.same({ "r1", 1, 1, 10, 10, 20 }, { settled[1], unpack(settled, 3, settled.n) })
      assert.same({ 1, 0 }, { #core.of "store.settle", streams() })
    end)

    it("during a pause between two calls, has used nothing more", function()
      local call = new_call()
      record.open(call)
      record.abandon(call, { cancelled = "client_gone" })
      local row = closed()
      assert.same({ "cancelled", 499, 0 }, { row.outcome, row.status, row.input_tokens })
      assert.is_nil(row.provider or row.billed_tokens)
      assert.same({}, core.of "store.settle")
      assert.is_nil(core.counted["moongate_billed_tokens_total{}"])
    end)
  end)

  describe("that was refused", function()
    it("after it was opened closes its row, as an error that used nothing", function()
      local call = new_call { request = { stream = true } }
      record.open(call)
      record.refuse(call, { status = 502, message = "all providers failed: one/small: server error (500)" })
      local row = closed()
      assert.same({ "row-1", "error", 502, 0, 0, 2 },
        { row.row_id, row.outcome, row.status, row.input_tokens, row.output_tokens, row.attempts })
      assert.is_nil(row.provider)
      assert.equal(0, streams())
      local told, level = line()
      assert.same({ "warn", "all providers failed: one/small: server error (500)" }, { level, told.error })
      assert.equal(1, core.counted['moongate_requests_total{surface="chat",provider="",model="",status="502"}'])
    end)

    it("before that has a row nevertheless, closed once, and never counted as a stream", function()
      local call = new_call { request = { stream = true, model = "nosuch" } }
      call.plan, call.calls = nil, 0
      record.refuse(call, { status = 404, message = 'there is no model "nosuch" here' })
      local row = closed()
      assert.is_nil(row.row_id)
      assert.same({ "error", 404, "", "nosuch", 0 }, { row.outcome, row.status, row.policy, row.model, row.attempts })
      assert.same({}, core.of "ledger.open")
      assert.equal(0, streams())
      assert.equal("info", (select(2, line())))
      assert.is_nil(json.decode(row.detail).explanation)
    end)

    it("by the router tells the plan that came to nothing", function()
      local call = new_call()
      local plan = call.plan
      call.plan = nil
      record.refuse(call, { status = 503, message = "nothing usable", plan = plan })
      assert.equal(plan, call.plan)
      assert.equal("mine@12345678", closed().policy)
      assert.is_not_nil(json.decode(closed().detail).explanation)
    end)

    it("before anybody knew whose it is leaves a line and a count, and no row", function()
      local handle = fakes.handle { path = "/v1/embeddings", headers = { authorization = "Bearer wrong-key" } }
      record.turn_away(handle, { status = 401, message = "unknown API key" })
      local told, level, message = line()
      assert.same({ "info", "request refused" }, { level, message })
      assert.same({ request_id = "request-1", path = "/v1/embeddings", status = 401, error = "unknown API key" }, told)
      assert.equal(1, core.counted['moongate_requests_total{surface="",provider="",model="",status="401"}'])
      assert.same({}, core.of "ledger.close")
    end)
  end)

  it("tells of policies that answered nonsense, not of those that were told of when they failed", function()
    record.faults { faults = {
      { policy = "mine@1234", kind = "result", message = "returned nothing" },
      { policy = "gone", kind = "missing", message = "there is no such routing policy" },
      { policy = "slow@1234", kind = "time", message = "took too long" },
    } }
    record.faults(nil)
    record.faults {}
    local logged = core.of "log.write"
    assert.equal(2, #logged)
    assert.same({ policy = "routing/mine", kind = "result", error = "returned nothing" }, (line(1)))
    assert.same({ policy = "routing/gone", kind = "missing", error = "there is no such routing policy" }, (line(2)))
    assert.equal(1, core.counted['moongate_policy_faults_total{policy="routing/mine",kind="result"}'])
    assert.is_nil(core.counted['moongate_policy_faults_total{policy="routing/slow",kind="time"}'])
  end)
end)
