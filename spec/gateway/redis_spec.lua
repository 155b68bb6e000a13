-- Several gateways on one Redis keep limits and budgets as if they were one, whatever comes at them at once.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local wait = require "spec.support.wait"

local CLIENTS = 500

describe("three gateways on one Redis", function()
  local server, upstream, gateways

  setup(function() server = redis.start() end)
  teardown(function() server:free() end)
  before_each(function()
    server:command("FLUSHALL")
    upstream = provider.open()
  end)
  after_each(function()
    if server.frozen then server:thaw() end
    gateway.stop_all()
  end)

  local function start(change)
    gateways = {}
    for i = 1, 3 do
      local config = {
        auth = "keys", workers = 2, store = ("redis://127.0.0.1:%d/0"):format(server.port),
        orgs = { acme = {} },
        keys = { { name = "dev", key = "the-key-of-dev", org = "acme" } },
        providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 } },
        models = { { id = "small", provider = "acme", cost = { input = 0, output = 10 } } },
      }
      change(config)
      gateways[i] = gateway.start { config = config }
    end
  end

  local function calls() return #upstream:seen() end

  -- So many clients at once, spread over the gateways: how many were answered, and how many refused with a 429 or 503.
  local function wave(count, fields)
    local connections, answered, refused = {}, 0, 0
    for i = 1, count do
      connections[i] = gateways[i % 3 + 1]:begin_chat(fields, { key = "the-key-of-dev" })
    end
    for _, connection in ipairs(connections) do
      local answer = http.answered(connection):rest()
      answer:close()
      if answer.status == 200 then
        answered = answered + 1
      else
        assert(answer.status == 429 or answer.status == 503, answer.body)
        refused = refused + 1
      end
    end
    return answered, refused
  end

  -- Waves until there is nothing left to give: a machine that stumbles may make a gateway miss Redis for a moment, and
  -- refuse what it might have had.
  local function exhaust(fields, most)
    local total = 0
    for _ = 1, 12 do
      local answered, refused = wave(CLIENTS, fields)
      total = total + answered
      assert.equal(CLIENTS, answered + refused)
      if total >= most then break end
    end
    assert.same({ 0, CLIENTS }, { wave(CLIENTS, fields) })
    return total
  end

  it("make exactly as many calls as a provider's limit has", function()
    start(function(config) config.providers.acme.limits = { rpd = 1000 } end)
    assert.equal(1000, exhaust({ model = "small" }, 1000))
    assert.equal(1000, calls())
  end)

  it("spend exactly a budget in dollars", function()
    start(function(config) config.keys[1].budget = { usd = 0.9, window = "month" } end)
    upstream:usually { usage = { prompt_tokens = 5, completion_tokens = 100, total_tokens = 105 } }
    -- 100 tokens at 10 USD a million are 1,000 micro-dollars.
    assert.equal(900, exhaust({ model = "small", max_tokens = 100 }, 900))
    assert.equal(900, calls())
    local usage = redis.command(server, "KEYS", "moongate:counter:key:*:microusd:month:*")
    assert.equal("900000", server:command("HGET", usage[1], "t"))
  end)

  it("bill exactly a budget in tokens, as near as the next call allows", function()
    start(function(config) config.orgs.acme.budget = { billed_tokens = 50000, window = "day" } end)
    upstream:usually { usage = { prompt_tokens = 5, completion_tokens = 60, total_tokens = 65 } }
    local total = exhaust({ model = "small", max_tokens = 100 }, 50000 / 65 - 2)
    assert.equal(total, calls())
    local used = total * 65 -- settled with what each has used, not with what was set aside for it
    assert.is_true(used <= 50000 and used > 50000 - 2 * 165, used)
  end)

  it("go on by themselves when it freezes, say so, and agree again once it is back", function()
    start(function(config)
      config.keys[1].budget = { usd = 0.3, window = "month" } -- 300 calls
    end)
    upstream:usually { usage = { prompt_tokens = 5, completion_tokens = 100, total_tokens = 105 } }
    local fields = { model = "small", max_tokens = 100 }
    local before = 0
    wait.until_(function()
      before = before + wave(6, fields)
      return before >= 30
    end, "calls by all of them")
    server:freeze()
    local alone = wave(CLIENTS, fields) -- nobody waits for Redis: all of them are answered now
    assert.is_true(alone > 0 and before + alone < 300, alone)
    for _, each in ipairs(gateways) do
      local ready = each:request({ path = "/ready" }):json()
      assert.equal("degraded", ready.status)
      assert.matches("Redis is away", ready.problems[1].message, 1, true)
      assert.matches("\nmoongate_store_up 0\n", each:request({ path = "/metrics" }).body, 1, true)
    end
    local refusal = gateways[1]:chat(fields, { key = "the-key-of-dev" })
    assert.equal(429, refusal.status)
    assert.matches("counted alone, for Redis is away", refusal.body, 1, true)
    server:thaw()
    wait.until_(function()
      for _, each in ipairs(gateways) do
        if each:request({ path = "/ready" }):json().status ~= "ready" then return false end
      end
      return true
    end, "all of them to be ready")
    assert.matches("\nmoongate_store_up 1\n", gateways[1]:request({ path = "/metrics" }).body, 1, true)
    assert.equal(300 - before - alone, exhaust(fields, 300 - before - alone))
    assert.equal(300, calls())
  end)
end)
