-- The set of policies: compiled, checked, swapped as a whole; the last good version of a file that fails stays.
require "spec.support.core"
local policies = require "moongate.policies"

local function file(path, text, version)
  return { path = path, text = text, version = version or tostring(#text) .. text:sub(-8) }
end

local function constant(value) return ("return function() return %s end"):format(value) end

describe("a set of policies", function()
  local set, logged

  local function call(policy, ...) return set:call(policy, ...) end

  local function message_of(path, text)
    local report = policies.new():install { file(path, text) }
    local problem = report.problems[1]
    return problem and (problem.file .. ":" .. tostring(problem.line) .. ": " .. problem.message)
  end

  before_each(function()
    logged = {}
    local function log(label, text) logged[#logged + 1] = label .. ": " .. text end
    set = policies.new { milliseconds = 1000, seed = 1, log = log }
  end)

  it("knows policies by their place", function()
    local report = set:install {
      file("task.lua", constant "'chat'"), file("routing/free-tier.lua", constant(1), "1a2b3c4d"),
      file("routing/a.lua", constant(2)), file("access.lua", constant "true"), file("billing.lua", constant "1.5"),
      file("hooks/20_b.lua", "return { finish = function() end }"), file("lib/x.lua", "return 1"),
      file("hooks/10_a.lua", "return { request = function() return 'r' end, event = function() end }"),
      file("protocols/mine.lua", [[
local function none() end
return {
  build = none, read_reply = none, read_event = none, reply = none, reader = none, stream_type = "text/plain",
}
]]),
      file("checkers/mine.lua",
        "return { base_url = 'http://x', check = function() return 1 end }"),
    }
    assert.same({}, report.problems)
    assert.same({ "access.lua", "billing.lua", "checkers/mine.lua", "hooks/10_a.lua", "hooks/20_b.lua",
      "protocols/mine.lua", "routing/a.lua", "routing/free-tier.lua", "task.lua" }, report.loaded)
    assert.same({ "a", "free-tier" }, set:routing_names())
    local policy = set:routing "free-tier"
    assert.same({ "free-tier", "1a2b3c4d", "routing/free-tier" }, { policy.name, policy.version, policy.label })
    assert.same({ true, 1 }, { call(policy) })
    assert.same({ true, 2 }, { call(set:routing("a").run) })
    assert.same({ true, true }, { call(set:access().validate) })
    assert.same({ true, 1.5 }, { call(set:billing()) })
    assert.same({ true, "chat" }, { call(set:task()) })
    assert.same({ "10_a", "20_b" }, { set:hooks()[1].name, set:hooks()[2].name })
    assert.same({ true, "r" }, { call(set:hooks()[1].request) })
    assert.is_nil(set:hooks()[1].finish)
    assert.equal("text/plain", set:protocol("mine").stream_type)
    assert.same({ "http://x", true, 1 }, { set:checker("mine").base_url, call(set:checker("mine").check) })
    assert.is_nil(set:routing "nothing")
  end)

  it("hands on three arguments and five results, nothing more", function()
    set:install {
      file("routing/x.lua", "return function(...) return ... end"),
      file("routing/y.lua", "return function(...) return select('#', ...), select(3, ...) end"),
    }
    assert.same({ true, 1, 2, 3 }, { call(set:routing "x", 1, 2, 3, 4) })
    assert.same({ true, 1, 2, 3, 4, 5 }, { set:within(set:routing "x", unpack, { 1, 2, 3, 4, 5, 6 }) })
    assert.same({ true, 3, 3 }, { call(set:routing "y", 1, nil, 3) })
    assert.same({ true, 2 }, { call(set:routing "y", nil, 2) })
  end)

  it("keeps what has not changed, and takes out what is gone", function()
    local a, b = file("routing/a.lua", constant(1)), file("routing/b.lua", constant(2))
    set:install { a, b }
    local kept = set:routing "a"
    local report = set:install { a, file("routing/b.lua", constant(3)) }
    assert.same({ { "routing/b.lua" }, {} }, { report.loaded, report.removed })
    assert.is_true(kept == set:routing "a")
    report = set:install { a }
    assert.same({ {}, { "routing/b.lua" } }, { report.loaded, report.removed })
    assert.is_nil(set:routing "b")
  end)

  it("keeps the last good version of what fails, and says what is wrong until it is mended", function()
    set:install { file("routing/x.lua", constant(1)) }
    local broken = { file("routing/x.lua", "return function()\n  return (\nend"), file("routing/y.lua", constant(2)) }
    for _ = 1, 2 do
      local report = set:install(broken)
      assert.equal(1, #report.problems)
      assert.same({ "policy", "policies/routing/x.lua", 3, "unexpected symbol near 'end'" },
        { report.problems[1].what, report.problems[1].file, report.problems[1].line, report.problems[1].message })
      assert.same({ true, 1 }, { call(set:routing "x") })
      assert.same({ true, 2 }, { call(set:routing "y") })
    end
    assert.same({}, set:install({ file("routing/x.lua", constant(3)) }).problems)
    assert.same({ true, 3 }, { call(set:routing "x") })
  end)

  it("leaves older versions to the requests that hold them", function()
    set:install { file("routing/x.lua", "return function() return 'old' end") }
    local old = set:routing "x"
    set:install { file("routing/x.lua", "return function() return 'new' end") }
    set:install {}
    collectgarbage()
    assert.same({ true, "old" }, { call(old) })
  end)

  it("refuses the wrong shape, naming file and what is wrong", function()
    local cases = {
      { "routing/x.lua", "return 17", "must return a function or a table, and returned a number" },
      { "routing/x.lua", "", "must return a function or a table, and returned nothing" },
      { "routing/x.lua", "return {}", "must return a function, or a table with run = function" },
      { "routing/x.lua", "return { run = 1 }", "run must be a function, not a number" },
      { "routing/x.lua", "return { rnu = print or error }", '"rnu" is no part of it (did you mean "run"?)' },
      { "routing/x.lua", "return setmetatable({}, { __index = function() while true do end end })", "run = function" },
      { "access.lua", "return { resolve = error }", "validate = function" },
      { "hooks/10_x.lua", "return { reqeust = error }", 'is no phase (did you mean "request"?)' },
      { "hooks/10_x.lua", "return error", "must return a table, and returned a function" },
      { "hooks/10_x.lua", "return {}", "must have one of the phases request, event, response, finish" },
      { "hooks/redact.lua", "return { request = error }", "named by its turn, like hooks/10_redact.lua" },
      { "x.lua", "return error", "a policy has its place" },
      { "rooting/x.lua", "return error", 'policies are looked for in rooting/ (did you mean "routing"?)' },
      { "routing/a/b.lua", "return error", "the name of a routing policy" },
      { "routing/x.lua", "return { run = error, checks = 1 }", "checks must be a table" },
    }
    for _, case in ipairs(cases) do
      local message = message_of(case[1], case[2])
      assert.truthy(message and message:find(case[3], 1, true), case[2] .. " -> " .. tostring(message))
      assert.equal(1, message:find("policies/" .. case[1] .. ":", 1, true))
    end
    assert.is_nil(message_of("access.lua", "return { validate = error, resolve = error }"))
    assert.is_nil(message_of("billing.lua", "return { run = error, checks = {} }"))
  end)

  it("runs a file's own checks before it goes live", function()
    local good = 'return { run = error, checks = { ["adds up"] = function() assert(1 + 1 == 2) end } }'
    assert.is_nil(message_of("routing/x.lua", good))
    local bad = 'return { run = error, checks = {\n  ["1 is 2"] = function() assert(1 == 2, "it is not") end } }'
    assert.equal('policies/routing/x.lua:2: the check "1 is 2" failed: it is not', message_of("routing/x.lua", bad))
    bad = 'return { run = error, checks = {\n  ["1 is 2"] = function() error("it is not") end } }'
    assert.equal('policies/routing/x.lua:2: the check "1 is 2" failed: it is not', message_of("routing/x.lua", bad))
    bad = 'return { run = error, checks = {\n  loops = function()\n while true do end end } }'
    set.milliseconds = 10
    local report = set:install { file("routing/x.lua", bad) }
    assert.equal('the check "loops" failed: over its time of 10 ms', report.problems[1].message)
    assert.equal(3, report.problems[1].line)
    assert.is_nil(set:routing "x")
  end)

  it("bounds the loading of a file", function()
    set.milliseconds = 10
    local report = set:install { file("routing/x.lua", "while true do end"), file("routing/y.lua", constant(1)) }
    assert.same({ "policies/routing/x.lua", 1, "over its time of 10 ms" },
      { report.problems[1].file, report.problems[1].line, report.problems[1].message })
    assert.same({ true, 1 }, { call(set:routing "y") })
  end)

  it("tells whose fault it was, where and of what kind", function()
    set:install {
      file("routing/loops.lua", "return function()\n  while true do end\nend"),
      file("routing/hungry.lua", "return function() return ('x'):rep(1e9) end"),
      file("hooks/10_h.lua", "return { request = function()\n\n  local x = nil + 1\nend }"),
      file("access.lua", "return function() error({}) end"),
      file("routing/" .. ("long"):rep(20) .. ".lua", "return function() error('far') end"),
    }
    local function fault(fn)
      local fine, found = call(fn)
      assert.is_false(fine)
      return found
    end
    set.milliseconds = 10
    assert.same({ kind = "time", policy = "routing/loops", file = "policies/routing/loops.lua", line = 2,
      message = "over its time of 10 ms" }, fault(set:routing "loops"))
    set.milliseconds = 1000
    local hungry = fault(set:routing "hungry")
    assert.same({ "memory", "policies/routing/hungry.lua", 1 }, { hungry.kind, hungry.file, hungry.line })
    assert.same({ kind = "error", policy = "hooks/10_h", file = "policies/hooks/10_h.lua", line = 3,
      message = "attempt to perform arithmetic on a nil value" }, fault(set:hooks()[1].request))
    assert.same({ "error", 1, "the error is a table value" },
      { fault(set:access().validate).kind, fault(set:access().validate).line, fault(set:access().validate).message })
    local long = fault(set:routing(("long"):rep(20)))
    assert.same({ "policies/routing/" .. ("long"):rep(20) .. ".lua", 1, "far" }, { long.file, long.line, long.message })
  end)

  it("lets no policy put its fault on another's file", function()
    set:install { file("access.lua", constant "true"), file("routing/x.lua", [[return function(how)
      if how then load("error(1)", "policies/access.lua")() end
      error("policies/access.lua:7: it was me", 0) end]]) }
    for _, how in ipairs { false, true } do
      local _, fault = call(set:routing "x", how)
      assert.same({ "policies/routing/x.lua", 1 }, { fault.file, fault.line })
      assert.matches("^policies/access.lua:%d: ", fault.message)
    end
  end)

  it("gives libraries to policies, and reloads their users with them", function()
    local user = file("routing/user.lua", "local lib = require 'lib.a.b' return function() return lib.value() end")
    local other = file("routing/other.lua", constant(0))
    local function libs(value)
      return { user, other, file("lib/a/b.lua", "local c = require 'lib.c' return { value = function() return c end }"),
        file("lib/c.lua", "return " .. value) }
    end
    assert.same({}, set:install(libs(1)).problems)
    assert.same({ true, 1 }, { call(set:routing "user") })
    assert.same({ "routing/user.lua" }, set:install(libs(2)).loaded)
    assert.same({ true, 2 }, { call(set:routing "user") })

    local report = set:install(libs "(")
    assert.equal(1, #report.problems)
    assert.same({ "policies/lib/c.lua", 1 }, { report.problems[1].file, report.problems[1].line })
    assert.same({ true, 2 }, { call(set:routing "user") })

    report = set:install { user, other }
    assert.same({ "policies/routing/user.lua", "there is no policies/lib/a/b.lua" },
      { report.problems[1].file, report.problems[1].message })
    assert.same({ {}, { true, 2 } }, { report.loaded, { call(set:routing "user") } })
    assert.same({ "routing/user.lua" }, set:install(libs(3)).loaded)
  end)

  it("gives each user of a library its own, and refuses circles", function()
    local counter = "local lib = require 'lib.n' return function() lib.n = lib.n + 1 return lib.n end"
    local a, b = file("routing/a.lua", counter), file("routing/b.lua", counter)
    set:install { file("lib/n.lua", "return { n = 0 }"), a, b }
    call(set:routing "a")
    assert.same({ { true, 2 }, { true, 1 } }, { { call(set:routing "a") }, { call(set:routing "b") } })
    local n, m = file("lib/n.lua", "return require 'lib.m'"), file("lib/m.lua", "return require 'lib.n'")
    local report = set:install { n, m, a }
    assert.matches("requires itself", report.problems[1].message)
  end)

  it("loads a library that is first asked for in a call", function()
    local x = file("routing/x.lua", "return function() return require('lib.late') end")
    set:install { x, file("lib/late.lua", "return 5") }
    assert.same({ true, 5 }, { call(set:routing "x") })
    assert.same({ "routing/x.lua" }, set:install({ x, file("lib/late.lua", "return 66") }).loaded)
    assert.same({ true, 66 }, { call(set:routing "x") })
  end)

  it("gives the request's clock and dice to the policy", function()
    set:install { file("routing/x.lua", "return function() return os.time(), math.random() end") }
    local _, now, first = call(set:routing "x", { now = 1000, seed = 5 })
    local _, _, second = call(set:routing "x", { now = 1000, seed = 5 })
    local _, _, third = call(set:routing "x", { now = 1000, seed = 6 })
    assert.equal(1000, now)
    assert.equal(first, second)
    assert.not_equal(first, third)
    local lazy = setmetatable({}, { __index = function(_, name) return ({ now = 77, seed = 5 })[name] end })
    assert.same({ true, 77, first }, { call(set:routing "x", lazy) })
  end)

  it("shuffles and scores lists of the policy's own by the request's dice and task too", function()
    set:install { file("routing/x.lua", [[
      local list = require "moongate.list"
      return function(request)
        local items = {}
        for i = 1, 9 do items[i] = { id = i, strengths = { i == 5 and "coding" or "chat" } } end
        local ids = {}
        for _, each in ipairs(list.new(items):shuffle()) do ids[#ids + 1] = each.id end
        return table.concat(ids), list.new(items):score{ task = 1 }[1].id
      end]]) }
    local function drawn(seed, task) return select(2, call(set:routing "x", { seed = seed, task = task })) end
    local first = drawn(5)
    assert.equal(first, (drawn(5)))
    assert.not_equal(first, (drawn(6)))
    assert.same({ 1, 5 }, { select(2, drawn(5)), select(2, drawn(5, "coding")) })
  end)

  it("draws the same as it is loaded on every worker and in every replay", function()
    local x = file("routing/x.lua", "local n = math.random() return function() return n end")
    local other = policies.new { seed = 99 }
    set:install { x }
    other:install { x }
    assert.equal(select(2, call(set:routing "x")), select(2, other:call(other:routing "x")))
  end)

  it("gives hooks dice of their own, whoever was seeded before", function()
    set:install { file("hooks/10_a.lua", "return { finish = function() return math.random() end }"),
      file("billing.lua", constant "math.random()"), file("routing/x.lua", constant "math.randomseed(7)") }
    local hook, seen = set:hooks()[1], {}
    for _, before in ipairs { set:billing(), set:billing(), set:routing "x", set:routing "x" } do
      call(before, { seed = 1 })
      local _, drawn = set:within(hook, hook.finish)
      assert.is_nil(seen[drawn])
      seen[drawn] = true
    end
  end)

  it("is not drawn into a policy's metamethods", function()
    set:install { file("access.lua", [[return function(caller)
      setmetatable(caller, { __index = function() while true do end end })
      return true
    end]]) }
    local caller = { name = "dev" }
    assert.same({ true, true }, { call(set:access().validate, caller) })
    assert.same({ true, true }, { call(set:access().validate, caller) })
  end)

  describe("switches off a version", function()
    local now, switched

    before_each(function()
      now, switched = 1000, {}
      set = policies.new { milliseconds = 1000, seed = 1, clock = function() return now end,
        switched = function(label, fault) switched[#switched + 1] = { label, fault and fault.kind } end }
    end)

    -- One that does as it is told.
    local TOLD = [[return function(what)
      if what == "loop" then while true do end end
      if what == "eat" then return ("x"):rep(1e9) end
      if what == "raise" then error "no" end
      return what
    end]]
    local function times(count, policy, what)
      set.milliseconds = what == "loop" and 2 or 1000
      local fine, result
      for _ = 1, count do fine, result = call(policy, what) end
      return fine and result or result.kind, result
    end

    it("that went over its budget twenty times in a row, and says how to switch it on", function()
      set:install { file("routing/x.lua", TOLD), file("routing/y.lua", TOLD) }
      local x = set:routing "x"
      assert.equal("time", (times(10, x, "loop")))
      assert.equal("memory", (times(9, x, "eat")))
      assert.same({}, set:switched_off())
      assert.equal("time", (times(1, x, "loop")))
      assert.same({ { "routing/x", "off" } }, switched)
      local kind, fault = times(1, x, "fine")
      assert.equal("off", kind)
      assert.same({ "routing/x", "policies/routing/x.lua", "switched off after 20 failures in a row (over its time of "
        .. "2 ms); mend it and save the file to switch it on again. It is tried once a minute" },
        { fault.policy, fault.file, fault.message })
      assert.same({ fault }, set:switched_off())
      assert.equal("fine", (times(1, set:routing "y", "fine")))
    end)

    it("never for errors, nor when a call between went well", function()
      set:install { file("routing/x.lua", TOLD) }
      local x = set:routing "x"
      times(30, x, "raise")
      times(19, x, "eat")
      times(1, x, "fine")
      assert.equal("memory", (times(19, x, "eat")))
      assert.equal("fine", (times(1, x, "fine")))
      assert.same({}, switched)
    end)

    it("until the file is saved again, even as it is, or a call that is tried once a minute goes well", function()
      local x = file("routing/x.lua", TOLD)
      set:install { x }
      times(20, set:routing "x", "eat")
      assert.same({ "routing/x.lua" }, set:install({ x }).loaded)
      assert.equal("fine", (times(1, set:routing "x", "fine")))
      assert.same({}, set:switched_off())

      times(20, set:routing "x", "eat")
      now = 1060
      assert.equal("memory", (times(1, set:routing "x", "eat")))
      assert.equal("off", (times(1, set:routing "x", "fine")))
      now = 1120
      assert.equal("fine", (times(2, set:routing "x", "fine")))
      assert.same({}, set:switched_off())
      assert.same({ { "routing/x", "off" }, { "routing/x", "off" }, { "routing/x" } }, switched)
    end)

    it("of a hook of which one phase always fails, whatever its others do", function()
      set:install { file("hooks/10_a.lua", "return { request = function() end, finish = function() error 'no' end,\n"
        .. "response = function() return ('x'):rep(1e9) end }") }
      local hook = set:hooks()[1]
      local function step(phase) return set:within(hook, function(fn) return fn() end, hook[phase]) end
      for _ = 1, 20 do
        assert.is_true(step "request")
        assert.is_false(step "response")
      end
      local fine, fault = step "request"
      assert.same({ false, "off" }, { fine, fault.kind })
    end)
  end)

  it("hands on what policies log, also of a call that failed", function()
    set:install { file("routing/x.lua", "log('loading') return function(request) log('seen', request) error() end") }
    call(set:routing "x", "r")
    assert.same({ "routing/x: loading", "routing/x: seen\tr" }, logged)
  end)

  it("calls nothing but policies", function()
    assert.error_matches(function() call(print) end, "takes a policy")
    assert.error_matches(function() call(nil) end, "takes a policy")
  end)

  it("survives any text as a file", function()
    set.milliseconds = 10
    for _, text in ipairs { "\27LJ\2", ("("):rep(1000), ("{"):rep(100000), "return " .. ("-"):rep(1e5), "\0", "--[[",
      ("x = 1 "):rep(1000), "goto nowhere", "#!/bin/lua" } do
      local report = set:install { file("routing/x.lua", text) }
      assert.equal(1, #report.problems)
    end
    assert.same({}, set:install({ file("routing/x.lua", constant(1)) }).problems)
    assert.same({ true, 1 }, { call(set:routing "x") })
  end)
end)
