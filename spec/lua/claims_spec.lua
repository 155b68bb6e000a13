-- What an attempt draws on: which limits, in which windows, and how much of each, before and after.
local fakes = require "spec.support.fakes"

describe("claims", function()
  local core, claims

  before_each(function()
    core = fakes.install()
    claims = require "moongate.claims"
  end)
  after_each(function() core.restore() end)

  local target = fakes.target("one/small", {
    cost = { input = 2, output = 6 },
    provider_limits = {
      { name = "rpm", metric = "requests", window = "minute", max = 30 },
      { name = "rpd", metric = "requests", window = "day", max = 1000, zone = "America/Los_Angeles" },
    },
    limits = {
      { name = "tpm", metric = "tokens", window = "minute", max = 6000 },
      { name = "neurons_per_day", metric = "neurons", window = "day", max = 10000 },
    },
  })

  local function of(with)
    with = with or {}
    local caller = { key_id = "config:dev", org = "acme" }
    for name, value in pairs(with.caller or {}) do caller[name] = value end
    local request = { surface = "chat", estimated_tokens = 100, max_tokens = 50 }
    for name, value in pairs(with.request or {}) do request[name] = value or nil end
    local wanted = claims.call(with.target or target, caller, request,
      { config = with.config or {}, policies = with.policies }, with.output)
    local amounts = {}
    for i, claim in ipairs(wanted.claims) do amounts[i] = wanted[claim.figure] or 0 end
    return wanted.claims, wanted.tokens, amounts
  end

  local function keys(list)
    local found = {}
    for i, claim in ipairs(list) do found[i] = claim.key .. " " .. claim.window end
    return found
  end

  it("are those of the target: the provider's and the model's own", function()
    local list = of()
    assert.same({
      "provider:one:requests minute", "provider:one:requests day", "model:one/small:tokens minute",
      "model:one/small:neurons day",
    }, keys(list))
    assert.same({ 30, 1000, 6000, 10000 }, { list[1].max, list[2].max, list[3].max, list[4].max })
    assert.equal("America/Los_Angeles", list[2].zone)
    assert.is_nil(list[1].sliding)
  end)

  it("are shared by the targets of a pool", function()
    local pooled = fakes.target("one/small", { pool = "account", provider_limits = target.provider_limits })
    assert.equal("pool:account:requests minute", keys(of { target = pooled })[1])
  end)

  it("only count a documented limit of which the provider itself tells what remains", function()
    local limits = { { name = "rpm", metric = "requests", window = "minute", max = 30, documented = true } }
    local word = { model = "", metric = "requests", window = "minute", remaining = 190, reset_s = 9, source = "header" }
    local documented = fakes.target("one/small", { provider_limits = limits })
    core.tick = 10 -- what was heard a moment ago is asked for again
    assert.equal(30, of({ target = documented })[1].max)
    core.set("store.learnt", function() return { word } end)
    local list, _, amounts = of { target = documented }
    assert.same({ nil, 1, "requests" }, { list[1].max, amounts[1], list[1].kind })
    word.reset_s = 0
    assert.equal(30, of({ target = documented })[1].max)
  end)

  it("are none where nothing is limited", function()
    local list, tokens = of { target = fakes.target "one/free" }
    assert.same({}, keys(list))
    assert.equal(150, tokens)
  end)

  it("put the key's limits first, in windows that slide", function()
    local list, _, amounts = of { caller = { rpm = 60, tpm = 9000 } }
    assert.same({ "key:config:dev:requests minute", "key:config:dev:tokens minute" },
      { keys(list)[1], keys(list)[2] })
    assert.same({ "caller_requests", true, 60, 1 }, { list[1].kind, list[1].sliding, list[1].max, amounts[1] })
    assert.same({ "tokens", true, 9000, 150 }, { list[2].kind, list[2].sliding, list[2].max, amounts[2] })
    assert.equal(6, #list)
  end)

  it("are strict where they are money, and nowhere else", function()
    local strict = {}
    local budget = { usd = 1, billed_tokens = 9, window = "day" }
    for _, claim in ipairs(of { caller = { rpm = 9, tpm = 9, budget = budget } }) do
      if claim.strict then strict[#strict + 1] = claim.kind end
    end
    assert.same({ "billed_tokens", "microusd" }, strict)
  end)

  it("hold the budgets of key and org, in micro-dollars and billed tokens, by the calendar", function()
    local list, _, amounts = of {
      target = fakes.target("one/x", { cost = target.cost }),
      caller = { budget = { usd = 0.1, billed_tokens = 1000, window = "day" } },
      config = { orgs = { acme = { budget = { usd = 19.99, window = "month" } }, other = { budget = { usd = 1 } } } },
    }
    assert.same({ "key:config:dev:billed_tokens day", "key:config:dev:microusd day", "org:acme:microusd month" },
      keys(list))
    assert.same({ 1000, 100000, 19990000 }, { list[1].max, list[2].max, list[3].max })
    assert.same({ 150, 500, 500 }, amounts)
    assert.is_nil(list[1].sliding or list[2].sliding or list[3].sliding)
  end)

  it("leave orgs without a budget alone", function()
    for _, orgs in ipairs { {}, { acme = {} } } do
      assert.same({}, keys(of { target = fakes.target "one/x", config = { orgs = orgs } }))
    end
  end)

  it("estimate exactly: prompt and the most it may answer, and what both cost", function()
    local _, tokens, amounts = of { caller = { budget = { usd = 1, window = "day" } } }
    assert.equal(150, tokens)
    assert.same({ 100 * 2 + 50 * 6, 1, 1, 150, 0 }, amounts)
  end)

  it("round a part of a micro-dollar up", function()
    local _, _, amounts = of {
      target = fakes.target("one/x", { cost = { input = 0.001, output = 0 } }),
      caller = { budget = { usd = 1, window = "day" } },
    }
    assert.same({ 1 }, amounts)
  end)

  it("assume an answer of usual length where the caller set no bound, and none for embeddings", function()
    local money = require "moongate.money"
    local _, tokens = of { request = { max_tokens = false } }
    assert.equal(100 + money.assumed_output, tokens)
    _, tokens = of { request = { max_tokens = false, surface = "embeddings" } }
    assert.equal(100, tokens)
  end)

  it("take no money for what has no known price", function()
    local _, _, amounts = of { target = fakes.target "one/x", caller = { budget = { usd = 1, window = "day" } } }
    assert.same({ 0 }, amounts)
  end)

  it("take each its own figure, by the place at which the store is told it", function()
    local list = of {
      caller = { rpm = 1, tpm = 1, budget = { usd = 1, billed_tokens = 1, window = "day" } },
    }
    local places = {}
    for i, claim in ipairs(list) do places[i] = claim.place or 0 end
    assert.same({ 2, 3, 4, 5, 1, 1, 3, 0 }, places)
    assert.same({ "one", "up-small" }, { list.provider, list.model })
  end)

  it("tell the one that blocked", function()
    local list = of { caller = { rpm = 60, tpm = 900, budget = { usd = 2, window = "day" } } }
    assert.equal(900, claims.blocking(list, "key:config:dev:tokens minute").max)
    assert.equal(2000000, claims.blocking(list, "key:config:dev:microusd day").max)
    assert.is_nil(claims.blocking(list, "key:config:dev:tokens day"))
    assert.is_nil(claims.blocking({}, "key:config:dev:tokens minute"))
  end)

  it("hold a key's limits and its tier's, the lower one where both are of the same window", function()
    local list = of {
      target = fakes.target("one/x", { cost = target.cost }),
      caller = {
        rpm = 5, by_tier = { rpm = true }, budget = { usd = 2, billed_tokens = 900, window = "day" },
        tier_budget = { usd = 1, billed_tokens = 1000, window = "day" },
      },
    }
    assert.same({ "key:config:dev:requests minute", "key:config:dev:billed_tokens day", "key:config:dev:microusd day" },
      keys(list))
    assert.same({ 5, 900, 1000000 }, { list[1].max, list[2].max, list[3].max })
    assert.same({ true, false, true }, { list[1].by_tier, list[2].by_tier or false, list[3].by_tier })
    list = of {
      target = fakes.target "one/x",
      caller = { budget = { usd = 2, window = "day" }, tier_budget = { usd = 1, window = "month" } },
    }
    assert.same({ "key:config:dev:microusd day", "key:config:dev:microusd month" }, keys(list))
  end)

  it("take billed tokens as the billing policy bills them, which is asked only where it matters", function()
    local asked = {}
    local run = {}
    local policies = {
      billing = function() return { run = run } end,
      call = function(_, fn, caller, model, usage)
        asked[#asked + 1] = { fn, caller.name, model.id, usage.total, usage.output }
        return true, 15
      end,
    }
    local caller = { tpm = 9000, budget = { billed_tokens = 1e6, window = "day" } }
    local _, _, amounts = of { caller = caller, policies = policies, request = { caller = { name = "dev" } } }
    assert.same({ 150, 150 * 15 }, { amounts[1], amounts[2] })
    assert.same({ { run, "dev", "small", 150, 50 } }, asked)
    of { caller = { tpm = 9000 }, policies = policies }
    assert.equal(1, #asked)
  end)

  it("begin with less of what has no bound, if it can be ended on the way", function()
    local money = require "moongate.money"
    assert.equal(money.lengths, claims.lengths { stream = true })
    for _, request in ipairs {
      {}, { stream = true, max_tokens = 10 }, { stream = true, operation = "embeddings" }, { operation = "count" },
    } do
      assert.same({ money.assumed_output }, claims.lengths(request))
    end
    local _, tokens = of { request = { max_tokens = false }, output = 31 }
    assert.equal(131, tokens)
  end)

  it("grow with the answer where they are the caller's own, of tokens or money", function()
    local list = of { caller = { rpm = 1, tpm = 1, budget = { usd = 1, billed_tokens = 1, window = "day" } } }
    local found = {}
    for i, claim in ipairs(list) do found[i] = claims.grows(claim) end
    assert.same({ false, true, true, true, false, false, false, false }, found)
  end)

  it("are the same list for each request of a caller's at a target, whatever its label", function()
    local dev = { key_id = "config:dev", org = "acme", rpm = 5 }
    local list = claims.list(target, dev, {})
    assert.equal(list, claims.list(target, dev, {}))
    assert.equal(list, claims.list(target, setmetatable({ label = "x", unlabelled = dev }, { __index = dev }), {}))
    assert.not_equal(list, claims.list(target, { key_id = "config:dev", org = "acme", rpm = 5 }, {}))
    assert.not_equal(list, claims.list(fakes.target "one/x", dev, {}))
  end)

  it("are made once of a caller, and once of a target: lists share them", function()
    local dev, other = { key_id = "config:dev", org = "", rpm = 5 }, { key_id = "config:other", org = "", rpm = 5 }
    local second = fakes.target "one/y"
    second.index, second.limits = target.index + 1, target.limits
    local of_dev, of_other, at_second = claims.list(target, dev, {}), claims.list(target, other, {}),
      claims.list(second, dev, {})
    assert.is_true(#of_dev > 1)
    assert.is_true(rawequal(of_dev[1], at_second[1]))
    assert.is_false(rawequal(of_dev[1], of_other[1]))
    for i = 2, #of_dev do
      assert.is_true(rawequal(of_dev[i], of_other[i]))
      assert.is_false(rawequal(of_dev[i], at_second[i]))
    end
  end)

  it("tell the caller's own limits from the target's", function()
    for blocked, callers in pairs {
      ["key:config:dev:requests minute"] = true, ["org:acme:microusd month"] = true,
      ["provider:key:requests minute"] = false, ["model:org:x/y:tokens day"] = false,
      ["pool:key:requests day"] = false,
    } do
      assert.equal(callers, claims.is_callers(blocked))
    end
  end)
end)
