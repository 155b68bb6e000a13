-- /v1/chat and /v1/agent-step in a running gateway: what comes back, what the provider sees, how it fails.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"

local MESSAGES = { { role = "user", content = "Say hello." } }

describe("the router's own surface", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = {
      auth = "keys",
      keys = {
        { name = "dev", key = "sk-dev", org = "acme" }, { name = "narrow", key = "sk-narrow", models = { "small" } },
        { name = "slow", key = "sk-slow", rpm = 1 },
      },
      providers = {
        acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0,
          breaker = { failures = 1000, open = 1 } },
      },
      models = {
        { id = "small", provider = "acme", upstream_id = "acme-small-1", cost = { input = 1, output = 2 },
          quality = 40, tools = true },
        { id = "large", provider = "acme", upstream_id = "acme-large-1", cost = { input = 10, output = 20 },
          quality = 90, tools = true },
      },
    } }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  local function ask(fields, options)
    local body = { model = "small", messages = MESSAGES }
    for name, value in pairs(fields or {}) do body[name] = value end
    local request = { path = "/v1/chat", json = body, key = "sk-dev" }
    for name, value in pairs(options or {}) do request[name] = value end
    return moongate:request(request)
  end

  it("answers with the text, who gave it, what it cost and what that saved", function()
    local answer = ask()
    assert.equal(200, answer.status)
    assert.equal("application/json", answer.headers["content-type"])
    local body = answer:json()
    assert.is_number(body.latency_ms)
    body.latency_ms = nil
    assert.same({
      output = "Hello from the provider.", model_used = "small", provider = "acme",
      -- 9 x 1 + 12 x 2 micro-dollars; the baseline, gpt-4o, takes 9 x 2.5 + 12 x 10, rounded up
      cost = 0.000033, savings_estimate = 0.00011, billed_tokens = 21, request_id = answer.headers["x-request-id"],
      usage = { input_tokens = 9, cached_tokens = 0, cache_write_tokens = 0, output_tokens = 12, reasoning_tokens = 0,
        total_tokens = 21 },
    }, body)
    assert.equal(body.cost, tonumber(answer.headers["x-moongate-cost-usd"]))
    assert.same({ "small", "1" }, { answer.headers["x-moongate-model"], answer.headers["x-moongate-attempts"] })
  end)

  it("shows the provider a chat completion and nothing of what is meant for the router", function()
    local answer = ask { model = "large", temperature = 0.5, max_tokens = 7, priority = "best", latency_pref = "fast",
      max_cost = 1, privacy = false, task = "coding", policy = "balanced" }
    assert.equal(200, answer.status)
    assert.equal("/v1/chat/completions", upstream:seen()[1].path)
    assert.same({ model = "acme-large-1", messages = MESSAGES, temperature = 0.5, max_tokens = 7 }, upstream:body())
  end)

  it("lets the policy choose where no model is named", function()
    assert.equal(200, moongate:request({ path = "/v1/chat", json = { messages = MESSAGES }, key = "sk-dev" }).status)
  end)

  it("hands on the calls of tools", function()
    local call = { id = "c1", type = "function", ["function"] = { name = "add", arguments = '{"a":1}' } }
    upstream:next { tools = { call } }
    local tool = { type = "function", ["function"] = { name = "add", parameters = { type = "object" } } }
    local body = ask({ tools = { tool } }):json()
    assert.equal("", body.output)
    assert.same({ call }, body.tool_calls)
  end)

  it("leaves a row that tells surface and task, and can be asked for", function()
    for path, task in pairs { ["/v1/chat"] = "coding", ["/v1/agent-step"] = "agent_step" } do
      local answer = ask({ task = task }, { path = path })
      local row = moongate:request({ path = "/v1/requests/" .. answer:json().request_id, key = "sk-dev" }):json()
      assert.same({ "router", task, "ok", "small", 21, 33, 110 }, { row.surface, row.task, row.outcome, row.model,
        row.billed_tokens, row.cost_microusd, row.savings_microusd })
      assert.same({ "acme/small" }, row.explanation.ladder)
    end
  end)

  it("refuses to stream, and says where that is done", function()
    local answer = ask { stream = true }
    assert.equal(400, answer.status)
    assert.matches("/v1/chat/completions", answer:json().error.message, 1, true)
    assert.same({}, upstream:seen())
  end)

  it("refuses a field it does not know, and names the nearest", function()
    for path, fields in pairs { ["/v1/chat"] = { max_costs = 1 }, ["/v1/agent-step"] = { max_costs = 1 } } do
      local answer = ask(fields, { path = path })
      assert.equal(400, answer.status)
      assert.same({ code = "invalid_value",
        message = 'there is no field "max_costs" here (did you mean "max_cost"?)' }, answer:json().error)
    end
    assert.same({}, upstream:seen())
  end)

  -- title, fields, options, status, code
  local refused = {
    { "no key", {}, { key = false }, 401, "missing_api_key" },
    { "an unknown key", {}, { key = "sk-nobody" }, 401, "invalid_api_key" },
    { "a model the key may not use", { model = "large" }, { key = "sk-narrow" }, 403, "model_not_allowed" },
    { "an unknown model", { model = "smal" }, {}, 404, "model_not_found" },
    { "an unknown policy", { policy = "cheepest" }, {}, 400, "policy_not_found" },
    { "a price above max_cost", { max_cost = 0.0000001 }, {}, 403, "max_cost_exceeded" },
    { "privacy without a local model", { privacy = true }, {}, 403, "local_only" },
    { "the policy local-only without a local model", { policy = "local-only" }, {}, 403, "local_only" },
    { "GET", {}, { method = "GET" }, 405, "method_not_allowed" },
    { "another kind of body", {}, { headers = { ["content-type"] = "text/csv" } }, 415, "unsupported_media_type" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1] .. " in its own shape", function()
      local options = {}
      for name, value in pairs(case[3]) do options[name] = value end
      local answer = ask(case[2], options)
      local body = answer:json()
      assert.same({ case[4], case[5] }, { answer.status, body.error.code })
      assert.equal(answer.headers["x-request-id"], body.request_id)
      assert.truthy(#body.error.message > 0)
      assert.is_nil(body.error.type)
      assert.is_nil(body.error.param)
      assert.same({}, upstream:seen())
    end)
  end

  it("refuses what is too large in its own shape", function()
    local body = ('{"messages":"%s"}'):format(("x"):rep(11 * 1024 * 1024))
    local answer = moongate:request { path = "/v1/chat", body = body, key = "sk-dev" }
    assert.equal(413, answer.status)
    assert.same({ "too_large", answer.headers["x-request-id"] }, { answer:json().error.code, answer:json().request_id })
  end)

  it("tells in its own shape how all providers failed, and passes on what the caller did wrong", function()
    upstream:next({ kind = "error", status = 500 }, { kind = "error", status = 400, message = "top_p is too bold",
      type = "invalid_request_error", code = "bad_top_p" })
    local answer = ask()
    assert.same({ 502, "all_providers_failed" }, { answer.status, answer:json().error.code })
    assert.matches("acme/small", answer:json().error.message, 1, true)
    answer = ask()
    assert.same({ 400, "bad_top_p", "top_p is too bold" }, { answer.status, answer:json().error.code,
      answer:json().error.message })
  end)

  it("keeps the limits of a key, and says when they are over", function()
    assert.equal(200, ask({}, { key = "sk-slow" }).status)
    local answer = ask({}, { key = "sk-slow" })
    if answer.status == 200 then answer = ask({}, { key = "sk-slow" }) end -- a new minute had begun
    assert.same({ 429, "rate_limit_exceeded" }, { answer.status, answer:json().error.code })
    assert.truthy(tonumber(answer.headers["retry-after"]) > 0)
  end)

  it("obeys a header before the body, but privacy from either", function()
    local headers = { ["x-moongate-max-cost"] = "5" }
    assert.equal(200, ask({ max_cost = 0.0000001 }, { headers = headers }).status)
    headers = { ["x-moongate-privacy"] = "false" }
    assert.equal(403, ask({ privacy = true }, { headers = headers }).status)
  end)
end)

