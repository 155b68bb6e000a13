local chance = require "moongate.chance"

describe("chance", function()
  it("draws the same from the same seed, of any kind, and something else from another", function()
    for _, pair in ipairs { { 1, 2 }, { "a", "b" }, { 0.1, 0.2 }, { true, false }, { 1, 1 + 2 ^ 40 } } do
      local one, again, other = chance.new(pair[1]), chance.new(pair[1]), chance.new(pair[2])
      local differs = false
      for _ = 1, 20 do
        local drawn = one()
        assert.equal(drawn, again())
        differs = differs or drawn ~= other()
      end
      assert.is_true(differs)
    end
  end)

  it("can be set back to where it began", function()
    local random, set = chance.new(5)
    local first = { random(), random(10), random(3, 4) }
    set(5)
    assert.same(first, { random(), random(10), random(3, 4) })
  end)

  it("is spread evenly from 0 to below 1, and over whole numbers", function()
    local random = chance.new("even")
    local counts, sum = { 0, 0, 0, 0, 0, 0 }, 0
    for _ = 1, 60000 do
      local drawn = random()
      assert(drawn >= 0 and drawn < 1)
      sum = sum + drawn
      local side = random(6)
      counts[side] = counts[side] + 1
    end
    assert.near(30000, sum, 500)
    for side = 1, 6 do assert.near(10000, counts[side], 500) end
  end)

  it("refuses what is no interval", function()
    local random = chance.new(1)
    assert.error(function() random(2, 1) end)
    assert.error(function() random "x" end)
  end)
end)
