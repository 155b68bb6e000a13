local base64 = require "moongate.base64"
local vector = require "moongate.vector"

describe("packed vectors", function()
  it("are little-endian single floats in base64", function()
    assert.equal(base64.encode "\0\0\128\63\0\0\0\191\0\0\0\0\0\0\128\191", vector.pack { 1, -0.5, 0, -1 })
    assert.equal("", vector.pack {})
  end)

  it("hold the nearest single float, as C would", function()
    local ffi = require "ffi"
    local numbers = { 0.1, -0.1, 1 / 3, 1e-30, 3.4e38, 123456.789, 0.99999999, -2 ^ -126, 16777217, 5e-39 * 0 }
    for index = 1, 500 do numbers[#numbers + 1] = math.sin(index) / index end
    local floats = ffi.new("float[?]", #numbers, numbers)
    assert.equal(base64.encode(ffi.string(floats, 4 * #numbers)), vector.pack(numbers))
    for index, value in ipairs(vector.unpack(vector.pack(numbers))) do assert.equal(floats[index - 1], value) end
  end)

  it("hold zero for what is no number or too small, the largest for what is too large", function()
    assert.same({ 0, 0, 0 }, vector.unpack(vector.pack { 0 / 0, 1e-60, "x" }))
    assert.same({ (2 - 2 ^ -23) * 2 ^ 127 }, vector.unpack(vector.pack { 1e300 }))
  end)

  it("are none where the text is none", function()
    assert.is_nil(vector.unpack "not base64!")
    assert.is_nil(vector.unpack "AAA=")
    assert.same({}, vector.unpack "")
    assert.same({ 1 }, vector.unpack "AACAPw==")
  end)
end)
