require "spec.support.core"
local defaults = require "moongate.defaults"
local registry = require "moongate.registry"

local tables = {
  groq = {
    name = "groq", protocol = "openai", base_url = "https://groq/v1", quality = 95, cache_read = 0.5,
    models = {
      { id = "llama", upstream_id = "llama-versatile", cost = { input = 0.5, output = 1 }, free = true, tools = true,
        quality = 80, context_length = 131072, limits = { rpm = 30 } },
      { id = "embedder", strengths = { "embedding" } },
    },
  },
}

local function build(given)
  local function provider(name) return tables[name] end
  local config = defaults.fill(given, "moongate.lua", function() return nil end, { provider = provider })
  return registry.new(config, provider)
end

local function ids(targets)
  local list = {}
  for i, target in ipairs(targets or {}) do list[i] = target.id end
  return list
end

describe("a registry of a model table", function()
  local table_rows = require "moongate.table_rows"

  local ROWS = {
    { id = "x/one", provider = "groq", free = true, cost = { input = 0, output = 0 }, context_length = 8,
      priority = 9 },
    { id = "two", provider = "groq", free = false, cost = { input = 2, output = 2 } },
    { id = "three", provider = "groq", free = true, cost = false, name = "Three\t3" },
    { id = "text-embed", provider = "groq", free = true, cost = { input = 0, output = 0 } },
    { id = "llama", provider = "groq", free = true, cost = { input = 0, output = 0 } },
    { id = "said", provider = "groq", free = false, cost = { input = 2, output = 2 } },
  }

  local function of_table(rows, digest)
    local lines = {}
    for i, row in ipairs(rows) do lines[i] = table_rows.line(row) .. "\n" end
    local function provider(name) return tables[name] end
    local config = defaults.fill({ providers = { groq = { limits = { rpm = 5 } } },
      models = { { id = "said", provider = "groq", tools = true } } }, "moongate.lua", function() return nil end,
      { provider = provider })
    config.models_table = { packed = table.concat(lines), rows = #rows, digest = digest }
    return registry.new(config, provider), config, provider
  end

  it("has the table's targets in its order, and every fact of each as if it stood alone", function()
    local all, config, provider = of_table(ROWS)
    assert.same({ "groq/x/one", "groq/two", "groq/three", "groq/text-embed", "groq/llama", "groq/said" },
      ids(all.targets))
    -- The same models, none of which is a plain row.
    local twins = { providers = config.providers, models = {}, aliases = {} }
    for i, row in ipairs(ROWS) do
      local twin = { tabled = true, tools = row.id == "said" or nil }
      for name, value in pairs(row) do twin[name] = value end
      twins.models[i] = twin
    end
    local alone = registry.new(twins, provider)
    for i, target in ipairs(all.targets) do
      assert.same(alone.targets[i], registry.whole(target))
      assert.equal(target, all.by_id[target.id])
      assert.same({ target }, all:resolve(target.model))
    end
    assert.is_true(all.varied)
    assert.is_nil(getmetatable(all.targets[6]))
    assert.equal(getmetatable(all.targets[1]).__index.limits, all.targets[1].limits)
  end)

  it("hands over rows of which nothing else is said, where it is asked to", function()
    local _, config, provider = of_table(ROWS)
    local rows = {}
    local rest = registry.new(config, provider, function(facts, model)
      rows[#rows + 1] = { model, facts.provider, facts.costs_nothing }
    end)
    assert.same({ { "x/one", "groq", true }, { "two", "groq", false }, { "three", "groq", false } }, rows)
    assert.same({ "groq/text-embed", "groq/llama", "groq/said" }, ids(rest.targets))
  end)

  it("is written out for replays where it is small, and told by its digest where it is large", function()
    local decision = require "moongate.decision"
    local all = of_table(ROWS, "abc")
    local again = decision.registry(decision.kept_world(all))
    assert.same(ids(all.targets), ids(again.targets))
    assert.same({ 2, 5, 4096 }, { again.targets[2].cost.input, again.targets[2].provider_limits[1].max,
      again.targets[2].context_length })
    local many = {}
    for i = 1, 1200 do many[i] = { id = "m" .. i, provider = "groq", free = true, cost = false } end
    many[1201] = ROWS[5]
    local one, same, other = of_table(many, "abc"), of_table(many, "abc"), of_table(many, "abd")
    assert.is_nil(decision.kept_world(one))
    assert.equal(decision.world(one), decision.world(same))
    assert.are_not.equal(decision.world(one), decision.world(other))
    assert.matches('"groq/llama"', decision.world(one), 1, true)
    assert.is_true(#decision.world(one) < 5000)
  end)
end)

describe("a registry", function()
  it("takes the models of the built-in table for a provider without models of its own", function()
    local all = build { providers = { groq = {} } }
    assert.same({ "groq/llama", "groq/embedder" }, ids(all.targets))
    local llama = all.by_id["groq/llama"]
    assert.equal("llama-versatile", llama.upstream_id)
    assert.equal(30, llama.limits[1].max)
    assert.equal(0.25, llama.cost.cached_input)
    assert.equal(80, llama.quality)
    assert.equal(95, llama.rank)
    assert.is_true(llama.free)
    assert.is_true(all.by_id["groq/embedder"].embeddings)
  end)

  it("takes only those that the config lists, and completes them from the table", function()
    local all = build { providers = { groq = {} }, models = { { id = "llama", provider = "groq", quality = 60 } } }
    assert.same({ "groq/llama" }, ids(all.targets))
    assert.equal("llama-versatile", all.targets[1].upstream_id)
    assert.equal(60, all.targets[1].quality)
    assert.equal(131072, all.targets[1].context_length)
  end)

  it("knows nothing of limits and prices at another address", function()
    local elsewhere = { groq = { base_url = "http://127.0.0.1:1" } }
    assert.same({}, build({ providers = elsewhere }).by_id["groq/llama"].limits)
    local all = build { providers = elsewhere, models = { { id = "llama", provider = "groq" } } }
    assert.is_nil(all.targets[1].cost)
    assert.equal("llama", all.targets[1].upstream_id)
  end)

  it("gives a mock without models one that is called mock", function()
    local all = build { providers = { a = { protocol = "mock" }, b = { protocol = "mock" } } }
    assert.same({ "a/mock", "b/mock" }, ids(all:resolve "mock"))
  end)

  it("calls free only what is stated to be", function()
    local function free(model, provider)
      model.id, model.provider = "m", "p"
      provider = provider or {}
      provider.protocol = "mock"
      return build({ providers = { p = provider }, models = { model } }).targets[1].free
    end
    assert.is_false(free {})
    assert.is_true(free { free = true })
    assert.is_true(free({}, { free = true }))
    assert.is_false(free({ free = false }, { free = true }))
    assert.is_true(free { cost = { input = 0, output = 0 } })
    assert.is_false(free { cost = { input = 0 } })
    assert.is_false(free { cost = { input = 0, output = 0, cache_write = 1 } })
    assert.is_false(build({ providers = { groq = { free = false } } }).by_id["groq/llama"].free)
  end)
end)

describe("registry:resolve", function()
  local all = build {
    providers = { a = { protocol = "mock" }, b = { protocol = "mock" } },
    models = {
      { id = "x", provider = "a", aliases = { "fast" } }, { id = "x", provider = "b" },
      { id = "org/y", provider = "b", aliases = { "fast" } },
    },
    aliases = { both = { { model = "x", weight = 3 }, { model = "b/org/y", weight = 1 } },
                turn = { "org/y", "x", order = true } },
  }

  it("finds all for auto, a model's providers, and one target", function()
    assert.same({ "a/x", "b/x", "b/org/y" }, ids(all:resolve "auto"))
    assert.same({ "a/x", "b/x" }, ids(all:resolve "x"))
    assert.same({ "b/x" }, ids(all:resolve "b/x"))
    assert.equal(all:resolve "b/x", all:resolve "b/x") -- one list, whoever asks
    assert.same({ "b/org/y" }, ids(all:resolve "b/org/y"))
  end)

  it("finds an alias's targets, with their weights or order", function()
    local targets, alias = all:resolve "both"
    assert.same({ "a/x", "b/x", "b/org/y" }, ids(targets))
    assert.is_true(alias.balanced)
    assert.equal(3, alias.weights[targets[2]])
    targets, alias = all:resolve "turn"
    assert.same({ "b/org/y", "a/x", "b/x" }, ids(targets))
    assert.is_true(alias.order)
    assert.same({ "a/x", "b/org/y" }, ids((all:resolve "fast")))
  end)

  it("finds nothing for what is not there, and names what is near", function()
    assert.is_nil(all:resolve "nothing")
    assert.same({ "fast" }, all:near "fats")
  end)
end)

describe("registry:models", function()
  it("lists aliases and models that the patterns permit, auto first", function()
    local all = build {
      providers = { a = { protocol = "mock" } },
      models = { { id = "x", provider = "a" }, { id = "y", provider = "a" } }, aliases = { z = "x" },
    }
    local function listed(patterns)
      local names = {}
      for i, model in ipairs(all:models(patterns)) do names[i] = model.id end
      return names
    end
    assert.same({ "auto", "x", "y", "z" }, listed { "*" })
    assert.same({ "auto", "y" }, listed { "y*" })
    assert.same({ "auto", "x", "y" }, listed { "a/*" })
    assert.same({}, listed { "none" })
  end)
end)

describe("registry:cost", function()
  it("is the price of the first target that has one", function()
    local all = build { providers = { a = { protocol = "mock" }, groq = {} }, aliases = {} }
    assert.equal(0.5, all:cost("llama").input)
    assert.is_nil(all:cost "mock")
    assert.is_nil(all:cost "nothing")
  end)

  it("is what the built-in tables say of a model that is not configured", function()
    local all = build { providers = { a = { protocol = "mock" } }, aliases = {} }
    assert.same({ input = 2.5, output = 10, cached_input = 1.25 }, all:cost "gpt-4o")
    assert.same(all:cost "gpt-4o", all:cost "openai/gpt-4o")
    assert.is_nil(all:cost "gpt-4o-of-tomorrow")
  end)

  it("is the operator's own figure before the built-in one", function()
    local all = build { providers = { a = { protocol = "mock" } }, aliases = {},
      models = { { id = "gpt-4o", provider = "a", cost = { input = 1, output = 1 } } } }
    assert.equal(1, all:cost("gpt-4o").input)
  end)
end)
