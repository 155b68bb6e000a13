require "spec.support.core"
local router = require "moongate.router"
local routing = require "spec.support.routing"

local function models()
  return {
    { id = "a", provider = "paid", cost = { input = 2, output = 8 }, quality = 90, strengths = { "coding" } },
    { id = "b", provider = "free", free = true, quality = 60, strengths = { "chat" } },
    { id = "c", provider = "unknown", quality = 99 },
    { id = "d", provider = "better", free = true, quality = 80 },
    { id = "e", provider = "here", is_local = true, quality = 40 },
  }
end

local given = {
  providers = {
    here = { is_local = true }, paid = { keys = { { key = "k" } } }, unknown = { protocol = "openai" },
  },
}

local function plan(policy, request, facts, list)
  request = request or {}
  request.policy, request.surface = policy, request.surface or "chat"
  request.estimated_tokens = request.estimated_tokens or 1000
  local registry = routing.registry(list or models(), given)
  return router.plan(request, { models = { "*" } }, registry, routing.policies(), routing.view(facts))
end

local function ladder(...)
  local result, refusal = plan(...)
  assert(result, refusal and refusal.message)
  return routing.ids(result.ladder)
end

describe("the policy auto-cheapest", function()
  it("puts what costs nothing first, the best of equals, and unknown prices last", function()
    assert.same({ "better/d", "free/b", "here/e", "paid/a", "unknown/c" }, ladder("auto-cheapest"))
  end)

  it("leaves out what said no more, and tries what fails last", function()
    local facts = { ["better/d"] = { exhausted = 41 }, ["free/b"] = { open = true } }
    assert.same({ "here/e", "paid/a", "unknown/c", "free/b" }, ladder("auto-cheapest", nil, facts))
  end)
end)

describe("the policy free-tier", function()
  it("offers free providers only, best first", function()
    assert.same({ "better/d", "free/b" }, ladder("free-tier"))
  end)

  it("leaves out the exhausted and those without requests left today or this minute", function()
    assert.same({ "free/b" }, ladder("free-tier", nil, { ["better/d"] = { exhausted = 41 } }))
    assert.same({ "free/b" }, ladder("free-tier", nil, { ["better/d"] = { left = { rpd = 0 } } }))
    assert.same({ "free/b" }, ladder("free-tier", nil, { ["better/d"] = { left = { rpm = 0, rpd = 7 } } }))
  end)

  it("goes by the rank of the providers when models do not say", function()
    local names = { "cloudflare", "mistral", "openrouter", "gemini", "groq", "cerebras" }
    local list = {}
    for i, name in ipairs(names) do
      given.providers[name] = { quality = 50 + 5 * i, free = true }
      list[i] = { id = "m", provider = name }
    end
    assert.same({ "cerebras/m", "groq/m", "gemini/m", "openrouter/m", "mistral/m", "cloudflare/m" },
      ladder("free-tier", nil, nil, list))
  end)

  it("falls through to balanced when nothing free is left, and says so", function()
    local facts = { ["better/d"] = { exhausted = 41 }, ["free/b"] = { left = { rpd = 0 } } }
    local result = plan("free-tier", nil, facts)
    assert.equal("balanced@00000000", result.policy)
    assert.equal(4, #result.ladder)
    assert.matches("^free%-tier had nothing to offer; balanced@00000000 put ", result.reason)
  end)

  it("offers no free cloud to a private request", function()
    assert.same({ "here/e" }, ladder("free-tier", { privacy = true }))
  end)
end)

describe("the policy local-only", function()
  it("offers what runs on this machine", function()
    assert.same({ "here/e" }, ladder("local-only"))
  end)

  it("refuses, with the reason, where nothing does", function()
    local list = models()
    list[5] = nil
    local result, refusal = plan("local-only", nil, nil, list)
    assert.is_nil(result)
    assert.equal(403, refusal.status)
    assert.matches("keeps requests on this machine, and no local model", refusal.message)
  end)
end)

describe("the policy byok-paid", function()
  it("offers paid providers with a key of the operator's", function()
    assert.same({ "paid/a" }, ladder("byok-paid"))
  end)
end)

describe("the policy balanced", function()
  local two = {
    { id = "cheap", provider = "x", cost = { input = 1, output = 1 }, latency_ms = 900, quality = 20,
      strengths = { "chat" } },
    { id = "quick", provider = "y", cost = { input = 3, output = 3 }, latency_ms = 100, quality = 95,
      strengths = { "chat" } },
  }

  it("weighs cost, latency and task", function()
    assert.same({ "x/cheap", "y/quick" }, ladder("balanced", { task = "chat" }, nil, two))
    local result = plan("balanced", { task = "chat" }, nil, two)
    assert.near(0.7, result.candidates[1].score, 1e-9)
    assert.near(0.6, result.candidates[2].score, 1e-9)
  end)

  it("has a backup for the best, and then goes to the cheapest", function()
    local list = { two[1], two[2],
      { id = "fair", provider = "z", cost = { input = 2, output = 2 }, latency_ms = 950, quality = 10, strengths = {} },
      { id = "dear", provider = "w", cost = { input = 9, output = 9 }, latency_ms = 120, quality = 90,
        strengths = { "chat" } },
    }
    local ladder_of_four = ladder("balanced", { task = "chat", latency_pref = "fast" }, nil, list)
    assert.equal(4, #ladder_of_four)
    local rest = { ladder_of_four[3], ladder_of_four[4] }
    assert.same({ "y/quick" }, { ladder_of_four[1] })
    local cost = { ["x/cheap"] = 1, ["z/fair"] = 2, ["y/quick"] = 3, ["w/dear"] = 9 }
    assert.is_true(cost[rest[1]] < cost[rest[2]])
  end)

  it("weighs speed more when the caller is in a hurry", function()
    assert.same({ "y/quick", "x/cheap" }, ladder("balanced", { latency_pref = "fast" }, nil, two))
  end)

  it("goes by quality when the caller wants the best, by cost when the cheapest", function()
    assert.same({ "y/quick", "x/cheap" }, ladder("balanced", { priority = "best" }, nil, two))
    assert.same({ "x/cheap", "y/quick" }, ladder("balanced", { priority = "cheap" }, nil, two))
  end)

  it("keeps a conversation where its prompt is in a cache", function()
    assert.same({ "y/quick", "x/cheap" }, ladder("balanced", { task = "chat", affinity = "y/quick" }, nil, two))
    assert.same({ "x/cheap", "y/quick" }, ladder("balanced", { task = "chat", affinity = "z/gone" }, nil, two))
  end)

  it("prefers a model that is good at the task", function()
    local list = {
      { id = "talker", provider = "x", free = true, strengths = { "chat" } },
      { id = "coder", provider = "y", free = true, strengths = { "coding" } },
    }
    assert.same({ "y/coder", "x/talker" }, ladder("balanced", { task = "coding" }, nil, list))
  end)
end)
