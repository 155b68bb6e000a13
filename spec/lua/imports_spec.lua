-- Imported models as text: what one import changes of another, which prices have jumped, what concerns a configuration;
-- and what the registry makes of it.
require "spec.support.core"
local catalogue = require "moongate.catalogue"
local defaults = require "moongate.defaults"
local imports = require "moongate.imports"
local json = require "moongate.core.json"
local registry = require "moongate.registry"

local function row(id, facts)
  local made = { provider = "groq", id = id }
  for name, value in pairs(facts or {}) do made[name] = value end
  return made
end

describe("an import", function()
  local function compare(before, after, factor)
    return imports.compare(imports.pack(before), imports.pack(after), factor or 2)
  end

  it("changes nothing where everything is as before, in whatever order", function()
    local rows = { row("a", { cost = { input = 1, output = 2 } }), row "b" }
    local changes, counts = compare(rows, { rows[2], rows[1] })
    assert.same({ {}, { added = 0, removed = 0, changed = 0, same = 2 } }, { changes, counts })
  end)

  it("tells of every fact what it was and what it is", function()
    local changes, counts = compare(
      { row("a", { cost = { input = 1, output = 2 }, context_length = 8, tools = true }), row "gone" },
      { row("a", { cost = { input = 1.5, output = 2 }, context_length = 16 }), row "new" })
    assert.same({
      { provider = "groq", model = "a", field = "context_length", old = 8, new = 16 },
      { provider = "groq", model = "a", field = "cost.input", old = 1, new = 1.5 },
      { provider = "groq", model = "a", field = "tools", old = true },
      { provider = "groq", model = "new", field = "model", new = "added" },
      { provider = "groq", model = "gone", field = "model", old = "present", new = "removed" },
    }, changes)
    assert.same({ added = 1, removed = 1, changed = 1, same = 0 }, counts)
  end)

  -- old, new, factor, whether it is an alert
  for title, case in pairs {
    ["twice as high is a jump"] = { 1, 2, 2, true },
    ["less than that is none"] = { 1, 1.99, 2, nil },
    ["above another threshold is one"] = { 1, 1.2, 1.1, true },
    ["where nothing was charged is a jump"] = { 0, 0.01, 2, true },
    ["that falls is none"] = { 4, 1, 2, nil },
    ["that was not known is none"] = { -1, 5, 2, nil },
  } do
    it("with a price " .. title, function()
      local function cost(value) return value ~= -1 and { input = value, output = 1 } end
      local changes = compare({ row("a", { cost = cost(case[1]) }) }, { row("a", { cost = cost(case[2]) }) }, case[3])
      for _, change in ipairs(changes) do
        if change.field == "cost.input" then assert.same(case, { change.old, change.new, case[3], change.alert }) end
      end
    end)
  end

  it("tells of a price that is known no more as -1", function()
    local changes = compare({ row("a", { cost = { input = 1, output = 1 } }) }, { row("a", { cost = false }) })
    assert.same({ { "cost.input", 1, -1 }, { "cost.output", 1, -1 } },
      { { changes[1].field, changes[1].old, changes[1].new }, { changes[2].field, changes[2].old, changes[2].new } })
  end)

  it("leaves changes that come back as they were, with time and source", function()
    local changes = compare({ row("a", { cost = { input = 1, output = 1 } }) },
      { row("a", { cost = { input = 3, output = 1 } }), row "b" })
    local import = { time = 7, source = "litellm", changes = imports.pack_changes(changes) }
    local all, alerts = {}, {}
    for change in imports.each_change(import) do all[#all + 1] = change end
    for change in imports.each_alert(import) do alerts[#alerts + 1] = change end
    assert.same({ { provider = "groq", model = "a", field = "cost.input", old = 1, new = 3, alert = true, time = 7,
      source = "litellm" } }, alerts)
    assert.same({ 2, "b" }, { #all, all[2].model })
  end)
end)

local tables = {
  groq = { name = "groq", protocol = "openai", base_url = "https://groq/v1", cache_read = 0.5, models = {
    { id = "llama", upstream_id = "llama-versatile", cost = { input = 0.5, output = 1 }, free = true, quality = 80 },
  } },
}

-- The registry of a configuration with what these sources brought.
local function build(given, sources)
  local function provider(name) return tables[name] end
  local config = defaults.fill(given, "moongate.lua", function() return nil end, { provider = provider })
  for _, each in ipairs(sources) do each.models = imports.pack(each.rows) end
  config.imported = { packed = imports.merged(sources, config.providers) }
  return registry.new(config, provider), config, provider
end

local function source(name, ...) return { source = name, time = 1, rows = { ... } } end

describe("imported models in the registry", function()
  local SHOP = { groq = { api_key = "x" }, shop = { protocol = "openai", base_url = "http://shop/v1", api_key = "x" } }

  it("are below the configuration, above the built-in tables, and models of their own", function()
    local stated = { { id = "mine", provider = "shop", cost = { input = 9, output = 9 } } }
    local all = build({ providers = SHOP, models = stated }, {
      source("litellm",
        row("shop/mine", { provider = "shop", upstream_id = "mine", cost = { input = 1, output = 1 },
          context_length = 99 }),
        row("groq/llama-versatile", { upstream_id = "llama-versatile", cost = { input = 7, output = 8 },
          tools = true }),
        row("groq/other", { upstream_id = "other", cost = { input = 2, output = 4 }, max_output = 5 })),
    })
    local mine, llama, other = all.by_id["shop/mine"], all.by_id["groq/llama"], all.by_id["groq/other"]
    assert.same({ 3, 9, 99 }, { #all.targets, mine.cost.input, mine.context_length })
    assert.same({ 7, true, true, 80, "llama-versatile" }, { llama.cost.input, llama.tools, llama.free, llama.quality,
      llama.upstream_id })
    assert.same({ "groq/other", "other", 2, 1, 5, false }, { other.model, other.upstream_id, other.cost.input,
      other.cost.cached_input, other.max_output, other.free })
  end)

  it("are found by the names that their list has, and by what their provider calls them", function()
    local all = build({ providers = SHOP }, { source("litellm", row("groq/other", { upstream_id = "other" }),
      row("groq/llama-versatile", { upstream_id = "llama-versatile" })) })
    for name, id in pairs { ["groq/other"] = "groq/other", other = "groq/other", llama = "groq/llama",
      ["groq/llama-versatile"] = "groq/llama" } do
      assert.same({ id }, { all:resolve(name)[1].id })
    end
  end)

  it("cost nothing for sure only where every price is known to be zero", function()
    local all = build({ providers = { shop = SHOP.shop, demo = { protocol = "mock" } } }, {
      source("openrouter", row("free", { provider = "shop", cost = { input = 0, output = 0 } }),
        row("varies", { provider = "shop", cost = false }), row("untold", { provider = "shop" }),
        row("dear", { provider = "shop", cost = { input = 0, output = 1 } }),
        row("cached", { provider = "shop", cost = { input = 0, output = 0, cached_input = 1 } }),
        row("varies", { provider = "demo", cost = false })),
    })
    local safe = {}
    for _, target in ipairs(all.targets) do
      if target.costs_nothing then safe[#safe + 1] = target.id end
    end
    table.sort(safe)
    assert.same({ "demo/mock", "shop/free" }, safe)
    assert.is_true(all.by_id["shop/free"].free)
  end)

  it("with a price are not free, though their provider is said to be", function()
    local given = { providers = { shop = { protocol = "openai", base_url = "http://s/v1", api_key = "x" } } }
    given.providers.shop.free = true
    local dear = row("dear", { provider = "shop", cost = { input = 1, output = 1 } })
    local all = build(given, { source("openrouter", dear) })
    assert.is_false(all.by_id["shop/dear"].free)
    given.providers.shop.free = false
    all = build(given, { source("openrouter", row("zero", { provider = "shop", cost = { input = 0, output = 0 } })) })
    assert.same({ false, false }, { all.by_id["shop/zero"].free, all.by_id["shop/zero"].costs_nothing })
  end)

  it("of several lists: one's own table first, then the provider's own list, fact by fact", function()
    local all = build({ providers = SHOP }, {
      source("litellm", row("groq/m", { upstream_id = "m", cost = { input = 1, output = 1 }, context_length = 10 })),
      source("openrouter", row("m", { cost = { input = 2, output = 2 }, tools = true })),
      source("table", row("m", { priority = 90 })),
    })
    local m = all.by_id["groq/m"]
    assert.same({ 2, 10, true, 90 }, { m.cost.input, m.context_length, m.tools, m.priority })
  end)

  it("belong to every provider that is like theirs, and to none that is not there", function()
    local all = build({ providers = { fast = { like = "groq", api_key = "x" } }, models = {} }, {
      source("litellm", row "m", row("n", { provider = "together_ai" })) })
    assert.is_nil(all.by_id["together/n"])
    assert.truthy(all.by_id["fast/m"])
    all = build({ providers = { together = { protocol = "openai", base_url = "http://t/v1", api_key = "x" } } }, {
      source("litellm", row("n", { provider = "together_ai" })) })
    assert.truthy(all.by_id["together/n"])
  end)

  it("are left aside where there is a model table", function()
    local _, config, provider = build({ providers = SHOP }, { source("openrouter", row "m") })
    config.models_table = { packed = "t\tgroq\t1\t0\t\t\t\n" }
    local all = registry.new(config, provider)
    assert.same({ 1, "groq/t" }, { #all.targets, all.targets[1].id })
  end)

  it("are what C keeps of each, too", function()
    local _, config, provider = build({ providers = SHOP }, {
      source("openrouter", row("groq/m", { upstream_id = "m", cost = { input = 0, output = 0 } }),
        row("n", { cost = { input = 1, output = 1 } })) })
    local rows = {}
    registry.new(config, provider, function(facts, name) rows[name] = facts.costs_nothing end)
    assert.same({ m = true, n = false }, rows)
  end)
end)

describe("the catalogue", function()
  it("has every model with where it is from, and those whose provider is not configured last", function()
    local sources = { source("openrouter", row("m", { cost = { input = 0, output = 0 } }), row("llama-versatile", {}),
      row("x/y", { provider = "openrouter", cost = false, deprecated = "2020-01-01", replacement = "x/z" })) }
    local _, config = build({ providers = { groq = { protocol = "openai", base_url = "http://g/v1", api_key = "x" } },
      models = { { id = "mine", provider = "groq" } } }, sources)
    local told = {}
    for i, entry in ipairs(catalogue.list(config, sources, 1796000000)) do
      told[i] = { entry.id, entry.target or false, entry.source, entry.free, entry.deprecated or false }
    end
    assert.same({
      { "llama-versatile", "groq/llama-versatile", "openrouter", false, false },
      { "m", "groq/m", "openrouter", true, false },
      { "mine", "groq/mine", "config", false, false },
      { "x/y", false, "openrouter", false, "deprecated since 2020-01-01" },
    }, told)
    assert.truthy(json.encode(told))
  end)
end)
