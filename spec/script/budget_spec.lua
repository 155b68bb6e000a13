-- Guarded calls: every hostile script ends with the right kind, and the state is as good as new after it.
require "spec.support.core"
local guard = require "moongate.core.guard"
local hostile = require "spec.support.hostile"
local vm = require "spec.support.vm"

local MILLISECONDS, BYTES = 10, 8e6

-- Only what shall run out is short, so that a slow machine tells the same.
local function budget_of(kind)
  return kind == "time" and MILLISECONDS or 60000, kind == "memory" and BYTES or 64e6
end

local function canary()
  local fine, sum, text = guard.call(1000, BYTES, function(a, b)
    local t = { 3, 1, 2 }
    table.sort(t)
    return a + b, table.concat(t, ","):gsub("2", "x"):upper()
  end, 2, 3)
  assert.same({ true, 5, "1,X,3" }, { fine, sum, text })
end

describe("a guarded call", function()
  it("hands on arguments and results", function()
    assert.same({ true, 1, nil, "x" }, { guard.call(1000, BYTES, function(...) return ... end, 1, nil, "x") })
    assert.same({ true }, { guard.call(1000, BYTES, function() end) })
    assert.same({ true, 2 }, { guard.call(1000, BYTES, function(...) return select("#", ...) end, nil, 1, nil, nil) })
  end)

  for _, each in ipairs(hostile) do
    local name, kind, source, sandboxed = each[1], each[2], each[3], each.sandboxed
    if not sandboxed then
      it(("ends a script that %s (%s)"):format(name, kind), function()
        local milliseconds, bytes = budget_of(kind)
        local fine, ended, message = guard.call(milliseconds, bytes, assert(loadstring(source, "@hostile.lua")))
        assert.is_false(fine)
        assert.equal(kind, ended, message)
        assert.truthy(type(message) == "string" and #message <= 1000)
        canary()
      end)
    end
  end

  it("counts what a script holds, not what it has dropped", function()
    local held = {}
    for i = 1, 2e5 do held[i] = { i } end
    collectgarbage()
    assert.same({ true, 1e6 }, { guard.call(60000, BYTES, function()
      local sum = 0
      for i = 1, 1e6 do sum = sum + #{ i } end
      return sum
    end) })
    assert.equal(2e5, #held)
  end)

  it("says where it was when the time was up, and what was raised", function()
    local function message_of(source, milliseconds)
      return (select(3, guard.call(milliseconds or 60000, BYTES, assert(loadstring(source, "@hostile.lua")))))
    end
    assert.equal("hostile.lua:2: over its time of 10 ms", message_of("\nwhile true do end", 10))
    assert.equal("over its memory of 7 MB", message_of "return ('x'):rep(1e9)")
    assert.equal("hostile.lua:3: the error is a nil value", message_of "\n\nerror(nil)")
    assert.equal("hostile.lua:1: the error is a table value", message_of "error({})")
    assert.equal("hostile.lua:1: no", message_of "error('no')")
    assert.equal("hostile.lua:1: plain", message_of "error('plain', 0)")
  end)

  it("says the script's own line for what the library raises", function()
    local library = assert(loadstring("return function(x) local y = x + 1 return y end", "@lua/moongate/x.lua"))()
    local chunk = assert(loadstring("local library = ...\n\nlocal x = library(nil)\nreturn x", "@hostile.lua"))
    local _, kind, message = guard.call(60000, BYTES, chunk, library)
    assert.equal("error", kind)
    assert.matches("^hostile.lua:3: lua/moongate/x.lua:1: attempt", message)
  end)

  it("hands on no more than a few results", function()
    local many = {}
    for n = 1, 7000 do many[n] = n end
    assert.equal(1 + 16, select("#", guard.call(60000, 64e6, unpack, many)))
  end)

  it("compiles what takes long only as far as there is time", function()
    local text = "local a return " .. ("a or "):rep(60000) .. "a"
    local fine, kind = guard.call(MILLISECONDS, 64e6, guard.load, text, "=long", {})
    assert.same({ false, "time" }, { fine, kind })
    canary()
  end)

  it("compiles text only, in the environment that it is given", function()
    local made = assert(guard.load("x = 1 return y", "=x", { y = 2 }))
    assert.equal(2, made())
    assert.is_nil(rawget(_G, "x"))
    local none, message = guard.load(string.dump(function() end), "=x", {})
    assert.is_nil(none)
    assert.matches("attempt to load chunk with wrong mode", message)
    assert.matches("^x.lua:1: ", select(2, guard.load("return return", "@x.lua", {})))
  end)

  it("cannot be told that it timed out", function()
    local fine, kind = guard.call(1000, BYTES, function() error("over its time of 10 ms", 0) end)
    assert.same({ false, "error" }, { fine, kind })
  end)

  it("counts only what the script itself takes", function()
    local before = ("x"):rep(2e7)
    assert.is_true((guard.call(1000, 1e6, function() return #before end)))
    local fine, kind = guard.call(1000, 1e6, function() return before .. "x" end)
    assert.same({ false, "memory" }, { fine, kind })
  end)

  it("does not bound what the host does after it", function()
    guard.call(1000, 1000, function() return ("x"):rep(1e6) end)
    assert.equal(2e7, #("x"):rep(2e7))
  end)

  it("may not lie inside another one", function()
    local fine, _, message = guard.call(1000, BYTES, function() return guard.call(1, 1, print) end)
    assert.is_false(fine)
    assert.matches("inside another one", message)
    canary()
  end)

  it("works from a coroutine too", function()
    local run = coroutine.wrap(function()
      local fine, kind = guard.call(MILLISECONDS, BYTES, function() while true do end end)
      coroutine.yield(fine, kind)
      return guard.call(1000, BYTES, function() return "after" end)
    end)
    assert.same({ false, "time" }, { run() })
    assert.same({ true, "after" }, { run() })
  end)

  it("refuses arguments that are no budget", function()
    assert.error_matches(function() guard.call(0, BYTES, print) end, "a time")
    assert.error_matches(function() guard.call(1, -1, print) end, "bytes")
    assert.error_matches(function() guard.call(1, BYTES, "print") end, "function expected")
  end)

  it("leaves nothing behind in the gateway's own state", function()
    local state = vm.new()
    state:run [[
      guard = require "moongate.core.guard"
      function try(source, ms, bytes) return select(2, guard.call(ms, bytes, assert(loadstring(source)))) end]]
    local function all()
      for _, each in ipairs(hostile) do
        local call = ("return try(%q, %d, %d)"):format(each[3], budget_of(each[2]))
        if not each.sandboxed then assert.equal(each[2], (state:run(call))) end
      end
    end
    all()
    local before = state:bytes()
    all()
    all()
    assert.truthy(state:bytes() - before < 20000)
    assert.equal("6", (state:run [[return select(2, guard.call(1000, 1e6, function() return ("abc"):len() * 2 end))]]))
    state:free()
  end)
end)
