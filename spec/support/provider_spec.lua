-- The simulated provider itself: it must be as strict as the real servers, or specs prove nothing.
local http = require "spec.support.http"
local json = require "dkjson"
local provider = require "spec.support.provider"

local ASK = "What is the weather?"
local HEADERS = { ["anthropic-version"] = "2023-06-01", ["x-api-key"] = "sk", ["x-goog-api-key"] = "sk" }
local USER, SAID = { role = "user", content = ASK }, { role = "assistant", content = "Warm." }

local function call(id) return { type = "tool_use", id = id, name = "weather", input = { city = "Bern" } } end
local function result(id) return { type = "tool_result", tool_use_id = id, content = "warm" } end
local function said(...) return { role = "assistant", content = { ... } } end
local function told(...) return { role = "user", content = { ... } } end
local function text(content) return { type = "text", text = content } end

local function gemini_call(signature)
  return { functionCall = { name = "weather", args = { city = "Bern" } }, thoughtSignature = signature }
end
local function gemini_turns(...)
  return { { role = "user", parts = { { text = ASK } } }, { role = "model", parts = { ... } },
    { role = "user", parts = { { functionResponse = { name = "weather", response = { result = "warm" } } } } } }
end
local function declares(schema)
  return { contents = { { parts = { { text = ASK } } } },
    tools = { { functionDeclarations = { { name = "weather", parameters = schema } } } } }
end

local PATHS = {
  openai = "/v1/chat/completions", responses = "/v1/responses", anthropic = "/v1/messages",
  gemini = "/v1beta/models/m:generateContent", ollama = "/api/chat",
}

-- Per protocol the least request, and what others do wrong.
local LEAST = {
  openai = { model = "m", messages = { USER } },
  responses = { model = "m", input = ASK },
  anthropic = { model = "m", max_tokens = 9, messages = { USER } },
  gemini = { contents = { { role = "user", parts = { { text = ASK } } } } },
  ollama = { model = "m", messages = { USER }, stream = false },
}

local WRONG = {
  { "openai", "unknown fields", { max_output_tokens = 1 }, "max_output_tokens" },
  { "openai", "a tool's message without its call",
    { messages = { USER, { role = "tool", tool_call_id = "c", content = "x" } } }, "must be a response" },
  { "responses", "unknown fields", { messages = json.null }, "Unknown parameter" },
  { "responses", "a result without its call",
    { input = { { type = "function_call_output", call_id = "c", output = "x" } } }, "No tool call found" },
  { "responses", "a call without its result",
    { input = { { type = "function_call", call_id = "c", name = "f", arguments = "{}" } } }, "No tool output found" },
  { "responses", "foreign reasoning",
    { input = { { type = "reasoning", summary = {}, encrypted_content = "x" }, SAID } }, "could not be verified" },
  { "responses", "nested tools", { tools = { { type = "function", ["function"] = { name = "f" } } } }, "tools%[0%]" },
  { "responses", "too few tokens", { max_output_tokens = 5 }, "16" },
  { "anthropic", "unknown fields", { seed = 1 }, "Extra inputs" },
  { "anthropic", "no max_tokens", { max_tokens = false }, "max_tokens" },
  { "anthropic", "two users in a row", { messages = { USER, USER } }, "alternate" },
  { "anthropic", "a first assistant", { messages = { SAID, USER } }, "first message" },
  { "anthropic", "blank text", { messages = { told(text " ") } }, "non%-whitespace" },
  { "anthropic", "a call without its result", { messages = { USER, said(call "a"), USER } }, "without `tool_result`" },
  { "anthropic", "one of two results", { messages = { USER, said(call "a", call "b"), told(result "a") } },
    "without `tool_result`" },
  { "anthropic", "text before results", { messages = { USER, said(call "a"), told(text "hm", result "a") } },
    "immediately after" },
  { "anthropic", "a result without its call", { messages = { USER, said(text "hm"), told(result "a") } },
    "unexpected" },
  { "anthropic", "a signature that it did not give",
    { messages = { USER, said({ type = "thinking", thinking = "hm", signature = "mine" }, text "ah"), USER } },
    "Invalid `signature`" },
  { "anthropic", "lost thoughts", { max_tokens = 4096, thinking = { type = "enabled", budget_tokens = 1024 },
    messages = { USER, said(call "a"), told(result "a") } }, "must start with a thinking block" },
  { "anthropic", "sampling while it thinks", { max_tokens = 4096, temperature = 0.5,
    thinking = { type = "enabled", budget_tokens = 1024 } }, "temperature" },
  { "gemini", "unknown fields", { messages = {} }, "Unknown name" },
  { "gemini", "an empty part", { contents = { { parts = { { text = "" } } } } }, "must not be empty" },
  { "gemini", "a call without its signature", { contents = gemini_turns(gemini_call()) }, "missing a thought" },
  { "gemini", "a signature that it did not give", { contents = gemini_turns(gemini_call "mine") }, "not valid" },
  { "gemini", "too few results",
    { contents = gemini_turns(gemini_call "skip_thought_signature_validator", gemini_call()) },
    "number of function response parts" },
  { "gemini", "JSON Schema where it takes its own", declares { type = { "string", "null" } }, "type" },
  { "gemini", "an object without properties", declares { type = "OBJECT", properties = {} }, "non%-empty" },
  { "ollama", "unknown fields", { temperature = 1 }, "unknown field" },
  { "ollama", "arguments as a text", { messages = { { role = "assistant", tool_calls = { { ["function"] = {
    name = "f", arguments = "{}" } } } } } }, "ToolCallFunctionArguments" },
  { "ollama", "images as addresses",
    { messages = { { role = "user", content = "", images = { "data:image/png;base64,aa" } } } },
    "illegal base64" },
}

