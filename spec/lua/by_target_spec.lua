-- What is kept of the targets of one configuration.
local by_target = require "moongate.by_target"

describe("what is kept of targets", function()
  local made, of

  before_each(function()
    made = {}
    of = by_target(function(target)
      made[#made + 1] = target.id
      return { target.id }
    end)
  end)

  it("is made once of each", function()
    local one, two = { index = 1, id = "one" }, { index = 2, id = "two" }
    local own = of(one)
    assert.same({ "one" }, own)
    assert.equal(own, of(one))
    assert.same({ "two" }, of(two))
    assert.equal(own, of(one))
    assert.same({ "one", "two" }, made)
  end)

  it("is another configuration's no more, whose targets have the same places", function()
    local one, two, other = { index = 1, id = "one" }, { index = 2, id = "two" }, { index = 1, id = "other" }
    of(one)
    of(two)
    assert.same({ "other" }, of(other))
    assert.same({ "two" }, of(two))
    assert.same({ "one" }, of(one))
    assert.same({ "one", "two", "other", "two", "one" }, made)
  end)

  it("holds no target of a configuration that is no longer asked for", function()
    local old = setmetatable({ { index = 1, id = "one" }, { index = 2, id = "two" } }, { __mode = "v" })
    of(old[1])
    of(old[2])
    of { index = 2, id = "other" }
    collectgarbage()
    assert.same({}, old)
  end)
end)
