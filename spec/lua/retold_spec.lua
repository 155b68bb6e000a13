-- What is told of a plan is the same to the byte, whether it is put into words for it or those of another are given
-- again.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

local ROUNDS = 1500
local MOST = 50

describe("a plan told again", function()
  local core, reasons, decision, retold, router, routing

  before_each(function()
    core = fakes.install()
    package.loaded["spec.support.routing"] = nil
    routing = require "spec.support.routing"
    reasons, decision, router = require "moongate.reasons", require "moongate.decision", require "moongate.router"
    retold = require "moongate.retold"
  end)
  after_each(function()
    core.restore()
    package.loaded["spec.support.routing"] = nil
  end)

  local function registry_of(count, given)
    local models = {}
    for i = 1, count do
      models[i] = {
        id = i % 6 == 5 and "m\"%é" .. i or "m" .. i, provider = "p" .. i % 4, quality = i * 37 % 100,
        cost = i % 5 > 0 and { input = i % 5 - 1, output = 2 * (i % 5 - 1) } or nil, free = i % 5 == 1 or nil,
        context_length = 1000 * i, tools = i % 3 > 0, priority = given.varied and i % 3 == 0 and 60 or nil,
      }
    end
    given.aliases = {
      fast = { targets = { { model = "m1", weight = 3 }, { model = "m2", weight = 1 }, { model = "m3", weight = 2 } } },
      line = { order = true, targets = { { model = "m4" }, { model = "m2" } } },
    }
    return routing.registry(models, given)
  end

  local policies = {
    steps = function(_, list)
      return list:drop("exhausted", function(c) return c.exhausted end)
        :keep("is \"good\"", function(c) return c.quality > 20 end)
        :sort("quality", function(c) return -c.quality end):prefer("the quick", function(c) return c.latency_ms end)
        :take(4)
    end,
    scores = function(request, list)
      if request.task == "coding" then return list:score { quality = 1 } end
      return list:score { quality = 1, cost = 1 }:concat(list)
    end,
    half_scored = function(_, list) return list:take(2):score { speed = 1 }:concat(list) end,
    lottery = function(_, list) return list:shuffle():take(3) end,
    other = function(_, list) return list:keep(("x"):rep(120), function(c) return c.free end), "steps" end,
    fails = function() error "no" end,
    forges = function() return { {} } end,
    nothing = function() return {}, "nothing for you" end,
    strange = function(_, list)
      list[1].retry_in, list[2].retry_in = "soon", 0 / 0
      list[#list + 1] = { id = "of its own" }
      return list:drop("late", function(c) return c.retry_in end)
    end,
    own_wait = function(request, list)
      for i = 1, #list do list[i].retry_in = request.seed % 3 end
      return list:keep("the first", function(c) return c.id == "p1/m1" end)
    end,
  }

  -- As the spec has it, without anything that is kept.
  local function told_afresh(plan)
    local ladder, places, runs, told = {}, {}, {}, {}
    for i, target in ipairs(plan.ladder) do
      ladder[i], places[i] = json.encode(target.id), tostring(target.index)
    end
    for i, run in ipairs(plan.runs) do runs[i] = json.encode(run.name) end
    for i, each in ipairs(reasons.records(plan, MOST)) do
      told[i] = json.write("{", ',"id":', each.id, ',"provider":', each.provider, ',"model":', each.model, ',"kept":',
        each.kept, ',"reason":', each.reason, ',"score":', each.score, ',"estimated_cost":', each.estimated_cost, "}")
    end
    return ',"runs":[' .. table.concat(runs, ",") .. '],"ladder":[' .. table.concat(places, ",") .. '],"request":',
      json.write("{", ',"policy":', plan.policy, ',"task":', plan.task, ',"seed":', plan.seed, ',"reason":',
        reasons.sentence(plan), ',"ladder":[' .. table.concat(ladder, ",") .. '],"candidates":['
          .. table.concat(told, ",") .. "]}")
  end

  local caller = { name = "dev", org = "acme", tier = "pro", label = "ci", models = { "*" }, privacy = false }

  local function told(plan)
    local story = reasons.story(plan, MOST)
    json.begin()
    decision.add(plan, caller, "hash", nil, nil, story)
    local decided = json.finish()
    json.begin()
    reasons.add(plan, MOST, story)
    return decided, json.finish(), story
  end

  -- Where a rung may stand.
  local function note_standing(plan, random)
    if random() < 0.5 then return end
    plan.standing = { first = plan.ladder[1] }
    local first = plan.ladder[1]
    if first and random() < 0.3 then
      plan.standing[first] = "passed over: exhausted, no quota (" .. math.floor(random() * 3) .. " s left)"
      plan.standing.first = random() < 0.7 and plan.ladder[2] or nil
    end
    if random() < 0.1 then plan.standing.refusal = "key dev has used up its limit" end
  end

  it("has the same words, however it was made", function()
    local names = {}
    for name in pairs(policies) do names[#names + 1] = name end
    for _, name in ipairs { "balanced", "free-tier", "auto-cheapest", "not-there" } do names[#names + 1] = name end
    table.sort(names)
    local models = { "auto", "auto", "fast", "line", "m3", "p1/m1" }
    local set = routing.policies(policies)
    local registries = {
      registry_of(3, {}), registry_of(9, { policy = "not-there" }), registry_of(31, { policy = "fails" }),
      registry_of(34, {}), registry_of(60, { varied = true }), registry_of(7, { on_fault = "refuse" }),
    }
    local random, stories, again, met = routing.random(4711), 0, 0, {}
    for round = 1, ROUNDS do
      local facts, moody = {}, random() < 0.3
      for i = 1, moody and 10 or 0 do
        facts["p" .. i % 4 .. "/m" .. i] = { latency_ms = random() < 0.5 and random() * 100 or nil,
          exhausted = random() < 0.2 and random() * 3 or nil, open = random() < 0.2 }
      end
      local request = {
        model = models[math.floor(random() * #models) + 1], surface = random() < 0.1 and "embeddings" or "chat",
        text_length = round, estimated_tokens = random() < 0.1 and 0 or math.floor(random() * 900), tools =
        random() < 0.1, messages = {}, headers = {}, now = 1700000000 + round / 8,
        seed = random() < 0.95 and round or nil, max_tokens = random() < 0.3 and 77 or nil,
        task = random() < 0.3 and "coding" or nil, max_cost = random() < 0.1 and 0.001 or nil,
        policy = round % 3 > 0 and names[math.floor(random() * #names) + 1] or nil,
      }
      local registry = registries[math.floor(random() * #registries) + 1]
      for time = 1, 2 do
        local plan, refusal = router.plan(request, caller, registry, set, routing.view(facts, round))
        plan = plan or refusal.plan
        if plan then
          note_standing(plan, routing.random((random() < 0.8 and round or round + time) * 1000003))
          local runs, whole = told_afresh(plan)
          local decided, explained, story = told(plan)
          assert.equal(whole, explained)
          assert.is_truthy(string.find(decided, runs, 1, true), decided)
          if story then
            stories = stories + 1
            if met[story] then again = again + 1 end
            met[story] = true
          end
        end
        request.seed, request.estimated_tokens = round + 3, math.floor(random() * 900)
      end
    end
    assert.is_true(again > ROUNDS / 8 and stories - again > ROUNDS / 10, again .. " of " .. stories)
  end)

  local function plan_of(policy, registry, more)
    local request = { model = "auto", surface = "chat", estimated_tokens = 100, seed = 1, policy = policy }
    for name, value in pairs(more or {}) do request[name] = value end
    local plan, refusal = router.plan(request, caller, registry, routing.policies(policies), routing.view())
    return plan or refusal.plan
  end

  local function made_of(plan)
    local made
    local story = retold.story(plan, MOST, function()
      made = true
      return {}
    end)
    return made, story
  end

  it("is made once, though other policies and names are asked for in between", function()
    local registry = registry_of(6, {})
    for _, first in ipairs { true, false } do
      for _, policy in ipairs { "steps", "scores" } do
        for _, model in ipairs { "auto", "line" } do
          assert.equal(first or nil, made_of(plan_of(policy, registry, { model = model, estimated_tokens = 3 })))
          assert.is_nil(made_of(plan_of(policy, registry, { model = model, seed = 9, task = "mine" })))
        end
      end
    end
  end)

  it("is made anew where anything differs that its words hang on, and only then", function()
    local candidates = require "moongate.candidates"
    local registry = registry_of(6, {})
    local targets = registry.targets

    -- Two on the ladder, one left out by each step, one refused; changed by change(plan, run, what is left out).
    local function made_anew(change)
      local run = { name = "mine" }
      local all = candidates.new(targets, run)
      all[4].retry_in = 40.2
      run.trail = { "drop", "late", { all[3] }, "sort", "quality", false, "keep", "good", { all[4], "another thing" } }
      run.last = 9
      local plan = {
        policy = "mine@1", request = { estimated_tokens = 1000, surface = "chat", seed = 1 }, faults = {},
        ladder = { targets[1], targets[2] }, offered = { targets[1], targets[2], targets[3], targets[4] },
        refused = { targets[5] }, refused_why = { "has no tools" }, runs = { run }, task = "chat", reason = "because",
        targets = targets, arranged = false, standing = { first = targets[1] },
      }
      if change then change(plan, run, all) end
      return made_of(plan)
    end

    local changes = {
      function(plan) plan.ladder[2] = nil end,
      function(plan) plan.ladder = { targets[2], targets[1] } end,
      function(plan) plan.offered[4] = targets[6] end,
      function(plan) plan.offered[3], plan.offered[4] = targets[4], targets[3] end,
      function(plan) plan.offered = targets end,
      function(plan) plan.offered, plan.refused, plan.refused_why = targets, {}, {} end,
      function(plan) plan.refused[1] = targets[6] end,
      function(plan) plan.refused, plan.refused_why = {}, {} end,
      function(plan) plan.refused_why[1] = "has no eyes" end,
      function(plan) plan.arranged = "by the weights of the alias" end,
      function(plan) plan.standing.first = targets[2] end,
      function(plan) plan.standing.first = nil end,
      function(plan) plan.standing.refusal = "used up" end,
      function(plan) plan.standing[targets[1]] = "passed over" end,
      function(plan) plan.standing = false end,
      function(_, run) run.name = "yours" end,
      function(_, run) run.last = 6 end,
      function(_, run) run.trail[1] = "keep" end,
      function(_, run) run.trail[2] = "later" end,
      function(_, run) run.trail[3] = {} end,
      function(_, run) run.trail[5] = "price" end,
      function(_, run) run.trail[6] = {} end,
      function(_, run, all) run.trail[3] = { all[2] } end,
      function(_, run, all) run.trail[9] = { "another thing", all[4] } end,
      function(_, _, all) all[4].retry_in = 41.2 end,
      function(_, _, all) all[4].retry_in = nil end,
      function(_, _, all) all[3].retry_in = 1 end,
      function(plan) plan.policy = "mine@2" end,
      function(plan) plan.targets = registry_of(6, {}).targets end,
    }
    local same = {
      function(plan) plan.request.estimated_tokens, plan.request.seed, plan.task = 1, 2, "coding" end,
      function(_, run, all) run.scores = { [all[1]] = 0.5 } end,
      function(_, _, all) all[4].retry_in = 40.3 end,
      function(_, _, all) all[1].retry_in = "mine" end,
    }
    local never = {
      function(plan) plan.faults[1] = { policy = "other@1", message = "failed" } end,
      function(plan) table.insert(plan.runs, 1, { name = "other", trail = {}, last = 0 }) end,
      function(plan) plan.runs = {} end,
      function(plan) plan.replaced = { asked = "a", words = "is gone", name = "b" } end,
    }
    assert.is_true(made_anew())
    for i, change in ipairs(changes) do
      assert.is_true(made_anew(change), i)
      made_anew()
      assert.is_nil(made_anew())
    end
    for i, change in ipairs(same) do assert.is_nil(made_anew(change), i) end
    for i, change in ipairs(never) do assert.is_nil((select(2, made_anew(change))), i) end
  end)

  it("is made anew for another number of candidates, and after an error", function()
    local plan = plan_of("steps", registry_of(6, {}))
    local function made(most, fails)
      local is_made
      local fine = pcall(retold.story, plan, most, function()
        is_made = true
        if fails then error "no" end
        return {}
      end)
      return is_made, fine
    end
    assert.is_true((made(5)))
    assert.is_nil((made(5)))
    assert.is_true((made(6)))
    assert.is_true((made(nil)))
    assert.is_nil((made(nil)))
    assert.is_false((select(2, made(5, true))))
    assert.is_true((made(5)))
    assert.is_nil((made(5)))
  end)

  it("is not kept where chance has a hand in it, nor for one model or very many", function()
    local registry, made = registry_of(20, {}), 0
    for seed = 1, 1000 do
      if made_of(plan_of("lottery", registry, { seed = seed })) then made = made + 1 end
    end
    assert.is_true(made < 100, made)
    assert.is_nil(reasons.story(plan_of("steps", registry, { model = "m3" }), MOST))
    assert.is_nil(reasons.story(plan_of("steps", registry_of(33, {})), MOST))
  end)

  it("ends with its registry", function()
    local registry = registry_of(6, {})
    local gone = setmetatable({ registry.targets }, { __mode = "v" })
    told(plan_of("steps", registry))
    told(plan_of("steps", registry_of(7, {})))
    registry = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_nil(gone[1])
  end)
end)
