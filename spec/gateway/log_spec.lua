-- The log: one line a request, for programs and for people, and what is in none.
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local surfaces = require "spec.support.surfaces"
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

  describe("that is to have prompts", function()
    local KEY = "mg-" .. ("0a1b"):rep(10)

    local function start(more)
      local config = {
        log = { prompts = true }, providers = { shop = { protocol = "mock", api_key = "the-key-of-the-shop" } },
        models = { { id = "small", provider = "shop" },
          { id = "near", provider = "shop", strengths = { "embedding" } } },
      }
      return gateway.start { config = config, policies = more }
    end

    -- The line of that request.
    local function line_of(moongate, answer)
      local id = answer.headers["x-request-id"]
      return wait.until_(function()
        for _, line in ipairs(moongate:log()) do
          if line.message == "request" and line.request_id == id then return line end
        end
      end, "the line")
    end

    for _, name in ipairs(surfaces.names) do
      it("has those of " .. name .. ", without keys", function()
        local moongate, surface = start(), surfaces[name]
        local text = "Keep " .. KEY .. " and the-key-of-the-shop and " .. gateway.admin_token .. " to yourself."
        local body = surface.body(text, "small", false)
        local answer = moongate:request { path = surface.path("small", false), json = body }
        assert.equal(200, answer.status, answer.body)
        assert.same({ { role = "user", content = "Keep *** and *** and *** to yourself." } },
          line_of(moongate, answer).messages)
        assert.is_nil(moongate:errors():find("0a1b", 1, true))
      end)
    end

    it("has what is to be embedded, and what is refused", function()
      local moongate = start()
      local answer = moongate:request { path = "/v1/embeddings", json = { model = "near", input = { "one", "two" } } }
      assert.same({ { role = "input", content = "one" }, { role = "input", content = "two" } },
        line_of(moongate, answer).messages)
      answer = moongate:chat { model = "none" }
      assert.same({ 404, { { role = "user", content = "Say hello." } } },
        { answer.status, line_of(moongate, answer).messages })
    end)

    it("has them as hooks have left them", function()
      local moongate = start { ["hooks/10_shout.lua"] = [[
        return { request = function(req) req.messages[1].content = "Something else." end }]],
        ["routing/auto-cheapest.lua"] = "return function(_, candidates) return candidates end" }
      local answer = moongate:chat { model = "small" }
      assert.same({ { role = "user", content = "Something else." } }, line_of(moongate, answer).messages)
    end)

    it("has none of a request that asks for privacy", function()
      local moongate = start()
      local answer = moongate:chat({ model = "small" }, { headers = { ["x-moongate-privacy"] = "true" } })
      assert.is_nil(line_of(moongate, answer).messages)
      assert.is_nil(moongate:errors():find("Say hello", 1, true))
    end)
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
