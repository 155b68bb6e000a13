local fakes = require "spec.support.fakes"

local core = fakes.install()
local answers = require "moongate.answers"
core.restore()

local target = { id = "acme/small", provider = "acme", model = "small" }

local function call()
  return {
    plan = { policy = "balanced@1a2b" }, calls = 2, attempts = {}, request = { include_usage = false },
    surface = { speaks = "openai" }, caller = { key_id = "k" },
  }
end

describe("the headers of an answer", function()
  it("say who served it, by which policy, at the how-manieth call, for how much", function()
    local headers = answers.headers(call(), { target = target }, { cost_microusd = 33, billed_tokens = 21 })
    assert.same({
      ["content-type"] = "application/json", ["x-moongate-provider"] = "acme", ["x-moongate-model"] = "small",
      ["x-moongate-policy"] = "balanced@1a2b", ["x-moongate-attempts"] = "2", ["x-moongate-cost-usd"] = "0.000033",
      ["x-moongate-billed-tokens"] = "21",
    }, headers)
  end)

  it("of a stream tell no price, which nobody knows yet, and ask proxies not to hold it back", function()
    local headers = answers.stream_headers(call(), { target = target })
    assert.is_nil(headers["x-moongate-cost-usd"])
    assert.equal("text/event-stream; charset=utf-8", headers["content-type"])
    assert.equal("no-cache", headers["cache-control"])
  end)

  it("of a stream are the same with a form and without one", function()
    local begun, handle = call(), fakes.handle()
    begun.handle = handle
    answers.begin(begun, { target = target })
    assert.same({ status = 200, headers = answers.stream_headers(begun, { target = target }) }, handle.begun)
    local with_form = handle.begun.headers
    begun.extra_headers = { ["x-more"] = "m" }
    answers.begin(begun, { target = target })
    assert.equal("m", handle.begun.headers["x-more"])
    handle.begun.headers["x-more"] = nil
    assert.same(with_form, handle.begun.headers)
  end)

  it("of a refusal round the wait up, and tell who was tried last", function()
    local refused = call()
    refused.attempts = {
      { target = { provider = "acme", model = "small" } }, { target = { provider = "other", model = "large" } },
    }
    local headers = answers.refusal_headers({ retry_after = 40.2 }, refused)
    assert.equal("41", headers["retry-after"])
    assert.equal("other", headers["x-moongate-provider"])
    assert.equal("2", headers["x-moongate-attempts"])
    assert.same({ ["content-type"] = "application/json", allow = "GET" }, answers.refusal_headers { allow = "GET" })
  end)
end)

describe("a stream's outcome", function()
  local function kind(seen, reason, finished) return answers.outcome(seen, reason, finished).kind end

  it("is well with its terminal event, or with a finish and a clean end", function()
    assert.equal("ok", kind { ended = "terminal" })
    assert.equal("ok", kind { ended = "finished" })
    assert.equal("ok", kind({ ended = "end" }, nil, true))
  end)

  it("is a failure when it ends before that, in whatever way", function()
    assert.equal("stream_error", kind { ended = "error" })
    assert.equal("cut", kind { ended = "end" })
    assert.equal("cut", kind({ ended = "end", failure = "cut" }, nil, true))
    assert.equal("timeout", kind { ended = "end", failure = "idle_timeout" })
    assert.equal("timeout", kind { ended = "end", failure = "total_timeout" })
  end)

  it("is a cancellation when the caller left or the gateway stops", function()
    assert.same({ kind = "cancelled", message = "the caller left" }, answers.outcome(nil, "client_gone"))
    assert.equal("cancelled", kind(nil, "shutdown"))
  end)
end)
