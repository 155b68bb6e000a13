local gates = require "moongate.gates"

local function target(id, more)
  local made = { id = "p/" .. id, model = id, provider = "p", is_local = false }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function pass(targets, request, rules)
  request.surface = request.surface or "chat"
  rules = rules or {}
  rules.lists, rules.asked = rules.lists or {}, function() return '"m"' end
  return gates.pass(targets, request, rules)
end

local function ids(targets)
  local list = {}
  for i, each in ipairs(targets) do list[i] = each.model end
  return list
end

describe("gates.pass", function()
  it("keeps those that cannot do what the request needs from every policy", function()
    for what, request in pairs {
      tools = { tools = true }, vision = { images = true }, json_schema = { json_schema = true },
    } do
      local all = { target("can", { [what] = true }), target("cannot", { [what] = false }), target "unknown" }
      local offered, refused, why, refusal = pass(all, request)
      assert.same({ "can", "unknown" }, ids(offered))
      assert.same({ "cannot" }, ids(refused))
      assert.is_string(why[1])
      assert.is_nil(refusal)
      assert.equal(3, #pass(all, {}))
    end
  end)

  it("counts prompt and answer against the context length", function()
    local small = { target("small", { context_length = 1000 }) }
    assert.equal(1, #pass(small, { estimated_tokens = 900, max_tokens = 100 }))
    local _, _, _, refusal = pass(small, { estimated_tokens = 900, max_tokens = 101 })
    assert.same({ 400, "context_length_exceeded" }, { refusal.status, refusal.code })
    assert.equal('nothing that serves "m" can do this: p/small holds 1000 tokens, the request needs about 1001',
      refusal.message)
  end)

  it("tells chat from embeddings", function()
    local all = { target("both"), target("chat", { embeddings = false }), target("vectors", { embeddings = true }) }
    assert.same({ "both", "chat" }, ids((pass(all, {}))))
    assert.same({ "both", "vectors" }, ids((pass(all, { surface = "embeddings" }))))
  end)

  it("keeps a private request on this machine, or refuses it with the reason", function()
    local all = { target "cloud", target("here", { is_local = true }) }
    assert.same({ "here" }, ids((pass(all, {}, { local_because = "privacy is asked for" }))))
    local _, _, _, refusal = pass({ all[1] }, {}, { local_because = "privacy is asked for" })
    assert.equal(403, refusal.status)
    assert.equal('privacy is asked for, and no local model (on this machine) serves "m"', refusal.message)
  end)

  it("keeps what may cost money out under zero spend, or refuses with the reason", function()
    local zero, price = { input = 0, output = 0 }, { input = 1, output = 2 }
    local all = {
      target("safe", { costs_nothing = true, free = true, cost = zero }), target("unknown", { free = true }),
      target("priced", { free = true, cost = price }), target("unfree", { free = false, cost = zero }),
    }
    local offered, _, why, none = pass(all, {}, { zero_spend = true })
    assert.same({ "safe" }, ids(offered))
    assert.same({ "zero spend: it has no known price", "zero spend: it has a price",
      "zero spend: it is not declared free" }, why)
    assert.is_nil(none)
    assert.equal(4, #pass(all, {}))
    local _, _, _, refusal = pass({ all[2], all[3] }, {}, { zero_spend = true })
    assert.same({ 403, "zero_spend" }, { refusal.status, refusal.code })
    assert.equal('zero_spend is on, and nothing that serves "m" is free for sure: p/priced has a price '
      .. "(nor are 1 others)", refusal.message)
  end)

  it("keeps within max_cost, and takes an unknown price for too much", function()
    local all = {
      target("dear", { cost = { input = 10, output = 10 } }), target("cheap", { cost = { input = 1, output = 1 } }),
      target "unknown", target("free", { free = true }),
    }
    local request = { estimated_tokens = 1000, max_tokens = 1000, max_cost = 0.002 }
    assert.same({ "cheap", "free" }, ids((pass(all, request))))
    request.max_cost = 0.001
    local _, _, _, refusal = pass({ all[1], all[2], all[3] }, request)
    assert.equal(403, refusal.status)
    assert.equal('nothing for "m" within max_cost 0.001 USD: the cheapest, p/cheap, is estimated at 0.002 USD',
      refusal.message)
  end)

  it("keeps to the caller's patterns", function()
    local all = { target "a", target "b" }
    assert.same({ "b" }, ids((pass(all, {}, { lists = { { "b*" } } }))))
    assert.same({ "a" }, ids((pass(all, {}, { lists = { { "p/a", "b" }, { "a" } } }))))
    local _, _, _, refusal = pass(all, {}, { lists = { { "c" } } })
    assert.same({ 403, "this key may not use m: not among its models (c)" }, { refusal.status, refusal.message })
  end)
end)

describe("gates.lists", function()
  it("asks nothing target by target where everything or the name itself is permitted", function()
    assert.same({}, gates.lists({ models = { "*" } }, "auto"))
    assert.same({}, gates.lists({}, "m"))
    assert.same({}, gates.lists({ models = { "fast" } }, "fast"))
    assert.same({ { "fast" } }, gates.lists({ models = { "fast" } }, "auto"))
  end)

  it("does not take auto for a name", function()
    assert.same({ { "auto" } }, gates.lists({ models = { "auto" } }, "auto"))
  end)

  it("goes by the key and by its tier", function()
    local caller = { name = "dev", tier = "free", models = { "a*" }, tier_models = { "*:free" } }
    assert.same({ { { "a*" }, { "*:free" } }, { "key dev", "tier free" } }, { gates.lists(caller, "auto") })
  end)

  it("leaves the tier to the access policy where there is one", function()
    assert.same({ { "a*" } }, (gates.lists({ models = { "a*" }, tier_models = { "*:free" } }, "auto", true)))
  end)
end)
