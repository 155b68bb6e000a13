local usage = require "moongate.usage"

-- fresh, cached, cache write, output, reasoning, total
local CASES = {
  { "reads OpenAI's plain figures", { prompt_tokens = 70, completion_tokens = 30, total_tokens = 100 },
    { 70, 0, 0, 30, 0, 100 } },
  { "takes cached tokens out of the prompt",
    { prompt_tokens = 70, completion_tokens = 30, total_tokens = 100, prompt_tokens_details = { cached_tokens = 48 } },
    { 22, 48, 0, 30, 0, 100 } },
  { "takes cache writes out of the prompt",
    { prompt_tokens = 70, completion_tokens = 30, prompt_tokens_details = { cached_tokens = 40,
      cache_write_tokens = 10 } },
    { 20, 40, 10, 30, 0, 100 } },
  { "takes reasoning out of the completion",
    { prompt_tokens = 70, completion_tokens = 30, total_tokens = 100,
      completion_tokens_details = { reasoning_tokens = 12 } }, { 70, 0, 0, 18, 12, 100 } },
  { "sees that reasoning lies beside the completion where only that adds up",
    { prompt_tokens = 11, completion_tokens = 4, total_tokens = 215,
      completion_tokens_details = { reasoning_tokens = 200 } }, { 11, 0, 0, 4, 200, 215 } },
  { "takes thinking that is only in the total for reasoning",
    { prompt_tokens = 20, completion_tokens = 8, total_tokens = 90 }, { 20, 0, 0, 8, 62, 90 } },
  { "reads DeepSeek's hits and misses",
    { prompt_tokens = 500, completion_tokens = 7, total_tokens = 507, prompt_cache_hit_tokens = 448,
      prompt_cache_miss_tokens = 52 }, { 52, 448, 0, 7, 0, 507 } },
  { "adds hits and misses up where the prompt is missing",
    { completion_tokens = 7, prompt_cache_hit_tokens = 64, prompt_cache_miss_tokens = 36 }, { 36, 64, 0, 7, 0, 107 } },
  { "reads Moonshot's cached tokens at the top",
    { prompt_tokens = 90, completion_tokens = 5, total_tokens = 95, cached_tokens = 60 }, { 30, 60, 0, 5, 0, 95 } },
  { "never counts the same cached tokens twice",
    { prompt_tokens = 90, completion_tokens = 5, cached_tokens = 60, prompt_tokens_details = { cached_tokens = 60 } },
    { 30, 60, 0, 5, 0, 95 } },
  { "reads Mistral's spelling of the details",
    { prompt_tokens = 33, completion_tokens = 3, prompt_token_details = { cached_tokens = 32 } }, { 1, 32, 0, 3, 0,
      36 } },
  { "reads Mistral's number of cached tokens",
    { prompt_tokens = 33, completion_tokens = 3, num_cached_tokens = 16 }, { 17, 16, 0, 3, 0, 36 } },
  { "reads the figures of embeddings", { prompt_tokens = 9, total_tokens = 9 }, { 9, 0, 0, 0, 0, 9 } },
  { "makes do with a total alone", { total_tokens = 44 }, { 44, 0, 0, 0, 0, 44 } },
  { "trusts the classes over a total that is too small",
    { prompt_tokens = 10, completion_tokens = 10, total_tokens = 0 }, { 10, 0, 0, 10, 0, 20 } },
  { "does not let cached tokens pass the prompt",
    { prompt_tokens = 10, completion_tokens = 1, cached_tokens = 50 }, { 0, 10, 0, 1, 0, 11 } },
  { "ignores a negative figure", { prompt_tokens = -4, completion_tokens = 6 }, { 0, 0, 0, 6, 0, 6 } },
  { "ignores figures that are no numbers",
    { prompt_tokens = "many", completion_tokens = 6, prompt_tokens_details = "none" }, { 0, 0, 0, 6, 0, 6 } },
}

