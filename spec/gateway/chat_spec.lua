-- Chat completions, models and embeddings through the gateway, as an application sees them.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"

local function request_id(answer) return answer.headers["x-request-id"] end

describe("a chat completion", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = {
      providers = {
        acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-of-the-operator", retries = 0 },
      },
      models = {
        { id = "small", provider = "acme", upstream_id = "acme-small-1", aliases = { "fast" },
          cost = { input = 1, output = 2 }, context_length = 8192, tools = true, limits = { rpd = 100000 } },
        { id = "large", provider = "acme", upstream_id = "acme-large-1", cost = { input = 10, output = 20 },
          context_length = 131072, tools = true },
      },
      aliases = { everyday = { { model = "large", weight = 1 } } },
    } }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  it("is answered by the provider", function()
    local answer = moongate:chat { model = "small" }
    assert.equal(200, answer.status)
    assert.equal("application/json", answer.headers["content-type"]:match("^[^;]+"))
    local body = answer:json()
    assert.equal("Hello from the provider.", body.choices[1].message.content)
    assert.same({ prompt_tokens = 9, completion_tokens = 12, total_tokens = 21 }, body.usage)
    assert.equal("acme-small-1", body.model)
  end)

  it("says in headers who served it, by which policy, at which price", function()
    local headers = moongate:chat({ model = "small" }).headers
    assert.equal("acme", headers["x-moongate-provider"])
    assert.equal("small", headers["x-moongate-model"])
    assert.matches("^auto%-cheapest@%x+$", headers["x-moongate-policy"])
    assert.equal("1", headers["x-moongate-attempts"])
    assert.equal("21", headers["x-moongate-billed-tokens"])
    assert.equal(0.000033, tonumber(headers["x-moongate-cost-usd"]))
    assert.truthy(headers["x-request-id"])
  end)

  it("reaches the provider under its own model name and with the operator's key", function()
    moongate:chat({ model = "small" }, { headers = { ["x-custom"] = "not for the provider", cookie = "a=b" } })
    local seen = upstream:seen()[1]
    assert.equal("/v1/chat/completions", seen.path)
    assert.equal("Bearer sk-of-the-operator", seen.headers.authorization)
    assert.equal("acme-small-1", upstream:body().model)
    assert.is_nil(seen.headers["x-custom"])
    assert.is_nil(seen.headers.cookie)
  end)

  it("reaches the provider byte for byte but for the model's name", function()
    local body = '{ "temperature" : 1.0e-0,"model":"small",  "messages":[{"role":"user",'
      .. '"content":"\\u00e9\\ud83d\\ude42é"}], "a_field_of_tomorrow": '
      .. '{"x": [1.10, 12345678901234567890]} , "seed": 0 }'
    local answer = moongate:request { path = "/v1/chat/completions", body = body,
      headers = { ["content-type"] = "application/json" } }
    assert.equal(200, answer.status)
    assert.equal((body:gsub('"small"', '"acme-small-1"')), upstream:seen()[1].body)
  end)

  it("keeps a sane request id of the caller and replaces an insane one", function()
    local kept = moongate:chat({ model = "small" }, { headers = { ["x-request-id"] = "job-17.attempt_2" } })
    assert.equal("job-17.attempt_2", request_id(kept))
    for _, insane in ipairs { ("x"):rep(300), "two words", "a\"b", "né" } do
      local answer = moongate:chat({ model = "small" }, { headers = { ["x-request-id"] = insane } })
      assert.equal(200, answer.status)
      assert.not_equal(insane, request_id(answer))
      assert.matches("^[%w._-]+$", request_id(answer))
    end
  end)

  it("gives every request an id of its own", function()
    assert.not_equal(request_id(moongate:chat { model = "small" }), request_id(moongate:chat { model = "small" }))
  end)

  it("streams", function()
    local stream = moongate:stream { model = "small" }
    assert.equal(200, stream.status)
    assert.matches("^text/event%-stream", stream.headers["content-type"])
    assert.equal("acme", stream.headers["x-moongate-provider"])
    assert.equal("1", stream.headers["x-moongate-attempts"])
    local text, last = gateway.text_of(stream:events())
    assert.equal("Hello from the provider.", text)
    assert.equal("[DONE]", last)
    assert.is_true(stream.complete)
    stream:close()
  end)

  it("carries tool calls, whole and streamed", function()
    local call = { id = "call_1", type = "function",
      ["function"] = { name = "weather", arguments = '{"city":"Bern"}' } }
    local tool = { type = "function", ["function"] = { name = "weather", parameters = { type = "object" } } }
    upstream:next({ tools = { call } }, { tools = { call } })
    local body = moongate:chat({ model = "small", tools = { tool } }):json()
    assert.same({ call }, body.choices[1].message.tool_calls)
    assert.equal("tool_calls", body.choices[1].finish_reason)
    local stream = moongate:stream { model = "small", tools = { tool } }
    local arguments, events = "", stream:events()
    for _, event in ipairs(events) do
      local deltas = type(event) == "table" and event.choices[1] and event.choices[1].delta.tool_calls
      if deltas then arguments = arguments .. deltas[1]["function"].arguments end
    end
    assert.equal('{"city":"Bern"}', arguments)
    assert.equal("[DONE]", events[#events])
    stream:close()
  end)

  it("lets the policy choose for `auto`", function()
    assert.equal("small", moongate:chat({ model = "auto" }).headers["x-moongate-model"])
  end)

  it("knows a model by its aliases", function()
    assert.equal("small", moongate:chat({ model = "fast" }).headers["x-moongate-model"])
    assert.equal("large", moongate:chat({ model = "everyday" }).headers["x-moongate-model"])
  end)

  it("for an unknown model is a 404 that names near ones", function()
    local answer = moongate:chat { model = "smal" }
    assert.equal(404, answer.status)
    local problem = answer:json().error
    assert.equal("model_not_found", problem.code)
    assert.equal("invalid_request_error", problem.type)
    assert.matches("smal", problem.message, 1, true)
    assert.matches("small", problem.message, 1, true)
    assert.same({}, upstream:seen())
  end)

  it("can be looked up afterwards with its attempts and its explanation", function()
    local answer = moongate:chat { model = "small" }
    local row, status = moongate:admin("/v1/requests/" .. request_id(answer))
    assert.equal(200, status)
    assert.equal(request_id(answer), row.request_id)
    local facts = { provider = row.provider, model = row.model, outcome = row.outcome, attempts = #row.attempts,
      input = row.input_tokens, output = row.output_tokens, billed = row.billed_tokens, cost = row.cost_microusd,
      estimated = row.estimated }
    assert.same({ provider = "acme", model = "small", outcome = "ok", attempts = 1, input = 9, output = 12, billed = 21,
      cost = 33, estimated = false }, facts)
    assert.equal("acme", row.attempts[1].provider)
    assert.equal(200, row.attempts[1].status)
  end)

  it("that nobody made is a 404 when it is looked up", function()
    local _, status = moongate:admin("/v1/requests/no-such-request")
    assert.equal(404, status)
  end)

  it("counts cached and reasoning tokens as classes of their own", function()
    upstream:next { usage = { prompt_tokens = 100, completion_tokens = 50, total_tokens = 150,
      prompt_tokens_details = { cached_tokens = 60 }, completion_tokens_details = { reasoning_tokens = 20 } } }
    local answer = moongate:chat { model = "small" }
    local row = moongate:admin("/v1/requests/" .. request_id(answer))
    assert.same({ 40, 60, 30, 20 }, { row.input_tokens, row.cached_tokens, row.output_tokens, row.reasoning_tokens })
    assert.equal("150", answer.headers["x-moongate-billed-tokens"])
  end)

  it("estimates, and says so, where the provider gives no usage", function()
    upstream:next { usage = false }
    local row = moongate:admin("/v1/requests/" .. request_id(moongate:chat { model = "small" }))
    assert.is_true(row.estimated)
    assert.truthy(row.input_tokens > 0 and row.output_tokens > 0)
  end)

  it("is served many times on one connection of the caller", function()
    local connection = http.keep(moongate.address)
    for _ = 1, 3 do
      local answer = connection:request { path = "/v1/chat/completions",
        json = { model = "small", messages = { { role = "user", content = "again" } } } }
      assert.equal(200, answer.status)
      assert.is_true(answer.complete)
    end
  end)

  it("reuses the connections to the provider", function()
    local connection = http.keep(moongate.address)
    for _ = 1, 4 do
      connection:request { path = "/v1/chat/completions",
        json = { model = "small", messages = { { role = "user", content = "again" } } } }
    end
    local seen = upstream:seen()
    assert.equal(4, #seen)
    assert.equal(seen[2].connection, seen[4].connection)
  end)

  it("is sent once though the provider has hung up on an idle connection", function()
    local connection = http.keep(moongate.address)
    local request = { path = "/v1/chat/completions",
      json = { model = "small", messages = { { role = "user", content = "again" } } } }
    connection:request(request)
    upstream:hang_up()
    assert.equal(200, connection:request(request).status)
    assert.equal(2, #upstream:seen())
  end)

  it("of several callers at once is answered to each", function()
    upstream:usually { hold = { after = 1, name = "together" } }
    local streams = {}
    for n = 1, 20 do streams[n] = moongate:begin_chat { model = "small", stream = true, user = "caller " .. n } end
    upstream:wait_held(20, "together")
    upstream:go("together", 20)
    for n = 1, 20 do
      local stream = http.answered(streams[n])
      local text, last = gateway.text_of(stream:events())
      assert.equal("Hello from the provider.", text)
      assert.equal("[DONE]", last)
      stream:close()
    end
    upstream:usually {}
  end)

  it("with embeddings gives a vector for every input, and counts their tokens", function()
    local answer = moongate:request { path = "/v1/embeddings", json = { model = "small", input = { "a", "b" } } }
    assert.equal(200, answer.status)
    local body = answer:json()
    assert.equal(2, #body.data)
    assert.same({ 1, 0.5, -0.25 }, body.data[2].embedding)
    assert.equal("acme-small-1", upstream:body().model)
    assert.equal("8", answer.headers["x-moongate-billed-tokens"])
    local row = moongate:admin("/v1/requests/" .. request_id(answer))
    assert.same({ "embeddings", 8, 0 }, { row.surface, row.input_tokens, row.output_tokens })
  end)

  it("can be asked of every model that is listed", function()
    local answer = moongate:request { path = "/v1/models" }
    assert.equal(200, answer.status)
    local body = answer:json()
    assert.equal("list", body.object)
    local listed = {}
    for _, model in ipairs(body.data) do
      assert.equal("model", model.object)
      listed[model.id] = true
    end
    assert.is_true(listed.small and listed.large)
    local one = moongate:request { path = "/v1/models/small" }
    assert.equal(200, one.status)
    assert.equal("small", one:json().id)
    assert.equal(404, moongate:request({ path = "/v1/models/smaller" }).status)
  end)
end)

describe("the mock protocol", function()
  after_each(gateway.stop_all)

  it("answers without any network, whole and streamed, with embeddings too", function()
    local moongate = gateway.start { config = {
      providers = { demo = { protocol = "mock", is_local = true } },
      models = { { id = "echo", provider = "demo" } },
    } }
    local whole = moongate:chat { model = "echo" }
    assert.equal(200, whole.status)
    assert.truthy(#whole:json().choices[1].message.content > 0)
    assert.equal("demo", whole.headers["x-moongate-provider"])
    local stream = moongate:stream { model = "echo" }
    local text, last = gateway.text_of(stream:events())
    assert.truthy(#text > 0)
    assert.equal("[DONE]", last)
    stream:close()
    local vectors = moongate:request { path = "/v1/embeddings", json = { model = "echo", input = "a" } }
    assert.equal(200, vectors.status)
    assert.truthy(#vectors:json().data[1].embedding > 0)
  end)
end)
