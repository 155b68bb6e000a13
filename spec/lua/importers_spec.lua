-- What the importers make of foreign lists: units, unknown prices, abilities, dates; and where a broken one is broken.
require "spec.support.core"
local json = require "moongate.core.json"
local litellm = require "moongate.importers.litellm"
local openrouter = require "moongate.importers.openrouter"
local table_list = require "moongate.importers.table"

local function one(gathered)
  assert.same({}, gathered.problems)
  assert.equal(1, #gathered.rows)
  return gathered.rows[1]
end

local function problems(gathered)
  local lines = {}
  for i, each in ipairs(gathered.problems) do
    lines[i] = (each.line and each.line .. ": " or "") .. (each.where and each.where .. ": " or "") .. each.message
  end
  return lines
end

describe("OpenRouter's list", function()
  local function read(...)
    return openrouter.read(assert(json.scan(json.encode { data = json.array { ... } })))
  end
  local function priced(pricing, more)
    local model = { id = "a/b", pricing = pricing }
    for name, value in pairs(more or {}) do model[name] = value end
    return one(read(model))
  end

  it("has prices a token, which become prices a million tokens without noise", function()
    assert.same({ input = 2.5, output = 10, cached_input = 0.0435, cache_write = 3.125 },
      priced({ prompt = "0.0000025", completion = "0.00001", input_cache_read = "0.0000000435",
        input_cache_write = "0.000003125" }).cost)
    assert.same({ input = 0.3, output = 1e-6 }, priced({ prompt = "3e-7", completion = "0.000000000001" }).cost)
  end)

  it("has models that are free only where nothing at all is charged for", function()
    assert.same({ input = 0, output = 0 }, priced({ prompt = "0", completion = "0", image = "0" }).cost)
    for _, more in ipairs { { request = "0.001" }, { web_search = "0.01" }, { internal_reasoning = "-1" },
      { overrides = json.array { { min_prompt_tokens = 1000, utc_start = "0100", prompt = "0.000001" } } } } do
      more.prompt, more.completion = "0", "0"
      assert.is_false(priced(more).cost)
    end
    assert.same({ input = 0, output = 0 }, priced({ prompt = "0", completion = "0",
      overrides = json.array { { min_prompt_tokens = 1000, utc_start = "0100", prompt = "0" } } }).cost)
  end)

  it("has -1 for what varies, which is unknown and not free", function()
    assert.is_false(priced({ prompt = "-1", completion = "-1" }).cost)
    assert.is_false(priced({ prompt = "0", completion = "-1" }).cost)
  end)

  it("takes discounts off, but nothing becomes free by one", function()
    assert.same({ input = 0.5, output = 1 },
      priced({ prompt = "0.000001", completion = "0.000002", discount = 0.5 }).cost)
    assert.is_false(priced({ prompt = "0.000001", completion = "0.000002", discount = 1 }).cost)
  end)

  it("tells what a model can do, and how long it may be used", function()
    local row = priced({ prompt = "0", completion = "0" }, {
      name = "A B", context_length = 200000, top_provider = { context_length = 100000, max_completion_tokens = 4096 },
      architecture = { input_modalities = json.array { "text", "image" }, output_modalities = json.array { "text" } },
      supported_parameters = json.array { "tools", "structured_outputs" }, expiration_date = "2027-01-31",
    })
    assert.same({ "openrouter", "a/b", "A B", 100000, 4096, true, true, true, "2027-01-31" }, { row.provider, row.id,
      row.name, row.context_length, row.max_output, row.tools, row.vision, row.json_schema, row.deprecated })
    row = priced({ prompt = "0", completion = "0" }, { context_length = json.null, top_provider = json.null })
    assert.same({ nil, nil }, { row.context_length, row.tools })
  end)

  it("passes over what makes something else than text, and counts it", function()
    local gathered = read({ id = "a/pic", pricing = { prompt = "0", completion = "0" },
      architecture = { output_modalities = json.array { "image" } } })
    assert.same({ 0, 1, {} }, { #gathered.rows, gathered.skipped, gathered.problems })
  end)

  it("is refused with where and what is wrong in it", function()
    local fine = { prompt = "0", completion = "0" }
    assert.same({
      'data[0] (x/y): pricing.prompt: expected USD per token as a decimal, found "cheap"',
      "data[1]: expected an id",
      "data[2] (x/z): pricing: expected an object",
      "data[3] (x/w): pricing.completion: expected USD per single token from 0 to 1, or -1 for unknown, found 15",
      "data[4] (x/v): pricing.prompt: expected USD per single token from 0 to 1, or -1 for unknown, found -2",
      "data[5]: expected a model, found number",
      "data[7] (x/u): is there twice",
    }, problems(read({ id = "x/y", pricing = { prompt = "cheap", completion = "0" } }, { pricing = fine },
      { id = "x/z" }, { id = "x/w", pricing = { prompt = "0", completion = "15" } },
      { id = "x/v", pricing = { prompt = "-2", completion = "0" } }, 7, { id = "x/u", pricing = fine },
      { id = "x/u", pricing = fine })))
    assert.matches("data: expected a list of models", problems(openrouter.read(assert(json.scan "{}")))[1], 1, true)
  end)
end)

describe("LiteLLM's price map", function()
  local function read(map) return litellm.read(assert(json.scan(json.encode(map)))) end
  local function model(id, facts)
    facts.litellm_provider = facts.litellm_provider or "groq"
    return one(read { [id] = facts })
  end

  it("has prices a token as numbers, which become prices a million tokens", function()
    local row = model("groq/llama", { mode = "chat", input_cost_per_token = 5.9e-07, output_cost_per_token = 7.9e-07,
      cache_read_input_token_cost = 2.95e-07, max_input_tokens = 131072, max_tokens = 8192, max_output_tokens = 32768,
      supports_function_calling = true, supports_vision = false, supports_response_schema = true,
      deprecation_date = "2026-10-01" })
    assert.same({ provider = "groq", id = "groq/llama", upstream_id = "llama",
      cost = { input = 0.59, output = 0.79, cached_input = 0.295 }, context_length = 131072, max_output = 32768,
      tools = true, vision = false, json_schema = true, deprecated = "2026-10-01" }, row)
  end)

  it("leaves out its documentation, and what is no model for texts", function()
    local gathered = read {
      sample_spec = { litellm_provider = "one of https://docs", mode = "one of: chat", max_tokens = "legacy" },
      ["dall-e"] = { litellm_provider = "openai", mode = "image_generation" },
      ["1024-x-1024/a b"] = { litellm_provider = "openai", mode = "chat" },
      embed = { litellm_provider = "openai", mode = "embedding", input_cost_per_token = 1e-08 },
      nobody = { mode = "chat" },
    }
    assert.same({ {}, 3, 1 }, { gathered.problems, gathered.skipped, #gathered.rows })
    assert.same({ { input = 0.01, output = 0 }, true }, { gathered.rows[1].cost, gathered.rows[1].embeddings })
  end)

  it("has prices that are not told, and some that are not by the token: neither is free", function()
    assert.is_nil(model("m", { mode = "chat" }).cost)
    assert.is_false(model("m", { mode = "chat", input_cost_per_token = -1, output_cost_per_token = -1 }).cost)
    assert.same({ input = 0, output = 0 }, model("m", { input_cost_per_token = 0, output_cost_per_token = 0 }).cost)
    for _, more in ipairs { { input_cost_per_request = 0.01 }, { input_cost_per_token_above_128k_tokens = 1e-6 },
      { search_context_cost_per_query = { search_context_size_low = 0.01 } },
      { tiered_pricing = json.array { { range = json.array { 0, 1000 }, input_cost_per_token = 1e-6 } } } } do
      more.input_cost_per_token, more.output_cost_per_token = 0, 0
      assert.is_false(model("m", more).cost)
    end
  end)

  it("is refused with where and what is wrong in it", function()
    assert.same({ "a: input_cost_per_token: expected USD per single token from 0 to 1, or -1 for unknown, found 3" },
      problems(read { a = { litellm_provider = "groq", input_cost_per_token = 3, output_cost_per_token = 0 } }))
    assert.same({ "a: output_cost_per_token: expected a number" },
      problems(read { a = { litellm_provider = "groq", input_cost_per_token = 0, output_cost_per_token = {} } }))
    assert.matches("^a: expected an object with litellm_provider, .* found string", problems(read { a = "b" })[1])
    assert.matches("found array", problems(litellm.read(assert(json.scan "[1]")))[1], 1, true)
  end)
end)

describe("a table of one's own", function()
  it("has prices a million tokens, for both directions or for each", function()
    local gathered = table_list.read("model_id,provider_id,cost,input_cost,output_cost,is_free_tier,tools,deprecated,"
      .. "replacement\nm,shop,0,,,yes,1,,\nn,shop,,1.5,6,no,,2026-01-31 too old,m\nv,shop,-1,,,,,,\nu,shop,,,,,,,\n")
    assert.same({}, gathered.problems)
    assert.same({
      { id = "m", provider = "shop", cost = { input = 0, output = 0 }, free = true, tools = true },
      { id = "n", provider = "shop", cost = { input = 1.5, output = 6 }, free = false,
        deprecated = "2026-01-31 too old", replacement = "m" },
      { id = "v", provider = "shop", cost = false }, { id = "u", provider = "shop" },
    }, gathered.rows)
  end)

  it("is refused with line and column of what is wrong in it", function()
    assert.same({
      '2: cost: expected USD per million tokens, at most 1000000, found "dear"',
      '3: provider_id: expected a provider\'s name: letters, digits, \'.\', \'_\' and \'-\', found "a b"',
      '5: model_id: "m" is there twice at shop',
      '6: model_id: expected a name, found ""',
    }, problems(table_list.read "model_id,provider_id,cost\nx,shop,dear\nn,a b,1\nm,shop,1\nm,shop,1\n,shop,1\n"))
    assert.matches('^1: the header: lacks the column "provider_id" %(did you mean "provder_id"%?%)',
      problems(table_list.read "model_id,provder_id\nm,shop\n")[1])
    assert.matches("is UTF-16", problems(table_list.read "\255\254m\0")[1], 1, true)
    assert.matches("is empty", problems(table_list.read "")[1], 1, true)
  end)
end)