describe("usage.read", function()
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local read = usage.read(case[2])
      assert.same(case[3], { read.input, read.cached, read.cache_write, read.output, read.reasoning, read.total })
    end)
  end

  it("is nil where nothing is told", function()
    assert.is_nil(usage.read(nil))
    assert.is_nil(usage.read("none"))
    assert.is_nil(usage.read({}))
    assert.is_nil(usage.read({ prompt_tokens = 0 / 0 }))
  end)

  it("keeps what the provider says it charged", function()
    assert.equal(0.00021, usage.read({ prompt_tokens = 1, cost = 0.00021 }).cost_usd)
    assert.equal(1.98, usage.read({ prompt_tokens = 1, neurons = 1.98 }).neurons)
  end)

  it("adds up to the total for any figures", function()
    local state = 7
    local function random(most)
      state = (state * 1664525 + 1013904223) % 2 ^ 32
      return math.floor(state / 65536) % (most + 1)
    end
    for _ = 1, 2000 do
      local read = usage.read({
        prompt_tokens = random(50), completion_tokens = random(50), total_tokens = random(150),
        cached_tokens = random(60), prompt_tokens_details = { cache_write_tokens = random(60) },
        completion_tokens_details = { reasoning_tokens = random(60) },
      })
      local sum = 0
      for _, name in ipairs({ "input", "cached", "cache_write", "output", "reasoning" }) do
        assert.is_true(read[name] >= 0)
        sum = sum + read[name]
      end
      assert.equal(read.total, sum)
    end
  end)
end)

describe("usage.of", function()
  it("finds Groq's figures in x_groq", function()
    assert.equal(15, usage.of({ x_groq = { usage = { prompt_tokens = 9, completion_tokens = 6 } } }).total)
  end)

  it("prefers the usual place", function()
    assert.equal(3, usage.of({ usage = { total_tokens = 3 }, x_groq = { usage = { total_tokens = 9 } } }).total)
  end)
end)

describe("a cost", function()
  local noughts = { input = 0, cached = 0, cache_write = 0, output = 0, reasoning = 0, total = 0, cost_usd = 0.5 }

  it("is seen where no tokens are told, in the usage or beside it", function()
    assert.same(noughts, usage.of { usage = { cost = 0.5 } })
    assert.same(noughts, usage.of { cost = "0.5" })
    assert.same({ 3, 0.5 }, { usage.of({ usage = { total_tokens = 3 }, cost = 0.5 }).total,
      usage.of({ usage = { total_tokens = 3 }, cost = 0.5 }).cost_usd })
    assert.equal(0.2, usage.of({ usage = { total_tokens = 3, cost = 0.2 }, cost = 0.5 }).cost_usd)
    assert.same({}, { usage.of {}, usage.of { usage = { prompt_tokens = "x" } } })
  end)

  it("that comes later leaves the tokens as they were, and tokens leave the cost", function()
    local before = usage.of { usage = { prompt_tokens = 9, completion_tokens = 2 } }
    local after = usage.of({ cost = 0.5 }, before)
    assert.same({ 11, 0.5, nil }, { after.total, after.cost_usd, before.cost_usd })
    assert.same({ 4, 0.5 }, { usage.of({ usage = { total_tokens = 4 } }, after).total,
      usage.of({ usage = { total_tokens = 4 } }, after).cost_usd })
    assert.is_nil(usage.of({}, before))
  end)

  it("stays with what is estimated", function()
    local final = usage.final(noughts, true, 40, 8)
    assert.same({ true, 12, 0.5 }, { final.estimated, final.total, final.cost_usd })
  end)
end)

describe("usage.charged", function()
  for _, case in ipairs {
    { "OpenRouter's cost", { cost = 0.002 }, 0.002 }, { "a cost as text", { cost = "2e-3" }, 0.002 },
    { "what OpenRouter passes on to the owner of the key",
      { cost = 0, is_byok = true, cost_details = { upstream_inference_cost = 0.5 } }, 0.5 },
    { "not what its own account is charged", { cost = 0, cost_details = { upstream_inference_cost = 0.5 } }, 0 },
    { "Perplexity's sum", { cost = { total_cost = 0.1 } }, 0.1 },
    { "xAI's ticks", { cost_in_usd_ticks = 25000000 }, 0.0025 }, { "nothing where nothing is told", {}, nil },
    { "nothing out of nonsense", { cost = "much", cost_details = 5, cost_in_usd_ticks = -1 }, nil },
  } do
    it("reads " .. case[1], function() assert.equal(case[3], usage.charged(case[2])) end)
  end
end)

describe("usage.estimate", function()
  it("takes four bytes for a token, rounds up and says so", function()
    assert.same({ input = 3, cached = 0, cache_write = 0, output = 1, reasoning = 0, total = 4, estimated = true },
      usage.estimate(9, 2))
  end)

  it("is never negative", function()
    assert.equal(0, usage.estimate(-5, -1).total)
  end)
end)
