local digits = require "moongate.digits"

describe("a whole number as text", function()
  it("is what Lua writes, without an exponent", function()
    for number = 0, 10000 do assert.equal(tostring(number), digits.whole(number)) end
    for power = 4, 15 do
      for _, more in ipairs { -1, 0, 1, 10, 999, 1000, 1001 } do
        local number = 10 ^ power + more
        assert.equal(string.format("%.0f", number), digits.whole(number))
        if number < 1e14 then assert.equal(tostring(-number), digits.whole(-number)) end
      end
    end
    for _, number in ipairs { -1, -999, -1000, -0.5, 0.5, 1.25, 999.5, 1000.5, 999999.5 } do
      assert.equal(tostring(number), digits.whole(number))
    end
  end)

  it("of micro-dollars has six places, the larger as the smaller", function()
    for _, microusd in ipairs { 0, 1, 33, 999, 1000, 1001, 12345, 999999, 1e6, 1000001, 123456789, 5e9 + 7, 1e15 } do
      assert.equal(string.format("%d.%06d", math.floor(microusd / 1e6), microusd % 1e6), digits.dollars(microusd))
    end
  end)
end)
