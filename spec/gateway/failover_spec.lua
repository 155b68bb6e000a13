-- One provider fails, the next one answers: which failures go on, which are tried again, which are the caller's own.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local in_order = [[
-- What is not exhausted, by priority.
return function(request, candidates)
  return candidates
    :drop("exhausted", function(c) return c.exhausted end)
    :sort("priority", function(c) return -c.priority end)
end
]]

local first, second

-- Two providers of the model "small", the first preferred; `change` works on the config before the gateway starts.
local function start(change, options)
  local function openai(upstream, key)
    local slow = wait.slowness
    return { protocol = "openai", base_url = upstream.base_url, api_key = key, retries = 0,
      timeouts = { connect = 2, first_byte = 0.3 * slow, first_content = 0.6 * slow, idle = 0.6 * slow } }
  end
  local config = {
    policy = "in-order",
    providers = { first = openai(first, "sk-secret-1"), second = openai(second, "sk-secret-2") },
    models = {
      { id = "small", provider = "first", priority = 90, context_length = 8192, cost = { input = 1, output = 1 } },
      { id = "small", provider = "second", priority = 10, context_length = 8192, cost = { input = 1, output = 1 } },
    },
  }
  if change then change(config) end
  options = options or {}
  options.config, options.policies = config, { ["routing/in-order.lua"] = in_order }
  return gateway.start(options)
end

local function limits(moongate, name)
  return (moongate:admin("/v1/limits/" .. name))
end

