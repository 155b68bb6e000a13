-- Scripted replies, which come through the same hooks as real ones.
local calls = require "spec.net.calls"

local net

local function play(options)
  local one = net:play(options)
  net:run_until(function() return one.ended end, "the end of the script")
  return one
end

describe("a canned reply", function()
  before_each(function() net = calls.open() end)
  after_each(function() net:close() end)

  it("brings head, pieces and end in order", function()
    local one = play { code = 429, fields = { { "Retry-After", "41" } }, script = { { 0, "one" }, { 0, "two" } } }
    assert.same({ 429, "41", "done", "the reply is complete" },
      { one.status, one.headers["retry-after"], one.ended, one.message })
    assert.same({ "one", "two" }, one.pieces)
  end)

  it("may be a head alone", function()
    local one = play { code = 204 }
    assert.same({ 204, "", "done" }, { one.status, one.body, one.ended })
  end)

  it("breaks off as the script says", function()
    local one = play { script = { { 0, "half" } }, finish = 7 }
    assert.same({ "half", "cut", "the script breaks off here" }, { one.body, one.ended, one.message })
  end)

  it("keeps its delays beside others", function()
    local order = {}
    local function note(self) order[#order + 1] = self.label end
    local function start(label, delay_s, script)
      return net:play { label = label, delay_s = delay_s, script = script, on_head = note, on_data = note }
    end
    local slow = start("slow", 0.05, { { 0.02, "a" } })
    local quick = start("quick", 0, { { 0.01, "a" }, { 0.001, "b" } })
    net:run_until(function() return slow.ended and quick.ended end)
    assert.same({ "quick", "quick", "quick", "slow", "slow" }, order)
  end)

  it("waits while it is paused", function()
    local one = net:play {
      script = { { 0, "a" }, { 0, "b" }, { 0.001, "c" } },
      on_data = function(self) self:pause() end,
    }
    for _, seen in ipairs { "a", "ab", "abc" } do
      net:run_until(function() return table.concat(one.pieces) == seen end)
      play { script = { { 0.005, "meanwhile" } } }
      assert.equal(seen, table.concat(one.pieces))
      assert.is_nil(one.ended)
      one:resume()
    end
    net:run_until(function() return one.ended end)
    assert.equal("done", one.ended)
  end)

  it("may be paused and resumed inside its hooks", function()
    local function both(self) self:pause() self:resume() end
    local one = play { script = { { 0, "a" }, { 0, "b" } }, on_head = both, on_data = both, on_end = both }
    assert.equal("ab", one.body)
  end)

  it("ends without a word when it is cancelled, inside its hooks and outside", function()
    for _, hook in ipairs { "on_head", "on_data" } do
      local one = net:play { script = { { 0, "a" }, { 0, "b" } }, [hook] = function(self) self:cancel() end }
      play { script = { { 0.005, "meanwhile" } } }
      assert.is_nil(one.ended)
      assert.equal(hook == "on_head" and 0 or 1, one.count)
    end
    local never = net:play { script = { { 0, "a" } } }
    never:cancel()
    local paused = net:play { script = { { 0, "a" }, { 0, "b" } }, on_data = function(self) self:pause() end }
    net:run_until(function() return paused.count == 1 end)
    paused:cancel()
    local last = play { on_end = function(self) self:cancel() end }
    assert.equal("done", last.ended)
    assert.is_nil(never.status)
    assert.is_nil(paused.ended)
  end)
end)