describe("the savings", function()
  after_each(gateway.stop_all)

  local function saved(more)
    local config = {
      providers = { mock = { protocol = "mock", mock = { usage = { prompt_tokens = 1000, completion_tokens = 500,
        total_tokens = 1500 } } } },
      models = {
        { id = "cheap", provider = "mock", cost = { input = 1, output = 1 } },
        { id = "dear", provider = "mock", cost = { input = 100, output = 200 } },
      },
    }
    for name, value in pairs(more) do config[name] = value end
    local moongate = gateway.start { config = config }
    local answer = moongate:request { path = "/v1/chat", json = { model = "cheap", messages = MESSAGES } }
    assert.equal(200, answer.status)
    return answer:json().savings_estimate, answer.body
  end

  it("are against the configured baseline", function()
    -- 1000 x 100 + 500 x 200 = 200000 micro-dollars, less 1500
    assert.equal(0.1985, saved { premium_baseline = "dear" })
  end)

  it("are against a well-known model that is not configured", function()
    -- 1000 x 2.5 + 500 x 10 = 7500 micro-dollars, less 1500
    assert.equal(0.006, saved { premium_baseline = "openai/gpt-4o" })
  end)

  it("are null where nobody knows the baseline's price", function()
    local estimate, body = saved { premium_baseline = "nobodys-model" }
    assert.is_nil(estimate)
    assert.matches('"savings_estimate":null', body, 1, true)
  end)
end)

describe("hooks", function()
  after_each(gateway.stop_all)

  it("act on the router's own surfaces as on any", function()
    local moongate = gateway.start {
      config = {
        policy = "all", providers = { mock = { protocol = "mock" } }, models = { { id = "m", provider = "mock" } },
        agents = { triage = { model = "m" } },
      },
      policies = {
        ["routing/all.lua"] = "-- All of them.\nreturn function(_, candidates) return candidates end\n",
        ["hooks/10_loud.lua"] = [[
-- Answers and refuses by itself, and else answers loudly.
return {
  request = function(req)
    local last = req.body.messages[#req.body.messages].content
    if last == "mine" then return req:answer("by the hook") end
    if last == "never" then return req:refuse(403, "not this") end
  end,
  response = function(_, response) response.text = string.upper(response.text) end,
}
]],
      },
    }
    local function both(text)
      local messages = { { role = "user", content = text } }
      return moongate:request { path = "/v1/chat", json = { messages = messages, task = "chat" } },
        moongate:request { path = "/agents/triage/run", json = { input = text } }
    end
    for _, answer in ipairs { both "hello" } do assert.matches("YOU SAID: HELLO$", answer:json().output) end
    for _, answer in ipairs { both "mine" } do assert.equal("by the hook", answer:json().output) end
    for _, answer in ipairs { both "never" } do
      assert.same({ 403, "not this" }, { answer.status, answer:json().error.message })
    end
  end)
end)