-- How each protocol tells the text, and an error's message.
local TEXT = {
  openai = function(body) return body.choices[1].message.content end,
  responses = function(body) return body.output[1].content[1].text end,
  anthropic = function(body) return body.content[1].text end,
  gemini = function(body) return body.candidates[1].content.parts[1].text end,
  ollama = function(body) return body.message.content end,
}
local MESSAGE = setmetatable({ ollama = function(body) return body.error end },
  { __index = function() return function(body) return body.error.message end end })

describe("a simulated provider", function()
  local upstream

  setup(function() upstream = provider.open { strict = true } end)
  before_each(function() upstream:forget() end)

  local function ask(protocol, changes)
    local body = {}
    for name, value in pairs(LEAST[protocol]) do body[name] = value end
    for name, value in pairs(changes or {}) do body[name] = value or nil end
    return http.request(upstream.address, { path = PATHS[protocol], headers = HEADERS, json = body })
  end

  for protocol in pairs(PATHS) do
    it("says in the protocol of " .. protocol .. " what the script says", function()
      upstream:next { content = "It is warm." }
      local answer = ask(protocol)
      assert.equal(200, answer.status, answer.body)
      assert.equal("It is warm.", TEXT[protocol](answer:json()))
      assert.equal(protocol, upstream:seen()[1].protocol)
    end)

    it("fails in the dialect of " .. protocol, function()
      upstream:next { kind = "error", status = 429, message = "Slow down." }
      local answer = ask(protocol)
      assert.equal(429, answer.status)
      assert.equal("Slow down.", MESSAGE[protocol](answer:json()))
    end)
  end

  for _, wrong in ipairs(WRONG) do
    local protocol, title, changes, pattern = unpack(wrong)
    it(("refuses in the protocol of %s %s"):format(protocol, title), function()
      local answer = ask(protocol, changes)
      assert.equal(400, answer.status, answer.body)
      local message = MESSAGE[protocol](answer:json())
      assert.truthy(message:find(pattern), message)
      assert.equal(message, upstream:seen()[1].refused)
    end)
  end

  it("answers by what it is asked", function()
    upstream:usually { cases = {
      { when = "nothing" }, { when = "weather", content = "Warm." }, { content = "What?" },
    } }
    assert.equal("Warm.", TEXT.openai(ask("openai"):json()))
    assert.equal("What?", TEXT.openai(ask("openai", { messages = { { role = "user", content = "Hm." } } }):json()))
  end)

  it("ends a text at a stop string, and tells what it was asked", function()
    upstream:next({ content = "one END two" }, { tell = true })
    assert.equal("one ", TEXT.anthropic(ask("anthropic", { stop_sequences = { "END" } }):json()))
    local asked = json.decode(TEXT.gemini(ask("gemini", { generationConfig = { topK = 5 } }):json()))
    assert.same({ 5, "user" }, { asked.top_k, asked.roles })
  end)
end)