describe("when the first provider fails, the next one answers:", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  local error_in_reply = { error = { message = "Rate limit reached", type = "tokens", code = "rate_limit_exceeded" } }
  local failures = {
    { "429", { kind = "error", status = 429, headers = { ["retry-after"] = "41" } } },
    { "500", { kind = "error", status = 500 } },
    { "503 with a page of HTML", { kind = "text", status = 503 } },
    { "401", { kind = "error", status = 401, message = "Incorrect API key provided: sk-secret-1" } },
    { "402", { kind = "error", status = 402 } },
    { "403", { kind = "error", status = 403 } },
    { "404 of a retired model", { kind = "error", status = 404, code = "model_not_found" } },
    { "silence", { kind = "silence" } },
    { "silence after the headers", { kind = "head" } },
    { "a reset", { kind = "reset" } },
    { "a close before the answer", { kind = "close" } },
    { "an error inside a 200", { kind = "error", status = 200, body = error_in_reply } },
    { "a page of HTML in a 200", { kind = "text" } },
    { "role frames and then silence", { wrong = "silence", roles = 3 }, streamed = true },
    { "comments and then silence", { wrong = "silence", roles = 0, comments = 5 }, streamed = true },
    { "an error as the first event", { wrong = "error", roles = 0 }, streamed = true },
    { "an error after the role frame", { wrong = "error" }, streamed = true },
    { "a cut before the first content", { wrong = "cut" }, streamed = true },
    { "an end before the first content", { wrong = "end" }, streamed = true },
    { "a stream with nothing in it", { wrong = "end", roles = 0 }, streamed = true },
    { "a content-length that is wrong", { kind = "wrong_length" }, whole = true },
  }

  for _, row in ipairs(failures) do
    local title, behaviour = row[1], row[2]
    if not row.streamed then
      it(title .. ", for a whole answer", function()
        local moongate = start()
        first:usually(behaviour)
        local answer = moongate:chat { model = "small" }
        assert.equal(200, answer.status)
        assert.equal("Hello from the provider.", answer:json().choices[1].message.content)
        assert.equal("second", answer.headers["x-moongate-provider"])
        assert.equal("2", answer.headers["x-moongate-attempts"])
        assert.same({ 1, 1 }, { #first:seen(), #second:seen() })
        local row_of = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
        assert.same({ "first", "second" }, { row_of.attempts[1].provider, row_of.attempts[2].provider })
        assert.truthy(row_of.attempts[1].error)
      end)
    end
    if not row.whole then
      it(title .. ", for a stream", function()
        local moongate = start()
        first:usually(behaviour)
        local stream = moongate:stream { model = "small" }
        assert.equal(200, stream.status)
        assert.equal("second", stream.headers["x-moongate-provider"])
        assert.equal("2", stream.headers["x-moongate-attempts"])
        local text, last = gateway.text_of(stream:events())
        assert.equal("Hello from the provider.", text)
        assert.equal("[DONE]", last)
        stream:close()
      end)
    end
  end

  it("a refused connection", function()
    local moongate = start()
    first:refuse()
    local answer = moongate:chat { model = "small" }
    assert.equal(200, answer.status)
    assert.equal("second", answer.headers["x-moongate-provider"])
    assert.equal("2", answer.headers["x-moongate-attempts"])
  end)

  it("a name that does not resolve", function()
    local moongate = start(function(config) config.providers.first.base_url = "http://nowhere.invalid/v1" end)
    assert.equal("second", moongate:chat({ model = "small" }).headers["x-moongate-provider"])
  end)
end)

describe("a provider that says 429", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  it("is left alone for as long as it told, and tried again then", function()
    local moongate = start(nil, { clock = true })
    first:next { kind = "error", status = 429, headers = { ["retry-after"] = "41" } }
    local answer = moongate:chat { model = "small" }
    assert.same({ "second", "2" }, { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] })

    local told = limits(moongate, "first")
    assert.equal("exhausted", told.status)
    assert.truthy(told.exhausted_for_s > 35 and told.exhausted_for_s <= 41)

    answer = moongate:chat { model = "small" }
    assert.same({ "second", "1" }, { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] })
    assert.equal(1, #first:seen())

    moongate:shift(42)
    answer = moongate:chat { model = "small" }
    assert.same({ "first", "1" }, { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] })
    assert.not_equal("exhausted", limits(moongate, "first").status)
  end)

  it("without a word about time is left alone for a minute, then for two", function()
    local moongate = start(nil, { clock = true })
    first:usually { kind = "error", status = 429 }
    moongate:chat { model = "small" }
    local seconds = limits(moongate, "first").exhausted_for_s
    assert.truthy(seconds > 50 and seconds <= 60)
    moongate:shift(61)
    moongate:chat { model = "small" }
    seconds = limits(moongate, "first").exhausted_for_s
    assert.truthy(seconds > 110 and seconds <= 120)
  end)

  it("in an error inside a 200 is exhausted all the same", function()
    local moongate = start()
    first:next { kind = "error", status = 200,
      body = { error = { message = "Rate limit reached. Please try again in 7m12s.", code = "rate_limit_exceeded" } } }
    moongate:chat { model = "small" }
    local seconds = limits(moongate, "first").exhausted_for_s
    assert.truthy(seconds > 420 and seconds <= 432)
  end)

  it("is waited for when the wait is short and no rung is left", function()
    local moongate = start(function(config)
      config.providers.first.retries = 1
      table.remove(config.models)
    end)
    first:next { kind = "error", status = 429, headers = { ["retry-after"] = "0" } }
    local answer = moongate:chat { model = "small" }
    assert.equal(200, answer.status)
    assert.equal(2, #first:seen())
  end)

  it("with no rung left and a long wait makes the caller wait, and says how long", function()
    local moongate = start(function(config) table.remove(config.models) end)
    first:usually { kind = "error", status = 429, headers = { ["retry-after"] = "41" } }
    assert.equal(502, moongate:chat({ model = "small" }).status)
    local answer = moongate:chat { model = "small" }
    assert.equal(503, answer.status)
    local seconds = tonumber(answer.headers["retry-after"])
    assert.truthy(seconds > 35 and seconds <= 42)
    assert.equal(1, #first:seen())
  end)

  it("tells its limits in headers, which are then known", function()
    local moongate = start()
    first:next { headers = { ["x-ratelimit-limit-requests"] = "200", ["x-ratelimit-remaining-requests"] = "155",
      ["x-ratelimit-reset-requests"] = "12s" } }
    assert.equal("first", moongate:chat({ model = "small" }).headers["x-moongate-provider"])
    local found
    for _, limit in ipairs(limits(moongate, "first").limits) do
      if limit.metric == "requests" and limit.source == "discovered" then found = limit end
    end
    assert.same({ 200, 155 }, { found.limit, found.remaining })
  end)
end)

describe("a failure that is not the provider's", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  it("but a bad request is passed on and tried nowhere else", function()
    local moongate = start()
    first:next { kind = "error", status = 400, type = "invalid_request_error", code = "invalid_value",
      message = "'seed' must not be 13." }
    local answer = moongate:chat { model = "small" }
    assert.equal(400, answer.status)
    assert.equal("'seed' must not be 13.", answer:json().error.message)
    assert.equal("invalid_value", answer:json().error.code)
    assert.equal(0, #second:seen())
    assert.equal("1", answer.headers["x-moongate-attempts"])
  end)

  it("but a content filter's refusal is passed on too", function()
    local moongate = start()
    first:next { kind = "error", status = 400, code = "content_filter", message = "The prompt was filtered." }
    local answer = moongate:chat { model = "small" }
    assert.equal(400, answer.status)
    assert.equal("content_filter", answer:json().error.code)
    assert.equal(0, #second:seen())
  end)

  it("but a prompt that is too long goes on only to a larger context", function()
    local too_long = { kind = "error", status = 400, code = "context_length_exceeded",
      message = "This model's maximum context length is 8192 tokens." }
    local moongate = start()
    first:usually(too_long)
    local answer = moongate:chat { model = "small" }
    assert.equal(400, answer.status)
    assert.equal("context_length_exceeded", answer:json().error.code)
    assert.equal(0, #second:seen())

    moongate = start(function(config) config.models[2].context_length = 131072 end)
    answer = moongate:chat { model = "small" }
    assert.same({ 200, "second" }, { answer.status, answer.headers["x-moongate-provider"] })
  end)
end)

describe("the same provider", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  for _, status in ipairs { 500, 503, 408 } do
    it("is tried again after " .. status .. ", before the next rung", function()
      local moongate = start(function(config) config.providers.first.retries = 1 end)
      first:next { kind = "error", status = status }
      local answer = moongate:chat { model = "small" }
      assert.same({ "first", "2" }, { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] })
      assert.same({ 2, 0 }, { #first:seen(), #second:seen() })
    end)
  end

  for _, status in ipairs { 401, 402, 403, 404, 429 } do
    it("is not tried again after " .. status, function()
      local moongate = start(function(config) config.providers.first.retries = 3 end)
      first:usually { kind = "error", status = status, headers = { ["retry-after"] = "30" } }
      assert.equal("2", moongate:chat({ model = "small" }).headers["x-moongate-attempts"])
      assert.equal(1, #first:seen())
    end)
  end

  it("is given a rest after failing again and again, then one probe, then trust", function()
    local moongate = start(function(config) config.providers.first.breaker = { failures = 2, open = 0.4 } end)
    first:next({ kind = "error", status = 500 }, { kind = "error", status = 500 })
    moongate:chat { model = "small" }
    moongate:chat { model = "small" }
    local answer = moongate:chat { model = "small" }
    assert.same({ "second", "1" }, { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] })
    assert.equal(2, #first:seen())
    wait.until_(function() return moongate:chat({ model = "small" }).headers["x-moongate-provider"] == "first" end,
      "the rest to be over")
  end)
end)

describe("when all rungs fail", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  it("the answer is a 502 that lists each with its failure, and no secret", function()
    local moongate = start()
    first:usually { kind = "error", status = 401, message = "Incorrect API key provided: sk-secret-1" }
    second:usually { kind = "error", status = 503, message = "Overloaded" }
    local answer = moongate:chat { model = "small" }
    assert.equal(502, answer.status)
    local problem = answer:json().error
    assert.matches("first/small", problem.message, 1, true)
    assert.matches("401", problem.message, 1, true)
    assert.matches("second/small", problem.message, 1, true)
    assert.matches("503", problem.message, 1, true)
    assert.not_matches("sk-secret", answer.body, 1, true)
    assert.not_matches("sk-secret", moongate:errors(), 1, true)
    assert.equal("2", answer.headers["x-moongate-attempts"])
    local row = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
    assert.equal("error", row.outcome)
    assert.equal(0, row.cost_microusd)
  end)

  it("so it is for a stream, as a plain answer with a status", function()
    local moongate = start()
    first:usually { wrong = "cut" }
    second:usually { kind = "error", status = 500 }
    local answer = moongate:stream({ model = "small" }):rest()
    assert.equal(502, answer.status)
    assert.matches("^application/json", answer.headers["content-type"])
    answer:close()
  end)

  it("because time is up, it is a 504", function()
    local slow = { first_byte = 5, first_content = 5, idle = 5, total = 0.3 }
    local moongate = start(function(config)
      config.providers.first.timeouts, config.providers.second.timeouts = slow, slow
      table.remove(config.models)
    end)
    first:usually { kind = "silence" }
    assert.equal(504, moongate:chat({ model = "small" }).status)
    first:wait_for(1, "left")
  end)
end)
