-- The official OpenAI SDK for JavaScript against the gateway: it must notice nothing but the address.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local sdk = require "spec.sdk.sdk"

local KEY = "a-key-of-the-config"

describe("OpenAI's SDK", function()
  local first, second, moongate

  before_each(function()
    first, second = provider.open(), provider.open()
    local function openai(upstream, quality)
      return { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0, quality = quality }
    end
    moongate = gateway.start {
      config = {
        auth = "keys",
        keys = { { name = "app", key = KEY } },
        policy = "in-order",
        providers = { first = openai(first), second = openai(second) },
        models = {
          { id = "small", provider = "first", priority = 90, tools = true },
          { id = "small", provider = "second", priority = 10, tools = true },
        },
      },
      policies = { ["routing/in-order.lua"] = [[
-- What is not exhausted, by priority.
return function(request, candidates)
  return candidates
    :drop("exhausted", function(c) return c.exhausted end)
    :sort("priority", function(c) return -c.priority end)
end
]] },
    }
  end)
  after_each(gateway.stop_all)

  local function run(scenario, key)
    return sdk.run("openai", "http://" .. moongate.address, key or KEY, { "small" }, { scenario }).small[scenario]
  end

  it("gets a completion, its usage and its request id", function()
    local got = run "chat"
    assert.equal("Hello from the provider.", got.content)
    assert.equal(21, got.usage.total_tokens)
    assert.truthy(got.request_id)
    assert.equal("first", got.provider)
  end)

  it("does not notice that the first provider said 429", function()
    first:usually { kind = "error", status = 429, headers = { ["retry-after"] = "41" } }
    local got = run "chat"
    assert.same({ "Hello from the provider.", "second", "2" }, { got.content, got.provider, got.attempts })
  end)

  it("gets a stream, with no chunk that it did not ask for", function()
    assert.same({ content = "Hello from the provider.", chunks = 7 }, run "chunks")
  end)

  it("gets the usage of a stream where it asked for it", function()
    assert.equal(21, run("stream").usage.input + 12)
  end)

  it("gets tool calls, whole and gathered from a stream", function()
    local call = { id = "call_1", type = "function",
      ["function"] = { name = "weather", arguments = '{"city":"Bern"}' } }
    first:usually { tools = { call } }
    for _, scenario in ipairs { "tools", "tools_stream" } do
      local got = run(scenario)
      assert.same({ { id = "call_1", name = "weather", arguments = { city = "Bern" } } }, got.calls)
      assert.equal("tool_calls", got.finish)
    end
  end)

  it("gets embeddings in the coding that it asks for", function()
    local got = run "embeddings"
    assert.same({ { 0, 0.5, -0.25 }, { 1, 0.5, -0.25 } }, got.vectors)
    assert.equal(8, got.usage.total_tokens)
  end)

  it("gets the list of models, and one of them", function()
    assert.same({ ids = { "auto", "small" }, one = "small" }, run "models")
  end)

  for scenario, expected in pairs {
    unknown_model = { "NotFoundError", 404 },
    bad_request = { "BadRequestError", 400 },
  } do
    it("raises its own " .. expected[1] .. " for " .. scenario:gsub("_", " "), function()
      local got = run(scenario)
      assert.same(expected, { got.class, got.status })
      assert.truthy(got.code or got.type)
      assert.truthy(got.request_id)
    end)
  end

  it("raises its own AuthenticationError for an unknown key", function()
    local got = run("fails", "mg-unknown")
    assert.same({ "AuthenticationError", 401, "invalid_api_key" }, { got.class, got.status, got.code })
  end)

  it("raises its own InternalServerError when all providers fail", function()
    first:usually { kind = "error", status = 500 }
    second:usually { kind = "error", status = 500 }
    local got = run "fails"
    assert.same({ "InternalServerError", 502 }, { got.class, got.status })
    got = run "fails_stream"
    assert.same({ "InternalServerError", 502, "" }, { got.class, got.status, got.content })
  end)

  it("raises an error when a stream breaks after its first content", function()
    first:usually { wrong = "cut", after = 2 }
    local got = run "fails_stream"
    assert.equal("APIError", got.class)
    assert.equal("Hello from", got.content)
  end)

  it("may abort a stream, which then ends at the provider too", function()
    first:usually { endless = true, delay = 5 }
    assert.truthy(run("abort").chunks >= 3)
    first:wait_for(1, "left")
  end)
end)
