require "spec.support.core"
local candidates_of = require "moongate.candidates"
local json = require "moongate.core.json"
local reasons = require "moongate.reasons"

-- A plan as the router leaves it: two offered targets, one kept by the steps given, one refused at the gates.
local function plan(trail, more)
  local kept = { index = 1, id = "a/kept", provider = "a", model = "kept", free = true }
  local left = { index = 2, id = "b/left", provider = "b", model = "left" }
  local barred = { index = 3, id = "c/barred", provider = "c", model = "barred", cost = { input = 1, output = 1 } }
  local run = { name = "mine" }
  local candidates = candidates_of.new({ kept, left }, run)
  candidates[2].retry_in = 40.2
  for _, step in ipairs(trail) do
    for _, part in ipairs { step.kind, step.name, step.gone == "left" and { candidates[2] } } do
      run.last = run.last + 1
      run.trail[run.last] = part
    end
  end
  local made = {
    policy = "mine@1a2b3c4d", request = { estimated_tokens = 1000, max_tokens = 0, surface = "chat" }, faults = {},
    ladder = { kept }, offered = { kept, left }, refused = { barred }, refused_why = { "has no tools" },
    runs = { run },
    task = "chat", reason = "because",
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made, candidates
end

local function reason_of_left(step)
  step.gone = "left"
  return reasons.records((plan { step }))[2].reason
end

describe("reasons.records", function()
  it("has the ladder first, then what the policy left out, then what the gates did", function()
    assert.same({
      { id = "a/kept", provider = "a", model = "kept", kept = true, reason = "rung 1", estimated_cost = 0 },
      { id = "b/left", provider = "b", model = "left", kept = false, reason = "exhausted (41 s left)" },
      {
        id = "c/barred", provider = "c", model = "barred", kept = false, reason = "has no tools",
        estimated_cost = 0.001,
      },
    }, reasons.records((plan { { kind = "drop", name = "exhausted", gone = "left" } })))
  end)

  it("words every kind of step", function()
    assert.equal("late (41 s left)", reason_of_left { kind = "drop", name = "late" })
    assert.equal('fails "is free" (41 s left)', reason_of_left { kind = "keep", name = "is free" })
    assert.equal("beyond the first 3", reason_of_left { kind = "take", name = "3" })
  end)

  it("says so where no step explains it", function()
    assert.equal("not in the ladder that the policy returned", reasons.records((plan {}))[2].reason)
  end)

  it("tells no more than it is to", function()
    local made = plan { { kind = "drop", name = "late", gone = "left" } }
    for most = 0, 3 do assert.equal(most, #reasons.records(made, most)) end
  end)

  it("has the scores where the policy scored", function()
    local made, candidates = plan {}
    made.runs[1].scores = { [candidates[1]] = 0.7 }
    assert.equal(0.7, reasons.records(made)[1].score)
  end)
end)

describe("reasons of a plan whose rungs were looked at", function()
  local function looked(standing_of)
    local made = plan {}
    made.ladder[2] = { index = 4, id = "d/next", provider = "d", model = "next" }
    made.standing = standing_of(made.ladder[1], made.ladder[2])
    local records = reasons.records(made)
    return { records[1].reason, records[2].reason, records[1].kept and records[2].kept },
      reasons.sentence(made):match("left out; (.*)$")
  end

  it("tell the rung that is passed over, and name the one that is called first", function()
    local records, sentence = looked(function(first, second)
      return { [first] = "passed over: exhausted, no quota (9 s left)", first = second }
    end)
    assert.same({ "rung 1, passed over: exhausted, no quota (9 s left)", "rung 2", true }, records)
    assert.equal("d/next is called first, what stands before it is passed over", sentence)
  end)

  it("say nothing more where the first rung is called first", function()
    local records, sentence = looked(function(first, second) return { [second] = "passed over: x", first = first } end)
    assert.same({ { "rung 1", "rung 2, passed over: x", true } }, { records, sentence })
  end)

  it("say that nobody would be called, or that the caller is refused", function()
    local _, sentence = looked(function(first, second) return { [first] = "x", [second] = "x" } end)
    assert.equal("every rung is passed over", sentence)
    _, sentence = looked(function(first) return { [first] = "refused: enough", refusal = "enough" } end)
    assert.equal("enough", sentence)
  end)
end)

describe("reasons.dropped", function()
  it("names what is not on the ladder and why", function()
    assert.equal("dropped b/left: exhausted (41 s left); dropped c/barred: has no tools",
      reasons.dropped((plan { { kind = "drop", name = "exhausted", gone = "left" } })))
  end)
end)

describe("reasons.sentence", function()
  it("says who put what first, how, and of how many", function()
    assert.equal("mine@1a2b3c4d put a/kept first of 1 (by quality, preferring the quick, shuffled by weight), "
      .. "2 of 3 candidates left out", reasons.sentence((plan {
      { kind = "drop", name = "exhausted", gone = "left" }, { kind = "sort", name = "quality" },
      { kind = "prefer", name = "the quick" }, { kind = "shuffle", name = "weight" },
    })))
  end)

  it("tells of the policies that failed before", function()
    local made = plan({}, { faults = { { policy = "old@1", message = "boom" } } })
    assert.matches("^old@1 failed %(boom%); mine@1a2b3c4d put a/kept first", reasons.sentence(made))
  end)

  it("tells of an empty ladder", function()
    assert.equal("mine@1a2b3c4d left nothing", reasons.sentence((plan({}, { ladder = {} }))))
  end)
end)

describe("reasons.explain", function()
  it("is plain data, as long as it is told", function()
    local explained = reasons.explain(plan {}, 1)
    assert.same({ "a/kept" }, explained.ladder)
    assert.same({ "mine@1a2b3c4d", "chat", "because" }, { explained.policy, explained.task, explained.reason })
    assert.equal(1, #explained.candidates)
    assert.is_nil(getmetatable(explained))
  end)

  local function text(...)
    json.begin()
    reasons.add(...)
    return json.finish()
  end

  it("is one text, lists also where they are empty", function()
    assert.equal('{"policy":"mine@1a2b3c4d","task":"chat","reason":"because","ladder":["a/kept"],"candidates":['
      .. '{"id":"a/kept","provider":"a","model":"kept","kept":true,"reason":"rung 1","estimated_cost":0}]}',
      text(plan {}, 1))
    assert.matches('"ladder":[],"candidates":[]}', text(plan({}, { ladder = {} }), 0), 1, true)
  end)
end)
