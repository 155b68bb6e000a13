require "spec.support.core"
local json = require "moongate.core.json"
local openai = require "protocols.openai"
local providers = require "moongate.providers"

-- A request with something for everybody to stumble over.
local REQUEST = [[{
  "model": "any", "stream": true, "max_tokens": 100, "temperature": 1.7, "top_p": 0.9, "seed": 7, "user": "u1",
  "presence_penalty": 0.5, "frequency_penalty": 0.5, "logit_bias": {"9": 1}, "logprobs": true, "top_logprobs": 3,
  "n": 1, "store": false, "top_k": 40, "reasoning_effort": "low", "stop": ["END"], "metadata": {"a": "b"},
  "response_format": {"type": "json_object"}, "parallel_tool_calls": true, "tool_choice": "auto",
  "tools": [{"type": "function", "cache_control": {"type": "ephemeral"}, "function": {"name": "add",
    "parameters": {"type": "object", "properties": {"x": {"type": "number", "anyOf": [{"minimum": 1}]}}}}}],
  "messages": [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "name": "ann", "content": [{"type": "text", "text": "1+2?", "cache_control": {"type": "x"}}]},
    {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
      {"id": "call_12345678", "type": "function", "function": {"name": "add", "arguments": "{\"x\":1}"}}]},
    {"role": "tool", "tool_call_id": "call_12345678", "content": "3"},
    {"role": "user", "content": "Again."},
    {"role": "assistant", "content": "It is"}
  ]
}]]

-- The body that goes to the provider, decoded.
local function body_at(name, upstream_id, text)
  local order = {
    operation = "chat", target = { upstream_id = upstream_id }, key = "k", stream = true,
    provider = { name = name }, document = assert(json.scan(text or REQUEST)),
  }
  local request, unfit = openai.build(order)
  return request and json.decode(request.body), unfit
end

-- What is expected: the request itself, with these differences.
local function expected(upstream_id, differ)
  local body = json.decode(REQUEST)
  body.model, body.stream_options = upstream_id, { include_usage = true }
  for _, name in ipairs(differ.less or {}) do body[name] = nil end
  for name, value in pairs(differ.more or {}) do body[name] = value end
  local messages = body.messages
  if differ.system then messages[1].role = "system" end
  if differ.unmarked then
    messages[2].content[1].cache_control, body.tools[1].cache_control = nil, nil
  end
  if differ.nameless then messages[2].name = nil end
  if differ.thought ~= nil then
    messages[3].reasoning_content = nil
    if differ.thought then messages[3][differ.thought] = "hm" end
  end
  if differ.call_id then
    messages[3].tool_calls[1].id, messages[4].tool_call_id = differ.call_id, differ.call_id
  end
  if differ.schema then body.tools[1]["function"].parameters.properties.x = differ.schema end
  for name, value in pairs(differ.last or {}) do messages[6][name] = value end
  if differ.between then table.insert(messages, 5, { role = "assistant", content = differ.between }) end
  return body
end

local SAMPLING = {
  "temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias",
}
local ENABLED = { type = "enabled" }

