-- Web pages of other origins: what a browser is told, with origins configured, with any, and with none.
local gateway = require "spec.support.gateway"

local APP, OTHER = "https://app.example", "https://other.example"
local CHAT = "/v1/chat/completions"

local function start(cors, change)
  local config = { cors = cors, providers = { demo = { protocol = "mock" } },
    models = { { id = "echo", provider = "demo" } } }
  if change then change(config) end
  return gateway.start { config = config }
end

local function preflight(moongate, origin, more)
  local request = { method = "OPTIONS", path = CHAT, headers = {
    origin = origin, ["access-control-request-method"] = "POST",
    ["access-control-request-headers"] = "authorization,content-type,x-stainless-os" } }
  for name, value in pairs(more or {}) do request[name] = value end
  return moongate:request(request)
end

local function cors_headers(answer)
  local found = {}
  for name, value in pairs(answer.headers) do
    if name:find("^access%-control") then found[name:sub(16)] = value end
  end
  return found
end

describe("a page of another origin", function()
  after_each(gateway.stop_all)

  it("that is configured may call: its preflight is answered, and needs no key", function()
    local moongate = start({ origins = { "http://localhost:3000", APP } }, function(config)
      config.auth, config.keys = "keys", { { name = "dev", key = "dev-key" } }
    end)
    local answer = preflight(moongate, APP)
    assert.same({ 204, "" }, { answer.status, answer.body })
    assert.same({ ["allow-origin"] = APP, ["allow-methods"] = "POST", ["max-age"] = "600",
      ["allow-headers"] = "authorization,content-type,x-stainless-os" }, cors_headers(answer))
    assert.equal("origin", answer.headers.vary)
  end)

  it("that is configured may read answers, errors and streams, and the gateway's headers with them", function()
    local moongate = start { origins = { APP } }
    local options = { headers = { origin = APP } }
    local answers = { moongate:chat({ model = "echo" }, options), moongate:chat({ model = "none" }, options),
      moongate:stream({ model = "echo" }, options):rest(),
      moongate:request { path = "/nowhere", headers = { origin = APP } },
      moongate:request { path = CHAT, body = "{", headers = { origin = APP } } }
    for number, status in ipairs { 200, 404, 200, 404, 400 } do
      assert.equal(status, answers[number].status)
      local told = cors_headers(answers[number])
      assert.equal(APP, told["allow-origin"])
      assert.is_nil(told["allow-credentials"])
      for _, name in ipairs { "x-request-id", "x-moongate-provider", "x-moongate-cost-usd", "retry-after",
        "x-ratelimit-remaining", "x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-limit" } do
        assert.truthy((", " .. told["expose-headers"] .. ","):find(", " .. name .. ",", 1, true), name)
      end
      assert.equal("origin", answers[number].headers.vary)
    end
  end)

  it("that is not configured is told so, and reads nothing", function()
    local moongate = start { origins = { APP } }
    for _, origin in ipairs { OTHER, "null", APP .. ":444", "https://app.example.evil", APP:upper() } do
      local answer = preflight(moongate, origin)
      assert.equal(403, answer.status)
      assert.matches("cors.origins", answer:json().error.message, 1, true)
      assert.same({}, cors_headers(answer))
      answer = moongate:chat({ model = "echo" }, { headers = { origin = origin } })
      assert.same({ 200, "origin" }, { answer.status, answer.headers.vary })
      assert.same({}, cors_headers(answer))
    end
  end)

  it("may be any with a star, never with credentials", function()
    for _, cors in ipairs { { origins = "*" }, { origins = { "*" } } } do
      local moongate = start(cors)
      local told = cors_headers(preflight(moongate, OTHER))
      assert.same({ "*" }, { told["allow-origin"], told["allow-credentials"] })
      local answer = moongate:chat({ model = "echo" }, { headers = { origin = OTHER } })
      told = cors_headers(answer)
      assert.same({ "*" }, { told["allow-origin"], told["allow-credentials"] })
      assert.is_nil(answer.headers.vary)
    end
  end)

  it("gets nothing of what the admin token opens", function()
    local moongate = start { origins = "*" }
    local answer = preflight(moongate, OTHER, { path = "/admin/keys" })
    assert.equal(405, answer.status)
    assert.same({}, cors_headers(answer))
    answer = moongate:request { path = "/admin/keys", key = gateway.admin_token, headers = { origin = OTHER } }
    assert.equal(200, answer.status)
    assert.same({}, cors_headers(answer))
    assert.same({}, cors_headers(moongate:request { path = "/metrics", headers = { origin = OTHER } }))
  end)

  it("may not smuggle anything in what it asks for", function()
    local moongate = start { origins = "*" }
    for _, names in ipairs { "a:b", "x\ty", '"x"', ("x,"):rep(600) } do
      local answer = preflight(moongate, OTHER, { headers = { origin = OTHER,
        ["access-control-request-method"] = "POST", ["access-control-request-headers"] = names } })
      assert.equal(400, answer.status)
      assert.is_nil(cors_headers(answer)["allow-headers"])
    end
  end)

  it("gets nothing where nothing is configured: OPTIONS is a method like others", function()
    local moongate = start()
    local answer = preflight(moongate, APP)
    assert.same({ 405, "POST" }, { answer.status, answer.headers.allow })
    assert.same({}, cors_headers(answer))
    answer = moongate:chat({ model = "echo" }, { headers = { origin = APP } })
    assert.same({}, cors_headers(answer))
    assert.is_nil(answer.headers.vary)
  end)

  it("is let in by a reload, too", function()
    local moongate = start({ origins = { APP } }, function(config) config.listen = gateway.free_address() end)
    assert.equal(403, preflight(moongate, OTHER).status)
    moongate:write("moongate.lua", (moongate:read("moongate.lua"):gsub(APP, OTHER)))
    moongate.process:kill("HUP")
    require("spec.support.wait").until_(function() return preflight(moongate, OTHER).status == 204 end, "the reload")
    assert.equal(403, preflight(moongate, APP).status)
  end)
end)
