-- Whether a target would be called at this moment, asked without taking anything.
local fakes = require "spec.support.fakes"

describe("the standing of a target", function()
  local core, standing

  before_each(function()
    core = fakes.install()
    standing = require "moongate.standing"
  end)
  after_each(function() core.restore() end)

  local caller = { name = "dev", key_id = "config:dev", org = "acme", rpm = 1 }

  -- The plan of these rungs, by id, as it is noted.
  local function noted(ids, most)
    local plan = { ladder = {}, request = { surface = "chat", estimated_tokens = 10 } }
    for i, id in ipairs(ids) do plan.ladder[i] = fakes.target(id) end
    standing.note(plan, caller, { config = {} }, most)
    local words = {}
    for i, target in ipairs(plan.ladder) do words[i] = plan.standing[target] or "" end
    return words, plan.standing.first and plan.standing.first.id, plan.standing.refusal
  end

  local function exhausted(waits)
    core.set("store.exhausted", function(name) return unpack(waits[name] or { 0, "" }) end)
  end

  it("is fine where nothing is in the way", function()
    assert.same({ { "", "" }, "one/a" }, { noted { "one/a", "two/b" } })
  end)

  it("tells what is exhausted, itself or its provider, by the longer wait", function()
    exhausted { ["one/a"] = { 40.2, "rate_limited" }, one = { 5, "auth" }, two = { 90, "" } }
    assert.same({ {
      "passed over: exhausted, rate limited (41 s left)", "passed over: exhausted, no quota (90 s left)", "",
    }, "three/c" }, { noted { "one/a", "two/b", "three/c" } })
  end)

  it("tells what failed repeatedly, without trying its breaker", function()
    core.set("health.state", function(id) return id == "one/a", 1, 0.5, 12 end)
    assert.same({ { "passed over: it failed repeatedly and is left alone for a while (12 s left)", "" }, "two/b" },
      { noted { "one/a", "two/b" } })
    assert.same({}, core.of "health.admit")
  end)

  it("tells the limit that has no room for this request, without reserving", function()
    core.set("store.fits", function(claims)
      if claims.provider == "two" then return true end
      return nil, "provider:one:tokens day", 7
    end)
    assert.same({ { "passed over: no quota left: provider:one:tokens day (7 s left)", "" }, "two/b" },
      { noted { "one/a", "two/b" } })
    assert.same({}, core.of "store.reserve")
    local asked = core.of("store.fits")[1][1]
    assert.same({ "one", "up-a", "key:config:dev:requests" }, { asked.provider, asked.model, asked[1].key })
  end)

  it("tells the caller's own limit, which ends the request there", function()
    exhausted { ["one/a"] = { 9, "" } }
    core.set("store.fits", function() return nil, "key:config:dev:requests minute", 4 end)
    local told = "key dev has used up its 1 requests per minute; try again in 4 s"
    assert.same({ { "passed over: exhausted, no quota (9 s left)", "refused: " .. told }, n = told },
      (function(words, first, refusal) return { words, first, n = refusal } end)(noted { "one/a", "two/b" }))
  end)

  it("knows nobody to be called first where all are passed over", function()
    exhausted { one = { 9, "" } }
    local _, first, refusal = noted { "one/a", "one/b" }
    assert.same({}, { first, refusal })
  end)

  it("looks at so many rungs, and at more until one can be called", function()
    exhausted { ["one/a"] = { 9, "" }, ["one/b"] = { 9, "" }, ["one/d"] = { 9, "" } }
    local ids, passed = { "one/a", "one/b", "one/c", "one/d" }, "passed over: exhausted, no quota (9 s left)"
    assert.same({ { passed, passed, "", "" }, "one/c" }, { noted(ids, 1) })
    assert.same({ { passed, passed, "", passed }, "one/c" }, { noted(ids, 4) })
  end)
end)
