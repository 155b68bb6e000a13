-- `moongate replay`: what recorded requests would have become under a changed policy, read beside the running gateway.
local bench = require "spec.store.workbench"
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local CHEAP = 'return function(_, list) return list:sort("price", function(c) return c.estimated_cost end) end\n'
local GOOD = 'return function(_, list) return list:sort("quality", function(c) return -c.quality end) end\n'
local LOTTERY = 'return function(_, list) return list:drop("exhausted", function(c) return c.exhausted end)'
  .. ':shuffle("luck", function(c) return c.quality * (1 + c.error_rate) end) end\n'
local FRUGAL = 'return function(request, list) return list:keep("has room", '
  .. "function(c) return c.left.rpm > 15 end):shuffle() end\n"

local function start(policy, more, clock)
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
  return gateway.start { config = config, clock = clock,
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

  it("lets in whom the access policy of that time let in, whatever the one of today says", function()
    local moongate = start(CHEAP)
    chat(moongate, 1)
    moongate:write("policies/access.lua", [[
return {
  validate = function(_, model) return model.provider ~= "one", "no ones" end,
  resolve = function(_, asked) return asked == "small" and "large" or asked end,
}
]])
    wait.until_(function() return moongate:chat().headers["x-moongate-provider"] == "three" end, "the policy in force")
    chat(moongate, 2, { model = "either" })
    chat(moongate, 2, { model = "small" })
    chat(moongate, 1, { model = "one/small" })
    local before = replayed(moongate, "policies/routing/mine.lua")
    assert.same({ before.requests, 0, 1 }, { before.replayed, before.differences, before.refusals.before })
    moongate:write("policies/access.lua", 'return function() return false, "closed" end\n')
    assert.same(before.refusals, replayed(moongate, "policies/routing/mine.lua").refusals)
    os.remove(moongate.folder .. "/policies/access.lua")
    assert.equal(0, replayed(moongate, "policies/routing/mine.lua").differences)
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

  it("spends nothing again where the configuration of that time spent nothing", function()
    local moongate = start(CHEAP, { zero_spend = true })
    chat(moongate, 2)
    local report = replayed(moongate, "policies/routing/mine.lua")
    assert.same({ 2, 0, { before = 2, after = 2 } }, { report.replayed, report.differences, report.refusals })
  end)

  it("goes back as far as it is told", function()
    local moongate = start(CHEAP, {}, true)
    moongate:shift(-3600)
    chat(moongate, 2)
    moongate:shift(0)
    chat(moongate, 1)
    assert.equal(3, replayed(moongate, "policies/routing/mine.lua", "--since", "2020-02-29").requests)
    assert.equal(1, replayed(moongate, "policies/routing/mine.lua", "--since", "30m").requests)
    assert.equal(3, replayed(moongate, "policies/routing/mine.lua", "--since", ("9"):rep(11) .. "w").requests)
  end)

  it("of a ledger without a row says so", function()
    local moongate = start(CHEAP)
    local status, output, errors = moongate:command("replay", "--policy", "policies/routing/mine.lua")
    assert.same({ 0, "" }, { status, errors })
    assert.matches("^no request is recorded since %d%d%d%d%-%d%d%-%d%d %d%d:%d%d UTC\n$", output)
  end)

  it("of what an older version has written replays what it can, and says why not the rest", function()
    local moongate = start(CHEAP)
    chat(moongate, 4)
    moongate:stop()
    local function change(rows, detail)
      local sql = "UPDATE ledger SET detail = %s WHERE rowid IN (SELECT rowid FROM ledger ORDER BY rowid LIMIT %s)"
      bench.sql(moongate.folder .. "/moongate.db", sql:format(detail, rows))
    end
    change("1 OFFSET 3", "json_remove(detail, '$.decision.access')")
    change("1 OFFSET 2", "json_remove(detail, '$.decision', '$.world')")
    change("1 OFFSET 1", "json_set(detail, '$.decision', 'broken')")
    local report = replayed(moongate, "policies/routing/mine.lua")
    assert.same({ 2, 0, {
      { reason = "its record cannot be read", count = 1 }, { reason = "no decision is recorded with it", count = 1 },
    } }, { report.replayed, report.differences, report.not_replayed.reasons })
  end)

  it("of a database that is damaged names it", function()
    local moongate = start(CHEAP)
    chat(moongate, 3)
    moongate:stop()
    local text = moongate:read("moongate.db")
    moongate:write("moongate.db", text:sub(1, 4096) .. ("\255"):rep(#text - 4096))
    local status, output, errors = moongate:command("replay", "--policy", "policies/routing/mine.lua")
    assert.same({ 1, "" }, { status, output })
    assert.matches("^moongate replay: the database moongate%.db is damaged .-: restore it from a[^\n]*\n$", errors)
  end)

  local function catches_interrupts(command)
    local file = assert(io.open("/proc/" .. command.pid .. "/status"))
    local name, caught = file:read("*a"):match("Name:%s*(%S+).*SigCgt:%s*%x*(%x)\n")
    file:close()
    return name == "moongate" and tonumber(caught, 16) % 4 >= 2
  end

  describe("that takes its time", function()
    local SLOW = 'return function(_, list) for _ = 1, 3e6 do end return list end\n'

    it("shows on a terminal how far it is, and leaves nothing of that behind", function()
      local moongate = start(CHEAP)
      chat(moongate, 30)
      moongate:write("mine.lua", SLOW)
      local command = "stty cols 80; exec '" .. gateway.binary .. "' replay --policy mine.lua"
      local status, output = process.run({ "script", "-qec", command, "typescript" }, { cwd = moongate.folder })
      assert.equal(0, status, output)
      local bars = {}
      for bar in output:gmatch("\r(replaying [^\r\27]*)\27%[K") do bars[#bars + 1] = bar end
      assert.is_true(#bars > 1, output)
      for _, bar in ipairs(bars) do
        assert.matches("^replaying %[#* *%] +%d+ %%  %d+ requests$", bar)
        assert.is_true(#bar < 80)
      end
      assert.matches("requests\27%[K\r\27%[Kmine%.lua in the place of", output)
    end)

    it("and is interrupted says that nothing is lost", function()
      local moongate = start(CHEAP)
      chat(moongate, 30)
      moongate:write("mine.lua", "return function() while true do end end\n") -- cut off each time
      local command = process.start({ gateway.binary, "replay", "--policy", "mine.lua" }, { cwd = moongate.folder })
      wait.until_(function() return catches_interrupts(command) end, "the replay under way")
      command:kill("INT")
      local status, signal = command:wait()
      assert.same({ nil, 2 }, { status, signal })
      assert.same({ "", "moongate: interrupted before the end; nothing was changed\n" },
        { command:output(), command:errors() })
    end)
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
    { "with a time that is none", { "--policy", "good.lua", "--since", "yesterday" }, 2,
      '--since: "yesterday" is no time: expected a day such as' },
    { "with no time", { "--policy", "good.lua", "--since", "0d" }, 2, '--since: "0d" leaves no time to look at' },
    { "with a day that is to come", { "--policy", "good.lua", "--since", "2999-01-01" }, 2,
      '"2999-01-01" leaves no time' },
    { "with a day that no calendar has", { "--policy", "good.lua", "--since", "2026-02-30" }, 2,
      '"2026-02-30" is no time' },
    { "with an unknown option", { "--polcy", "good.lua" }, 2, '"--policy"' },
    { "with a file that is not there", { "--policy", "nowhere.lua" }, 1, "nowhere.lua: No such file" },
    { "with a file that does not compile", { "--policy", "broken.lua" }, 1, "broken.lua:3: " },
    { "with a folder", { "--policy", "old" }, 1, "old: it is a folder" },
    { "with a file that returns no policy", { "--policy", "five.lua" }, 1, "five.lua: must return a function" },
    { "with a file that never ends", { "--policy", "loop.lua" }, 1, "loop.lua:1: over its time" },
    { "with a billing policy", { "--policy", "billing.lua" }, 1, "billing.lua cannot be replayed" },
    { "with a hook", { "--policy", "old/policies/hooks/10_x.lua" }, 1, "10_x.lua cannot be replayed" },
    { "with a database that is not there", { "--policy", "good.lua" }, 1, "there is no database" },
    { "with a store in memory", { "--policy", "good.lua", "-c", "memory.lua" }, 1, "inside the running gateway" },
  } do
    it(case[1] .. " says what to do", function()
      local moongate = gateway.prepare { config = { store = "sqlite:moongate.db",
        providers = { demo = { protocol = "mock" } } } }
      moongate:write("memory.lua", 'return { store = "memory:", auth = "none", listen = "127.0.0.1:0", '
        .. 'providers = { demo = { protocol = "mock" } } }')
      moongate:write("good.lua", GOOD)
      moongate:write("five.lua", "return 5")
      moongate:write("loop.lua", "while true do end")
      moongate:write("old/policies/hooks/10_x.lua", "return { request = function() end }")
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
