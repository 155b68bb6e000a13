-- Which prices have changed from one configuration to the next.
local price_log = require "moongate.price_log"

local function target(id, cost) return { id = id, cost = cost } end

describe("the price log", function()
  it("tells each price that is another, with the old one and the new", function()
    local before = { target("a/x", { input = 1, output = 2 }), target("a/y", { input = 3, output = 3 }) }
    local after = { target("a/x", { input = 0.5, output = 2 }), target("a/y", { input = 3, output = 3 }) }
    assert.same({ { at = 7, id = "a/x", field = "input", old = 1, new = 0.5 } }, price_log.compare(before, after, 7))
  end)

  it("tells of prices that become known, and of those that are known no more", function()
    assert.same({ { at = 7, id = "a/x", field = "input", new = 1 }, { at = 7, id = "a/x", field = "output", new = 2 } },
      price_log.compare({ target "a/x" }, { target("a/x", { input = 1, output = 2 }) }, 7))
    assert.same({ { at = 8, id = "a/x", field = "input", old = 1 } },
      price_log.compare({ target("a/x", { input = 1 }) }, { target "a/x" }, 8))
  end)

  it("says nothing of targets that come or go", function()
    assert.same({}, price_log.compare({ target("a/x", { input = 1 }) }, { target("a/y", { input = 2 }) }, 7))
  end)

  it("keeps the newest, the newest first", function()
    for i = 1, 250 do
      price_log.note({ target("a/x", { input = i }) }, { target("a/x", { input = i + 1 }) }, i)
    end
    local changes = price_log.changes()
    assert.same({ 200, 250, 51 }, { #changes, changes[1].at, changes[200].at })
  end)
end)
