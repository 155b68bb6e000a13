-- The Lua state of a worker: what is in it, what is not, and that it counts its memory.
local vm = require "spec.support.vm"

describe("a worker's Lua state", function()
  local state

  before_each(function() state = vm.new() end)
  after_each(function() state:free() end)

  it("has its compiler off", function()
    assert.is_false((state:run "return (jit.status())"))
  end)

  it("requires what is embedded and what was preloaded, and nothing from files", function()
    assert.equal("table", state:run [[return type(require "moongate.near")]])
    assert.equal("[]", state:run [[local json = require "moongate.core.json" return json.encode(json.array {})]])
    for _, name in ipairs { "spec.support.vm", "busted", "policies/routing/balanced.lua", "socket" } do
      assert.error_matches(function() state:run(("require %q"):format(name)) end, "not found")
    end
  end)

  it("names the files of library modules in their errors", function()
    assert.matches("^@lua/moongate/near.lua$", (state:run [[
      return debug.getinfo(require("moongate.near").find).source]]))
  end)

  it("draws other random numbers than the next one", function()
    local other = vm.new()
    assert.not_equal((state:run "return math.random()"), (other:run "return math.random()"))
    other:free()
  end)

  it("hides the metatable of strings", function()
    assert.equal("string", (state:run [[return getmetatable("")]]))
    assert.equal("ABC", (state:run [[return ("abc"):upper()]]))
    assert.error_matches(function() state:run [[return ("x").dump()]] end, "nil")
  end)

  -- By a round each: what one finds alive says when the next begins.
  it("lets garbage grow to as much as is alive, or to three times that where it is little", function()
    local pause = [[
      collectgarbage()
      local found = collectgarbage("setpause", 200)
      collectgarbage("setpause", found)
      return found]]
    assert.equal("400", (state:run(pause)))
    local keep = [[kept = {} for i = 1, %d do kept[i] = ("x"):rep(1000) .. i end]]
    state:run(keep:format(10000))
    local share = tonumber((state:run(pause)))
    assert.is_true(share > 220 and share < 280, share)
    state:run(keep:format(40000))
    assert.equal("200", (state:run(pause)))
    state:run [[kept = nil]]
    assert.equal("400", (state:run(pause)))
  end)

  it("counts the bytes it holds", function()
    local before = state:bytes()
    state:run [[kept = ("x"):rep(1e6)]]
    local with = state:bytes()
    assert.truthy(with - before >= 1e6)
    state:run [[kept = nil]]
    assert.truthy(state:bytes() - before < 10000)
  end)
end)
