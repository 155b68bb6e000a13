-- Which prices have changed from one configuration to the next.
local price_log

local function target(id, cost) return { id = id, cost = cost } end

describe("the price log", function()
  before_each(function()
    package.loaded["moongate.price_log"] = nil -- it keeps what it noted
    price_log = require "moongate.price_log"
  end)

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

  describe("with what imports changed", function()
    local function change(time, model, field, old, new)
      return { time = time, provider = "shop", model = model, field = field, old = old, new = new, source = "table" }
    end
    local function facts(list)
      local told = {}
      for i, each in ipairs(list) do told[i] = { each.at, each.id, each.field, each.old, each.new, each.source } end
      return told
    end

    it("tells of the targets that they are of, the newest first, and nothing of others", function()
      local targets = { { id = "shop/small", provider = "shop", model = "small", upstream_id = "small-v2",
        cost = { input = 3, output = 1 } } }
      local trail = { change(9, "small-v2", "input", 2, 3), change(8, "large", "input", 1, 2),
        change(7, "small", "input", 1, 2) }
      assert.same({ { 9, "shop/small", "input", 2, 3, "table" }, { 7, "shop/small", "input", 1, 2, "table" } },
        facts(price_log.all(trail, targets)))
    end)

    it("says nothing of prices that the configuration overrules", function()
      local targets = { { id = "shop/small", provider = "shop", model = "small", cost = { input = 5, output = 1 } } }
      local trail = { change(9, "small", "output", 2, 1), change(9, "small", "input", 2, 3) }
      assert.same({ { 9, "shop/small", "output", 2, 1, "table" } }, facts(price_log.all(trail, targets)))
    end)

    it("tells of a price that is known no more", function()
      local trail = { change(9, "small", "input", 2, -1) }
      assert.same(1, #price_log.all(trail, { { id = "shop/small", provider = "shop", model = "small" } }))
    end)

    it("stand between those of configurations", function()
      price_log.note({ target("shop/small", { input = 2 }) }, { target("shop/small", { input = 5 }) }, 8)
      local targets = { { id = "shop/small", provider = "shop", model = "small", cost = { input = 5 } } }
      assert.same({ { 8, "shop/small", "input", 2, 5 }, { 7, "shop/small", "input", 1, 2, "table" } },
        facts(price_log.all({ change(7, "small", "input", 1, 2) }, targets)))
    end)
  end)

  it("keeps the newest, the newest first", function()
    for i = 1, 250 do
      price_log.note({ target("a/x", { input = i }) }, { target("a/x", { input = i + 1 }) }, i)
    end
    local changes = price_log.changes()
    assert.same({ 200, 250, 51 }, { #changes, changes[1].at, changes[200].at })
  end)
end)
