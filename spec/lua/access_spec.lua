-- The access policy as the router asks it: kept answers, resolved names, and what a failing one leads to.
require "spec.support.core"
local access = require "moongate.access"
local policies = require "moongate.policies"
local router = require "moongate.router"
local routing = require "spec.support.routing"

local function models(count)
  local list = {}
  for i = 1, count do list[i] = { id = "m" .. i, provider = "p", cost = { input = i, output = i } } end
  return list
end

local function file(path, text) return { path = path, text = text, version = string.format("%08x", #text) } end

describe("the access policy", function()
  local set, said

  local function install(text)
    local report = set:install { file("routing/first.lua", "return function(_, c) return c end"),
      text and file("access.lua", text) or nil }
    assert.same({}, report.problems)
  end

  before_each(function()
    said = {}
    set = policies.new { log = function(_, line) said[#said + 1] = line end, milliseconds = 1000 }
  end)

  local ann = { name = "ann", org = "acme", tier = "free" }

  it("is not asked where there is none", function()
    install()
    assert.is_nil(access.verdicts(set, ann, {}))
    assert.equal("auto", access.resolve(set, ann, nil, routing.registry(models(1))))
    assert.equal("m1", access.resolve(set, ann, "m1", routing.registry(models(1))))
  end)

  it("is asked once for each target and caller", function()
    install "return function(caller, model) log(caller.name .. model.id) return model.cost.input < 2, 'dear' end"
    local registry = routing.registry(models(2))
    for _ = 1, 3 do
      local verdicts = access.verdicts(set, ann, registry.targets)
      assert.same({ true, "dear" }, { verdicts[registry.targets[1]], verdicts[registry.targets[2]] })
    end
    assert.same({ "annm1", "annm2" }, said)
    access.verdicts(set, { name = "ann", org = "acme", tier = "pro" }, registry.targets)
    access.verdicts(set, { name = "ann", org = "other", tier = "free" }, { registry.targets[1] })
    assert.equal(5, #said)
  end)

  it("is asked anew when it changed, or the targets did", function()
    local text = "return function(_, model) log(model.id) return true end"
    install(text)
    local registry = routing.registry(models(1))
    access.verdicts(set, ann, registry.targets)
    install(text .. "\n")
    access.verdicts(set, ann, registry.targets)
    access.verdicts(set, ann, routing.registry(models(1)).targets)
    assert.equal(3, #said)
  end)

  it("keeps what it has said when it fails later, and is asked again about the rest", function()
    install [[
local calls = 0
return function(_, model)
  calls = calls + 1
  log(model.id)
  if calls == 2 then error "tired" end
  return true
end
]]
    local registry = routing.registry(models(3))
    local verdicts, refusal = access.verdicts(set, ann, registry.targets)
    assert.is_nil(verdicts)
    assert.equal(500, refusal.status)
    assert.is_truthy(access.verdicts(set, ann, registry.targets))
    assert.same({ "m1", "m2", "m2", "m3" }, said)
  end)

  it("throws the same dice each time", function()
    install "return function(_, model) log(math.random()) return true end"
    access.verdicts(set, ann, routing.registry(models(1)).targets)
    access.verdicts(set, ann, routing.registry(models(1)).targets)
    assert.equal(said[1], said[2])
  end)

  it("reads no metatable of what it gets back, and cuts reasons to one line", function()
    install [[
return function(_, model)
  if model.id == "m1" then return false, setmetatable({}, { __tostring = function() while true do end end }) end
  return false, ("long\n"):rep(1000)
end
]]
    local registry = routing.registry(models(2))
    local verdicts = access.verdicts(set, ann, registry.targets)
    assert.equal("the access policy says no", verdicts[registry.targets[1]])
    assert.equal(300, #verdicts[registry.targets[2]])
    assert.is_nil(verdicts[registry.targets[2]]:find("%c"))
  end)

  it("decides what a request is offered, and is named in the refusal", function()
    install [[
return {
  validate = function(_, model) return model.id ~= "m1", "not today" end,
  resolve = function(_, requested) return requested or "m2" end,
}
]]
    local registry = routing.registry(models(2), { policy = "first" })
    local plan = router.plan({ surface = "chat" }, ann, registry, set, routing.view())
    assert.same({ "p/m2" }, routing.ids(plan.ladder))
    local _, refusal = router.plan({ surface = "chat", model = "m1" }, ann, registry, set, routing.view())
    assert.equal("tier free may not use m1: not today", refusal.message)
  end)

  it("costs next to nothing for a thousand models, once they are known", function()
    install "return function(_, model) return model.cost.input % 2 == 0 end"
    local registry = routing.registry(models(1000))
    access.verdicts(set, ann, registry.targets)
    local guarded = set.guarded
    function set:guarded() error "asked again" end -- luacheck: no unused args
    for _ = 1, 100 do access.verdicts(set, ann, registry.targets) end
    set.guarded = guarded
  end)
end)

describe("a plan", function()
  local function plan_with(seed)
    local given = { policy = "chance", aliases = { z = { targets = {
      { model = "m1", weight = 1 }, { model = "m2", weight = 1 }, { model = "m3", weight = 1 } } } } }
    local own = { chance = function(_, candidates) return candidates:shuffle("chance") end }
    local plan = assert(router.plan({ surface = "chat", model = "z", seed = seed },
      { name = "dev", models = { "*" } }, routing.registry(models(3), given), routing.policies(own), routing.view()))
    return table.concat(routing.ids(plan.ladder), " "), plan.seed
  end

  it("is the same from the same seed, whatever the dice of the view", function()
    local orders = {}
    for seed = 1, 50 do
      local first, kept = plan_with(seed)
      assert.same({ seed, first }, { kept, (plan_with(seed)) })
      orders[first] = true
    end
    local count = 0
    for _ in pairs(orders) do count = count + 1 end
    assert.equal(6, count)
  end)
end)
