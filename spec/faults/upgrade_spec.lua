-- SIGUSR2: the program is started anew in the gateway's place. Nobody is refused, no stream breaks, every row is kept
-- once, and what was counted stays counted; where the new one does not start, the old one goes on.
local bench = require "spec.store.workbench"
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local json = require "dkjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local tls = require "spec.support.tls"
local wait = require "spec.support.wait"

local ROUNDS = tonumber(os.getenv "MOONGATE_ROUNDS") or 4

local function config(more)
  local all = { store = "sqlite:moongate.db",
    providers = { mock = { protocol = "mock", limits = { rpd = 1e6, tpd = 1e9 } } },
    models = { { id = "small", provider = "mock" } } }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

local function rows(gate)
  local found = {}
  for _, line in ipairs(bench.sql(gate.folder .. "/moongate.db",
    "SELECT request_id || ' ' || outcome FROM ledger")) do
    local id, outcome = line:match "^(%S+) (%S+)$"
    assert(not found[id], "twice in the ledger: " .. id)
    found[id] = outcome
  end
  return found
end

local function counted(gate, what)
  return tonumber(bench.sql(gate.folder .. "/moongate.db",
    "SELECT sum(settled) FROM counters WHERE window = 'day' AND key LIKE '%mock%" .. what .. "%'")[1])
end

local function sum(gate, what)
  return tonumber(bench.sql(gate.folder .. "/moongate.db", "SELECT " .. what .. " FROM ledger")[1])
end

