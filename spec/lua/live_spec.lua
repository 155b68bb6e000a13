-- How a target stands: what the counters, the provider's own words and its health say, as the router sees it.
local fakes = require "spec.support.fakes"

describe("the view of live facts", function()
  local core, live

  before_each(function()
    core = fakes.install()
    live = require "moongate.live"
  end)
  after_each(function() core.restore() end)

  local rpm = { name = "rpm", metric = "requests", window = "minute", max = 30 }
  local rpd = { name = "rpd", metric = "requests", window = "day", max = 1000, zone = "Asia/Tokyo" }
  local own_rpm = { name = "rpm", metric = "requests", window = "minute", max = 20 }
  local target = fakes.target("one/small", { provider_limits = { rpm, rpd }, limits = { own_rpm } })

  local function learn(...)
    local told = { ... }
    core.set("store.learnt", function() return told end)
  end

  it("goes through a target's limits, the shared ones first", function()
    local found = {}
    for limit, own in live.limits(target) do found[#found + 1] = { limit, own } end
    assert.same({ { rpm, false }, { rpd, false }, { own_rpm, true } }, found)
    assert.is_nil(live.limits(fakes.target "one/free")())
  end)

  it("names a counter after the provider, its pool, or the model", function()
    assert.equal("provider:one:requests", live.counter(target, rpm, false))
    assert.equal("pool:account:requests", live.counter(fakes.target("one/small", { pool = "account" }), rpm, false))
    assert.equal("model:one/small:requests", live.counter(target, own_rpm, true))
  end)

  it("tells the longer wait of the target and its provider, with its reason", function()
    local waits = { ["one/small"] = { 5, "rate_limited" }, one = { 9, "auth" } }
    core.set("store.exhausted", function(name) return unpack(waits[name]) end)
    assert.same({ 9, "auth" }, { live.view():exhausted(target) })
    waits.one = { 5, "auth" }
    assert.same({ 5, "rate_limited" }, { live.view():exhausted(target) })
    waits["one/small"], waits.one = { 0, "" }, { 0, "" }
    assert.same({ 0, "" }, { live.view():exhausted(target) })
  end)

  it("tells what is left: the smaller rest of provider and model, never below nothing", function()
    local used = { ["provider:one:requests minute"] = 8, ["model:one/small:requests minute"] = 3,
      ["provider:one:requests day"] = 1200 }
    core.set("store.used", function(limit) return used[limit.key .. " " .. limit.window] end)
    local left = live.view():left(target)
    assert.same({ 17, 0, math.huge }, { left.rpm, left.rpd, left.tpm })
    used["provider:one:requests minute"] = 15
    assert.equal(15, live.view():left(target).rpm)
    assert.equal("Asia/Tokyo", core.of("store.used")[2][1].zone)
  end)

  it("tells what is used: the larger sum of provider and model", function()
    local used = { ["provider:one:requests minute"] = 8, ["model:one/small:requests minute"] = 3 }
    core.set("store.used", function(limit) return used[limit.key .. " " .. limit.window] or 0 end)
    local sums = live.view():used(target)
    assert.same({ 8, 0, 0 }, { sums.rpm, sums.rpd, sums.tpm })
  end)

  describe("believes the provider's own word", function()
    local function told(more)
      local word = { model = "", metric = "requests", window = "minute", remaining = 2, reset_s = 20, age_s = 5 }
      for name, value in pairs(more or {}) do word[name] = value ~= "none" and value or nil end
      return word
    end

    -- title, what was told, what is left of rpm
    for _, case in ipairs {
      { "where it is lower", told(), 2 },
      { "of this very model", told { model = "up-small" }, 2 },
      { "not of another model", told { model = "up-large" }, 20 },
      { "not where our own count is lower", told { remaining = 500 }, 20 },
      { "not once its window is over", told { reset_s = 0 }, 20 },
      { "without a reset for a minute", told { reset_s = "none", age_s = 59 }, 2 },
      { "without a reset no longer than that", told { reset_s = "none", age_s = 60 }, 20 },
      { "without a reset for a while, if a checker asks for it", told { reset_s = "none", age_s = 899,
        source = "checker" }, 2 },
      { "no longer than that", told { reset_s = "none", age_s = 900, source = "checker" }, 20 },
      { "only if it tells what remains", told { remaining = "none" }, 20 },
    } do
      it(case[1], function()
        learn(case[2])
        assert.equal(case[3], live.view():left(target).rpm)
      end)
    end

    it("also of limits that the configuration does not have", function()
      learn(told { metric = "tokens", window = "day", remaining = 77 })
      assert.equal(77, live.view():left(target).tpd)
    end)

    it("of the source that is trusted most, as long as that stands", function()
      learn(told { remaining = 3, source = "probe" }, told { remaining = 9, source = "header" })
      assert.equal(9, live.view():left(target).rpm)
      learn(told { remaining = 9, source = "header", reset_s = 0 }, told { remaining = 3, source = "probe" })
      assert.equal(3, live.view():left(target).rpm)
    end)

    it("over what is only documented", function()
      local free = fakes.target("one/small", { provider_limits = { { name = "rpm", metric = "requests",
        window = "minute", max = 30, documented = true } } })
      assert.same({ 30, false }, { live.view():left(free).rpm, live.yields(free, free.provider_limits[1]) })
      free = fakes.target("one/small", { provider_limits = free.provider_limits })
      learn(told { remaining = 190 })
      assert.same({ 190, true }, { live.view():left(free).rpm, live.yields(free, free.provider_limits[1]) })
      assert.equal(20, live.view():left(target).rpm)
      assert.is_false(live.yields(target, target.provider_limits[1]))
    end)

    it("over that as it was a moment ago", function()
      local limit = { name = "rpm", metric = "requests", window = "minute", max = 30, documented = true }
      local free = fakes.target("one/small", { provider_limits = { limit } })
      for _, case in ipairs { { 100, {}, false }, { 101, { told() }, false }, { 101.1, { told() }, true },
        { 102, {}, true }, { 99, {}, false } } do
        core.set("clock.monotonic", function() return case[1] end)
        learn(unpack(case[2]))
        assert.equal(case[3], live.yields(free, limit))
      end
    end)

    it("but leaves out what has no name among limits", function()
      learn(told { metric = "Odd Thing", window = "minute" }, told { window = "fortnight" })
      assert.equal(20, live.view():left(target).rpm)
    end)
  end)

  it("reads a target's health and what its provider told once", function()
    core.set("health.state", function() return true, 120, 0.25, 9 end)
    local view = live.view()
    assert.same({ true, 120, 0.25, 9 },
      { view:open(target), view:latency_ms(target), view:error_rate(target), view:open_s(target) })
    view:left(target)
    view:left(target)
    assert.same({ 1, 1 }, { #core.of "health.state", #core.of "store.learnt" })
    live.view():open(target)
    assert.equal(2, #core.of "health.state")
  end)

  it("asks nobody again of those that were all read in one go and may be called", function()
    local view = live.view()
    view:begin { target }
    local function asked() return #core.of "store.exhausted" + #core.of "health.state" + #core.of "store.learnt" end
    local before = asked()
    assert.same({ 0, "", false }, { view:exhausted(target), select(2, view:exhausted(target)), view:open(target) })
    view:complete { target }
    assert.equal(before, asked())
    core.set("store.exhausted", function(name) return name == "two" and 7 or 0, "auth" end)
    assert.same({ 7, "auth" }, { view:exhausted(fakes.target("two/free", { index = 2 })) })
    assert.equal(0, (view:exhausted(target)))
  end)

  it("holds a balance still for a target, and reads it for the record", function()
    local told = 4.5
    core.replace("moongate.readings", {
      are_there = function() return true end, balance = function() return told end,
    })
    package.loaded["moongate.live"] = nil
    local view, other = require("moongate.live").view(), fakes.target "two/free"
    assert.equal(4.5, view:balance("one", target))
    told = nil
    assert.same({ 4.5, nil, nil }, { view:balance("one", target), view:balance "one" })
    view:complete { target, other }
    assert.same({ 4.5, false }, { view[target.index].balance, view[other.index].balance })
  end)

  it("knows no latency before the first answer, and no balance", function()
    local view = live.view()
    assert.is_nil(view:latency_ms(target))
    assert.is_nil(view:balance "one")
    assert.is_true(view.random() < 1)
  end)
end)
