-- Policies as a worker asks them: bounded, timed, counted, and what they say goes to the log.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("the decider", function()
  local core, decider

  before_each(function()
    core = fakes.install()
    decider = require("moongate.decider").new()
    decider:bound(1000, 64)
  end)
  after_each(function() core.restore() end)

  local function install(texts)
    local files = {}
    for path, text in pairs(texts) do files[#files + 1] = { path = path, text = text, version = "1a2b3c4d" } end
    return decider:install(files)
  end

  it("answers what a policy answers, and counts its time", function()
    core.tick = 0.25
    local report = install { ["routing/mine.lua"] = "return function(a, b) return b, a end" }
    assert.same({}, report.problems)
    local policy = decider:routing "mine"
    assert.same({ true, 2, 1 }, { decider:call(policy, 1, 2) })
    assert.equal(0.25, core.observed['moongate_policy_seconds{policy="routing/mine"}'])
    assert.same({}, core.counted)
    assert.same({}, core.of "log.write")
  end)

  it("calls one function of a policy under the policy's name", function()
    install { ["billing.lua"] = "return function(caller, model, usage) return usage.total end" }
    assert.same({ true, 7 }, { decider:call(decider:billing().run, {}, {}, { total = 7 }) })
    assert.is_not_nil(core.observed['moongate_policy_seconds{policy="billing"}'])
  end)

  it("answers a policy's fault, counts it and tells where it is", function()
    install { ["routing/mine.lua"] = "return function()\n  error 'no idea'\nend" }
    local fine, fault = decider:call(decider:routing "mine")
    assert.is_false(fine)
    assert.same({ "error", "policies/routing/mine.lua", 2 }, { fault.kind, fault.file, fault.line })
    assert.equal(1, core.counted['moongate_policy_faults_total{policy="routing/mine",kind="error"}'])
    assert.is_not_nil(core.observed['moongate_policy_seconds{policy="routing/mine"}'])
    local line = core.of("log.write")[1]
    assert.same({ "warn", "a policy failed" }, { line[1], line[2] })
    local told = json.decode("{" .. line[3] .. "}")
    assert.same({ "routing/mine", "error", "policies/routing/mine.lua", 2 },
      { told.policy, told.kind, told.file, told.line })
    assert.matches("no idea", told.error, 1, true)
  end)

  it("tells the gateway of what is switched off, and the log once", function()
    local text = "return function(what) return ('x'):rep(what) end"
    install { ["routing/mine.lua"] = text }
    for _ = 1, 25 do decider:call(decider:routing "mine", 1e9) end
    assert.equal(20, core.counted['moongate_policy_faults_total{policy="routing/mine",kind="memory"}'])
    assert.equal(5, core.counted['moongate_policy_faults_total{policy="routing/mine",kind="off"}'])
    local reports, lines = core.of "gate.report", core.of "log.write"
    assert.equal("[]", reports[1][1])
    local problem = json.decode(reports[2][1])[1]
    assert.same({ "policy", "policies/routing/mine.lua", 1 }, { problem.what, problem.file, problem.line })
    assert.matches("switched off after 20 failures", problem.message, 1, true)
    assert.equal(21, #lines)
    assert.same({ "error", "a policy is switched off" }, { lines[20][1], lines[20][2] })
    install { ["routing/mine.lua"] = text }
    assert.equal("[]", core.of("gate.report")[3][1])
    assert.is_true((decider:call(decider:routing "mine", 1)))
  end)

  it("bounds calls by the milliseconds and megabytes it was given last", function()
    assert.same({ 1000, 64 * 1024 * 1024 }, { decider.set.milliseconds, decider.set.bytes })
    decider:bound(20, 3)
    assert.same({ 20, 3 * 1024 * 1024 }, { decider.set.milliseconds, decider.set.bytes })
  end)

  it("writes what a policy logs under the policy's name", function()
    install { ["routing/mine.lua"] = [[return function() log("a \"word\"") return 1 end]] }
    decider:call(decider:routing "mine")
    local line = core.of("log.write")[1]
    assert.same({ "info", "a policy says" }, { line[1], line[2] })
    assert.same({ policy = "routing/mine", text = 'a "word"' }, json.decode("{" .. line[3] .. "}"))
  end)

  it("knows its routing policies by name, and a billing policy only where there is one", function()
    install { ["routing/b.lua"] = "return function() end", ["routing/a.lua"] = "return function() end" }
    assert.same({ "a", "b" }, decider:routing_names())
    assert.is_nil(decider:routing "c")
    assert.is_nil(decider:billing())
  end)
end)
