-- The environment of a policy: what is in it, what is not, and that nothing done in one is seen outside of it.
require "spec.support.core"
local guard = require "moongate.core.guard"
local hostile = require "spec.support.hostile"
local sandbox = require "moongate.sandbox"

describe("a policy's environment", function()
  local host, libraries

  local function environment()
    return sandbox.environment(host, function(name)
      return libraries[name] or error("there is no " .. name, 0)
    end)
  end

  local function run(source, env)
    return assert(sandbox.load(source, "policies/routing/x.lua", env or environment()))()
  end

  before_each(function() host, libraries = sandbox.host(1), {} end)

  it("has the language and nothing that reaches out of it", function()
    for _, name in ipairs { "io", "debug", "package", "jit", "ffi", "newproxy", "collectgarbage", "getfenv", "setfenv",
      "xpcall", "dofile", "loadfile", "module", "print", "_G", "gcinfo" } do
      assert.is_nil(run("return " .. name), name)
    end
    assert.same({ "date", "time" }, run [[
      local names = {} for name in pairs(os) do names[#names + 1] = name end table.sort(names) return names]])
    assert.is_nil(run "return string.dump")
    assert.is_nil(run "return ('x').dump")
    assert.equal("ABC|3|1,2", run [[
      return ("abc"):upper() .. "|" .. select("#", unpack { 1, 2, 3 }) .. "|" .. table.concat({ 1, 2 }, ",")]])
  end)

  it("is its own: globals and changes stay in it", function()
    local one, other = environment(), environment()
    run("x = 1 string.upper = nil table.insert = nil math.floor = nil", one)
    assert.equal("A", run("return string.upper('a')", other))
    assert.equal(1, run("return math.floor(1.5)", other))
    assert.is_nil(run("return x", other))
    assert.is_nil(rawget(_G, "x"))
    assert.equal("A", string.upper "a")
  end)

  it("gives each its own copies of the library's modules", function()
    local one, other = environment(), environment()
    for _, name in ipairs(sandbox.LIBRARIES) do
      assert.equal("table", run(("return type(require 'moongate.%s')"):format(name), one))
    end
    run("require('moongate.json').encode = nil require('moongate.list').new = nil", one)
    assert.equal("[1]", run("return require('moongate.json').encode { 1 }", other))
    assert.equal("function", run("return type(require('moongate.list').new)", other))
    assert.equal("function", type(require("moongate.list").new))
    assert.is_true(run("return require 'moongate.json' == require 'moongate.json'", one))
  end)

  it("requires nothing else", function()
    for _, name in ipairs { "ffi", "moongate.core.guard", "moongate.policies", "moongate.json.x", "io", "lib" } do
      assert.error_matches(function() run(("require %q"):format(name)) end, "a policy cannot require")
    end
    libraries.mine = { answer = 42 }
    assert.equal(42, run "return require('lib.mine').answer")
    assert.error_matches(function() run "require 'lib.other'" end, "there is no other")
  end)

  it("loads text only, and only into itself", function()
    assert.equal(3, run "y = 2 return load('return y + 1')()")
    assert.is_nil(run("return (load(...))", environment()))
    local bytecode = string.dump(function() return 1 end)
    local env = environment()
    env.bytecode = bytecode
    assert.is_nil(run("return (load(bytecode))", env))
    assert.is_nil((sandbox.load(bytecode, "policies/x.lua", env)))
    assert.is_nil(run("return load('return io')()", env))
    assert.is_nil((run("return (load(function() return 'return 1' end))", env)))
  end)

  it("shows and changes only metatables that policies made", function()
    local foreign = setmetatable({}, { __index = { secret = 1 } })
    local env = environment()
    env.foreign = foreign
    assert.is_nil(run("return getmetatable(foreign)", env))
    assert.is_nil(run("return getmetatable('')", env))
    assert.error_matches(function() run("setmetatable(foreign, nil)", env) end, "protected metatable")
    assert.error_matches(function() run("setmetatable(require('moongate.json').array {}, {})", env) end, "protected")
    assert.error_matches(function() run("require('moongate.json').array(foreign)", env) end, "metatable")
    assert.equal(1, foreign.secret)
    local own = "local m = { __index = { x = 7 } } local t = setmetatable({}, m) return getmetatable(t) == m and t.x"
    assert.equal(7, run(own, env))
    assert.error_matches(function()
      run("setmetatable(setmetatable({}, { __metatable = 'no' }), {})", env)
    end, "protected")
  end)

  it("draws the same numbers from the same seed", function()
    local env = environment()
    local function draw(seed)
      host.seed(seed)
      return run("return { math.random(), math.random(10), math.random(5, 6) }", env)
    end
    assert.same(draw(42), draw(42))
    assert.same(draw "request", draw "request")
    assert.not_same(draw(42), draw(43))
    host.seed(7)
    local sum, counts = 0, {}
    for _ = 1, 10000 do
      local value = env.math.random()
      assert.truthy(value >= 0 and value < 1)
      sum = sum + value
      local roll = env.math.random(6)
      counts[roll] = (counts[roll] or 0) + 1
    end
    assert.truthy(math.abs(sum / 10000 - 0.5) < 0.02)
    for i = 1, 6 do assert.truthy(math.abs(counts[i] - 1667) < 200) end
    assert.equal(6, #counts)
  end)

  it("has the clock it is given", function()
    local env = environment()
    host.now = 86400.5
    assert.equal(86400, run("return os.time()", env))
    assert.equal("1970-01-02", run("return os.date('!%Y-%m-%d')", env))
    assert.equal(os.time { year = 2030, month = 1, day = 2, hour = 3 },
      run("return os.time { year = 2030, month = 1, day = 2, hour = 3 }", env))
    host.now = nil
    assert.truthy(math.abs(run("return os.time()", env) - os.time()) <= 2)
    assert.error_matches(function() run("os.date(('x'):rep(1000))", env) end, "short format")
  end)

  it("gathers what is logged, bounded", function()
    local env = environment()
    run("log('a', 1, nil, true) log(('x'):rep(10000)) for i = 1, 1000 do log(i) end", env)
    assert.equal("a\t1\tnil\ttrue", host.lines[1])
    assert.equal(2000, #host.lines[2])
    assert.equal(100, #host.lines)
  end)

  for _, each in ipairs(hostile) do
    local name, kind, source = each[1], each[2], each[3]
    it(("contains a script that %s (%s)"):format(name, kind), function()
      local chunk = assert(sandbox.load(source, "policies/routing/x.lua", environment()))
      local fine, ended, message = guard.call(kind == "time" and 10 or 60000, kind == "memory" and 8e6 or 64e6, chunk)
      assert.is_false(fine)
      assert.equal(kind, ended, message)
      local after = "return coroutine.wrap(function() return ('ok'):rep(2) end)()"
      assert.same({ true, "okok" }, { guard.call(1000, 8e6, assert(sandbox.load(after, "x", environment()))) })
    end)
  end

  it("stops library code too that a policy calls with a callback or with hostile data", function()
    for _, source in ipairs {
      "local l = require('moongate.list').new { {}, {} } l:keep('x', function() while true do end end)",
      "local l = require('moongate.list').new { {}, {} } l:sort('x', function() while true do end end)",
      "local json = require 'moongate.json' local t = {} for i = 1, 50 do t = { t, t } end json.encode(t)",
      "local json = require 'moongate.json' while true do json.decode('[' .. ('1,'):rep(1e5) .. '1]') end",
    } do
      local fine, kind = guard.call(10, 256e6, assert(sandbox.load(source, "policies/routing/x.lua", environment())))
      assert.same({ false, "time" }, { fine, kind })
    end
  end)
end)
