local candidates = require "moongate.candidates"
local routing = require "spec.support.routing"

local function target(more)
  local made = {
    index = 1, id = "p/m", model = "m", provider = "p", protocol = "mock", is_local = false, free = true, quality = 50,
    rank = 60, strengths = { "chat" }, cost = { input = 1, output = 2 }, limits = {}, provider_limits = {}, weight = 1,
    priority = 50, latency_ms = 300, context_length = 8192, keyed = true,
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function one(made, facts, weights)
  made = made or target()
  local plan = {
    request = { surface = "chat", estimated_tokens = 1000, max_tokens = 500 }, view = routing.view(facts),
    weights = weights,
  }
  return candidates.new({ made }, plan)[1]
end

describe("a candidate", function()
  it("has every fact that policies are promised", function()
    local candidate = one(nil, { ["p/m"] = { left = { rpd = 3 }, used = { rpd = 4 }, error_rate = 0.5 },
      p = { balance = 9.8 } })
    assert.same({ "p/m", "m", "p", "mock", false, true, 50, 8192, 50 }, {
      candidate.id, candidate.model, candidate.provider, candidate.protocol, candidate.is_local, candidate.free,
      candidate.quality, candidate.context_length, candidate.priority,
    })
    assert.same({ 3, math.huge, 4, 0 }, {
      candidate.left.rpd, candidate.left.rpm, candidate.used.rpd, candidate.used.tpm,
    })
    assert.same({ false, 0, "ready", 0.5, 9.8, 1 }, {
      candidate.exhausted, candidate.retry_in, candidate.status, candidate.error_rate, candidate.balance,
      candidate.weight,
    })
    assert.equal(0.002, candidate.estimated_cost)
    assert.same({ "chat" }, candidate.strengths)
    assert.is_nil(candidate.score)
  end)

  it("is exhausted while its provider said to wait, failing while its breaker is open", function()
    local waiting = one(nil, { ["p/m"] = { exhausted = 41 } })
    assert.same({ true, 41, "exhausted" }, { waiting.exhausted, waiting.retry_in, waiting.status })
    assert.equal("failing", one(nil, { ["p/m"] = { open = true } }).status)
  end)

  it("has the measured latency, or the stated one", function()
    assert.equal(300, one().latency_ms)
    assert.equal(120, one(nil, { ["p/m"] = { latency_ms = 120 } }).latency_ms)
  end)

  it("says so when a fact is misspelt", function()
    local candidate = one()
    assert.error_matches(function() return candidate.exausted end,
      'a candidate has no "exausted" %(did you mean "exhausted"%?%)')
    assert.error_matches(function() return candidate.cost.imput end, 'a cost has no "imput" %(did you mean "input"%?%)')
    assert.is_nil(candidate.cost.cache_write)
  end)

  it("harms only its writer when it is written to", function()
    local made = target()
    local candidate = one(made)
    candidate.free, candidate.id = false, "other"
    candidate.cost.input = 0
    candidate.strengths[1] = "everything"
    candidate.left.rpm = 0
    assert.equal(made, candidates.target(candidate))
    assert.same(target(), made)
    local again = one(made)
    assert.same({ true, "p/m", 1 }, { again.free, again.id, again.cost.input })
  end)

  it("shows nothing of the target behind it", function()
    local candidate = one()
    assert.is_nil(next(candidate))
    assert.equal("candidate", getmetatable(candidate))
    assert.has_error(function() setmetatable(candidate, {}) end)
  end)

  it("asks the view for what the policy asks, and once", function()
    local asked = 0
    local view = routing.view()
    view.exhausted = function()
      asked = asked + 1
      return 7
    end
    local all = candidates.new({ target() }, { request = {}, view = view })
    assert.equal(0, asked)
    assert.is_true(all[1].exhausted and all[1].retry_in == 7 and all[1].status == "exhausted")
    assert.equal(1, asked)
  end)
end)

describe("what a policy keeps of a request", function()
  local function over(fn) assert.error_matches(fn, "this request is over") end

  it("is of no use to it once it has decided, and holds nothing", function()
    local request = { text_length = 7, caller = { name = "n" }, messages = {} }
    local run = { request = request, view = routing.view(), facts = { request } }
    local all = candidates.new({ target(), target() }, run)
    local seen = candidates.request(request, { task = function() return "chat" end })
    assert.same({ 7, 0 }, { seen.text_length, all[1].retry_in })
    candidates.close(run)
    candidates.close_request(seen)
    over(function() return seen.messages end)
    over(function() return seen.task end)
    over(function() return all[1].left end)
    over(function() return all[1].model end)
    over(function() return all:drop("all", function() return true end) end)
    over(function() return all:take(1) end)
    assert.equal(0, #run.trail)

    local held = setmetatable({ request }, { __mode = "v" })
    request, run = nil, nil -- luacheck: no unused
    collectgarbage()
    collectgarbage()
    assert.is_nil(held[1])
    assert.same({ 7, 2 }, { seen.text_length, #all })
  end)
end)

describe("a policy's request", function()
  local request = {
    model = "m", now = 1700000000, headers = { ["x-team"] = "a" }, messages = { { role = "user", content = "hi" } },
    privacy = false, caller = { name = "n" },
  }

  it("has the facts of the request, and those that outweigh them", function()
    local seen = candidates.request(request, { privacy = true, task = function() return "coding" end })
    assert.same({ "m", true, "coding", "a", "hi", "n" }, {
      seen.model, seen.privacy, seen.task, seen.headers["x-team"], seen.messages[1].content, seen.caller.name,
    })
    assert.equal(1700000000, rawget(seen, "now"))
  end)

  it("says so when a field is misspelt, its own or the caller's, and has nil for what was not asked for", function()
    local seen = candidates.request(request, { task = function() return "chat" end })
    assert.error_matches(function() return seen.modle end, 'a request has no "modle" %(did you mean "model"%?%)')
    assert.error_matches(function() return seen.caller.teir end, 'a caller has no "teir" %(did you mean "tier"%?%)')
    assert.error_matches(function() return seen.caller[1] end, 'a caller has no "1"; it has name, org, tier')
    assert.same({}, { seen.max_tokens, seen.max_cost, seen.affinity, seen.policy, seen.caller.org,
      seen.headers["x-nothing"], seen.messages[2] })
    seen.mine = 1
    assert.equal(1, seen.mine)
  end)

  it("harms only its writer when it is written to", function()
    local seen = candidates.request(request, { task = function() return "chat" end })
    seen.headers["x-team"], seen.messages[1].content, seen.caller.name, seen.model = "b", "bye", "root", "other"
    assert.same({ "a", "hi", "n", "m" }, {
      request.headers["x-team"], request.messages[1].content, request.caller.name, request.model,
    })
  end)
end)
