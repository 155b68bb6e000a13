local routing = require "spec.support.routing"
local score = require "moongate.score"

describe("score.of", function()
  it("gives the cheapest and quickest that is good at the task 1, the opposite 0", function()
    local best = { estimated_cost = 0, latency_ms = 10, strengths = { "coding" } }
    local worst = { estimated_cost = 9, latency_ms = 99, strengths = { "chat" } }
    assert.same({ 1, 0 }, score.of({ best, worst }, { cost = 0.4, latency = 0.3, task = 0.3 }, "coding"))
  end)

  it("counts an unknown price like the dearest, an unknown latency and fitness as middling", function()
    local known, unknown = { estimated_cost = 1, latency_ms = 1, strengths = { "chat" } }, {}
    assert.same({ 1, 0 }, score.of({ known, unknown }, { cost = 1 }, "chat"))
    assert.same({ 1, 0.5 }, score.of({ known, unknown }, { latency = 1 }, "chat"))
    assert.same({ 1, 0.5 }, score.of({ known, unknown }, { task = 1 }, "chat"))
  end)

  it("does not ask that weights add up to 1", function()
    local one, two = { estimated_cost = 1, quality = 50 }, { estimated_cost = 2, quality = 100 }
    local all = { one, two }
    assert.same(score.of(all, { cost = 0.75, quality = 0.25 }), score.of(all, { cost = 3, quality = 1 }))
  end)

  it("stays between 0 and 1 for any candidates", function()
    local random = routing.random(5)
    for _ = 1, 300 do
      local all = {}
      for i = 1, math.floor(random() * 8) do
        all[i] = {
          estimated_cost = random() < 0.7 and random() * 10 or nil,
          latency_ms = random() < 0.7 and random() * 1e4 or nil,
          quality = random() * 100, strengths = random() < 0.5 and { "chat" } or {},
        }
      end
      local weights = { cost = random(), latency = random(), task = random(), quality = random() + 0.01 }
      for i, value in ipairs(score.of(all, weights, "chat")) do
        assert.is_true(value >= 0 and value <= 1, i)
      end
    end
  end)
end)

describe("score.problem", function()
  it("says what is wrong with weights", function()
    assert.is_nil(score.problem { cost = 1, latency = 0 })
    assert.equal('score has no part "costs" (did you mean "cost"?)', score.problem { costs = 1 })
    assert.equal("the weight of cost must be a number, 0 or more", score.problem { cost = -1 })
    assert.equal("score wants at least one weight above 0", score.problem { cost = 0 })
    assert.matches("^score wants weights", score.problem "cost")
  end)
end)
