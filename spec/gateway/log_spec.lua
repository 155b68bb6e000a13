-- The log: one line a request, for programs and for people, and what is in none.
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

describe("the log", function()
  after_each(gateway.stop_all)

  it("has one line a request, with its route and what it took, and neither prompt nor key", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = {
      providers = { shop = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-upstream-secret" } },
      models = { { id = "small", provider = "shop", cost = { input = 1, output = 2 } } },
    } }
    local answer = moongate:chat { model = "small", messages = { { role = "user", content = "my-private-words" } } }
    local line = wait.until_(function() return moongate:logged "request" end, "the line")
    assert.same({ answer.headers["x-request-id"], "shop", "small", "ok", 200, 1, 9, 12, 33, "info" },
      { line.request_id, line.provider, line.model, line.outcome, line.status, line.attempts, line.input_tokens,
        line.output_tokens, line.cost_microusd, line.level })
    assert.is_number(line.latency_ms)
    local count = 0
    for _, each in ipairs(moongate:log()) do count = count + (each.message == "request" and 1 or 0) end
    assert.equal(1, count)
    for _, secret in ipairs { "my-private-words", "sk-upstream-secret", gateway.admin_token } do
      assert.is_nil(moongate:errors():find(secret, 1, true))
    end
  end)

  it("is name=value where people read it", function()
    local address = gateway.free_address()
    local moongate = gateway.prepare { config = { listen = address, log = { format = "text", level = "info" },
      providers = { demo = { protocol = "mock" } } } }
    local serving = process.start({ gateway.binary, "serve" }, { cwd = moongate.folder })
    wait.until_(function() return serving:errors():find("listening", 1, true) end, "the gateway")
    local http = require "spec.support.http"
    http.request(address, { path = "/v1/chat/completions", json = { model = "auto",
      messages = { { role = "user", content = "Hello" } } } })
    local line = wait.until_(function() return serving:errors():match "[^\n]* request [^\n]*" end, "the line")
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ info  request ", line)
    assert.matches(' model="mock"', line, 1, true)
    assert.matches(" status=200", line, 1, true)
    serving:kill()
    assert.equal(0, (serving:wait()))
  end)
end)
