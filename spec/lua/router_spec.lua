require "spec.support.core"
local reasons = require "moongate.reasons"
local router = require "moongate.router"
local routing = require "spec.support.routing"

local anyone = { name = "dev", org = "acme", tier = "pro", models = { "*" } }

local function models()
  return {
    { id = "x", provider = "a", cost = { input = 1, output = 1 } },
    { id = "x", provider = "b", cost = { input = 2, output = 2 } },
    { id = "y", provider = "b", cost = { input = 3, output = 3 } },
  }
end

-- plan(request, { caller =, given =, models =, policies =, facts =, seed = })
local function plan(request, with)
  with = with or {}
  request.surface = request.surface or "chat"
  return router.plan(request, with.caller or anyone, routing.registry(with.models or models(), with.given),
    routing.policies(with.policies), routing.view(with.facts, with.seed))
end

local function ladder(...)
  local result, refusal = plan(...)
  assert(result, refusal and refusal.message)
  return routing.ids(result.ladder)
end

local function refusal(...)
  local result, found = plan(...)
  assert.is_nil(result)
  return found
end

describe("what is asked for", function()
  it("is every model, a model's providers, one of them, or an alias's targets", function()
    local with = { given = { aliases = { z = { targets = { { model = "y" } } } } } }
    assert.same({ "a/x", "b/x", "b/y" }, ladder({ model = "auto" }, with))
    assert.same({ "a/x", "b/x", "b/y" }, ladder({}, with))
    assert.same({ "a/x", "b/x" }, ladder({ model = "x" }, with))
    assert.same({ "b/x" }, ladder({ model = "b/x" }, with))
    assert.same({ "b/y" }, ladder({ model = "z" }, with))
  end)

  it("is a 404 with near names where nothing is called so", function()
    local found = refusal { model = "yy" }
    assert.same({ 404, "model_not_found" }, { found.status, found.code })
    assert.matches('^there is no model "yy" here; near it: "y"', found.message)
  end)

  it("is shown short and clean when it is neither", function()
    local found = refusal { model = string.rep("a", 5000) .. "\n" }
    assert.is_true(#found.message < 200)
    assert.is_nil(string.find(found.message, "%c"))
  end)

  it("is a 503 where no model is configured at all", function()
    local found = refusal({ model = "auto" }, { models = {} })
    assert.same({ 503, "no model is configured" }, { found.status, found.message })
  end)

  it("is refused where the caller's patterns do not permit it", function()
    local caller = { models = { "y" } }
    assert.same({ "b/y" }, ladder({ model = "auto" }, { caller = caller }))
    assert.same({ 403, "this key may not use x: not among its models (y)" }, {
      refusal({ model = "x" }, { caller = caller }).status, refusal({ model = "x" }, { caller = caller }).message,
    })
  end)

  it("may be an alias that the patterns permit, whatever is behind it", function()
    local given = { aliases = { fast = { targets = { { model = "y" } } } } }
    assert.same({ "b/y" }, ladder({ model = "fast" }, { caller = { models = { "fast" } }, given = given }))
  end)
end)

describe("the policy", function()
  local policies = {
    first = function(_, candidates) return { candidates[1] } end,
    second = function(_, candidates) return { candidates[2] } end,
    third = function(_, candidates) return { candidates[3] } end,
  }

  it("is the request's, else the key's, else the config's", function()
    local with = { policies = policies, given = { policy = "first" } }
    assert.same({ "a/x" }, ladder({}, with))
    with.caller = { policy = "second" }
    assert.same({ "b/x" }, ladder({}, with))
    local result = plan({ policy = "third" }, with)
    assert.same({ "b/y" }, routing.ids(result.ladder))
    assert.equal("third@00000000", result.policy)
  end)

  it("is a 400 with near names where the request names none that is there", function()
    local found = refusal { policy = "free-teir" }
    assert.same({ 400, "policy_not_found", 'there is no routing policy "free-teir" (did you mean "free-tier"?)' },
      { found.status, found.code, found.message })
  end)

  it("sees only what passed the gates", function()
    local count
    policies.count = function(_, candidates)
      count = #candidates
      return candidates
    end
    ladder({ policy = "count", max_cost = 0.0022, estimated_tokens = 1000, max_tokens = 100 }, { policies = policies })
    assert.equal(2, count)
  end)

  it("sees privacy of the key like that of the request", function()
    local list = { { id = "h", provider = "h" }, { id = "c", provider = "c" } }
    local seen
    policies.look = function(request, candidates)
      seen = request.privacy
      return candidates
    end
    local with = { policies = policies, models = list, given = { providers = { h = { is_local = true } } } }
    with.caller = { privacy = true }
    assert.same({ "h/h" }, ladder({ policy = "look" }, with))
    assert.is_true(seen)
  end)

  it("falls through to the policy that its second result names, for as long as ladders are empty", function()
    policies.none = function() return {}, "still-none" end
    policies["still-none"] = function() return {}, "second" end
    local result = plan({ policy = "none" }, { policies = policies })
    assert.same({ "b/x" }, routing.ids(result.ladder))
    assert.equal("second@00000000", result.policy)
    assert.matches("^none had nothing to offer; still%-none had nothing to offer; second@", result.reason)
  end)

  it("does not run in circles", function()
    policies.ring = function() return {}, "gnir" end
    policies.gnir = function() return {}, "ring" end
    assert.equal(503, refusal({ policy = "ring" }, { policies = policies }).status)
  end)

  it("may return a plain table, and a candidate twice counts once", function()
    policies.twice = function(_, candidates) return { candidates[2], candidates[2], candidates[1] } end
    assert.same({ "b/x", "a/x" }, ladder({ policy = "twice" }, { policies = policies }))
  end)
end)

describe("a policy that fails", function()
  local policies = {
    raises = function() error "boom" end,
    nothing = function() end,
    forges = function() return { { id = "a/x", model = "x", free = true } } end,
    text = function() return "a/x" end,
    holes = function(_, candidates) return { candidates[1], false, candidates[2] } end,
    endless = function(_, candidates)
      local result = {}
      for i = 1, 10000 do result[i] = candidates[1] end
      return result
    end,
    meta = function() return setmetatable({}, { __index = function() error "trap" end }) end,
  }

  it("gives way to the default policy, and the plan says so", function()
    for _, name in ipairs { "raises", "nothing", "forges", "text", "holes", "endless" } do
      local result = assert(plan({ policy = name }, { policies = policies }))
      assert.same({ "a/x", "b/x", "b/y" }, routing.ids(result.ladder), name)
      assert.equal("auto-cheapest@00000000", result.policy)
      assert.equal(name .. "@00000000", result.faults[1].policy)
      assert.matches("^" .. name .. "@00000000 failed %(", result.reason)
    end
  end)

  it("refuses where the config says so, naming the policy", function()
    local found = refusal({ policy = "forges" }, { policies = policies, given = { on_fault = "refuse" } })
    assert.same({ 500, "policy_fault" }, { found.status, found.code })
    assert.equal('the routing policy "forges@00000000" failed: policies/routing/forges.lua: returned something that is '
      .. "no candidate of this request, at position 1", found.message)
  end)

  it("leaves the order of the config when the default policy fails too", function()
    local with = { policies = policies, given = { policy = "raises" }, facts = { ["a/x"] = { exhausted = 9 } } }
    local result = plan({}, with)
    assert.same({ "b/x", "b/y" }, routing.ids(result.ladder))
    assert.equal("in the order of the config", result.policy)
  end)

  it("is told from one that is gone", function()
    local result = plan({}, { policies = { mine = false }, caller = { policy = "mine" } })
    assert.equal("there is no such routing policy", result.faults[1].message)
    assert.equal(3, #result.ladder)
  end)

  it("springs no trap by what it returns", function()
    assert.equal(503, refusal({ policy = "meta" }, { policies = policies }).status)
  end)
end)

describe("an empty ladder", function()
  it("is a 503 that says why, and when the first will be back", function()
    local found = refusal({ model = "x" }, { facts = { ["a/x"] = { exhausted = 41 }, ["b/x"] = { exhausted = 90.2 } } })
    assert.same({ 503, 41 }, { found.status, found.retry_after })
    assert.equal("nothing usable for this request: dropped a/x: exhausted (41 s left); dropped b/x: exhausted "
      .. "(91 s left)", found.message)
  end)

  it("has the policy's own words where it gave some", function()
    local found = refusal({ policy = "shy" }, { policies = { shy = function() return {}, "closed on Sundays" end } })
    assert.matches("^closed on Sundays: dropped a/x: not in the ladder that the policy returned; ", found.message)
    assert.is_nil(found.retry_after)
  end)

  it("names ten of very many", function()
    local list, facts = {}, {}
    for i = 1, 50 do
      list[i] = { id = "m" .. i, provider = "p" }
      facts["p/m" .. i] = { exhausted = i }
    end
    local found = refusal({}, { models = list, facts = facts })
    assert.matches("; and 40 more$", found.message)
    assert.equal(1, found.retry_after)
  end)
end)

describe("an alias", function()
  local function alias(order, ...)
    return { aliases = { z = { order = order, targets = { ... } } } }
  end

  it("with weights is served by them, whatever the policy prefers", function()
    local given = alias(false, { model = "a/x", weight = 1 }, { model = "y", weight = 3 })
    local first = {}
    for seed = 1, 1000 do
      local rung = ladder({ model = "z" }, { given = given, seed = seed * 7919 })[1]
      first[rung] = (first[rung] or 0) + 1
    end
    assert.near(250, first["a/x"], 60)
    assert.near(750, first["b/y"], 60)
  end)

  it("in order is tried in order, but for what the policy leaves out", function()
    local given = alias(true, { model = "y" }, { model = "x" })
    assert.same({ "b/y", "a/x", "b/x" }, ladder({ model = "z" }, { given = given }))
    assert.same({ "a/x", "b/x" }, ladder({ model = "z" }, { given = given, facts = { ["b/y"] = { exhausted = 9 } } }))
  end)

  it("that states neither leaves the order to the policy", function()
    local given = alias(false, { model = "y" }, { model = "x" })
    assert.same({ "a/x", "b/x", "b/y" }, ladder({ model = "z" }, { given = given }))
  end)
end)

describe("priority", function()
  it("has the higher one picked more often among equals", function()
    local list = { { id = "m", provider = "a", priority = 90 }, { id = "m", provider = "b", priority = 10 } }
    local first = { ["a/m"] = 0, ["b/m"] = 0 }
    for seed = 1, 1000 do
      local rung = ladder({ model = "m" }, { models = list, seed = seed * 7919 })[1]
      first[rung] = first[rung] + 1
    end
    assert.near(900, first["a/m"], 50)
  end)

  it("leaves the config's order where all are alike", function()
    local list = { { id = "m", provider = "b" }, { id = "m", provider = "a" } }
    for seed = 1, 20 do assert.same({ "b/m", "a/m" }, ladder({ model = "m" }, { models = list, seed = seed })) end
  end)
end)

describe("a plan", function()
  it("explains every candidate", function()
    local list = models()
    list[4] = { id = "w", provider = "c", tools = false }
    local request = { policy = "auto-cheapest", tools = true, task = "coding", estimated_tokens = 1000, max_tokens = 0 }
    local result = plan(request, { models = list, facts = { ["b/x"] = { exhausted = 41 } } })
    assert.same({
      policy = "auto-cheapest@00000000", task = "coding", ladder = { "a/x", "b/y" },
      reason = "auto-cheapest@00000000 put a/x first of 2 (by quality, by estimated cost, preferring those that "
        .. "answer), 2 of 4 candidates left out",
      candidates = {
        { id = "a/x", provider = "a", model = "x", kept = true, reason = "rung 1", estimated_cost = 0.001 },
        { id = "b/y", provider = "b", model = "y", kept = true, reason = "rung 2", estimated_cost = 0.003 },
        {
          id = "b/x", provider = "b", model = "x", kept = false, reason = "exhausted (41 s left)",
          estimated_cost = 0.002,
        },
        { id = "c/w", provider = "c", model = "w", kept = false, reason = "has no tools" },
      },
    }, reasons.explain(result))
    assert.equal(1, #reasons.explain(result, 1).candidates)
  end)

  it("works out its words only when they are read", function()
    local result = plan {}
    assert.is_nil(rawget(result, "reason"))
    assert.is_string(result.reason)
    assert.equal("chat", result.task)
    assert.equal(3, #result.candidates)
  end)

  it("is the same for the same input and seed, and holds only what was offered", function()
    local random = routing.random(99)
    local names = { "auto-cheapest", "free-tier", "balanced", "byok-paid", "odd" }
    local policies = {
      odd = function(_, candidates)
        return candidates:drop("odd", function(c) return c.quality % 2 == 1 end):shuffle():take(3)
      end,
    }
    for round = 1, 300 do
      local list, facts = {}, {}
      for i = 1, 1 + math.floor(random() * 12) do
        list[i] = {
          id = "m" .. i, provider = "p" .. i % 3, free = random() < 0.5, quality = math.floor(random() * 100),
          cost = random() < 0.6 and { input = random() * 9, output = random() * 9 } or nil,
          tools = random() < 0.5, priority = random() < 0.3 and math.floor(random() * 100) or nil,
        }
        facts[list[i].provider .. "/m" .. i] = {
          exhausted = random() < 0.3 and 10 or 0, left = { rpd = math.floor(random() * 3) }, open = random() < 0.2,
        }
      end
      local request = { policy = names[1 + round % #names], tools = random() < 0.5, task = "chat" }
      local with = { models = list, facts = facts, policies = policies, seed = round }
      local result, found = plan(request, with)
      local again, found_again = plan(request, with)
      if result then
        assert.same(reasons.explain(result), reasons.explain(again))
        local seen = {}
        for _, target in ipairs(result.ladder) do
          assert.is_nil(seen[target.id])
          seen[target.id] = true
          assert.is_false(request.tools and target.tools == false)
          if request.policy ~= "odd" then assert.equal(0, facts[target.id].exhausted) end
        end
        for _, record in ipairs(result.candidates) do
          assert.equal(seen[record.id] or false, record.kept)
          if record.score then assert.is_true(record.score >= 0 and record.score <= 1) end
        end
        assert.equal(#list, #result.candidates)
      else
        assert.is_true(found.status == 503 or found.status == 400)
        assert.equal(found.message, found_again.message)
      end
    end
  end)
end)
