-- `moongate replay`: what recorded requests would have become under a changed policy, read beside the running gateway.
local gateway = require "spec.support.gateway"
local json = require "dkjson"

local CHEAP = 'return function(_, list) return list:sort("price", function(c) return c.estimated_cost end) end\n'
local GOOD = 'return function(_, list) return list:sort("quality", function(c) return -c.quality end) end\n'
local LOTTERY = 'return function(_, list) return list:drop("exhausted", function(c) return c.exhausted end)'
  .. ':shuffle("luck", function(c) return c.quality * (1 + c.error_rate) end) end\n'
local FRUGAL = 'return function(request, list) return list:keep("has room", '
  .. "function(c) return c.left.rpm > 15 end):shuffle() end\n"

local function start(policy, more)
  local config = {
    store = "sqlite:moongate.db", policy = "mine",
    providers = { one = { protocol = "mock", limits = { rpm = 20 } }, two = { protocol = "mock" },
      three = { protocol = "mock" } },
    models = {
      { id = "small", provider = "one", quality = 20, cost = { input = 1, output = 2 } },
      { id = "large", provider = "two", quality = 90, cost = { input = 5, output = 25 }, priority = 70 },
      { id = "plain", provider = "three", quality = 50, cost = { input = 2, output = 4 } },
    },
    aliases = { either = { { model = "small", weight = 3 }, { model = "plain", weight = 1 } } },
  }
  for name, value in pairs(more or {}) do config[name] = value end
  return gateway.start { config = config,
    policies = { ["routing/mine.lua"] = policy, ["routing/cheap.lua"] = CHEAP, ["routing/good.lua"] = GOOD } }
end

local function chat(moongate, count, fields, headers)
  for _ = 1, count do moongate:chat(fields, { headers = headers }) end
end

