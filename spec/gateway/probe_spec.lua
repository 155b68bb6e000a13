-- The probe, end to end: the command, the admin call, what goes to the provider, what is known of its limits then; and
-- the pardon of what was left out.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local provider = require "spec.support.provider"

local FREE = { input = 0, output = 0 }

describe("a probe", function()
  local upstream, moongate

  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function start(change)
    local config = {
      listen = gateway.free_address(), workers = 2,
      providers = {
        shop = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1" },
        other = { like = "anthropic", base_url = upstream:base "anthropic", api_key = "sk-2" },
      },
      models = {
        { id = "large", provider = "shop", context_length = 200000, cost = FREE, free = true },
        { id = "unsized", provider = "shop" },
        { id = "vectors", provider = "shop", context_length = 512, embeddings = true, cost = FREE, free = true },
        { id = "small", provider = "shop", context_length = 8192, upstream_id = "small-v2",
          cost = { input = 1, output = 2 } },
        { id = "claude", provider = "other" },
      },
    }
    for name, value in pairs(change or {}) do config[name] = value or nil end
    moongate = gateway.start { config = config }
    return moongate
  end

  local function limits_headers(of, used, behaviour)
    behaviour = behaviour or {}
    behaviour.headers = {
      ["x-ratelimit-limit-requests"] = of, ["x-ratelimit-remaining-requests"] = of - used,
      ["x-ratelimit-reset-requests"] = "30s",
    }
    return behaviour
  end

  local function probe(name)
    local answer = moongate:request { method = "POST", path = "/admin/probe/" .. name, key = gateway.admin_token }
    return answer:json(), answer.status
  end

  it("asks the chat model with the smallest context for one token, and tells what it heard", function()
    start()
    upstream:next(limits_headers(200, 45))
    local told, status = probe "shop"
    assert.equal(200, status)
    assert.same({ { max = 200, current = 45 }, "discovered", "small", 200 },
      { told.rpm, told.source, told.probe.model, told.probe.status })
    assert.same({ "requests", "minute", 200, 155, "discovered", "probe" }, { told.limits[1].metric,
      told.limits[1].window, told.limits[1].limit, told.limits[1].remaining, told.limits[1].source,
      told.limits[1].told_by })
    local body = upstream:body()
    assert.same({ "small-v2", 1, 1 }, { body.model, body.max_tokens, #body.messages })
    assert.equal(1, #upstream:seen())
    assert.same({ max = 200, current = 45 }, moongate:admin("/v1/limits/shop").rpm)
  end)

  it("speaks the provider's own protocol", function()
    start()
    upstream:next { headers = { ["anthropic-ratelimit-requests-limit"] = 50,
      ["anthropic-ratelimit-requests-remaining"] = 49 } }
    local told, status = probe "other"
    assert.same({ 200, { max = 50, current = 1 } }, { status, told.rpm })
    assert.equal("/v1/messages", upstream:seen()[1].path)
  end)

  it("is counted against the provider's limits, and has its row in the ledger", function()
    start {
      providers = { shop = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1",
        limits = { rpm = 2, tpd = 100000 } } },
      models = { { id = "small", provider = "shop" } },
    }
    local told = probe "shop"
    assert.same({ max = 2, current = 1 }, told.rpm)
    local row = moongate:admin("/v1/requests/" .. told.probe.request_id)
    assert.same({ "probe", "admin", "shop", "small", "ok", 1, 200 }, { row.surface, row.key, row.provider, row.model,
      row.outcome, #row.attempts, row.attempts[1].status })
    probe "shop"
    local refused, status = probe "shop"
    assert.equal(503, status)
    assert.matches('no model of "shop" can be probed: shop/small: no quota left: provider:shop:requests minute',
      refused.error.message, 1, true)
    assert.equal(2, #upstream:seen())
  end)

  it("of a provider that says 429 tells what that says, and how long it is out", function()
    start()
    upstream:next(limits_headers(200, 200, { kind = "error", status = 429, message = "Rate limit reached",
      type = "requests", code = "rate_limit_exceeded" }))
    local told, status = probe "shop"
    assert.same({ 200, { max = 200, current = 200 }, "exhausted", 429 },
      { status, told.rpm, told.status, told.probe.status })
    assert.matches("rate limited", told.probe.error, 1, true)
    local refused
    refused, status = probe "shop"
    assert.equal(503, status)
    assert.matches("shop/small: exhausted, rate limited", refused.error.message, 1, true)
    assert.equal(1, #upstream:seen())
  end)

  it("says so when the provider refuses the key, or cannot be reached", function()
    start()
    upstream:next { kind = "error", status = 401, message = "Incorrect API key" }
    local told, status = probe "shop"
    assert.equal(502, status)
    assert.matches("shop/small: the key was refused (401)", told.error.message, 1, true)
    assert.matches("look at the provider's api_key", told.error.message, 1, true)
    upstream:refuse()
    told, status = probe "other"
    assert.equal(502, status)
    assert.matches("cannot be reached", told.error.message, 1, true)
  end)

  it("knows no other providers, and nobody but the admin", function()
    start()
    local told, status = probe "shpo"
    assert.equal(404, status)
    assert.matches('there is no provider "shpo" here (did you mean "shop"?)', told.error.message, 1, true)
    assert.equal(401, moongate:request({ method = "POST", path = "/admin/probe/shop" }).status)
    assert.equal(405, moongate:request({ path = "/admin/probe/shop", key = gateway.admin_token }).status)
    assert.same({}, upstream:seen())
  end)

  describe("under zero_spend", function()
    it("passes over what is not known to cost nothing", function()
      start { zero_spend = true }
      local told, status = probe "shop"
      assert.same({ 200, "large" }, { status, told.probe.model })
      assert.equal("large", upstream:body().model)
    end)

    it("calls nobody where nothing is free, and says why", function()
      start { zero_spend = true }
      local told, status = probe "other"
      assert.same({ 403, "zero_spend" }, { status, told.error.code })
      assert.matches('no model of "other" can be probed: other/claude: zero_spend is on and it is not known to cost '
        .. "nothing", told.error.message, 1, true)
      assert.same({}, upstream:seen())
    end)

    it("raises the alarm when it is charged all the same, and a pardon brings the model back", function()
      start { zero_spend = true }
      upstream:next { usage = { prompt_tokens = 1, completion_tokens = 1, total_tokens = 2, cost = 0.01 } }
      local _, status = probe "shop"
      assert.equal(200, status)
      assert.equal("degraded", moongate:request({ path = "/ready" }):json().status)
      assert.equal(503, moongate:chat({ model = "large" }).status)

      local function pardon(name, key)
        local answer = moongate:request { method = "DELETE", path = "/admin/marks/" .. name, key = key }
        return answer:json(), answer.status
      end
      assert.equal(401, select(2, pardon("shop/large", nil)))
      local told
      told, status = pardon("shop/larg", gateway.admin_token)
      assert.equal(404, status)
      assert.matches('did you mean "shop/large"', told.error.message, 1, true)
      told = pardon("shop%2Flarge", gateway.admin_token)
      assert.same({ "shop/large", true, "charged", 31 * 86400 }, { told.target, told.pardoned, told.reason,
        told.left_s })
      assert.is_false(pardon("shop/large", gateway.admin_token).pardoned)
      assert.equal("ready", moongate:request({ path = "/ready" }):json().status)
      assert.equal(200, moongate:chat({ model = "large" }).status)
    end)
  end)

  describe("by the command", function()
    it("is a table for people, and JSON on demand", function()
      start()
      upstream:usually(limits_headers(200, 45))
      local status, output, errors = moongate:command("probe", "shop")
      assert.same({ 0, "" }, { status, errors })
      assert.matches("probed shop/small: answered", output, 1, true)
      assert.matches("requests +minute +45 +200 +30 s +probe +small%-v2", output)
      status, output = moongate:command("probe", "shop", "--json")
      assert.equal(0, status)
      assert.same({ max = 200, current = 45 }, json.decode(output).rpm)
    end)

    it("tells what is wrong in one line", function()
      start()
      upstream:usually { kind = "error", status = 401, message = "no" }
      local function complains(words, code, ...)
        local status, output, errors = moongate:command("probe", ...)
        assert.same({ code, "" }, { status, output })
        assert.matches(words, errors, 1, true)
        assert.equal(1, select(2, errors:gsub("\n", "")))
      end
      complains("which provider?", 2)
      complains('"other" is one word too many', 2, "shop", "other")
      complains('"--jsn" is not known (did you mean "--json"?)', 2, "shop", "--jsn")
      complains('the configuration has no provider "shpo" (did you mean "shop"?)', 1, "shpo")
      complains("the key was refused (401)", 1, "shop")
      moongate:stop()
      complains("no gateway answers at " .. moongate.address, 1, "shop")
      moongate:write("moongate.lua", 'return { providers = { shop = { protocol = "mock" } } }\n')
      complains("set admin_token in the configuration", 1, "shop")
    end)

    it("explains itself", function()
      local status, output = gateway.prepare({}):command("probe", "--help")
      assert.equal(0, status)
      assert.matches("moongate probe groq", output, 1, true)
    end)
  end)
end)
