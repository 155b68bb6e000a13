-- What would become of a request, told without doing any of it.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"
local routing = require "spec.support.routing"

describe("the debug endpoint", function()
  local core, debug, state

  before_each(function()
    core = fakes.install()
    debug = require "moongate.debug"
    local callers = require "moongate.callers"
    local config = {
      auth = "keys", keys = { { name = "dev", key = "the-key", rpm = 1 },
        { name = "narrow", key = "narrow-key", models = { "small" } } },
      providers = { one = fakes.provider "one", two = fakes.provider "two" },
    }
    state = {
      config = config, callers = callers.new(config),
      policies = routing.policies {
        plain = function(_, candidates)
          return candidates:drop("weak", function(c) return c.id == "two/tiny" end)
            :sort("dearest", function(c) return -c.cost.input end)
        end,
        none = function() return {}, "not today" end,
      },
      registry = routing.registry({
        { id = "small", provider = "one", cost = { input = 1, output = 2 } },
        { id = "small", provider = "two", cost = { input = 3, output = 4 } },
        { id = "tiny", provider = "two", cost = { input = 1, output = 1 } },
      }, { policy = "plain" }),
    }
  end)
  after_each(function() core.restore() end)

  local function ask(members, headers)
    local sent = { authorization = "Bearer the-key" }
    for name, value in pairs(headers or {}) do sent[name] = value end
    local body = '{"messages":[{"role":"user","content":"Hi"}]' .. (members and "," .. members or "") .. "}"
    local handle = fakes.handle { path = "/v1/router/debug", headers = sent, body = body }
    debug.explain(handle, state)
    assert.equal(1, #handle.replies)
    return json.decode(handle.replies[1].body), handle.replies[1].status
  end

  it("tells the ladder, every candidate's fate, and the reason in a sentence", function()
    local told, status = ask()
    assert.equal(200, status)
    assert.same({ "two/small", "one/small" }, told.ladder)
    assert.matches("^plain", told.policy)
    assert.equal("chat", told.task)
    assert.is_nil(told.status)
    assert.matches("put two/small first of 2 (by dearest), 1 of 3 candidates left out", told.reason, 1, true)
    assert.same({ "two/small", true, "rung 1" }, { told.candidates[1].id, told.candidates[1].kept,
      told.candidates[1].reason })
    assert.same({
      id = "two/tiny", provider = "two", model = "tiny", kept = false, reason = "weak",
      estimated_cost = told.candidates[3].estimated_cost,
    }, told.candidates[3])
  end)

  it("calls nobody, draws on nothing and writes nothing down", function()
    for _ = 1, 3 do assert.equal(200, select(2, ask('"model":"small"'))) end -- more often than the key may call
    for _, name in ipairs { "attempt.send", "attempt.play", "store.reserve", "ledger.open", "ledger.close",
      "health.admit", "store.exhaust" } do
      assert.same({}, core.of(name), name)
    end
  end)

  it("explains a refusal too, with the status that the request would get", function()
    local told, status = ask('"max_cost":0.0000001')
    assert.same({ 200, 403, {} }, { status, told.status, told.ladder })
    assert.is_true(json.is_array(told.ladder))
    assert.matches("within max_cost", told.reason, 1, true)
    assert.equal(3, #told.candidates)
    assert.matches("over max_cost", told.candidates[1].reason, 1, true)
    told = ask('"policy":"none"')
    assert.same({ 503, {}, 3 }, { told.status, told.ladder, #told.candidates })
    assert.matches("^not today", told.reason)
  end)

  it("tells whom the first call would go to, and of the others why not", function()
    core.set("store.exhausted", function(name) return name == "two" and 40.2 or 0, "rate_limited" end)
    local told = ask()
    assert.same({ { "two/small", "one/small" }, true, "rung 1, passed over: exhausted, rate limited (41 s left)" },
      { told.ladder, told.candidates[1].kept, told.candidates[1].reason })
    assert.matches("; one/small is called first", told.reason, 1, true)
    assert.is_nil(told.status)
  end)

  it("tells the status where nobody would be called", function()
    core.set("store.exhausted", function() return 40.2, "" end)
    local told = ask()
    assert.same({ 503, 2 }, { told.status, #told.ladder })
    assert.matches("; every rung is passed over$", told.reason)
    core.set("store.exhausted", function() return 0, "" end)
    core.set("store.fits", function() return nil, "key:config:dev:requests minute", 3 end)
    told = ask()
    assert.same({ 429, "rung 1, refused: key dev has used up its 1 requests per minute; try again in 3 s" },
      { told.status, told.candidates[1].reason })
    assert.matches("; key dev has used up its 1 requests per minute; try again in 3 s$", told.reason)
  end)

  it("draws the plan from the seed that it is given, and tells the one it was drawn from", function()
    state.policies = routing.policies { plain = function(_, candidates) return candidates:shuffle() end }
    local orders, count = {}, 0
    for seed = 1, 20 do
      local told = ask('"seed":' .. seed)
      assert.equal(seed, told.seed)
      local order = table.concat(told.ladder, " ")
      assert.equal(order, table.concat(ask('"seed":' .. seed).ladder, " "))
      if not orders[order] then orders[order], count = true, count + 1 end
    end
    assert.is_true(count > 2)
    local told = ask()
    assert.same(told.ladder, ask('"seed":' .. string.format("%d", told.seed)).ladder)
  end)

  it("explains what a key may not use", function()
    local told = ask(nil, { authorization = "Bearer narrow-key" })
    assert.same({ "two/small", "one/small" }, told.ladder)
    assert.matches("may not use it", told.candidates[3].reason, 1, true)
    assert.equal(403, ask('"model":"tiny"', { authorization = "Bearer narrow-key" }).status)
  end)

  it("tells the holder of the admin token, who may use everything", function()
    state.config.admin_token = "the-admin-token"
    state.callers = require("moongate.callers").new(state.config)
    local told, status = ask('"model":"tiny","policy":"none"', { authorization = "Bearer the-admin-token" })
    assert.same({ 200, 503, "two/tiny" }, { status, told.status, told.candidates[1].id })
  end)

  -- members, headers, status, code
  for title, case in pairs {
    ["an unknown model"] = { '"model":"smal"', nil, 404, "model_not_found" },
    ["an unknown policy"] = { '"policy":"plian"', nil, 400, "policy_not_found" },
    ["a wish of the wrong kind"] = { '"privacy":"yes"', nil, 400, "invalid_value" },
    ["a seed that is none"] = { '"seed":1.5', nil, 400, "invalid_value" },
    ["a bad header"] = { nil, { ["x-moongate-max-cost"] = "dear" }, 400, "invalid_value" },
    ["broken JSON"] = { "!", nil, 400, "invalid_json" },
    ["an unknown key"] = { nil, { authorization = "Bearer nobodys" }, 401, "invalid_api_key" },
    ["another kind of body"] = { nil, { ["content-type"] = "text/csv" }, 415, "unsupported_media_type" },
  } do
    it("refuses " .. title .. " in the router's shape", function()
      local told, status = ask(case[1], case[2])
      assert.same({ case[3], case[4], "request-1" }, { status, told.error.code, told.request_id })
      assert.is_nil(told.error.type)
    end)
  end
end)