local function with(list, ...)
  local result = { ... }
  for _, name in ipairs(list) do result[#result + 1] = name end
  return result
end

local mistral = {
  less = { "stream_options", "seed", "user", "logit_bias", "logprobs", "top_logprobs", "store", "top_k" },
  more = { random_seed = 7, temperature = 1.5, reasoning_effort = "high" },
  system = true, unmarked = true, nameless = true, thought = false, call_id = "EaWdCRvVf", last = { prefix = true },
}
local old_mistral = { between = "Done." }
for name, value in pairs(mistral) do old_mistral[name] = value end

-- provider, model -> how the body differs from the request
local GOLDEN = {
  { "openai", "gpt-4o", { unmarked = true, thought = false } },
  { "openai", "gpt-5-mini", { unmarked = true, thought = false, less = with(SAMPLING, "max_tokens"),
    more = { max_completion_tokens = 100 } } },
  { "openai", "gpt-5-chat-latest", { unmarked = true, thought = false, less = { "max_tokens" },
    more = { max_completion_tokens = 100 } } },
  { "azure", "o4-mini", { unmarked = true, thought = false, less = with(SAMPLING, "max_tokens"),
    more = { max_completion_tokens = 100 } } },
  { "github", "openai/gpt-4.1", {} },
  { "github", "openai/gpt-5.2", { less = with(SAMPLING, "max_tokens"), more = { max_completion_tokens = 100 } } },
  { "groq", "llama-3.3-70b-versatile", {
    less = { "max_tokens", "logprobs", "top_logprobs", "logit_bias", "reasoning_effort" },
    more = { max_completion_tokens = 100 }, system = true, unmarked = true, nameless = true, thought = "reasoning",
  } },
  { "groq", "openai/gpt-oss-120b", {
    less = { "max_tokens", "logprobs", "top_logprobs", "logit_bias" },
    more = { max_completion_tokens = 100 }, system = true, unmarked = true, nameless = true, thought = "reasoning",
  } },
  { "groq", "qwen/qwen3-32b", {
    less = { "max_tokens", "logprobs", "top_logprobs", "logit_bias" },
    more = { max_completion_tokens = 100, reasoning_effort = "default" }, system = true, unmarked = true,
    nameless = true, thought = "reasoning",
  } },
  { "cerebras", "gpt-oss-120b", {
    less = { "max_tokens", "presence_penalty", "frequency_penalty", "logit_bias" },
    more = { max_completion_tokens = 100 }, system = true, unmarked = true, thought = "reasoning",
  } },
  { "cerebras", "llama3.1-8b", {
    less = { "max_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "reasoning_effort" },
    more = { max_completion_tokens = 100 }, system = true, unmarked = true, thought = "reasoning",
  } },
  { "mistral", "mistral-small-latest", mistral },
  { "mistral", "open-mistral-nemo", old_mistral },
  { "openrouter", "openai/gpt-oss-20b:free", {} },
  { "cloudflare", "@cf/meta/llama-3.1-8b-instruct", { system = true } },
  { "deepseek", "deepseek-flash", {
    less = { "seed" }, more = { thinking = ENABLED, reasoning_effort = "high" }, system = true,
    last = { reasoning_content = "" },
  } },
  { "deepseek", "deepseek-r1", {
    less = { "seed" }, more = { thinking = ENABLED, reasoning_effort = "high" }, system = true, thought = false,
  } },
  { "together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", {
    less = { "top_logprobs" }, more = { logprobs = 1 }, system = true,
  } },
  { "moonshot", "kimi-k2-0905-preview", {
    less = { "seed", "top_k", "reasoning_effort" }, more = { temperature = 1 }, system = true,
    last = { reasoning_content = "" }, schema = { anyOf = { { minimum = 1, type = "number" } } },
  } },
  { "moonshot", "kimi-k2.5", {
    less = { "seed", "top_k", "reasoning_effort", "temperature" }, more = { thinking = ENABLED }, system = true,
    last = { reasoning_content = "" }, schema = { anyOf = { { minimum = 1, type = "number" } } },
  } },
  { "moonshot", "kimi-k3", {
    less = { "seed", "top_k" }, more = { thinking = ENABLED, temperature = 1 }, system = true,
    last = { reasoning_content = "" }, schema = { anyOf = { { minimum = 1, type = "number" } } },
  } },
  { "minimax", "MiniMax-M2", { more = { temperature = 1, reasoning_split = true }, system = true } },
  { "zai", "glm-4.6", { less = { "reasoning_effort" }, more = { thinking = ENABLED, temperature = 1 },
    system = true } },
  { "cohere", "command-a-03-2025", {
    less = { "stream_options", "user", "logit_bias", "logprobs", "top_logprobs", "n", "store", "top_k", "metadata",
      "parallel_tool_calls", "tool_choice", "presence_penalty" },
    more = { temperature = 1, reasoning_effort = "high" }, system = true, unmarked = true,
  } },
  { "nvidia", "meta/llama-3.3-70b-instruct", { system = true } },
  { "xai", "grok-3-mini", {} },
  { "xai", "grok-4", { less = { "presence_penalty", "frequency_penalty" } } },
  { "synthetic", "hf:openai/gpt-oss-120b", { system = true } },
  { "naga", "m", {} }, { "nanogpt", "m", {} }, { "kilo", "m", {} },
  { "vllm", "m", { system = true } }, { "llamacpp", "m", { system = true } },
}

describe("the body that goes to", function()
  local told = {}
  for _, case in ipairs(GOLDEN) do
    local name, upstream_id, differ = case[1], case[2], case[3]
    told[name] = true
    it(name .. ", for " .. upstream_id .. ", is the caller's but for what is known of it", function()
      assert.same(expected(upstream_id, differ), body_at(name, upstream_id))
    end)
  end

  it("every provider that speaks OpenAI is told here", function()
    for _, name in ipairs(providers.names()) do
      if providers.get(name).protocol == "openai" then assert.is_true(told[name], name) end
    end
  end)
end)

describe("a request with", function()
  local function sent(name, upstream_id, text)
    local body = body_at(name, upstream_id, text)
    body.model, body.stream_options = nil, nil
    return body
  end

  it("no thinking wanted switches it off where there is a switch", function()
    local text = '{"reasoning_effort":"none","temperature":0.3}'
    local off = { type = "disabled" }
    assert.same({ thinking = off, temperature = 0.3 }, sent("deepseek", "deepseek-flash", text))
    assert.same({ thinking = off, temperature = 0.3 }, sent("zai", "glm-4.6", text))
    assert.same({ thinking = off, temperature = 0.3 }, sent("moonshot", "kimi-k2.5", text))
    assert.same({ reasoning_effort = "none", temperature = 0.3 }, sent("openai", "gpt-5.2", text))
    assert.same({ reasoning_effort = "none" }, sent("openai", "gpt-5", text))
    assert.same({ reasoning_effort = "low", temperature = 0.3 }, sent("groq", "openai/gpt-oss-20b", text))
    assert.same({ reasoning_effort = "none", temperature = 0.3 }, sent("groq", "qwen/qwen3-32b", text))
  end)

  it("temperature 0 is one that MiniMax takes", function()
    assert.equal(0.01, sent("minimax", "MiniMax-M2", '{"temperature":0}').temperature)
  end)

  it("several answers wanted goes to nobody who gives but one", function()
    for _, name in ipairs { "groq", "cohere", "minimax" } do
      local body, unfit = body_at(name, "m", '{"n":2}')
      assert.is_nil(body)
      assert.equal("n", unfit.param)
      assert.is_table(body_at(name, "m", '{"n":1}'))
    end
    assert.equal(2, body_at("mistral", "m", '{"n":2}').n)
  end)

  it("a forced call goes to nobody who can't be forced", function()
    for _, name in ipairs { "cohere", "zai" } do
      local _, unfit = body_at(name, "m", '{"tools":[{}],"tool_choice":"required"}')
      assert.equal("tool_choice", unfit.param)
      assert.same({}, sent(name, "m", '{"tool_choice":"none"}'))
    end
  end)

  it("names of tools that Cohere refuses goes elsewhere", function()
    local _, unfit = body_at("cohere", "m", '{"tools":[{"function":{"name":"get-it"}}]}')
    assert.equal("tools", unfit.param)
  end)

  it("thoughts that came as `reasoning` gives them back as the provider calls them", function()
    local text = '{"messages":[{"role":"assistant","content":"a","reasoning":"hm"}]}'
    for _, name in ipairs { "deepseek", "moonshot", "zai" } do
      assert.same({ role = "assistant", content = "a", reasoning_content = "hm" }, sent(name, "m", text).messages[1])
    end
    assert.same({ role = "assistant", content = "a", reasoning = "hm" }, sent("groq", "m", text).messages[1])
  end)
end)

describe("a request of another format", function()
  local function sent(name, upstream_id, chat)
    chat.turns = { { role = "user", blocks = { { kind = "text", text = "1+2?" } } } }
    local request, unfit = openai.build {
      operation = "chat", target = { upstream_id = upstream_id, strengths = {} }, provider = { name = name },
      chat = chat,
    }
    return request and json.decode(request.body), unfit
  end

  it("switches thinking by its budget", function()
    local body = sent("zai", "glm-4.6", { reasoning = { budget = 4096 } })
    assert.same({ model = "glm-4.6", messages = { { role = "user", content = "1+2?" } },
      thinking = { type = "enabled" } }, body)
    assert.same({ type = "disabled" }, sent("deepseek", "deepseek-flash", { reasoning = { budget = 0 } }).thinking)
    assert.is_nil(sent("groq", "llama-3.1-8b-instant", { reasoning = { budget = 4096 } }).reasoning_effort)
  end)

  it("goes to nobody who gives but one answer where it wants several", function()
    local _, unfit = sent("groq", "m", { n = 2 })
    assert.equal("n", unfit.param)
  end)
end)

describe("embeddings to Mistral", function()
  it("hold only what its schema knows", function()
    local request = openai.build {
      operation = "embeddings", target = { upstream_id = "mistral-embed" }, provider = { name = "mistral" },
      document = assert(json.scan '{"model":"m","input":"a","dimensions":8,"user":"u","encoding_format":"float"}'),
    }
    assert.same({ model = "mistral-embed", input = "a", output_dimension = 8, encoding_format = "float" },
      json.decode(request.body))
  end)
end)

describe("the headers that go to", function()
  local function headers(name)
    return openai.build {
      operation = "chat", target = { upstream_id = "m" }, provider = { name = name }, key = "k", stream = true,
      document = assert(json.scan "{}"),
    }.headers
  end

  it("GitHub name its version and type", function()
    assert.equal("application/vnd.github+json", headers("github").accept)
    assert.equal("2022-11-28", headers("github")["x-github-api-version"])
  end)

  it("OpenRouter say who calls", function()
    assert.equal("moongate", headers("openrouter")["x-title"])
    assert.equal("Bearer k", headers("openrouter").authorization)
  end)
end)