describe("moongate replay", function()
  after_each(gateway.stop_all)

  local function replayed(moongate, file, ...)
    local status, output, errors = moongate:command("replay", "--policy", file, "--json", ...)
    assert.equal(0, status, errors)
    assert.equal("", errors)
    return json.decode(output)
  end

  for name, policy in pairs {
    ["draws lots"] = LOTTERY, ["goes by what is left"] = FRUGAL, ["goes by price"] = CHEAP,
  } do
    it("of the same policy over recorded traffic finds no difference, where it " .. name, function()
      local moongate = start(policy)
      chat(moongate, 12)
      chat(moongate, 6, { model = "either" })
      chat(moongate, 3, {}, { ["x-moongate-policy"] = "cheap" })
      chat(moongate, 2, { model = "small", max_tokens = 5 }, { ["x-moongate-max-cost"] = "0.000000001" })
      local report = replayed(moongate, "policies/routing/mine.lua")
      assert.same({ 23, 23, 0, 0 },
        { report.requests, report.replayed, report.differences, report.not_replayed.total })
      assert.same({ report.usd.before, report.refusals.before }, { report.usd.after, report.refusals.after })
      assert.equal(2, report.refusals.before)
    end)
  end

  it("decides as before where rungs were passed over, which the record tells", function()
    local moongate = start(CHEAP, { providers = { one = { protocol = "mock", limits = { rpd = 3 } },
      two = { protocol = "mock" }, three = { protocol = "mock" } } })
    chat(moongate, 5)
    local row = moongate:admin("/v1/requests/" .. moongate:chat({}).headers["x-request-id"])
    assert.equal("three", row.provider)
    assert.matches("^rung 1, passed over: no quota left: provider:one:requests day",
      row.explanation.candidates[1].reason)
    assert.matches("three/plain is called first", row.explanation.reason, 1, true)
    local report = replayed(moongate, "policies/routing/mine.lua")
    assert.same({ 6, 6, 0, 0 },
      { report.requests, report.replayed, report.differences, report.not_replayed.total })
  end)

  it("of a changed one finds the differences that a slow recount finds", function()
    local moongate = start(CHEAP)
    chat(moongate, 4)
    chat(moongate, 3, { model = "large" })
    chat(moongate, 2, {}, { ["x-moongate-policy"] = "good" })
    moongate:write("changed/mine.lua", GOOD)
    local report = replayed(moongate, "changed/mine.lua")
    assert.same({ 9, 9, 4 }, { report.requests, report.replayed, report.differences })
    local before, after = 0, 0
    for _, entry in ipairs(report.differ_most) do
      local row = moongate:admin("/v1/requests/" .. entry.request_id)
      assert.equal("one", row.provider)
      assert.same({ "one/small", "three/plain", "two/large" }, entry.before.ladder)
      assert.same({ "two/large", "three/plain", "one/small" }, entry.after.ladder)
      assert.equal(row.cost_microusd, entry.before.cost_microusd)
      assert.equal(row.input_tokens * 5 + row.output_tokens * 25, entry.after.cost_microusd)
      before, after = before + entry.before.cost_microusd, after + entry.after.cost_microusd
    end
    assert.equal(4, #report.differ_most)
    assert.is_true(math.abs((report.usd.after - report.usd.before) * 1e6 - (after - before)) < 1e-6)
    local mix = {}
    for _, each in ipairs(report.providers) do mix[each.provider] = { each.before, each.after } end
    assert.same({ one = { 4, 0 }, two = { 5, 9 } }, mix)
  end)

  it("tells it to people in 80 columns", function()
    local moongate = start(CHEAP)
    chat(moongate, 3)
    chat(moongate, 1, { model = "nosuch" })
    moongate:write("mine.lua", 'return function() return {}, "not on Sundays" end\n')
    local status, output, errors = moongate:command("replay", "--policy", "mine.lua", "--since", "1h")
    assert.same({ 0, "" }, { status, errors })
    for line in output:gmatch("[^\n]+") do assert.is_true(#line <= 80, line) end
    for _, pattern in ipairs {
      'mine.lua in the place of the routing policy "mine"', "requests replayed +3 +3\n", "refused +0 +3\n",
      "cost +%$0%.%d+ +%$0%.000000  %-100%.0 %%\n", "one +3 +0\n", "not on Sundays",
      "Not replayed: 1\n +1  refused before a policy was asked\n",
    } do assert.matches(pattern, output) end
  end)

  it("puts a file of a new name in the place of every routing policy", function()
    local moongate = start(CHEAP)
    chat(moongate, 2)
    chat(moongate, 2, {}, { ["x-moongate-policy"] = "good" })
    moongate:write("new.lua", GOOD)
    local report = replayed(moongate, "new.lua")
    assert.same({ 4, 2 }, { report.replayed, report.differences })
  end)

  it("tries an access policy as well", function()
    local moongate = start(CHEAP)
    chat(moongate, 2)
    moongate:write("access.lua", 'return function(_, model) return model.provider ~= "one", "no ones" end\n')
    local report = replayed(moongate, "access.lua")
    assert.same({ 2, 2 }, { report.replayed, report.differences })
    assert.same({ "three/plain", "two/large" }, report.differ_most[1].after.ladder)
  end)

  it("refuses what hangs on what was said, and tells how many", function()
    local moongate = start(CHEAP)
    chat(moongate, 3)
    moongate:write("mine.lua", "return function(request, list) return #request.messages > 0 and list or {} end\n")
    local report = replayed(moongate, "mine.lua")
    assert.same({ 0, { { reason = "the policy reads request.messages, which is not recorded", count = 3 } } },
      { report.replayed, report.not_replayed.reasons })
  end)

  it("decides by the configuration of that time, not by that of today", function()
    local moongate = start(CHEAP)
    chat(moongate, 3)
    moongate:write("mine.lua", CHEAP)
    moongate:write("moongate.lua", (moongate:read("moongate.lua"):gsub('%["input"%] = 1,', '["input"] = 100,')
      :gsub('%["input"%] = 1 ', '["input"] = 100 ')))
    local report = replayed(moongate, "mine.lua")
    assert.same({ 3, 0 }, { report.replayed, report.differences })
    moongate:restart()
    chat(moongate, 1)
    report = replayed(moongate, "mine.lua")
    assert.same({ 4, 0 }, { report.replayed, report.differences })
  end)

  it("goes back as far as it is told", function()
    local moongate = start(CHEAP)
    chat(moongate, 2)
    assert.equal(2, replayed(moongate, "policies/routing/mine.lua", "--since", "2020-02-29").requests)
    assert.equal(0, replayed(moongate, "policies/routing/mine.lua", "--since", "0s").requests)
    local _, output = moongate:command("replay", "--policy", "policies/routing/mine.lua", "--since", "0s")
    assert.matches("^no request is recorded since ", output)
  end)

  it("keeps to itself what it recorded: a past request is told as before", function()
    local moongate = start(CHEAP)
    local answer = moongate:chat()
    local row = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
    assert.equal("mine", row.explanation.policy:match("^[^@]*"))
    assert.is_nil(row.decision or row.detail or row.world)
  end)

  -- title, words, exit code, what is said
  for _, case in ipairs {
    { "without a policy", {}, 2, "--policy FILE is needed" },
    { "with a time that is none", { "--policy", "good.lua", "--since", "yesterday" }, 2, "--since: write 30m" },
    { "with an unknown option", { "--polcy", "good.lua" }, 2, '"--policy"' },
    { "with a file that is not there", { "--policy", "nowhere.lua" }, 1, "nowhere.lua: No such file" },
    { "with a file that does not compile", { "--policy", "broken.lua" }, 1, "broken.lua:3: " },
    { "with a billing policy", { "--policy", "billing.lua" }, 1, "billing.lua cannot be replayed" },
    { "with a database that is not there", { "--policy", "good.lua" }, 1, "there is no database" },
    { "with a store in memory", { "--policy", "good.lua", "-c", "memory.lua" }, 1, "inside the running gateway" },
  } do
    it(case[1] .. " says what to do", function()
      local moongate = gateway.prepare { config = { store = "sqlite:moongate.db",
        providers = { demo = { protocol = "mock" } } } }
      moongate:write("memory.lua", 'return { store = "memory:", auth = "none", listen = "127.0.0.1:0", '
        .. 'providers = { demo = { protocol = "mock" } } }')
      moongate:write("good.lua", GOOD)
      moongate:write("billing.lua", "return function() return 1 end")
      moongate:write("broken.lua", "return function(_, list)\n  return list +\nend")
      local status, output, errors = moongate:command("replay", unpack(case[2]))
      assert.equal(case[3], status, errors)
      assert.equal("", output)
      assert.matches(case[4], errors, 1, true)
    end)
  end

  it("is helped by an example", function()
    local status, output = gateway.prepare({}):command("replay", "--help")
    assert.equal(0, status)
    assert.matches("moongate replay --policy policies/routing/free-tier.lua --since 24h", output, 1, true)
  end)
end)
