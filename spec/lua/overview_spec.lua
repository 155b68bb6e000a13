-- How a provider stands: its own word and the configured limits, its wait, its status, and the gauges of it.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("the overview of a provider", function()
  local core, overview, state, view, used, waits

  local rpm = { name = "rpm", metric = "requests", window = "minute", max = 30 }
  local tpd = { name = "tpd", metric = "tokens", window = "day", max = 1000, zone = "Asia/Tokyo" }

  before_each(function()
    core = fakes.install()
    overview = require "moongate.overview"
    used, waits = {}, {}
    rpm.max, rpm.documented = 30, nil
    core.set("store.used", function(limit) return used[limit.key] or 0, 42 end)
    core.set("store.exhausted", function(name) return unpack(waits[name] or { 0, "" }) end)
    state = {
      config = { providers = { one = {}, two = {} } },
      registry = { targets = {
        fakes.target("one/small", { provider_limits = { rpm }, limits = { tpd } }),
        fakes.target("one/large", { provider_limits = { rpm } }),
        fakes.target "two/x",
      } },
    }
    view = { balance = function() end }
  end)
  after_each(function() core.restore() end)

  local function learn(...)
    local told = { ... }
    core.set("store.learnt", function(provider) return provider == "one" and told or {} end)
  end
  local function word(more)
    local told = { model = "", metric = "requests", window = "minute", limit = 100, remaining = 40, reset_s = 20,
      age_s = 5, source = "header" }
    for name, value in pairs(more or {}) do told[name] = value ~= "none" and value or nil end
    return told
  end
  local function documented() rpm.documented = true end
  local function of(name) return overview.provider(state, name or "one", view) end

  it("tells the configured limits and what is used of them, each once", function()
    used["provider:one:requests"], used["model:one/small:tokens"] = 12, 1500
    local found = of()
    assert.same({
      { metric = "requests", window = "minute", limit = 30, remaining = 18, reset_s = 42, source = "config",
        told_by = "config" },
      { metric = "tokens", window = "day", limit = 1000, remaining = 0, reset_s = 42, source = "config",
        told_by = "config", model = "small" },
    }, found.limits)
    assert.same({ { max = 30, current = 12 }, { max = json.null, current = json.null }, "config" },
      { found.rpm, found.tpm, found.source })
    assert.equal("Asia/Tokyo", core.of("store.used")[2][1].zone)
  end)

  it("tells the provider's own word before what is only documented; current is what is used", function()
    documented()
    learn(word(), word { metric = "tokens", limit = 6000, remaining = "none" })
    local found = of()
    assert.same({ { max = 100, current = 60 }, { max = 6000, current = json.null }, "discovered" },
      { found.rpm, found.tpm, found.source })
    assert.same({ 5, 20, 3, "header" },
      { found.limits[1].age_s, found.limits[1].reset_s, #found.limits, found.limits[1].told_by })
    assert.is_nil(found.limits[1].model)
  end)

  it("counts by itself what a source that is trusted leaves unsaid", function()
    documented()
    used["provider:one:requests"] = 12
    learn(word { limit = 200, remaining = "none" })
    assert.same({ max = 200, current = 12 }, of().rpm)
  end)

  it("prefers what concerns the whole provider", function()
    documented()
    learn(word { model = "up-small", limit = 7 })
    assert.equal(7, of().rpm.max)
    learn(word { model = "up-small", limit = 7 }, word())
    assert.equal(100, of().rpm.max)
  end)

  -- Each with a limit of its own, the most trusted first.
  local SOURCES = { "config", "header", "checker", "error", "probe", "documentation" }
  local SHOWN = { config = "config", checker = "checker", documentation = "config" }

  local function say(sources)
    local words = {}
    rpm.max, rpm.documented = 1, nil
    for _, source in ipairs(sources) do
      if source == "checker" then
        core.published = json.encode { one = { checker = "naga", interval = 60, checked_at = core.now, meters = {
          { metric = "requests", window = "minute", limit = 3, remaining = 1, used = 2, status = "ok" } } } }
        core.tick = 1
      elseif source == "config" or source == "documentation" then
        rpm.max, rpm.documented = source == "config" and 1 or 6, source == "documentation" or nil
        used["provider:one:requests"] = 0
      else
        words[#words + 1] = word { source = source, limit = source == "header" and 2 or source == "error" and 4 or 5 }
      end
    end
    learn(unpack(words))
  end

  for better = 1, #SOURCES - 1 do
    -- What is configured is not documented besides.
    for worse = better + 1, better == 1 and #SOURCES - 1 or #SOURCES do
      it("trusts " .. SOURCES[better] .. " more than " .. SOURCES[worse], function()
        for _, order in ipairs { { better, worse }, { worse, better } } do
          local is_given = better == 1 or worse == #SOURCES
          if not is_given then state.registry.targets = { fakes.target "one/small" } end
          say { SOURCES[order[1]], SOURCES[order[2]] }
          local found = of()
          assert.equal(better, found.rpm.max)
          assert.equal(SHOWN[SOURCES[better]] or "discovered", found.source)
          local own = {}
          for _, entry in ipairs(found.limits) do
            if entry.metric == "requests" then own[#own + 1] = entry.told_by end
          end
          assert.same({ SOURCES[better] }, own)
        end
      end)
    end
  end

  it("takes the next one's word when that of the more trusted no longer stands", function()
    documented()
    learn(word { reset_s = 0, source = "header" }, word { limit = 50, remaining = 49, source = "probe" })
    assert.same({ { max = 50, current = 1 }, "probe" }, { of().rpm, of().limits[1].told_by })
    learn(word { reset_s = 0, source = "header" })
    assert.same({ { max = 30, current = 0 }, "documentation" }, { of().rpm, of().limits[1].told_by })
  end)

  it("is no better off for what the configuration allows", function()
    learn(word { remaining = 2 })
    assert.same({ { max = 30, current = 0 }, "critical" }, { of().rpm, of().status })
    assert.matches('metric="requests_minute"} 2\n', overview.gauges(state, true), 1, true)
  end)

  it("of which nothing is known has nothing, and is ok", function()
    local found = of "two"
    assert.same({
      provider = "two", rpm = { max = json.null, current = json.null }, tpm = { max = json.null, current = json.null },
      credits = json.null, status = "ok", exhausted_for_s = 0, limits = {}, source = json.null,
    }, found)
    assert.matches('"limits":[]', json.encode(found), 1, true)
  end)

  it("tells the balance where there is one", function()
    view.balance = function(_, name) return name == "one" and 12.5 or nil end
    assert.same({ 12.5, json.null }, { of().credits, of("two").credits })
  end)

  -- used of 30, status
  for _, case in ipairs {
    { 22, "ok" }, { 23, "warning" }, { 27, "warning" }, { 28, "critical" }, { 30, "critical" },
  } do
    it("with " .. case[1] .. " of 30 used is " .. case[2], function()
      used["provider:one:requests"] = case[1]
      assert.equal(case[2], of().status)
    end)
  end

  it("is critical with less than a tenth left", function()
    used["model:one/small:tokens"] = 900
    assert.equal("warning", of().status)
    used["model:one/small:tokens"] = 901
    assert.equal("critical", of().status)
  end)

  it("is as its tightest limit", function()
    used["model:one/small:tokens"] = 960
    assert.equal("critical", of().status)
  end)

  it("goes by what it was told only until that window is over", function()
    learn(word { remaining = 2 })
    assert.equal("critical", of().status)
    learn(word { remaining = 2, reset_s = 0 })
    assert.equal("ok", of().status)
    learn(word { remaining = 2, reset_s = "none", age_s = 3600 })
    assert.equal("ok", of().status)
    learn(word { remaining = "none" }, word { limit = 0, remaining = 0 })
    assert.equal("ok", of().status)
  end)

  describe("with a quota checker", function()
    local function publish(more)
      local entry = { checker = "naga", interval = 60, checked_at = core.now - 30, credits = 4.5, status = "warning",
        meters = { { metric = "dollars", window = "subscription", limit = 20, remaining = 4.5, used = 15.5,
          status = "warning" } } }
      for field, value in pairs(more or {}) do entry[field] = value ~= "none" and value or nil end
      core.published, core.tick = json.encode { one = entry }, 1
    end

    it("tells what it found, when, and the worse status", function()
      publish()
      local found = of()
      assert.same({ name = "naga", status = "warning", checked_at = core.now - 30, age_s = 30, stale = false },
        found.checker)
      assert.same({ "warning", core.now - 30, false, "checker" },
        { found.status, found.checked_at, found.stale, found.limits[1].source })
      assert.same({ metric = "dollars", window = "subscription", limit = 20, remaining = 4.5, used = 15.5,
        status = "warning", source = "checker", told_by = "checker", stale = false, checked_at = core.now - 30,
        age_s = 30 }, found.limits[1])
      publish { status = "exhausted", meters = { { metric = "percent", window = "5h", limit = 100, remaining = 0,
        status = "exhausted" } } }
      assert.same({ "exhausted", 0 }, { of().status, of().exhausted_for_s })
    end)

    it("tells a stale answer as one, which counts for no status", function()
      publish { reason = "no connection" }
      local found = of()
      assert.same({ "no connection", true, true, "ok" },
        { found.checker.reason, found.stale, found.limits[1].stale, found.status })
      publish { checked_at = "none", meters = "none", credits = "none", status = "none", reason = "it answered 500" }
      found = of()
      assert.same({ json.null, json.null, true }, { found.checker.status, found.checked_at, found.stale })
    end)

    it("takes what is behind its reset for full again", function()
      publish { status = "exhausted", meters = { { metric = "requests", window = "5h", limit = 500, remaining = 0,
        used = 500, status = "exhausted", resets_at = core.now - 1 } } }
      local entry = of().limits[1]
      assert.same({ 500, 0, "ok" }, { entry.remaining, entry.reset_s, of().status })
      assert.is_nil(entry.used)
    end)

    it("tells each of its words once, and those of the last run until it has answered", function()
      local money = word { metric = "microusd", limit = 20e6, remaining = 2500000, reset_s = "none",
        source = "checker", age_s = 9000 }
      money.window = "none"
      learn(money, word())
      publish()
      assert.same({ 3, "requests", "dollars" }, { #of().limits, of().limits[1].metric, of().limits[2].metric })
      publish { checked_at = "none", meters = "none" }
      local entry = of().limits[1]
      assert.same({ "dollars", "subscription", 20, 2.5, true },
        { entry.metric, entry.window, entry.limit, entry.remaining, entry.stale })
    end)
  end)

  it("is exhausted while its wait lasts, rounded up, with the reason", function()
    waits.one = { 40.2, "rate_limited" }
    local found = of()
    assert.same({ "exhausted", 41, "rate_limited" }, { found.status, found.exhausted_for_s, found.reason })
  end)

  it("is not exhausted as long as one of its models can serve", function()
    waits["one/small"] = { 90, "not_found" }
    assert.same({ "ok", 0 }, { of().status, of().exhausted_for_s })
    assert.is_nil(of().reason)
    waits["one/large"] = { 0.5, "rate_limited" }
    assert.same({ "exhausted", 1, "rate_limited" }, { of().status, of().exhausted_for_s, of().reason })
    waits["one/large"] = { 30, "rate_limited" }
    assert.same({ "exhausted", 30, "rate_limited" }, { of().status, of().exhausted_for_s, of().reason })
  end)

  it("is in the gauges: the least of each metric and window, by provider", function()
    learn(word { remaining = 40 }, word { remaining = 25, model = "up-small" })
    used["provider:one:requests"] = 3
    local text = overview.gauges(state, true)
    assert.matches('\nmoongate_store_up 1\n', text, 1, true)
    assert.matches('\nmoongate_quota_remaining{provider="one",metric="requests_minute"} 25\n', text, 1, true)
    assert.matches('\nmoongate_quota_remaining{provider="one",metric="tokens_day"} 1000\n', text, 1, true)
    assert.is_nil(string.find(text, 'provider="two"', 1, true))
    for _, name in ipairs { "moongate_store_up", "moongate_quota_remaining" } do
      assert.matches("# HELP " .. name .. " ", text, 1, true)
      assert.matches("# TYPE " .. name .. " gauge\n", text, 1, true)
    end
    assert.equal("\n", string.sub(text, -1))
  end)

  it("says in the gauges when the store does not keep what it is given", function()
    assert.matches("\nmoongate_store_up 0\n", overview.gauges(state, false), 1, true)
  end)
end)
