local list = require "moongate.list"
local routing = require "spec.support.routing"

local function items(...)
  local made = {}
  for i, value in ipairs { ... } do made[i] = { id = "p/" .. tostring(value), value = value, weight = 1 } end
  return made
end

local function values(of)
  local found = {}
  for i = 1, #of do found[i] = of[i].value end
  return found
end

local function new(...)
  local family = { facts = { random = routing.random(3), task = function() return "chat" end } }
  return list.new(items(...), family), family
end

local function is_even(item) return item.value % 2 == 0 end

describe("a list", function()
  it("is an array that its steps leave as it was", function()
    local all = new(1, 2, 3)
    assert.equal(3, #all)
    assert.same({ 2 }, values(all:keep("even", is_even)))
    assert.same({ 1, 3 }, values(all:drop("even", is_even)))
    assert.same({ 1, 2, 3 }, values(all))
  end)

  it("notes what each step left out, and why", function()
    local all, family = new(1, 2, 3)
    local kept = all:drop("even", is_even):keep("small", function(item) return item.value < 2 end):take(0)
    assert.equal(0, #kept)
    assert.same({ "drop", "even", { all[2] }, "keep", "small", { all[3] }, "take", "0", { all[1] } }, family.trail)
    assert.equal(9, family.last)
  end)

  it("sorts by number or text, lowest first, unknown last, equals as they were", function()
    assert.same({ 1, 2, 3 }, values(new(3, 1, 2):sort("value", function(item) return item.value end)))
    assert.same({ "a", "b" }, values(new("b", "a"):sort("value", function(item) return item.value end)))
    assert.same({ 2, 4, 3, 5 }, values(new(3, 2, 5, 4):sort("even", function(item) return item.value % 2 end)))
    assert.same({ 4, 2, 3, 5 }, values(new(3, 4, 5, 2):sort("known", function(item)
      return is_even(item) and 0 or nil
    end)))
    assert.same({ 2, 1 }, values(new(1, 2):sort("not a number", function(item)
      return item.value == 1 and 0 / 0 or 7
    end)))
  end)

  it("prefers without dropping", function()
    assert.same({ 2, 4, 1, 3 }, values(new(1, 2, 3, 4):prefer("even", is_even)))
  end)

  it("takes the first and joins another without repeating any", function()
    local all = new(1, 2, 3)
    local two = all:take(2)
    assert.same({ 1, 2 }, values(two))
    assert.same({ 1, 2, 3 }, values(two:concat(all)))
    assert.same({ 3, 1, 2 }, values(list.new({ all[3] }):concat { all[1], all[2] }))
  end)

  it("shuffles by weight", function()
    local first = { 0, 0, 0 }
    local all = new(1, 2, 3)
    all[1].weight, all[2].weight, all[3].weight = 1, 3, 0
    for _ = 1, 4000 do
      local drawn = all:shuffle()
      first[drawn[1].value] = first[drawn[1].value] + 1
      assert.equal(3, drawn[3].value)
    end
    assert.near(1000, first[1], 150)
    assert.near(3000, first[2], 150)
  end)

  it("is scored best first", function()
    local all = list.new({
      { id = "dear", estimated_cost = 2 }, { id = "cheap", estimated_cost = 1 }, { id = "unknown" },
    })
    local scored = all:score { cost = 1 }
    assert.same({ "cheap", "dear", "unknown" }, { scored[1].id, scored[2].id, scored[3].id })
  end)

  it("says what a step wants, at the author's line", function()
    local all = new(1)
    local function fails(with, step)
      local fine, message = pcall(step)
      assert.is_false(fine)
      assert.matches("^spec/lua/list_spec.lua:%d+: " .. with, message)
    end
    fails("keep wants a name first", function() return (all:keep(is_even)) end)
    fails('drop "x" wants a function', function() return (all:drop "x") end)
    fails('sort "x" wants a number or a string for each candidate, not a boolean %(p/1%)', function()
      return (all:sort("x", function() return true end))
    end)
    fails('sort "x" mixes numbers and strings', function()
      local two = new(1, "b")
      return (two:sort("x", function(item) return item.value end))
    end)
    fails("take wants how many", function() return (all:take "x") end)
    fails("concat wants another list", function() return (all:concat(5)) end)
    fails("shuffle wants a weight of 0 or more", function() return (all:shuffle(function() return -1 end)) end)
    fails('score has no part "price"', function() return (all:score { price = 1 }) end)
  end)

  it("sorts any numbers like a slow sort does", function()
    local random = routing.random(11)
    for size = 0, 60 do
      local numbers = {}
      for i = 1, size do numbers[i] = math.floor(random() * 10) end
      local all = new(unpack(numbers))
      for i = 1, size do all[i].place = i end
      local sorted = all:sort("value", function(item) return item.value end)
      assert.equal(size, #sorted)
      for i = 2, size do
        local before, this = sorted[i - 1], sorted[i]
        assert.is_true(before.value < this.value or before.value == this.value and before.place < this.place)
      end
    end
  end)
end)
