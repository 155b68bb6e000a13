-- `moongate explain`: the ladder of a request and why, from the running gateway or without one, in the same words.
local gateway = require "spec.support.gateway"
local json = require "dkjson"

local MINE = [[
return function(_, candidates)
  return candidates
    :drop("exhausted", function(c) return c.exhausted end)
    :keep("good enough", function(c) return c.quality >= 50 end)
    :sort("quality", function(c) return -c.quality end)
end
]]

local BODY = { model = "auto", messages = { { role = "user", content = "Say hello." } } }

local function config(more)
  local result = {
    listen = gateway.free_address(), policy = "mine",
    providers = { one = { protocol = "mock" }, two = { protocol = "mock" },
      here = { protocol = "mock", is_local = true } },
    models = {
      { id = "small", provider = "one", quality = 60, cost = { input = 1, output = 2 } },
      { id = "large", provider = "two", quality = 90, cost = { input = 5, output = 25 } },
      { id = "weak-model-with-a-long-name", provider = "one", quality = 10, cost = { input = 0.1, output = 0.1 } },
      { id = "home", provider = "here", quality = 55 },
    },
  }
  for name, value in pairs(more or {}) do result[name] = value end
  return result
end

local function prepare(more, policies)
  local moongate = gateway.prepare { config = config(more), policies = policies or { ["routing/mine.lua"] = MINE,
    ["routing/cheap.lua"] = 'return function(_, list) return list:sort("price", '
      .. "function(c) return c.estimated_cost end) end" } }
  moongate:write("request.json", json.encode(BODY))
  return moongate
end

