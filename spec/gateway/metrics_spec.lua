-- /health, /ready, /metrics and the log: what an operator watches.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

describe("metrics", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = {
      providers = {
        acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-in-no-log", retries = 0,
          limits = { rpd = 1000 } },
      },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } },
    } }
  end)
  teardown(gateway.stop_all)

  local function metrics()
    local values, helped, typed = {}, {}, {}
    local answer = moongate:request { path = "/metrics" }
    assert.equal(200, answer.status)
    assert.matches("^text/plain", answer.headers["content-type"])
    for line in answer.body:gmatch("[^\n]+") do
      local kind, name = line:match("^# (%u+) ([%w_:]+)")
      if kind == "HELP" then helped[name] = true end
      if kind == "TYPE" then typed[name] = line:match("(%a+)$") end
      if not kind then
        local series, value = line:match("^(.-) (%S+)$")
        assert.truthy(tonumber(value), line)
        values[series] = tonumber(value)
      end
    end
    return values, helped, typed
  end

  local function series(values, name, labels)
    local total = 0
    for key, value in pairs(values) do
      local fits = key:match("^[%w_:]+") == name
      for label, content in pairs(labels or {}) do
        fits = fits and key:find(('%s="%s"'):format(label, content), 1, true)
      end
      if fits then total = total + value end
    end
    return total
  end

  it("have a HELP and a TYPE each, and the names that were promised", function()
    moongate:chat { model = "small" }
    local values, helped, typed = metrics()
    for name, kind in pairs {
      moongate_requests_total = "counter", moongate_tokens_total = "counter", moongate_billed_tokens_total = "counter",
      moongate_cost_microusd_total = "counter", moongate_attempts_total = "counter",
      moongate_policy_reloads_total = "counter", moongate_policy_faults_total = "counter",
      moongate_request_seconds = "histogram", moongate_upstream_seconds = "histogram",
      moongate_overhead_seconds = "histogram", moongate_policy_seconds = "histogram",
      moongate_quota_remaining = "gauge", moongate_store_up = "gauge", moongate_streams_open = "gauge",
    } do
      assert.is_true(helped[name], name)
      assert.equal(kind, typed[name], name)
    end
    for key in pairs(values) do
      local name = key:match("^[%w_:]+")
      assert.truthy(typed[name] or typed[name:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")], name)
    end
  end)

  it("count requests, attempts, tokens and money", function()
    local before = metrics()
    moongate:chat { model = "small" }
    moongate:stream({ model = "small" }):rest():close()
    upstream:next { kind = "error", status = 500 }
    moongate:chat { model = "small" }
    local after = metrics()
    local function grown(name, labels) return series(after, name, labels) - series(before, name, labels) end
    local ok = { surface = "chat", provider = "acme", model = "small", status = "200" }
    assert.equal(2, grown("moongate_requests_total", ok))
    assert.equal(1, grown("moongate_requests_total", { status = "502" }))
    assert.equal(3, grown("moongate_attempts_total"))
    assert.equal(18, grown("moongate_tokens_total", { kind = "input" }))
    assert.equal(24, grown("moongate_tokens_total", { kind = "output" }))
    assert.equal(42, grown("moongate_billed_tokens_total"))
    assert.equal(66, grown("moongate_cost_microusd_total"))
    assert.equal(3, grown("moongate_request_seconds_count"))
    assert.equal(1, series(after, "moongate_store_up"))
  end)

  it("tell the streams that are open and the quota that is left", function()
    upstream:next { hold = { after = 1, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    upstream:wait_for(#upstream:seen(), "middle")
    local values = metrics()
    assert.equal(1, series(values, "moongate_streams_open"))
    local left = series(values, "moongate_quota_remaining", { provider = "acme", metric = "requests_day" })
    assert.truthy(left < 1000 and left > 900)
    upstream:go("middle")
    stream:rest():close()
    wait.until_(function() return series((metrics()), "moongate_streams_open") == 0 end, "the stream to be closed")
  end)

  it("have histograms whose buckets add up", function()
    moongate:chat { model = "small" }
    local values = metrics()
    local count = series(values, "moongate_request_seconds_count")
    assert.equal(count, series(values, "moongate_request_seconds_bucket", { le = "+Inf" }))
  end)

  it("stay within bounds however many models callers invent", function()
    for n = 1, 30 do moongate:chat { model = "invented-" .. n } end
    assert.not_matches("invented", moongate:request({ path = "/metrics" }).body, 1, true)
  end)
end)

describe("health", function()
  after_each(gateway.stop_all)

  it("is told by /health and /ready", function()
    local moongate = gateway.start { config = {
      providers = { demo = { protocol = "mock" } }, models = { { id = "echo", provider = "demo" } } } }
    assert.equal(200, moongate:request({ path = "/health" }).status)
    local ready = moongate:request { path = "/ready" }
    assert.equal(200, ready.status)
    assert.same({ "ready", {} }, { ready:json().status, ready:json().problems })
  end)
end)

describe("the log", function()
  after_each(gateway.stop_all)

  it("is JSON lines, one for each request, without secrets or prompts", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = {
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-in-no-log" } },
      models = { { id = "small", provider = "acme" } } } }
    local answer = moongate:chat({ model = "small", messages = { { role = "user", content = "a private matter" } } },
      { key = "mg-in-no-log-either" })
    local id = answer.headers["x-request-id"]
    local line = wait.until_(function()
      for _, entry in ipairs(moongate:log()) do
        if entry.request_id == id then return entry end
      end
    end, "the request's line")
    assert.equal(200, line.status)
    assert.equal("acme", line.provider)
    assert.equal("small", line.model)
    local text = moongate:errors()
    for _, secret in ipairs { "sk-in-no-log", "mg-in-no-log-either", "a private matter" } do
      assert.not_matches(secret, text, 1, true)
    end
    for entry in text:gmatch("[^\n]+") do assert.matches("^{.*}$", entry) end
  end)
end)
