-- Agents in a running gateway: the same gates as for any call, under a name.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"

describe("an agent's run", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = {
      auth = "keys",
      keys = {
        { name = "dev", key = "sk-dev", org = "acme" }, { name = "narrow", key = "sk-narrow", models = { "small" } },
        { name = "slow", key = "sk-slow", rpm = 1 }, { name = "private", key = "sk-private", privacy = true },
      },
      providers = {
        acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0,
          breaker = { failures = 1000, open = 1 } },
      },
      models = {
        { id = "small", provider = "acme", upstream_id = "acme-small-1", cost = { input = 1, output = 2 } },
        { id = "large", provider = "acme", upstream_id = "acme-large-1", cost = { input = 10, output = 20 } },
      },
      agents = {
        triage = { system = "You sort tickets.", model = "small", max_tokens = 300, timeout_secs = 30 },
        writer = { system = "You write.", model = "large" }, hasty = { model = "small", timeout_secs = 0.3 },
        plain = {},
      },
    } }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  local function request(name, body, options)
    local built = { path = "/agents/" .. name .. "/run", json = body, key = "sk-dev" }
    for field, value in pairs(options or {}) do built[field] = value end
    return built
  end

  local function run(...) return moongate:request(request(...)) end

  it("is answered with the output, who gave it and what it cost", function()
    local answer = run("triage", { input = "The printer is on fire." })
    assert.equal(200, answer.status)
    assert.same({
      agent = "triage", output = "Hello from the provider.", model_used = "small", provider = "acme", cost = 0.000033,
      billed_tokens = 21, request_id = answer.headers["x-request-id"],
      usage = { input_tokens = 9, cached_tokens = 0, cache_write_tokens = 0, output_tokens = 12, reasoning_tokens = 0,
        total_tokens = 21 },
    }, answer:json())
    assert.equal("21", answer.headers["x-moongate-billed-tokens"])
    assert.same({
      model = "acme-small-1", max_tokens = 300, messages = {
        { role = "system", content = "You sort tickets." }, { role = "user", content = "The printer is on fire." },
      },
    }, upstream:body())
  end)

  it("goes to the caller's model where one is named, and without any to the policy's choice", function()
    assert.equal("large", run("triage", { input = "x", model = "large" }):json().model_used)
    assert.equal("acme-large-1", upstream:body().model)
    assert.equal(200, run("plain", { input = "x" }).status)
  end)

  it("stands in the ledger as an agent's, with its explanation", function()
    local id = run("triage", { input = "Translate this into French." }):json().request_id
    local row = moongate:request({ path = "/v1/requests/" .. id, key = "sk-dev" }):json()
    assert.same({ "agent", "translation", "ok", "dev" }, { row.surface, row.task, row.outcome, row.key })
    assert.same({ "acme/small" }, row.explanation.ladder)
    local metrics = moongate:request({ path = "/metrics" }).body
    assert.matches('moongate_requests_total{surface="agent",provider="acme",model="small",status="200"}', metrics, 1,
      true)
  end)

  it("ignores the wish to be answered later", function()
    assert.equal(200, run("triage", { input = "x" }, { headers = { prefer = "respond-async" } }).status)
  end)

  -- title, agent, body, options, status, code
  for _, case in ipairs {
    { "no key", "triage", { input = "x" }, { key = false }, 401, "missing_api_key" },
    { "a key that may not use the agent's model", "writer", { input = "x" }, { key = "sk-narrow" }, 403,
      "model_not_allowed" },
    { "a key that may not use the wished model", "triage", { input = "x", model = "large" }, { key = "sk-narrow" },
      403, "model_not_allowed" },
    { "a private key without a local model", "triage", { input = "x" }, { key = "sk-private" }, 403, "local_only" },
    { "an unknown model", "triage", { input = "x", model = "tiny" }, {}, 404, "model_not_found" },
    { "no input", "triage", { model = "small" }, {}, 400, "invalid_value" },
    { "an empty input", "triage", { input = "" }, {}, 400, "invalid_value" },
    { "a list of messages", "triage", { input = { { role = "user", content = "x" } } }, {}, 400, "invalid_value" },
    { "an unknown field", "triage", { input = "x", prompt = "y" }, {}, 400, "invalid_value" },
    { "a bad header", "triage", { input = "x" }, { headers = { ["x-moongate-priority"] = "most" } }, 400,
      "invalid_value" },
    { "GET", "triage", nil, { method = "GET" }, 405, "method_not_allowed" },
  } do
    it("is refused with " .. case[1] .. ", and nobody is called", function()
      local answer = run(case[2], case[3], case[4])
      local body = answer:json()
      assert.same({ case[5], case[6] }, { answer.status, body.error.code })
      assert.equal(answer.headers["x-request-id"], body.request_id)
      assert.same({}, upstream:seen())
    end)
  end

  it("of an agent that there is not is a 404 that names those near, to callers only", function()
    local answer = run("traige", { input = "x" })
    assert.same({ 404, "agent_not_found" }, { answer.status, answer:json().error.code })
    assert.matches('did you mean "triage"?', answer:json().error.message, 1, true)
    answer = run("traige", { input = "x" }, { key = false })
    assert.equal(401, answer.status)
    assert.not_matches("triage", answer.body, 1, true)
  end)

  it("keeps the limits of a key", function()
    assert.equal(200, run("triage", { input = "x" }, { key = "sk-slow" }).status)
    local answer = run("triage", { input = "x" }, { key = "sk-slow" })
    if answer.status == 200 then answer = run("triage", { input = "x" }, { key = "sk-slow" }) end -- a new minute
    assert.same({ 429, "rate_limit_exceeded" }, { answer.status, answer:json().error.code })
  end)

  it("is a 504 where the provider takes longer than the agent may, whose call is then ended", function()
    upstream:usually { kind = "silence" }
    local answer = run("hasty", { input = "x" })
    assert.same({ 504, "timeout" }, { answer.status, answer:json().error.code })
    assert.matches("acme/small", answer:json().error.message, 1, true)
    upstream:wait_for(1, "left")
    local row = moongate:request({ path = "/v1/requests/" .. answer:json().request_id, key = "sk-dev" }):json()
    assert.same({ "error", 1 }, { row.outcome, #row.attempts })
  end)

  it("that is left by its caller is given up at the provider too", function()
    upstream:usually { kind = "silence" }
    local connection = http.begin(moongate.address, request("triage", { input = "x" }))
    upstream:wait_for(1, "silence 1")
    connection:close()
    upstream:wait_for(1, "left")
  end)
end)
