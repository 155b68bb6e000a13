-- A wall clock that is put forward and back under a running gateway: nothing stops, nothing is lost, and no limit is
-- gained by it.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"

local HOUR, DAY = 3600, 86400
local NOON = 1772366400 -- 2026-03-01T12:00:00Z

describe("a clock that jumps", function()
  local upstream, moongate, base

  before_each(function()
    upstream = provider.open()
    moongate = gateway.prepare { clock = true, config = { store = "sqlite:moongate.db",
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0,
        limits = { rpd = 6 } } },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } } } }
    base = NOON - os.time()
    moongate:shift(base)
    moongate:open()
  end)

  after_each(gateway.stop_all)

  local function chat() return moongate:chat { model = "small" } end
  local function used()
    for _, limit in ipairs(moongate:admin("/v1/limits/acme").limits) do
      if limit.source == "config" then return limit.limit - limit.remaining end
    end
  end

  it("by hours within a day loses no count and no row", function()
    local ids = {}
    for _, hours in ipairs { 0, 5, -3, 2, -11, 0 } do
      moongate:shift(base + hours * HOUR)
      local answer = chat()
      assert.equal(200, answer.status, answer.body)
      ids[#ids + 1] = answer.headers["x-request-id"]
    end
    assert.equal(6, used())
    moongate:shift(base - 2 * HOUR)
    assert.equal(503, chat().status)
    for _, id in ipairs(ids) do
      local row = moongate:admin("/v1/requests/" .. id)
      assert.same({ "ok", 9, 12 }, { row.outcome, row.input_tokens, row.output_tokens })
      assert.is_true(row.latency_ms >= 0 and row.latency_ms < 15000, row.latency_ms)
    end
    moongate:restart()
    assert.equal(6, used())
  end)

  it("to the day before keeps what is counted, and begins anew on the next", function()
    for _ = 1, 6 do assert.equal(200, chat().status) end
    moongate:shift(base - DAY)
    assert.equal(503, chat().status)
    moongate:shift(base)
    assert.equal(503, chat().status)
    moongate:shift(base + DAY)
    assert.equal(200, chat().status)
    assert.equal(1, used())
  end)

  it("a year ahead and back leaves nothing shut for a year", function()
    moongate:shift(base + 365 * DAY)
    for _ = 1, 6 do assert.equal(200, chat().status) end
    moongate:shift(base)
    assert.equal(503, chat().status) -- they were made, whatever day it was
    moongate:shift(base + DAY)
    assert.equal(200, chat().status)
  end)

  it("does not end a stream under way, nor its row", function()
    upstream:next { hold = { after = 2, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    upstream:wait_for(1, "middle")
    for _, hours in ipairs { 30, -30, 0 } do
      moongate:shift(base + hours * HOUR)
      assert.equal(200, moongate:request({ path = "/health" }).status)
    end
    moongate:shift(base - HOUR)
    upstream:go "middle"
    assert.equal("[DONE]", select(2, gateway.text_of(stream:events())))
    stream:close()
    local row = moongate:admin("/v1/requests/" .. stream.headers["x-request-id"])
    assert.equal("ok", row.outcome)
    assert.is_true(row.latency_ms >= 0 and row.latency_ms < 15000, row.latency_ms)
  end)
end)

describe("a reservation", function()
  after_each(gateway.stop_all)

  it("dies with the process: what was only reserved is free again, and the row is lost", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = { store = "sqlite:moongate.db",
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0,
        limits = { tpm = 100000, rpd = 2 } } },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } } } }
    assert.equal(200, moongate:chat({ model = "small" }).status)
    upstream:next { hold = { after = 2, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    upstream:wait_for(2, "middle")
    assert.equal(503, moongate:chat({ model = "small" }).status)
    moongate:kill():open()
    assert.equal("lost", moongate:admin("/v1/requests/" .. stream.headers["x-request-id"]).outcome)
    assert.equal(200, moongate:chat({ model = "small" }).status)
    assert.equal(503, moongate:chat({ model = "small" }).status)
    stream:close()
  end)
end)
