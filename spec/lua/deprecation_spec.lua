-- Deprecated models: since when, what stands in their place, and what a request for one of them gets.
require "spec.support.core"
local deprecation = require "moongate.deprecation"
local router = require "moongate.router"
local routing = require "spec.support.routing"

local DAY = 1796083200 -- 2026-12-01T00:00:00Z

local function models(...)
  local list = {}
  for i, each in ipairs { ... } do
    each.provider = each.provider or "a"
    list[i] = each
  end
  return list
end

local function plan(list, name, now, given)
  return router.plan({ model = name, surface = "chat", now = now or DAY }, { name = "dev", models = { "*" } },
    routing.registry(list, given), routing.policies(), routing.view())
end

describe("a deprecated model", function()
  it("is one from its day on, with a reason at once, and never when that is no", function()
    assert.equal(DAY, deprecation.moment "2026-12-01 too old")
    assert.same({ 0, 0 }, { deprecation.moment "too old", deprecation.moment(true) })
    assert.is_nil(deprecation.moment(false))
    local target = { retired_at = DAY }
    assert.same({ false, true }, { deprecation.is_over(target, DAY - 1), deprecation.is_over(target, DAY) })
    assert.equal("is deprecated since 2026-12-01 (too old)", deprecation.words { deprecated = "2026-12-01: too old" })
    assert.equal("is deprecated (too old)", deprecation.words { deprecated = "too old" })
    assert.equal("is deprecated", deprecation.words { deprecated = true })
  end)

  it("is served by what stands in its place, which the plan tells", function()
    local list = models({ id = "old", deprecated = "2026-12-01", replacement = "new" }, { id = "new" })
    local found = assert(plan(list, "old"))
    assert.same({ "a/new" }, routing.ids(found.ladder))
    assert.same({ asked = "old", name = "new", words = "is deprecated since 2026-12-01" }, found.replaced)
    assert.matches('"old" is deprecated since 2026-12-01, "new" stands in its place; ', found.reason, 1, true)
    found = assert(plan(list, "old", DAY - 1))
    assert.same({ "a/old" }, routing.ids(found.ladder))
    assert.is_nil(found.replaced)
  end)

  it("is a 404 that tells since when, where nothing stands in its place", function()
    local _, refusal = plan(models { id = "old", deprecated = "2026-11-30" }, "old")
    assert.same({ 404, "model_deprecated", '"old" is deprecated since 2026-11-30 and nothing stands in its place' },
      { refusal.status, refusal.code, refusal.message })
    _, refusal = plan(models { id = "old", deprecated = true, replacement = "gone" }, "old")
    assert.equal('"old" is deprecated; its replacement "gone" is not here', refusal.message)
    _, refusal = plan(models({ id = "old", deprecated = true, replacement = "older" },
      { id = "older", deprecated = true, replacement = "old" }), "old")
    assert.matches("lead in a circle", refusal.message, 1, true)
  end)

  it("is followed step by step, and first at the same provider", function()
    local found = assert(plan(models({ id = "a1", deprecated = true, replacement = "a2" },
      { id = "a2", deprecated = true, replacement = "a3" }, { id = "a3" }), "a1"))
    assert.same({ "a/a3" }, routing.ids(found.ladder))
    assert.same({ "a1", "a3" }, { found.replaced.asked, found.replaced.name })
  end)

  it("is left alone where another provider still has it", function()
    local found = assert(plan(models({ id = "m", deprecated = true, replacement = "n" }, { id = "m", provider = "b" },
      { id = "n" }), "m"))
    assert.same({ "b/m" }, routing.ids(found.ladder))
    assert.is_nil(found.replaced)
  end)

  it("is no candidate of auto, which says why", function()
    local found = assert(plan(models({ id = "old", deprecated = "2026-11-30", replacement = "new" }, { id = "new" }),
      "auto"))
    assert.same({ "a/new" }, routing.ids(found.ladder))
    assert.equal("is deprecated since 2026-11-30", found.candidates[2].reason)
  end)

  it("does not open what a key may not use", function()
    local registry = routing.registry(models({ id = "old", deprecated = true, replacement = "new" }, { id = "new" }))
    local _, refusal = router.plan({ model = "old", surface = "chat", now = DAY }, { name = "dev", models = { "old" } },
      registry, routing.policies(), routing.view())
    assert.same({ 403, "model_not_allowed" }, { refusal.status, refusal.code })
  end)
end)
