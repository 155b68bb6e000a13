-- Going up the ladder: the order of its rungs, who is left out and why, what is tried again, and how it is said that
-- nobody could help.
local fakes = require "spec.support.fakes"

describe("climbing the ladder", function()
  local core, climb, tried, outcomes

  -- Verdicts as moongate.failures gives them.
  local function failed(more)
    local verdict = { kind = "server_error", retry = true, next = "yes", status = 500, message = "server error (500)" }
    for name, value in pairs(more or {}) do verdict[name] = value end
    return verdict
  end
  local function bad_request(more)
    local verdict = failed { kind = "bad_request", retry = false, next = "no", status = 400, pass_on = true,
      message = "the request was refused (400)", error = { message = "bad top_p", type = "invalid", code = "x" } }
    for name, value in pairs(more or {}) do verdict[name] = value end
    return verdict
  end
  local function too_long()
    return bad_request { next = "larger", message = "the request is too long (400)", error = { message = "too long" } }
  end
  local limited = { kind = "rate_limited", retry = "last_rung", next = "yes", status = 429, wait = 1.5,
    message = "rate limited (429)" }

  before_each(function()
    core = fakes.install()
    tried, outcomes = {}, {}
    core.replace("moongate.attempt", {
      try = function(call, target)
        tried[#tried + 1] = target.id
        local list = outcomes[target.id] or {}
        local outcome = #list > 1 and table.remove(list, 1) or list[1] or { answer = target.id }
        if type(outcome) == "function" then outcome = outcome(call) end
        if outcome.answer then return outcome end
        if not outcome.skipped and not outcome.refusal then call.attempts[#call.attempts + 1] = {} end
        return nil, outcome
      end,
    })
    climb = require "moongate.climb"
  end)
  after_each(function() core.restore() end)

  local function ladder(more)
    more = more or {}
    local targets = {}
    for i, id in ipairs(more.ids or { "one/a", "two/b", "three/c" }) do
      targets[i] = fakes.target(id, { context_length = more.contexts and more.contexts[i] or nil })
    end
    local call = fakes.call(targets, more)
    local answer, ended = climb.ladder(call)
    return answer and answer.answer, ended, call
  end

  it("takes the first answer, in the order of the ladder", function()
    local answer, _, call = ladder()
    assert.same({ "one/a", { "one/a" }, 1 }, { answer, tried, call.calls })
  end)

  it("asks of the first rung only where it was not found free with the plan", function()
    local first = fakes.target "one/a"
    local call = fakes.call { first, fakes.target "two/b" }
    outcomes["one/a"] = { failed { retry = false } }
    call.plan.standing = { first = first }
    assert.equal("two/b", climb.ladder(call).answer)
    assert.same({ "two/b", "two" }, { core.of("store.exhausted")[1][1], core.of("store.exhausted")[2][1] })
    call.plan.standing = { first = call.plan.ladder[2] }
    climb.ladder(call)
    assert.equal("one/a", core.of("store.exhausted")[3][1])
  end)

  it("goes on to the next rung after a failure", function()
    outcomes = { ["one/a"] = { failed() }, ["two/b"] = { limited } }
    local answer, _, call = ladder()
    assert.same({ "three/c", { "one/a", "two/b", "three/c" }, 3 }, { answer, tried, call.calls })
    assert.equal(0, #core.of "clock.sleep")
  end)

  it("leaves out what is exhausted, itself or its provider, and says why and for how long", function()
    local waits = { ["one/a"] = { 40.2, "rate_limited" }, two = { 90, "" } }
    core.set("store.exhausted", function(name) return unpack(waits[name] or { 0, "" }) end)
    outcomes["three/c"] = { failed { retry = false } }
    local _, ended, call = ladder()
    assert.same({ { "three/c" }, 1 }, { tried, call.calls })
    assert.equal("all providers failed: one/a: exhausted, rate limited (41 s left); two/b: exhausted, no quota "
      .. "(90 s left); three/c: server error (500)", ended.refusal.message)
    assert.equal(40.2, ended.refusal.retry_after)
  end)

  it("does not count a rung that was never called", function()
    outcomes["one/a"] = { { skipped = "no quota left: provider:one:requests minute", wait = 5 } }
    local answer, _, call = ladder()
    assert.same({ "two/b", 1 }, { answer, call.calls })
  end)

  describe("tries the same target again", function()
    it("as often as its provider's `retries` say", function()
      outcomes["one/a"] = { failed() }
      local answer, _, call = ladder { providers = { one = { retries = 2 } } }
      assert.same({ "two/b", { "one/a", "one/a", "one/a", "two/b" }, 4 }, { answer, tried, call.calls })
      assert.equal(2, #core.of "clock.sleep")
    end)

    it("never where `retries` is 0, also on the last rung", function()
      outcomes["one/a"] = { failed() }
      ladder { ids = { "one/a" }, providers = { one = { retries = 0 } } }
      assert.same({ "one/a" }, tried)
    end)

    it("once on the last rung where nothing is stated", function()
      outcomes = { ["one/a"] = { failed() }, ["two/b"] = { failed() } }
      local _, ended = ladder { ids = { "one/a", "two/b" } }
      assert.same({ "one/a", "two/b", "two/b" }, tried)
      assert.equal(502, ended.refusal.status)
    end)

    it("and takes its second answer", function()
      outcomes["one/a"] = { failed(), { answer = "again" } }
      assert.equal("again", (ladder { ids = { "one/a" } }))
    end)

    it("only if the failure is one that a second try can mend", function()
      outcomes["one/a"] = { failed { retry = false } }
      ladder { ids = { "one/a" }, providers = { one = { retries = 3 } } }
      assert.same({ "one/a" }, tried)
    end)

    it("after a pause that doubles, with jitter", function()
      outcomes["one/a"] = { failed() }
      ladder { ids = { "one/a" }, providers = { one = { retries = 4 } } }
      for i, sleep in ipairs(core.of "clock.sleep") do
        assert.is_true(sleep[1] >= 0 and sleep[1] <= 0.25 * 2 ^ (i - 1))
      end
      assert.equal(4, #core.of "clock.sleep")
    end)

    it("after the wait it was told, if it is short and no rung is left", function()
      outcomes["one/a"] = { limited, { answer = "again" } }
      assert.equal("again", (ladder { ids = { "one/a" } }))
      assert.is_true(core.of("clock.sleep")[1][1] >= 1.5)
    end)

    it("not after a refusal while another rung is left, whatever `retries` say", function()
      outcomes["one/a"] = { limited }
      assert.equal("two/b", (ladder { ids = { "one/a", "two/b" }, providers = { one = { retries = 3 } } }))
      assert.same({ "one/a", "two/b" }, tried)
    end)

    it("not after a refusal that stands longer than 2 s", function()
      for _, wait in ipairs { 2.5, false } do
        tried, outcomes = {}, { ["one/a"] = { failed { retry = "last_rung", wait = wait or nil } } }
        ladder { ids = { "one/a" } }
        assert.same({ "one/a" }, tried)
      end
    end)

    it("not once the time for the request is used up", function()
      outcomes["one/a"] = { function(call)
        call.handle.elapsed_s = 600
        return failed()
      end }
      local _, ended = ladder { providers = { one = { retries = 3 } } }
      assert.same({ "one/a" }, tried)
      assert.same({ 504, "timeout" }, { ended.refusal.status, ended.refusal.code })
      assert.equal("the time for this request is used up: one/a: server error (500)", ended.refusal.message)
    end)
  end)

  it("makes at most sixteen calls for one request", function()
    outcomes = { ["one/a"] = { failed() }, ["two/b"] = { failed() } }
    local providers = { one = { retries = 10 }, two = { retries = 10 } }
    local _, ended, call = ladder { providers = providers }
    assert.same({ 16, 16, 502 }, { call.calls, #tried, ended.refusal.status })
  end)

  it("stops at the first bad request, and hands on what the provider said", function()
    outcomes["one/a"] = { bad_request() }
    local _, ended = ladder()
    assert.same({ "one/a" }, tried)
    assert.same({ status = 400, message = "bad top_p", type = "invalid", code = "x" }, ended.refusal)
  end)

  it("says 400 for a refusal that came inside a 200, in our words if there are no others", function()
    local silent = bad_request { status = 200, message = "the content was refused" }
    silent.error = nil
    outcomes["one/a"] = { silent }
    local _, ended = ladder()
    assert.same({ status = 400, message = "the content was refused" }, ended.refusal)
  end)

  describe("with a request too long for a target", function()
    it("goes on to larger contexts only", function()
      outcomes["one/a"] = { too_long() }
      local answer = ladder { contexts = { 8000, 8000, 32000 } }
      assert.same({ "three/c", { "one/a", "three/c" } }, { answer, tried })
    end)

    it("remembers the largest that was too small", function()
      outcomes = { ["one/a"] = { too_long() }, ["two/b"] = { too_long() } }
      local _, ended = ladder { contexts = { 8000, 32000, 16000 } }
      assert.same({ "one/a", "two/b" }, tried)
      assert.same({ 400, "too long" }, { ended.refusal.status, ended.refusal.message })
    end)

    it("does not hope for a context that nobody knows", function()
      outcomes["one/a"] = { too_long() }
      ladder { ids = { "one/a", "two/b" }, contexts = { 8000 } }
      assert.same({ "one/a" }, tried)
    end)
  end)

  it("hands on the last one's words where no provider takes a part of the request", function()
    local function unsupported(words)
      return bad_request { kind = "unsupported", next = "yes", status = 422, error = { message = words } }
    end
    outcomes = { ["one/a"] = { unsupported "no seed" }, ["two/b"] = { unsupported "no logprobs" } }
    local _, ended = ladder { ids = { "one/a", "two/b" } }
    assert.same({ { "one/a", "two/b" }, 422, "no logprobs" }, { tried, ended.refusal.status, ended.refusal.message })
    tried = {}
    assert.equal("three/c", (ladder()))
  end)

  it("with nothing to call is a 503 that lists each rung and the shortest wait", function()
    local waits = { ["one/a"] = { 90, "quota_exhausted" }, ["two/b"] = { 30, "rate_limited" } }
    core.set("store.exhausted", function(name) return unpack(waits[name] or { 0, "" }) end)
    outcomes["three/c"] = { { skipped = "it failed repeatedly and is left alone for a while", wait = 12 } }
    local answer, ended, call = ladder()
    assert.is_nil(answer)
    assert.same({
      status = 503, code = "no_provider_available", retry_after = 12,
      message = "no provider can be used now: one/a: exhausted, quota exhausted (90 s left); two/b: exhausted, "
        .. "rate limited (30 s left); three/c: it failed repeatedly and is left alone for a while (12 s left)",
    }, ended.refusal)
    assert.equal(0, call.calls)
  end)

  it("where the firewall bars every rung is a 403 that says why", function()
    outcomes["one/a"] = { { skipped = "zero_spend is on", barred = true } }
    outcomes["two/b"] = { { skipped = "zero_spend is on", barred = true } }
    local _, ended = ladder { ids = { "one/a", "two/b" } }
    assert.same({
      status = 403, code = "barred", type = "permission_error",
      message = "no provider may be called: one/a: zero_spend is on; two/b: zero_spend is on",
    }, ended.refusal)
  end)

  it("where the firewall bars only some is as without them", function()
    outcomes["one/a"] = { { skipped = "zero_spend is on", barred = true } }
    outcomes["two/b"] = { { skipped = "no quota left", wait = 5 } }
    local _, ended = ladder { ids = { "one/a", "two/b" } }
    assert.same({ 503, 5 }, { ended.refusal.status, ended.refusal.retry_after })
  end)

  it("knows no wait where nobody told one", function()
    outcomes["one/a"] = { { skipped = "zero spend", wait = 0 } }
    local _, ended = ladder { ids = { "one/a" } }
    assert.is_nil(ended.refusal.retry_after)
    assert.equal("no provider can be used now: one/a: zero spend", ended.refusal.message)
  end)

  it("with every call failed is a 502 that says each rung's failure in words", function()
    outcomes = {
      ["one/a"] = { failed { retry = false } }, ["two/b"] = { limited },
      ["three/c"] = { failed { retry = false, status = nil, message = "no content in time" } },
    }
    local _, ended = ladder()
    assert.same({
      status = 502, code = "all_providers_failed", retry_after = 1.5,
      message = "all providers failed: one/a: server error (500); two/b: rate limited (429) (2 s left); "
        .. "three/c: no content in time",
    }, ended.refusal)
  end)

  it("with its time used up is a 504 and tries nobody else", function()
    outcomes["one/a"] = { failed { retry = false, end_name = "total_timeout", message = "out of time" } }
    local _, ended = ladder()
    assert.same({ { "one/a" }, 504 }, { tried, ended.refusal.status })
  end)

  it("ends where the caller leaves during a call", function()
    local left = { cancelled = "client_gone", target = {}, claims = {}, reservation = "r" }
    outcomes["one/a"] = { left }
    local answer, ended, call = ladder()
    assert.same({ { "one/a" }, 1 }, { tried, call.calls })
    assert.is_nil(answer)
    assert.equal(left, ended)
  end)

  it("ends where the caller leaves during a pause", function()
    core.set("clock.sleep", function() return nil, "client_gone" end)
    outcomes["one/a"] = { failed() }
    local answer, ended = ladder { providers = { one = { retries = 2 } } }
    assert.is_nil(answer)
    assert.same({ cancelled = "client_gone" }, ended)
    assert.same({ "one/a" }, tried)
  end)

  describe("at the caller's own limit", function()
    local function refused(blocked, max, wait)
      outcomes["one/a"] = { { refusal = blocked, max = max, wait = wait } }
      local answer, ended, call = ladder()
      assert.is_nil(answer)
      assert.same({ { "one/a" }, 0 }, { tried, call.calls })
      tried = {}
      return ended.refusal
    end

    it("is a 429 that names scope, figure and reset, and tries nobody else", function()
      assert.same({
        status = 429, retry_after = 31, message = "key dev has used up its 60 requests per minute; try again in 31 s",
      }, refused("key:config:dev:requests minute", 60, 30.2))
      assert.equal("key dev has used up its 1000000 billed tokens per month; try again in 9 s",
        refused("key:mg-1:billed_tokens month", 1000000, 9).message)
      assert.equal("org acme has used up its 19.99 USD per day; try again in 5 s",
        refused("org:acme:microusd day", 19990000, 5).message)
    end)

    it("says at least a second, also where the wait or the figure is not known", function()
      local refusal = refused("key:config:a key: b:tokens minute", nil, nil)
      assert.same({ 1, "key dev has used up its tokens per minute; try again in 1 s" },
        { refusal.retry_after, refusal.message })
      assert.equal(1, refused("key:x:tokens minute", 5, 0).retry_after)
      assert.matches("used up its USD per day", refused("org:acme:microusd day").message, 1, true)
    end)

    it("on a later rung ends the climb too", function()
      outcomes = { ["one/a"] = { failed { retry = false } }, ["two/b"] = { { refusal = "key:k:tokens minute" } } }
      local _, ended, call = ladder()
      assert.same({ 429, 1 }, { ended.refusal.status, call.calls })
    end)
  end)
end)
