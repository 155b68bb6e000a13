local shape = require "moongate.shape"

local function faults(check, value)
  local found = {}
  check(value, "k", function(path, message) found[#found + 1] = path .. ": " .. message end)
  table.sort(found)
  return found
end

describe("a shape", function()
  it("tells texts from other things", function()
    assert.same({}, faults(shape.text(), "x"))
    assert.same({ "k: must be a string, not the number 5" }, faults(shape.text(), 5))
    assert.same({ "k: must not be empty" }, faults(shape.text(), ""))
    assert.same({ "k: must not have control characters" }, faults(shape.text(), "a\r\nb: c"))
  end)

  it("knows choices, and the nearest one", function()
    assert.same({}, faults(shape.choice { "day", "month" }, "day"))
    assert.same({ 'k: must be one of day, month, not "mont" (did you mean "month"?)' },
      faults(shape.choice { "day", "month" }, "mont"))
  end)

  it("bounds numbers, and wants whole ones where it says so", function()
    assert.same({}, faults(shape.number(0, 1), 0.5))
    for _, wrong in ipairs { -1, 2, 0 / 0, math.huge } do assert.equal(1, #faults(shape.number(0, 1), wrong)) end
    assert.same({ "k: must be a whole number from 0 to 9, not 0.5" }, faults(shape.whole(0, 9), 0.5))
    assert.same({ "k: must be a whole number, not true" }, faults(shape.whole(0, 9), true))
  end)

  it("goes through lists, and finds names in them", function()
    assert.same({ "k.x: is a name where a list is wanted", "k[2]: must be a string, not the number 2" },
      faults(shape.list(shape.text()), { "a", 2, x = 1 }))
    assert.same({ "k: must not be empty" }, faults(shape.list(shape.text(), 1), {}))
  end)

  it("goes through records: unknown keys, required ones, values without a key", function()
    local record = shape.record({ base_url = shape.text(), pool = shape.text() }, { required = { "pool" } })
    assert.same({
      "k.base_ur: unknown key (did you mean \"base_url\"?)", "k: needs the key pool",
      "k[1]: a value without a key (the keys here: base_url, pool)",
    }, faults(record, { base_ur = "x", "y" }))
  end)

  it("chooses by type", function()
    local either = shape.either { number = shape.whole(0, 9), table = shape.list(shape.text()) }
    assert.same({}, faults(either, 3))
    assert.same({ "k: must be a number or a table, not a string" }, faults(either, "x"))
  end)

  it("takes plain data only", function()
    local round = {}
    round.round = round
    assert.same({}, faults(shape.plain, { a = { 1, "x", true } }))
    assert.same({ "k.f: must be plain data, not a function" }, faults(shape.plain, { f = print }))
    assert.same({ "k.n: must be a finite number" }, faults(shape.plain, { n = math.huge }))
    assert.equal(1, #faults(shape.plain, round))
  end)

  it("names the variable that is missing, also inside other text", function()
    local missing = shape.missing "TOKEN"
    local expected = { "k: environment variable TOKEN is not set (env(\"TOKEN\", default) gives it a default)" }
    assert.same(expected, faults(shape.text(), missing))
    assert.same(expected, faults(shape.text(), "redis://" .. missing .. "/0"))
    assert.same(expected, faults(shape.either { number = shape.whole(0, 9) }, missing))
    assert.same(expected, faults(shape.record {}, missing))
    assert.same(expected, faults(shape.plain, missing))
  end)
end)