describe("moongate explain", function()
  after_each(gateway.stop_all)

  local function explain(moongate, ...)
    return moongate:command("explain", "request.json", ...)
  end

  local function explained(moongate, ...)
    local status, output, errors = explain(moongate, "--json", ...)
    assert.equal(0, status, errors)
    return json.decode(output), errors
  end

  it("shows rank, price and reason of every candidate in 80 columns, then the sentence", function()
    local status, output = explain(prepare())
    assert.equal(0, status)
    for line in output:gmatch("[^\n]+") do assert.is_true(#line <= 80, line) end
    assert.matches("policy mine@%x+, task chat", output)
    assert.matches("\n  1  two/large ", output, 1, true)
    assert.matches("\n  2  one/small ", output, 1, true)
    assert.matches("$0.012535", output, 1, true)
    assert.matches('one/weak%-model%-with%-a%-long%-name.-fails%s+"good enough"', output)
    assert.matches("put two/large first of 3 %(by quality%), 1 of 4 candidates left%s+out\n$", output)
  end)

  it("says that nothing is known of the targets when no gateway runs", function()
    local _, errors = explained(prepare())
    assert.matches("no gateway answers at 127.0.0.1:", errors, 1, true)
    assert.matches("as if nothing had been used", errors, 1, true)
  end)

  it("answers as the debug endpoint does, and as the live request then goes", function()
    local moongate = prepare():open()
    for _, headers in ipairs {
      {}, { ["x-moongate-policy"] = "cheap" }, { ["x-moongate-privacy"] = "true" },
      { ["x-moongate-max-cost"] = "0.005" }, { ["x-moongate-task"] = "coding", ["x-moongate-priority"] = "best" },
    } do
      local words = {}
      for name, value in pairs(headers) do
        local option = name:gsub("x%-moongate%-", "--")
        words[#words + 1] = option == "--privacy" and option or option .. "=" .. value
      end
      local told, errors = explained(moongate, unpack(words))
      assert.equal("", errors)
      local body = { model = BODY.model, messages = BODY.messages, seed = told.seed }
      local debug = moongate:request { path = "/v1/router/debug", json = body, headers = headers }
      assert.same(debug:json(), told)
      local live = moongate:chat({}, { headers = headers })
      assert.equal(told.ladder[1], live.headers["x-moongate-provider"] .. "/" .. live.headers["x-moongate-model"])
    end
  end)

  it("gives the same ladder without a gateway as with one that has done nothing yet", function()
    local moongate = prepare()
    moongate:write("request.json", json.encode { messages = BODY.messages, seed = 7 })
    local before = explained(moongate)
    assert.equal(7, before.seed)
    assert.same(before, explained(moongate:open()))
  end)

  it("draws the dice of the seed in the request, with and without a gateway", function()
    local moongate = prepare({ aliases = { either = { { model = "small", weight = 3 }, { model = "large" } } } })
    local firsts = {}
    for _ = 1, 2 do
      for seed = 1, 8 do
        moongate:write("request.json", json.encode { model = "either", messages = BODY.messages, seed = seed })
        local told = explained(moongate)
        assert.equal(firsts[seed] or told.ladder[1], told.ladder[1])
        firsts[seed] = told.ladder[1]
      end
      if not moongate.process then moongate:open() end
    end
    assert.is_true(table.concat(firsts):find("one/small", 1, true) and table.concat(firsts):find("two/large", 1, true)
      and true or false)
  end)

  it("tells what would be passed over now, and where the first call goes", function()
    local moongate = prepare():open()
    moongate:chat({ model = "large", messages = { { role = "user", content = "mock: status=429 retry-after=7200" } } })
    local told = explained(moongate, "--policy", "cheap")
    for _, each in ipairs(told.candidates) do
      if each.id == "two/large" then
        assert.matches("^rung %d, passed over: exhausted, quota exhausted %(%d+ s left%)$", each.reason)
      end
    end
    moongate:write("request.json", json.encode { model = "large", messages = BODY.messages })
    local status, output = explain(moongate, "--policy", "cheap")
    assert.equal(0, status)
    assert.matches("refused with 503: cheap@%x+ put two/large first of 1.*every%s+rung is passed over", output)
  end)

  it("speaks for a key of the configuration, with and without a gateway", function()
    local moongate = prepare { auth = "keys", keys = { { name = "ci", key = "mg-ci-key", models = { "home" } } } }
    for _ = 1, 2 do
      local told = explained(moongate, "--key", "ci")
      assert.same({ "here/home" }, told.ladder)
      if not moongate.process then moongate:open() end
    end
    local status, _, errors = explain(moongate, "--key", "cl")
    assert.equal(1, status)
    assert.matches('there is no key "cl" in the configuration %(did you mean "ci"', errors)
  end)

  it("speaks for the operator without a key: anything may be used", function()
    local moongate = prepare { auth = "keys", keys = { { name = "ci", key = "mg-ci-key", models = { "home" } } } }
    moongate:write("request.json", json.encode { messages = BODY.messages, seed = 7 })
    local before = explained(moongate)
    assert.equal(3, #before.ladder)
    local after, errors = explained(moongate:open())
    assert.same({ before, "" }, { after, errors })
  end)

  it("reads a body of the router's own surface, from standard input too", function()
    local moongate = prepare()
    moongate:write("request.json", json.encode { messages = BODY.messages, policy = "cheap", max_cost = 0.002 })
    assert.same({ "here/home", "one/weak-model-with-a-long-name", "one/small" }, explained(moongate).ladder)
    local status, output, errors = require("spec.support.process").run({ "sh", "-c",
      ("'%s' explain --json - < request.json"):format(gateway.binary) }, { cwd = moongate.folder })
    assert.equal(0, status, errors)
    assert.equal("here/home", json.decode(output).ladder[1])
  end)

  it("tells a refusal with its status and every candidate's reason", function()
    local moongate = prepare(nil, { ["routing/mine.lua"] = 'return function() return {}, "closed on Sundays" end' })
    local status, output = explain(moongate)
    assert.equal(0, status)
    assert.matches("refused with 503: closed on Sundays", output, 1, true)
    assert.matches("two/large.-not in the ladder", output)
    assert.same({}, explained(moongate).ladder)
  end)

  -- title, body, words, exit code, what is said
  for _, case in ipairs {
    { "that is no JSON names the place", '{"model": }', {}, 1, "line 1, column 11" },
    { "of the wrong shape names the field", '{"messages": 7}', {}, 1, "messages" },
    { "with a seed that is none names the field",
      '{"seed": 1.5, "messages": [{"role": "user", "content": "x"}]}', {}, 1, "seed: expected an integer; got 1.5" },
    { "for a model that is not there names the nearest",
      '{"model": "smal", "messages": [{"role": "user", "content": "x"}]}', {}, 1, '"small"' },
    { "with a policy that is not there names the nearest", nil, { "--policy", "chaep" }, 1, '"cheap"' },
    { "with an amount that is none says so", nil, { "--max-cost", "lots" }, 1, "x-moongate-max-cost" },
    { "with an unknown option names the nearest", nil, { "--polcy", "x" }, 2, '"--policy"' },
    { "with an option that lacks its value says so", nil, { "--task" }, 2, "--task needs a value" },
  } do
    it("of a request " .. case[1], function()
      local moongate = prepare()
      if case[2] then moongate:write("request.json", case[2]) end
      local status, output, errors = explain(moongate, unpack(case[3]))
      assert.equal(case[4], status, errors)
      assert.equal("", output)
      assert.matches(case[5], errors, 1, true)
    end)
  end

  it("without a request, or with one that is not there, says what to do", function()
    local moongate = prepare()
    local status, _, errors = moongate:command("explain")
    assert.same({ 2, true }, { status, errors:find("name its JSON file", 1, true) ~= nil })
    status, _, errors = moongate:command("explain", "nowhere.json")
    assert.same({ 1, true }, { status, errors:find("nowhere.json: No such file", 1, true) ~= nil })
  end)

  it("is helped by an example, and is in the list of commands", function()
    local moongate = prepare()
    local status, output = moongate:command("explain", "--help")
    assert.equal(0, status)
    assert.matches("moongate explain -", output, 1, true)
    status, output = moongate:command("--help")
    assert.equal(0, status)
    for _, verb in ipairs { "serve", "check", "explain", "replay", "key" } do
      assert.matches("moongate " .. verb, output, 1, true)
    end
  end)
end)
