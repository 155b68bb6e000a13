-- A decision that was recorded can be made again to the bit, from what the ledger keeps of it and nothing else.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

local ROUNDS = 300

describe("a recorded decision", function()
  local core, live, decision, router, routing, candidates

  before_each(function()
    core = fakes.install()
    package.loaded["spec.support.routing"] = nil
    routing = require "spec.support.routing"
    live, decision, router = require "moongate.live", require "moongate.decision", require "moongate.router"
    candidates = require "moongate.candidates"
  end)
  after_each(function()
    core.restore()
    package.loaded["spec.support.routing"] = nil
  end)

  local function limit(name, window, max)
    return { name = name, metric = "requests", window = window, max = max }
  end

  -- A registry of so many models, no two alike.
  local function registry_of(count, given)
    local models = {}
    for i = 1, count do
      models[i] = {
        id = "m" .. i, provider = "p" .. i % 4, quality = i * 37 % 100, priority = i % 3 == 0 and 60 or nil,
        cost = i % 5 > 0 and { input = i % 5 - 1, output = 2 * (i % 5 - 1) } or nil, free = i % 5 == 1 or nil,
        context_length = 1000 * i, strengths = i % 2 == 0 and { "coding" } or nil,
        limits = i % 3 == 0 and { limit("rpm", "minute", 30), limit("rpd", "day", 1000) } or nil,
      }
    end
    given = given or {}
    given.aliases = {
      fast = { targets = { { model = "m1", weight = 3 }, { model = "m2", weight = 1 }, { model = "m3", weight = 2 } } },
      line = { order = true, targets = { { model = "m4" }, { model = "m2" } } },
    }
    return routing.registry(models, given)
  end

  local function request_of(fields)
    local request = {
      model = "auto", surface = "chat", stream = false, text_length = 400, estimated_tokens = 100, tools = false,
      images = false, json_schema = false, privacy = false, now = 1700000000.123, seed = 4711, headers = {},
      messages = { { role = "user", content = "Write a function, please; it is a secret." } },
    }
    for name, value in pairs(fields or {}) do request[name] = value end
    return request
  end

  local caller = { name = "dev", org = "acme", tier = "pro", label = "ci", models = { "*" }, privacy = false }

  -- Plans, and the record of it as it comes back from the ledger.
  local function record(registry, policies, fields, who, whole)
    local request, view = request_of(fields), live.view()
    who = who or caller
    local plan, refusal = router.plan(request, who, registry, policies, view)
    local made = plan or refusal.plan
    if whole ~= false then view:complete(made.offered) end
    json.begin()
    decision.add(made, who, "hash", view, candidates.looked(request))
    local text = json.finish()
    return json.decode(text), plan, text, refusal, made.task
  end

  local function again(recorded, registry, policies, task)
    local missed = {}
    local function miss(what) missed[#missed + 1] = what end
    local request = decision.request(recorded, miss)
    request.task = request.task or task
    local plan, refusal = router.plan(request, decision.caller(recorded), registry, policies,
      decision.view(recorded, miss), decision.entry(recorded, registry))
    return plan, missed, refusal
  end

  -- Facts that differ from call to call, as live ones do.
  local function restless(seed)
    local random = routing.random(seed)
    core.set("store.exhausted", function() return random() < 0.2 and math.floor(random() * 1e5) / 1000 or 0, "429" end)
    core.set("store.used", function() return math.floor(random() * 40) end)
    core.set("store.learnt", function()
      return { { model = "", metric = "requests", window = "minute", remaining = math.floor(random() * 20), reset_s = 9,
        age_s = 1 } }
    end)
    core.set("health.state", function() return random() < 0.1, random() * 1000, random(), random() * 10 end)
    return random
  end

  local mixed = {
    lottery = function(_, list) return list:shuffle():take(5) end,
    reader = function(request, list)
      return list:keep("has quota", function(c) return c.left.rpm > 3 and c.used.rpd < 35 end)
        :sort("its hour", function(c) return c.latency_ms * (1 + c.error_rate) + request.now % 60 end)
        :prefer("coding", function() return request.task == "coding" end)
    end,
    dice = function(_, list) return list:shuffle("by quality", function(c) return c.quality + 1 end) end,
  }

  it("gives the same ladder again, whatever the policy and however the targets stood", function()
    local names = { "lottery", "reader", "dice", "auto-cheapest", "balanced", "free-tier", "byok-paid" }
    local models = { "auto", "fast", "line", "m3" }
    local policies = routing.policies(mixed)
    for round = 1, ROUNDS do
      local random = restless(round)
      local fields = {
        policy = names[round % #names + 1], model = models[round % #models + 1], seed = round,
        max_tokens = random() < 0.5 and 200 or nil, latency_pref = random() < 0.3 and "fast" or nil,
        priority = random() < 0.3 and "best" or nil, max_cost = random() < 0.2 and 0.0005 or nil,
      }
      local registry = registry_of(3 + round % 20)
      local recorded, plan, _, _, task = record(registry, policies, fields)
      core.set("health.state", function() return true, 1, 1, 1 end) -- how they stand now is of no account
      local rebuilt = decision.registry(decision.world(registry))
      local second, missed = again(recorded, rebuilt, policies, task)
      assert.same({}, missed)
      assert.same(routing.ids(plan and plan.ladder or {}), routing.ids(second and second.ladder or {}),
        "round " .. round .. " " .. fields.policy)
      local ladder = {}
      for i, index in ipairs(recorded.ladder) do ladder[i] = rebuilt.targets[index].id end
      assert.same(routing.ids(plan and plan.ladder or {}), ladder)
    end
  end)

  it("is refused again where it was, in the same words", function()
    local registry, policies = registry_of(6), routing.policies(mixed)
    for _, case in ipairs {
      { { max_cost = 1e-9, model = "m4" } }, { { policy = "local-only" } }, { { privacy = true } },
      { { model = "m1" }, { name = "dev", models = { "m2", "m3" } } },
      { { model = "m1" }, { name = "dev", models = { "*" }, tier = "free", tier_models = { "m2" } } },
    } do
      local recorded, plan, _, refusal = record(registry, policies, case[1], case[2])
      assert.is_nil(plan)
      local second, _, other = again(recorded, decision.registry(decision.world(registry)), policies)
      assert.is_nil(second)
      assert.same({ refusal.status, refusal.message }, { other.status, other.message })
    end
  end)

  describe("holds what the access policy said", function()
    -- A policy that shuts out by the last digit of the price; and, where it resolves, gives one model for another.
    local function door(digit, resolves)
      local policies = routing.policies(mixed)
      local policy = {
        name = "access", label = "access", version = tostring(digit),
        validate = function(_, model) return model.cost ~= nil and model.cost.input ~= digit, "not " .. digit end,
        resolve = resolves and function(_, asked) return asked == "m3" and "m4" or asked end or nil,
      }
      function policies:access() return policy end
      function policies:within(_, work, ...) return pcall(work, ...) end
      function policies:ask(_, fn, _, ...) return pcall(fn, ...) end
      return policies
    end

    it("and goes by that when there is another now, or none", function()
      for digit = 0, 3 do
        for _, model in ipairs { "auto", "fast", "m3", "m1" } do
          local registry = registry_of(12)
          local recorded, plan, _, refusal = record(registry, door(digit, true), { model = model })
          for _, now in ipairs { door(digit), door(digit + 1, true), routing.policies(mixed) } do
            local second, missed, other = again(recorded, decision.registry(decision.world(registry)), now)
            assert.same({}, missed)
            assert.same(routing.ids(plan and plan.ladder or {}), routing.ids(second and second.ladder or {}))
            assert.same(refusal and refusal.message, other and other.message)
          end
        end
      end
    end)

    it("in few bytes for many models: which, by the reason, and a name only where it is another", function()
      local registry = registry_of(20)
      assert.same({ no = { { "not 3", "4-5,9-10,14-15,19-20" } } },
        record(registry, door(3, true), { model = "auto" }).access)
      assert.same({ model = "m4" }, record(registry, door(1, true), { model = "m3" }).access)
      assert.same({}, record(registry, door(1), { model = "m3" }).access)
      assert.is_false(record(registry, routing.policies(mixed), { model = "m3" }).access)
    end)

    it("with no more reasons than people read", function()
      local policies = door(1)
      policies:access().validate = function(_, model) return model.id == "m20", "never " .. model.id end
      local recorded, plan, text = record(registry_of(20), policies)
      assert.same({ "p0/m20" }, routing.ids(plan.ladder))
      assert.equal(5, #recorded.access.no)
      assert.same({ "the access policy says no", "5-19" }, recorded.access.no[5])
      assert.is_true(#text < 1600, #text .. " bytes")
    end)

    it("unless it was recorded before that was: then the one of today is asked", function()
      local registry = registry_of(12)
      local recorded = record(registry, door(1), { model = "m1" })
      recorded.access = nil
      assert.is_nil(decision.entry(recorded, registry))
      local plan = again(recorded, registry, door(2))
      assert.same({ "p1/m1" }, routing.ids(plan.ladder))
    end)
  end)

  it("keeps nothing of what was said, nor its headers", function()
    local _, _, text = record(registry_of(4), routing.policies(), { headers = { ["x-secret"] = "the header" } })
    assert.not_matches("secret", text, 1, true)
    assert.not_matches("header", text, 1, true)
  end)

  it("takes about a kilobyte for ten candidates that have a story to tell", function()
    restless(1)
    local _, _, text = record(registry_of(10), routing.policies())
    assert.is_true(#text < 1300, #text .. " bytes")
    core.restore()
    core = fakes.install()
    package.loaded["spec.support.routing"] = nil
    routing, live, router = require "spec.support.routing", require "moongate.live", require "moongate.router"
    decision, candidates = require "moongate.decision", require "moongate.candidates"
    _, _, text = record(registry_of(10), routing.policies())
    assert.is_true(#text < 500, #text .. " bytes")
  end)

  it("lets another policy read what its own did not", function()
    restless(7)
    local registry = registry_of(8)
    local policies = routing.policies(mixed)
    local recorded = record(registry, policies, { policy = "lottery" })
    recorded.request.policy = "reader"
    local plan, missed = again(recorded, registry, policies, "chat")
    assert.same({}, missed)
    assert.is_not_nil(plan)
  end)

  it("of very many candidates knows only what was read, and says what another policy misses", function()
    local registry = registry_of(8)
    local policies = routing.policies(mixed)
    decision.most_whole = 7
    local recorded = record(registry, policies, { policy = "auto-cheapest" }, nil, false)
    local _, missed = again(recorded, registry, policies, "chat")
    assert.same({}, missed)
    recorded.request.policy = "reader"
    _, missed = again(recorded, registry, policies, "chat")
    assert.equal("c.left", missed[1])
  end)

  it("keeps the balances that a policy has read, and that there were none", function()
    local policies = routing.policies { rich = function(_, list)
      return list:keep("has money", function(c) return (c.balance or 0) > 1 end)
    end }
    local registry = registry_of(4)
    core.published = json.encode { p1 = { checker = "naga", interval = 60, checked_at = core.now, credits = 7.25 } }
    for _, whole in ipairs { true, false } do
      local recorded, plan = record(registry, policies, { policy = "rich" }, nil, whole)
      local before = core.published
      core.published = "{}"
      local repeated, missed = again(recorded, registry, policies, "chat")
      core.published = before
      assert.same({}, missed)
      assert.is_true(#plan.ladder > 0)
      assert.same(plan.ladder, repeated.ladder)
      for _, target in ipairs(plan.ladder) do assert.equal("p1", target.provider) end
    end
  end)

  for _, name in ipairs { "messages", "headers" } do
    it("is marked when its policy has read the request's " .. name .. ", and cannot give them again", function()
      local policies = routing.policies { nosy = function(request, list)
        return request[name] and list or {}
      end }
      local registry = registry_of(3)
      local recorded = record(registry, policies, { policy = "nosy" })
      assert.same({ name }, { unpack(recorded.looked) })
      local _, missed = again(recorded, registry, policies, "chat")
      assert.same({ "request." .. name }, missed)
      assert.is_nil(record(registry, policies).looked)
    end)
  end

  it("is witnessed by reading what was not asked for, once and no more", function()
    restless(3)
    local registry, view = registry_of(6), live.view()
    local first = registry.targets[1]
    local wait, left = view:exhausted(first), view:left(first).rpm
    view:complete(registry.targets)
    view:complete(registry.targets)
    assert.is_true(view.is_whole)
    assert.same({ wait, left }, { view:exhausted(first), view:left(first).rpm })
    assert.equal(2 * 6, #core.of "store.exhausted")
    assert.equal(6, #core.of "health.state")
    assert.equal(2 * 2, #core.of "store.used") -- two models have two limits each
    assert.equal(6, #core.of "store.learnt")
    for _, target in ipairs(registry.targets) do assert.is_table(view[target.index].told) end
  end)

  describe("names its configuration by a text", function()
    it("that is the same for the same configuration", function()
      assert.equal(decision.world(registry_of(9)), decision.world(registry_of(9)))
    end)

    it("that is another where anything differs that decisions hang on", function()
      local plain = decision.world(registry_of(9))
      for _, registry in ipairs {
        registry_of(8), registry_of(9, { policy = "balanced" }), registry_of(9, { on_fault = "refuse" }),
        registry_of(9, { zero_spend = true }),
        registry_of(9, { providers = { p1 = { is_local = true } } }),
      } do
        assert.not_equal(plain, decision.world(registry))
      end
    end)

    it("from which it comes back whole", function()
      local registry = registry_of(9, { zero_spend = true })
      local rebuilt = decision.registry(decision.world(registry))
      assert.equal(decision.world(registry), decision.world(rebuilt))
      assert.same({ registry.varied, registry.policy, registry.on_fault, registry.zero_spend },
        { rebuilt.varied, rebuilt.policy, rebuilt.on_fault, rebuilt.zero_spend })
      assert.same(registry:names(true), rebuilt:names(true))
    end)

    it("unless it is too long for a row", function()
      assert.is_string(decision.kept_world(registry_of(20)))
      assert.is_nil(decision.kept_world(registry_of(400)))
    end)

    it("and does not come back from what is none", function()
      assert.is_nil(decision.registry "[]")
      assert.is_nil(decision.registry "{")
    end)
  end)
end)
