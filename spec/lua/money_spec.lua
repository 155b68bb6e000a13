local money = require "moongate.money"

describe("money.cost", function()
  local price = { input = 0.59, output = 0.79, cached_input = 0.30 }

  it("is exact in micro-dollars", function()
    assert.equal(590000, money.cost({ input = 1000000 }, price))
    assert.equal(590000 + 790000, money.cost({ input = 1000000, output = 1000000 }, price))
  end)

  it("rounds the sum up, once", function()
    assert.equal(1, money.cost({ input = 1 }, price))
    assert.equal(2, money.cost({ input = 1, output = 1 }, price))
    assert.equal(59, money.cost({ input = 100 }, price))
  end)

  it("prices every class of tokens, reasoning like output", function()
    assert.equal(30 + 79 + 79, money.cost({ cached = 100, output = 100, reasoning = 100 }, price))
  end)

  it("takes the input price for cached tokens without a price of their own", function()
    assert.equal(59 + 59, money.cost({ cached = 100, cache_write = 100 }, { input = 0.59, output = 1 }))
  end)

  it("is unknown where a price that is needed is", function()
    assert.is_nil(money.cost({ input = 1 }, nil))
    assert.is_nil(money.cost({ output = 1 }, { input = 1 }))
    assert.equal(1, money.cost({ input = 1, output = 0 }, { input = 1 }))
  end)

  it("does not lose a micro-dollar on large sums", function()
    assert.equal(9000000000 * 15, money.cost({ input = 9000000000 }, { input = 15 }))
    assert.equal(123456789, money.cost({ input = 1234567890 }, { input = 0.1 }))
  end)
end)

describe("money.estimate", function()
  local request = { surface = "chat", estimated_tokens = 1000, max_tokens = 100 }

  it("is in USD, for the prompt and the longest answer", function()
    assert.equal(0.0014, money.estimate({ cost = { input = 1, output = 4 } }, request))
  end)

  it("takes the model's bound, or a usual length, where the caller sets none", function()
    local open = { surface = "chat", estimated_tokens = 0 }
    assert.equal(money.assumed_output / 1e6, money.estimate({ cost = { input = 1, output = 1 } }, open))
    assert.equal(0.00001, money.estimate({ cost = { input = 1, output = 1 }, max_output = 10 }, open))
  end)

  it("has no answer to pay for with embeddings", function()
    assert.equal(0.001, money.estimate({ cost = { input = 1 } }, { surface = "embeddings", estimated_tokens = 1000 }))
  end)

  it("is nothing for what is free or local, unknown for the rest", function()
    assert.equal(0, money.estimate({ free = true }, request))
    assert.equal(0, money.estimate({ is_local = true }, request))
    assert.equal("0", string.format("%g", money.estimate({ cost = { input = 0, output = 0 } }, request)))
    assert.is_nil(money.estimate({ free = false }, request))
    assert.is_nil(money.estimate({ cost = { input = 1 } }, request))
  end)
end)

describe("money.savings", function()
  it("is the baseline's price less what was spent, and may be negative", function()
    assert.equal(90, money.savings({ input = 10 }, { input = 10, output = 30 }, 10))
    assert.equal(-5, money.savings({ input = 10 }, { input = 1, output = 3 }, 15))
    assert.is_nil(money.savings({ input = 10 }, nil, 10))
    assert.is_nil(money.savings({ input = 10 }, { input = 1 }, nil))
  end)
end)

describe("money.billed", function()
  it("rounds up exactly, in decimals", function()
    assert.equal(11, money.billed(10, 1.1))
    assert.equal(110, money.billed(100, 1.1))
    assert.equal(12, money.billed(11, 1.05))
    assert.equal(7, money.billed(7, 1))
    assert.equal(0, money.billed(7, 0))
    assert.equal(1, money.billed(1, 0.000000001))
    assert.equal(1000000009, money.billed(1000000007, 1.000000001))
  end)

  it("agrees with whole-number arithmetic for every multiplier of two decimals", function()
    for hundredths = 0, 300 do
      for _, total in ipairs { 1, 3, 7, 99, 100, 12345 } do
        assert.equal(math.ceil(total * hundredths / 100 - 1e-9), money.billed(total, hundredths / 100))
      end
    end
  end)

  it("accepts sound multipliers only", function()
    for _, wrong in ipairs { -1, math.huge, 0 / 0, "2", {} } do
      assert.is_false(money.is_multiplier(wrong))
      assert.has_error(function() money.billed(1, wrong) end)
    end
    assert.is_false(money.is_multiplier(nil))
  end)
end)
