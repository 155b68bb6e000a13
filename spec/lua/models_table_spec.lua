local config = require "moongate.config"
local models_table = require "moongate.models_table"
local registry = require "moongate.registry"
local table_rows = require "moongate.table_rows"

-- What the registry is given.
local function models_of(filled)
  local models = {}
  for model in table_rows.each(filled) do models[#models + 1] = model end
  return models
end

local HEADER = "model_id,provider_id,is_free_tier,cost,name,context_length,priority\n"

local function message(problem)
  return type(problem) == "string" and problem or config.message(problem)
end

-- The models of a CSV text at the providers groq and mistral; or nil and what is wrong, as lines.
local function read(text, models)
  local filled = {
    models_table = { csv = "my.csv" }, models = models or {}, providers = { groq = {}, mistral = {} },
  }
  local problems = models_table.apply(filled, { read = function(path, most)
    assert(path == "my.csv" and most == 64 * 1024 * 1024)
    if not text then return nil, "No such file or directory" end
    return text
  end })
  if not problems then return models_of(filled) end
  if type(problems) == "string" then return nil, problems end
  local lines = {}
  for i, problem in ipairs(problems) do lines[i] = message(problem) end
  return nil, table.concat(lines, "\n")
end

local function row(text) return assert(read(HEADER .. text .. "\n"))[1] end

local function refused(words, text)
  local models, problem = read(text)
  assert.is_nil(models)
  assert.equal(words, problem)
end

describe("a model table", function()
  it("gives a model for each row", function()
    assert.same({
      { id = "llama", provider = "groq", free = true, cost = { input = 0, output = 0 }, name = "Llama", tabled = true,
        context_length = 131072, priority = 90 },
      { id = "large", provider = "mistral", free = false, cost = { input = 2.5, output = 2.5 }, tabled = true },
    }, read(HEADER .. "llama,groq,1,0,Llama,131072,90\nlarge,mistral,no,2.5,,,\n"))
  end)

  it("needs its four columns only, in any order and case, beside any others", function()
    local models = read "Cost, notes ,IS_FREE_TIER,provider_id,model_id\n0,mine,yes,groq,m\n"
    assert.same({
      { id = "m", provider = "groq", free = true, cost = { input = 0, output = 0 }, tabled = true },
    }, models)
  end)

  it("takes 1, 0, true, false, yes and no", function()
    for text, free in pairs { ["1"] = true, ["0"] = false, TRUE = true, ["false"] = false, Yes = true, no = false } do
      assert.equal(free, row("m,groq," .. text .. ",0,,,").free)
    end
  end)

  it("takes what is no price, or none below zero, for unknown; and unknown is not zero", function()
    for _, text in ipairs { "", "-1", "-0", "free", "$0", "nan", "inf", "0x0", "1.2.3", "1e999", "1e-999", "-0.5",
      "0 USD", "." } do
      assert.is_false(row("m,groq,1," .. text .. ",,,").cost)
    end
    for text, price in pairs { ["0"] = 0, [" 0.00 "] = 0, ["0e9"] = 0, ["+1"] = 1, ["1e-9"] = 1e-9, [".5"] = 0.5 } do
      assert.equal(price, row("m,groq,1," .. text .. ",,,").cost.input)
    end
  end)

  it("leaves to the configuration what it does not say, and wins in what it does", function()
    local models = read(HEADER .. "llama,groq,1,0,,,\nup,mistral,0,,Mine,10,1\n", {
      { id = "llama", provider = "groq", upstream_id = "llama-70b", strengths = { "chat" }, tools = true, free = false,
        cost = { input = 5, output = 5, cached_input = 5 }, context_length = 8, priority = 7 },
      { id = "other", provider = "mistral", upstream_id = "up", cost = { input = 0, output = 0 }, name = "Theirs" },
      { id = "unlisted", provider = "groq" },
    })
    assert.same({
      { id = "llama", provider = "groq", upstream_id = "llama-70b", strengths = { "chat" }, tools = true, free = true,
        cost = { input = 0, output = 0 }, context_length = 8, priority = 7, tabled = true },
      { id = "up", provider = "mistral", upstream_id = "up", free = false, cost = false, name = "Mine",
        context_length = 10, priority = 1, tabled = true },
    }, models)
  end)

  local SHORT = "model_id,provider_id,is_free_tier,cost\n"

  for title, case in pairs {
    ["a missing column, with those found"] = { "id,provider_id,is_free_tier\nm,groq,1\n",
      'my.csv:1: lacks the columns "model_id", "cost"; it has: id, provider_id, is_free_tier' },
    ["a misspelt column"] = { "model_id,provider_id,is_free_teir,cost\n",
      'my.csv:1: lacks the column "is_free_tier" (did you mean "is_free_teir"?);'
        .. " it has: model_id, provider_id, is_free_teir, cost" },
    ["a column that is there twice"] = { "model_id,cost,provider_id,is_free_tier,COST\n",
      'my.csv:1: has the column "cost" twice' },
    ["semicolons"] = { "model_id;provider_id;is_free_tier;cost\nm;groq;1;0\n",
      "my.csv:1: its values are separated by semicolons: save it with commas" },
    ["tabs"] = { "model_id\tcost\n", "my.csv:1: its values are separated by tabs: save it with commas" },
    ["an empty file"] = { "\n",
      "my.csv: is empty: its first line names the columns model_id, provider_id, is_free_tier, cost" },
    ["a header without rows"] = { SHORT, "my.csv:1: has no rows: the gateway would know no model at all" },
    ["what is no CSV"] = { SHORT .. '"m,groq,1,0\n', "my.csv:2: a quote is opened here and never closed" },
    ["what is not UTF-8"] = { SHORT .. "caf\233,groq,1,0\n",
      "my.csv:2: is not UTF-8 (byte 0xE9): save it as UTF-8" },
    ["a provider that is not configured"] = { SHORT .. "m,grok,1,0\n",
      "my.csv:2: provider_id: expected one of the configuration's providers (did you mean \"groq\"?), and "
        .. 'found "grok"' },
    ["a provider like none"] = { SHORT .. "m,azure-x,1,0\n",
      "my.csv:2: provider_id: expected one of the configuration's providers; there are: groq, mistral, and "
        .. 'found "azure-x"' },
    ["a line with too few values"] = { SHORT .. "m,groq,1\n", "my.csv:2: has 3 values where the header has 4 columns" },
    ["no answer to is_free_tier"] = { SHORT .. "m,groq,,0\n",
      "my.csv:2: is_free_tier: expected 1, 0, true, false, yes or no, and found nothing" },
    ["a word that is neither yes nor no"] = { SHORT .. "m,groq,maybe,0\n",
      'my.csv:2: is_free_tier: expected 1, 0, true, false, yes or no, and found "maybe"' },
    ["a price past all reason"] = { SHORT .. "m,groq,0,2e6\n",
      'my.csv:2: cost: expected USD per million tokens, at most 1000000, and found "2e6"' },
    ["a model without a name"] = { SHORT .. ",groq,1,0\n",
      "my.csv:2: model_id: expected a model's name of at most 127 bytes, without blanks, and found nothing" },
    ["a name with a line end"] = { SHORT .. '"a\nb",groq,1,0\n',
      "my.csv:2: model_id: expected a model's name of at most 127 bytes, without blanks, and found \"a?b\"" },
    ["the name auto"] = { SHORT .. "auto,groq,1,0\n",
      'my.csv:2: model_id: expected a model\'s name; "auto" is kept for "let the policy choose", and found "auto"' },
    ["a context that is no number"] = { HEADER .. "m,groq,1,0,,4k,\n",
      'my.csv:2: context_length: expected a whole number of tokens above 0, and found "4k"' },
    ["a priority over 100"] = { HEADER .. "m,groq,1,0,,,101\n",
      'my.csv:2: priority: expected a number from 0 to 100, and found "101"' },
    ["a model that is twice at a provider"] = { SHORT .. "m,groq,1,0\nm,mistral,1,0\nm,groq,0,1\n",
      'my.csv:4: model_id: "m" is there twice at groq, first in line 2' },
  } do
    it("says where it finds " .. title, function() refused(case[2], case[1]) end)
  end

  it("tells all that is wrong at once, within bounds", function()
    refused('my.csv:2: is_free_tier: expected 1, 0, true, false, yes or no, and found "x"\nmy.csv:3: provider_id: '
      .. "expected one of the configuration's providers; there are: groq, mistral, and found nothing",
      SHORT .. "m,groq,x,0\nm,,1,0\n")
    local _, lines = read(SHORT .. ("m,groq,x,0\n"):rep(500))
    assert.equal(20, select(2, lines:gsub("my.csv:", "")))
    assert.matches("and 480 more", lines, 1, true)
  end)

  it("that cannot be read says why", function()
    local models, problem = read(nil)
    assert.is_nil(models)
    assert.equal("my.csv: No such file or directory", problem)
  end)

  describe("in SQLite", function()
    local function apply(header, rows)
      local filled = {
        models_table = { sqlite = "my.db", table = "free" }, models = {}, providers = { groq = {} },
      }
      local problems = models_table.apply(filled, { sheet = function(path, name, most)
        assert.same({ "my.db", "free", 100000 }, { path, name, most.rows })
        return header, rows
      end })
      return problems, not problems and models_of(filled) or nil
    end
    local COLUMNS = { "model_id", "provider_id", "is_free_tier", "cost" }

    it("gives the same", function()
      local problems, models = apply(COLUMNS, { { "m", "groq", "1", "0.0" }, { "n", "groq", "0", "" } })
      assert.is_nil(problems)
      assert.same({ true, 0, false, false },
        { models[1].free, models[1].cost.input, models[2].free, models[2].cost })
    end)

    it("names table and row where something is wrong", function()
      local problems = apply(COLUMNS, { { "m", "groq", "1", "0" }, { "m", "groq", "2", "" } })
      assert.equal('my.db: free, row 2: is_free_tier: expected 1, 0, true, false, yes or no, and found "2"',
        message(problems[1]))
      problems = apply(COLUMNS, { { "m", "groq", "1", "0" }, { "m", "groq", "1", "0" } })
      assert.equal('my.db: free, row 2: model_id: "m" is there twice at groq, first in free, row 1',
        message(problems[1]))
      problems = apply({ "model_id" }, {})
      assert.equal('my.db: free: lacks the columns "provider_id", "is_free_tier", "cost"; it has: model_id',
        message(problems[1]))
      problems = apply(COLUMNS, { { "caf\233", "groq", "1", "0" } })
      assert.equal('my.db: free, row 1: model_id: expected UTF-8, and found "caf?"', message(problems[1]))
      assert.equal("my.db: is not a SQLite database", apply(nil, "is not a SQLite database"))
    end)
  end)
end)

describe("a configuration with a model table", function()
  local function load(more, table_text)
    local text = 'return { providers = { groq = { api_key = "k" }, mine = { protocol = "mock" } },\n'
      .. 'models_table = { csv = "my.csv" },\n' .. (more or "") .. " }"
    local loaded, problems = config.load(text, "moongate.lua", function() end, { files = {
      read = function() return table_text or "model_id,provider_id,is_free_tier,cost\nm,mine,1,0\nn,mine,0,\n" end,
    } })
    local lines = {}
    for i, problem in ipairs(problems or {}) do lines[i] = config.message(problem) end
    return loaded, table.concat(lines, "\n")
  end

  local function targets(loaded)
    local providers = require "moongate.providers"
    return registry.new(loaded, providers.get)
  end

  it("knows the table's models and no other", function()
    local ids = {}
    for i, target in ipairs(targets(load 'models = { { id = "x", provider = "groq" } }').targets) do
      ids[i] = target.id
    end
    assert.same({ "mine/m", "mine/n" }, ids)
  end)

  it("calls nothing safe that is not both free and known to cost nothing, wherever it runs", function()
    local all = targets(load(nil, "model_id,provider_id,is_free_tier,cost\nm,mine,1,0\nn,mine,0,0\no,mine,1,\n"
      .. "p,mine,1,0.01\n"))
    local safe = {}
    for i, target in ipairs(all.targets) do safe[i] = target.costs_nothing end
    assert.same({ true, false, false, false }, safe)
    assert.is_nil(all.by_id["mine/o"].cost)
  end)

  it("completes a row from the built-in table, but for price and free tier", function()
    local builtin = require("moongate.providers").get "groq"
    local known = builtin.models[1]
    local all = targets(load(nil, "model_id,provider_id,is_free_tier,cost\n" .. known.id .. ",groq,0,\nnew,groq,1,0\n"))
    local target = all.by_id["groq/" .. known.id]
    assert.equal(known.context_length, target.context_length)
    assert.equal(known.upstream_id or known.id, target.upstream_id)
    assert.same({ false, nil }, { target.free, target.cost })
    assert.same({ 4096, 50 }, { all.by_id["groq/new"].context_length, all.by_id["groq/new"].priority })
  end)

  it("tells aliases to models that the table has not, with the nearest", function()
    local loaded, problem = load('aliases = { fast = "mm" },\nmodels = { { id = "x", provider = "mine",\n'
      .. 'aliases = { "x1" } } }')
    assert.is_nil(loaded)
    assert.equal('moongate.lua:3: aliases.fast[1].model: there is no model "mm" (did you mean "m"?)\n'
      .. 'moongate.lua:3: aliases.x1[1].model: there is no model "mine/x"', problem)
  end)

  it("tells what is wrong in either file, and no echo of it", function()
    local loaded, problem = load('aliases = { fast = "mm" }, stroe = 1',
      "model_id,provider_id,is_free_tier,cost\n,mine,1,0\n")
    assert.is_nil(loaded)
    assert.matches("moongate.lua:3: stroe", problem, 1, true)
    assert.matches("my.csv:2: model_id", problem, 1, true)
    assert.not_matches("fast", problem, 1, true)
  end)
end)