describe("an upgrade", function()
  after_each(gateway.stop_all)

  for _, over in ipairs { "plain TCP", "TLS" } do
    local synced = over == "TLS" and ", with sync=second," or ""
    it("under load over " .. over .. synced .. " costs no request and no stream; every row is there once", function()
      local gate = gateway.prepare { config = config(over == "TLS" and { store = "sqlite:moongate.db?sync=second",
        listen = { addr = "127.0.0.1:0", cert = "one.pem", key = "one.key" } }) }
      tls.certificate(gate.folder, "one")
      gate:open()
      local pipe = gate.folder .. "/going"
      assert(os.execute("mkfifo '" .. pipe .. "'"))
      local movers = process.start({ "node", "spec/faults/movers.js", gate.address,
        over == "TLS" and gate.folder .. "/one.pem" or nil }, { stdin = pipe })
      local going = assert(io.open(pipe, "w"))
      local done = 0
      for _ = 1, ROUNDS do
        wait.until_(function() return gate:times "request" >= done + 40 end, "requests")
        assert(gate:upgrade())
        done = gate:times "request"
      end
      wait.until_(function() return gate:times "request" >= done + 40 end, "requests after the last")
      going:close()
      assert.equal(0, movers:wait(60), movers:errors())
      local told = json.decode(movers:output())
      assert.same({}, told.problems)
      -- Each process before the last has ended by itself, and well.
      wait.until_(function() return gate:times "stopped" == ROUNDS end, "the end of the old ones", 60)
      assert.equal(0, gate.process:wait())
      gate:stop()
      local found, count = rows(gate), 0
      for _, id in ipairs(told.ids) do
        assert.equal("ok", found[id], id)
        count = count + 1
      end
      assert.is_true(count >= 40 * ROUNDS)
      assert.equal(count, sum(gate, "count(*)"))
      assert.equal(count, counted(gate, "requests"))
      assert.equal(sum(gate, "sum(input_tokens + output_tokens)"), counted(gate, "tokens"))
      assert.equal(0, bench.open_rows(gate.folder .. "/moongate.db"))
      print(("  %d upgrades over %s: %d requests, %d failed"):format(ROUNDS, over, count, #told.problems))
    end)
  end

  it("needs nothing of the old process on Redis, where both count side by side", function()
    local server = redis.start()
    local gate = gateway.start { config = config { store = ("redis://127.0.0.1:%d/0"):format(server.port) } }
    local streams = {}
    for i = 1, 2 do
      streams[i] = gate:stream({ model = "small",
        messages = { { role = "user", content = "mock: chunks=60 chunk-delay=0.02" } } })
      assert.truthy(streams[i]:event())
      assert(gate:upgrade())
      assert.equal(200, gate:chat({ model = "small" }).status)
    end
    for i = 1, 2 do
      local events = streams[i]:events()
      assert.equal("[DONE]", events[#events])
    end
    assert.equal(4, gate:admin("/v1/usage?by=model").totals.requests)
    gate:stop()
    server:free()
  end)

  it("leaves a stream to the process that began it, while the new one answers", function()
    local gate = gateway.start { config = config() }
    local stream = gate:stream({ model = "small",
      messages = { { role = "user", content = "mock: chunks=60 chunk-delay=0.02" } } })
    assert.truthy(stream:event())
    local _, before = gate:upgrade()
    assert.equal(200, gate:chat({ model = "small" }).status)
    assert.is_false(before:has_ended())
    local events = stream:events()
    assert.equal("[DONE]", events[#events])
    wait.until_(function() return before:has_ended() end, "the end of the old one")
    assert.equal(0, before.status)
  end)

  it("counts what streams under way have reserved, and then what they took", function()
    local gate = gateway.start { config = config {
      providers = { mock = { protocol = "mock", limits = { rpd = 3 } } } } }
    local stream = gate:stream({ model = "small",
      messages = { { role = "user", content = "mock: chunks=60 chunk-delay=0.02" } } })
    assert.truthy(stream:event())
    assert(gate:upgrade())
    assert.equal(200, gate:chat({ model = "small" }).status)
    assert.equal(200, gate:chat({ model = "small" }).status)
    assert.is_true(gate:chat({ model = "small" }).status >= 429)
    local events = stream:events()
    assert.equal("[DONE]", events[#events])
    assert.equal(503, gate:chat({ model = "small" }).status)
    gate:stop()
    assert.equal(3, counted(gate, "requests"))
  end)

  it("gives back what a stream had reserved and did not take", function()
    local gate = gateway.start { config = config {
      providers = { mock = { protocol = "mock", limits = { tpd = 100000 } } } } }
    local stream = gate:stream({ model = "small", max_tokens = 90000,
      messages = { { role = "user", content = "mock: chunks=60 chunk-delay=0.06" } } })
    assert.truthy(stream:event())
    assert(gate:upgrade())
    assert.is_true(gate:chat({ model = "small", max_tokens = 20000 }).status >= 429)
    local events = stream:events()
    assert.equal("[DONE]", events[#events])
    wait.until_(function() return gate:chat({ model = "small", max_tokens = 20000 }).status == 200 end, "room")
    gate:stop()
    assert.equal(sum(gate, "sum(input_tokens + output_tokens)"), counted(gate, "tokens"))
  end)

  it("learns from the old process what that still hears of its providers, and keeps it", function()
    local upstream = provider.open():usually { hold = { name = "heads" },
      headers = { ["x-ratelimit-limit-requests"] = "200", ["x-ratelimit-remaining-requests"] = "155",
        ["x-ratelimit-reset-requests"] = "1h" } }
    upstream:next({ kind = "error", status = 429, hold = { name = "refusal" }, headers = { ["retry-after"] = "300" } })
    local function openai()
      return { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0 }
    end
    local gate = gateway.start { config = config { providers = { acme = openai(), other = openai() },
      models = { { id = "small", provider = "acme" }, { id = "large", provider = "other" } } } }
    local function limits(name) return (gate:admin("/v1/limits/" .. name)) end
    local function told(name)
      for _, limit in ipairs(limits(name).limits) do
        if limit.source == "discovered" then return limit.limit, limit.remaining end
      end
    end
    local refused = gate:begin_chat { model = "small" }
    upstream:wait_for(1, "refusal")
    local answered = gate:begin_chat { model = "large" }
    upstream:wait_for(2, "heads")
    local _, before = gate:upgrade()
    assert.equal(0, limits("acme").exhausted_for_s)
    assert.is_nil(told "other")
    upstream:go "refusal"
    upstream:go "heads"
    assert.truthy(http.answered(refused):rest().status >= 429)
    assert.equal(200, http.answered(answered):rest().status)
    wait.until_(function() return limits("acme").exhausted_for_s > 280 end, "the mark")
    wait.until_(function() return told "other" == 200 end, "the provider's word")
    wait.until_(function() return before:has_ended() end, "the end of the old one")
    gate:stop():open()
    assert.truthy(limits("acme").exhausted_for_s > 280)
    assert.same({ 200, 155 }, { told "other" })
  end)

  it("closes as lost what the old process had under way, if that is killed", function()
    local gate = gateway.start { config = config() }
    local stream = gate:stream({ model = "small",
      messages = { { role = "user", content = "mock: chunks=60 chunk-delay=1" } } },
      { headers = { ["x-request-id"] = "cut" } })
    assert.truthy(stream:event())
    local _, before = gate:upgrade()
    assert.is_nil(rows(gate).cut)
    before:kill "KILL"
    wait.until_(function() return rows(gate).cut == "lost" end, "the lost row")
    before:wait()
    assert.equal(200, gate:chat({ model = "small" }).status)
    gate.process.status, gate.process.signal = 0, nil -- it was told to die
  end)

  it("may follow an upgrade whose streams are still under way", function()
    local gate = gateway.start { config = config() }
    local streams = {}
    for i = 1, 3 do
      streams[i] = gate:stream({ model = "small",
        messages = { { role = "user", content = "mock: chunks=60 chunk-delay=0.02" } } },
        { headers = { ["x-request-id"] = "long-" .. i } })
      assert.truthy(streams[i]:event())
      assert(gate:upgrade())
    end
    for i = 1, 3 do
      local events = streams[i]:events()
      assert.equal("[DONE]", events[#events])
    end
    gate:stop()
    assert.same({ ["long-1"] = "ok", ["long-2"] = "ok", ["long-3"] = "ok" }, rows(gate))
  end)

  it("ends a kept connection with a reply, not between two", function()
    local gate = gateway.start { config = config() }
    local kept = http.keep(gate.address)
    assert.is_nil(kept:request { path = "/health" }.headers.connection)
    assert(gate:upgrade())
    assert.equal("close", kept:request { path = "/health" }.headers.connection)
  end)

  local failures = {
    { "a configuration that does not load", function(gate) gate:write("moongate.lua", "return { stroe = 1 }") end,
      "unknown key" },
    { "a policy that does not load", function(gate) gate:write("policies/routing/bad.lua", "return function(") end,
      "policies/routing/bad.lua" },
    { "a certificate that is none", function(gate) gate:write("one.pem", "hello") end, "no certificate in PEM" },
  }
  for _, case in ipairs(failures) do
    it("that meets " .. case[1] .. " changes nothing, and says why", function()
      local gate = gateway.prepare { policies = { ["routing/mine.lua"] = "return function(_, list) return list end" },
        config = config { policy = "mine",
          listen = { "127.0.0.1:0", { addr = "127.0.0.1:0", cert = "one.pem", key = "one.key" } } } }
      tls.certificate(gate.folder, "one")
      gate:open()
      local stream = gate:stream({ model = "small",
        messages = { { role = "user", content = "mock: chunks=30 chunk-delay=0.02" } } })
      assert.truthy(stream:event())
      case[2](gate)
      local heir, reason = gate:upgrade()
      assert.is_nil(heir)
      assert.matches(case[3], reason, 1, true)
      assert.equal(200, gate:chat({ model = "small" }).status)
      local events = stream:events()
      assert.equal("[DONE]", events[#events])
      gate:stop()
      assert.equal(2, sum(gate, "count(*)"))
      assert.equal(2, counted(gate, "requests"))
    end)
  end
end)
