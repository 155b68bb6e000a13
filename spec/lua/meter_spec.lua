-- Counting: series by name and labels, each looked up once.
local fakes = require "spec.support.fakes"

describe("the meter", function()
  local core, meter

  before_each(function()
    core = fakes.install()
    meter = require "moongate.meter"
  end)
  after_each(function() core.restore() end)

  it("counts by name and labels, in their order", function()
    meter.add("requests", 2, "surface", "chat", "status", 200)
    meter.add("requests", 1, "surface", "chat", "status", 200)
    meter.add("requests", 1, "surface", "chat", "status", 502)
    meter.add("requests", 5)
    assert.same({
      ['requests{surface="chat",status="200"}'] = 3, ['requests{surface="chat",status="502"}'] = 1, ["requests{}"] = 5,
    }, core.counted)
  end)

  it("looks a series up once", function()
    for _ = 1, 3 do
      meter.add("requests", 1, "status", 200)
      meter.add("requests", 1)
      meter.observe("seconds", 0.5, "policy", "x")
    end
    assert.equal(3, #core.of "metrics.series")
  end)

  it("keeps durations", function()
    meter.observe("seconds", 0.25)
    meter.observe("seconds", 0.5, "policy", "x")
    assert.same({ ["seconds{}"] = 0.25, ['seconds{policy="x"}'] = 0.5 }, core.observed)
  end)

  it("escapes what a label's value may not hold", function()
    meter.add("requests", 1, "model", 'a"b\\c\nd')
    assert.same({ ['requests{model="a\\"b\\\\c\\nd"}'] = 1 }, core.counted)
  end)

  it("does not take different labels for the same", function()
    meter.add("requests", 1, "a", "x", "b", "y")
    meter.add("requests", 1, "a", 'x",b="y')
    meter.add("requests", 1, "ab", "x")
    local count = 0
    for _ in pairs(core.counted) do count = count + 1 end
    assert.equal(3, count)
  end)
end)
