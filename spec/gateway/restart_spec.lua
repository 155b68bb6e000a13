-- What must last: counters, exhaustion and the ledger, over a restart and over a kill that comes without warning.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"

local upstream

local function start(limits, options)
  options = options or {}
  options.config = {
    store = "sqlite:moongate.db",
    providers = {
      acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0, limits = limits },
    },
    models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } },
  }
  return gateway.start(options)
end

local function status_of(moongate) return moongate:chat({ model = "small" }).status end

describe("over a restart", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("requests and tokens of the day stay counted", function()
    local moongate = start { rpd = 3, tpd = 1000 }
    assert.same({ 200, 200 }, { status_of(moongate), status_of(moongate) })
    moongate:restart()
    local used = {}
    for _, limit in ipairs(moongate:admin("/v1/limits/acme").limits) do
      if limit.source == "config" then used[limit.metric .. " " .. limit.window] = limit.limit - limit.remaining end
    end
    assert.same({ ["requests day"] = 2, ["tokens day"] = 42 }, used)
    assert.same({ 200, 503 }, { status_of(moongate), status_of(moongate) })
    assert.equal(3, #upstream:seen())
  end)

  it("and over a kill too: what a caller saw completed is counted", function()
    local moongate = start { rpd = 3 }
    assert.same({ 200, 200, 200 }, { status_of(moongate), status_of(moongate), status_of(moongate) })
    moongate:kill():open()
    assert.equal(503, status_of(moongate))
  end)

  it("exhaustion stays", function()
    local moongate = start(nil, { clock = true })
    upstream:next { kind = "error", status = 429, headers = { ["retry-after"] = "300" } }
    moongate:chat { model = "small" }
    moongate:restart()
    local seconds = moongate:admin("/v1/limits/acme").exhausted_for_s
    assert.truthy(seconds > 280 and seconds <= 300)
    assert.equal(503, status_of(moongate))
    moongate:kill():open()
    assert.equal(503, status_of(moongate))
    moongate:shift(301)
    assert.equal(200, status_of(moongate))
  end)

  it("the limits that a provider told stay known", function()
    local moongate = start()
    upstream:next { headers = { ["x-ratelimit-limit-requests"] = "200", ["x-ratelimit-remaining-requests"] = "155",
      ["x-ratelimit-reset-requests"] = "1h" } }
    moongate:chat { model = "small" }
    moongate:restart()
    local found
    for _, limit in ipairs(moongate:admin("/v1/limits/acme").limits) do
      if limit.source == "discovered" then found = limit end
    end
    assert.same({ "requests", 200 }, { found.metric, found.limit })
  end)

  it("the ledger stays, whole and streamed answers alike", function()
    local moongate = start()
    local whole = moongate:chat({ model = "small" }).headers["x-request-id"]
    local stream = moongate:stream({ model = "small" }):rest()
    stream:close()
    moongate:restart()
    for _, id in ipairs { whole, stream.headers["x-request-id"] } do
      local row, status = moongate:admin("/v1/requests/" .. id)
      assert.equal(200, status)
      assert.same({ "ok", 9, 12, 33 }, { row.outcome, row.input_tokens, row.output_tokens, row.cost_microusd })
    end
  end)
end)

describe("when the gateway is killed without warning", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("every answer that a caller saw completed is in the ledger", function()
    local moongate = start()
    local connections, ids = {}, {}
    for n = 1, 8 do connections[n] = http.keep(moongate.address) end
    for round = 1, 5 do
      for n = 1, 8 do
        local answer = connections[n]:request { path = "/v1/chat/completions", json = {
          model = "small", stream = round % 2 == 0, messages = { { role = "user", content = "hello" } } } }
        assert.is_true(answer.complete)
        ids[#ids + 1] = answer.headers["x-request-id"]
      end
    end
    moongate:kill():open()
    for _, id in ipairs(ids) do
      assert.equal("ok", moongate:admin("/v1/requests/" .. id).outcome)
    end
  end)

  it("a call under way is closed as lost at the next start", function()
    local moongate = start()
    upstream:next { hold = { after = 2, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    upstream:wait_for(1, "middle")
    -- What was begun is written with the next answer, or a moment later: this one makes sure of it.
    assert.equal(200, status_of(moongate))
    moongate:kill():open()
    local row = moongate:admin("/v1/requests/" .. stream.headers["x-request-id"])
    assert.same({ "lost", true }, { row.outcome, row.estimated })
    stream:close()
  end)
end)

describe("a limit of a provider", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("is never overshot by calls that come at once", function()
    local moongate = start { rpm = 5 }
    local connections, statuses = {}, {}
    for n = 1, 20 do connections[n] = moongate:begin_chat { model = "small" } end
    for n = 1, 20 do
      local answer = http.answered(connections[n]):rest()
      statuses[answer.status] = (statuses[answer.status] or 0) + 1
      answer:close()
    end
    assert.same({ [200] = 5, [503] = 15 }, statuses)
    assert.equal(5, #upstream:seen())
  end)

  it("of a minute is free again in the next, of a day on the next day", function()
    local moongate = start({ rpm = 2, rpd = 3 }, { clock = true })
    assert.same({ 200, 200, 503 }, { status_of(moongate), status_of(moongate), status_of(moongate) })
    moongate:shift(61)
    local answer = moongate:chat { model = "small" }
    -- Around midnight the next minute is the next day.
    local day = os.date("!%d") == os.date("!%d", os.time() + 61)
    assert.equal(200, answer.status)
    if day then assert.equal(503, status_of(moongate)) end
    moongate:shift(86400 + 61)
    assert.equal(200, status_of(moongate))
  end)

  it("is told with what is used, and how long it is blocked", function()
    local moongate = start { rpm = 2 }
    status_of(moongate)
    local told = moongate:admin("/v1/limits/acme")
    assert.same({ "acme", { max = 2, current = 1 } }, { told.provider, told.rpm })
    status_of(moongate)
    local answer = moongate:chat { model = "small" }
    assert.equal(503, answer.status)
    local seconds = tonumber(answer.headers["retry-after"])
    assert.truthy(seconds >= 1 and seconds <= 60)
  end)

  it("is given back by a call that never reached the provider", function()
    local moongate = start { rpd = 2 }
    upstream:refuse()
    assert.same({ 502, 502, 502 }, { status_of(moongate), status_of(moongate), status_of(moongate) })
    upstream:accept()
    assert.same({ 200, 200, 503 }, { status_of(moongate), status_of(moongate), status_of(moongate) })
  end)
end)
