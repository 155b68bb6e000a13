require "spec.support.core"
local json = require "moongate.core.json"
local openai = require "protocols.openai"

local function build(body, more)
  local call = {
    operation = "chat", target = { upstream_id = "up-1" }, key = "k1", stream = false,
    provider = { name = "mine", base_url = "https://host.example/v1" }, document = assert(json.scan(body)),
  }
  for name, value in pairs(more or {}) do call[name] = value end
  return openai.build(call)
end

local function at(name, base_url)
  return { name = name, base_url = base_url or "https://host.example/v1" }
end

local function event(data, name)
  return openai.read_event({ name = name, data = type(data) == "table" and json.encode(data) or data })
end

local function chunk(delta, finish, usage)
  return {
    object = "chat.completion.chunk", usage = usage,
    choices = json.array({ { index = 0, delta = delta, finish_reason = finish or json.null } }),
  }
end

describe("the request that goes upstream", function()
  it("goes to the operation's address", function()
    assert.equal("https://host.example/v1/chat/completions", build('{"model":"m"}').url)
    assert.equal("https://host.example/v1/embeddings", build('{"model":"m"}', { operation = "embeddings" }).url)
    assert.equal("POST", build('{"model":"m"}').method)
  end)

  it("keeps the query of an address that has one", function()
    local request = build('{"model":"m"}', { provider = at("mine", "https://h/deployments/d?api-version=2024-10-21") })
    assert.equal("https://h/deployments/d/chat/completions?api-version=2024-10-21", request.url)
  end)

  it("bears the key as a bearer token", function()
    assert.equal("Bearer k1", build('{"model":"m"}').headers.authorization)
  end)

  it("bears no key where there is none", function()
    assert.is_nil(build('{"model":"m"}', { key = false }).headers.authorization)
    assert.is_nil(build('{"model":"m"}', { key = "" }).headers.authorization)
  end)

  it("bears Azure's key in Azure's header", function()
    local headers = build('{"model":"m"}', { provider = at("azure") }).headers
    assert.equal("k1", headers["api-key"])
    assert.is_nil(headers.authorization)
  end)

  it("bears the operator's own headers", function()
    local headers = build('{"model":"m"}', {
      provider = { name = "mine", base_url = "https://h/v1", headers = { ["X-Title"] = "gate" } },
    }).headers
    assert.equal("gate", headers["x-title"])
    assert.equal("application/json", headers["content-type"])
  end)

  it("is the caller's own text but for the model", function()
    assert.equal('{ "model" : "up-1", "messages":[ {"role":"user","content":"caf\\u00e9"} ],"x":1e2 }',
      build('{ "model" : "any", "messages":[ {"role":"user","content":"caf\\u00e9"} ],"x":1e2 }').body)
  end)

  it("asks for usage in streams", function()
    assert.equal('{"model":"up-1","stream":true,"stream_options":{"include_usage":true}}',
      build('{"model":"m","stream":true}', { stream = true }).body)
  end)

  it("asks for usage beside the caller's own stream options", function()
    local body = build('{"model":"m","stream_options":{"include_obfuscation":false,"include_usage":false}}',
      { stream = true }).body
    assert.same({ include_obfuscation = false, include_usage = true }, json.decode(body).stream_options)
    body = build('{"model":"m","stream_options":{}}', { stream = true }).body
    assert.same({ include_usage = true }, json.decode(body).stream_options)
    body = build('{"model":"m","stream_options":{"x":1}}', { stream = true }).body
    assert.same({ x = 1, include_usage = true }, json.decode(body).stream_options)
    body = build('{"model":"m","stream_options":null}', { stream = true }).body
    assert.same({ include_usage = true }, json.decode(body).stream_options)
  end)

  it("does not ask for usage where nothing streams", function()
    assert.is_nil(json.decode(build('{"model":"m"}').body).stream_options)
    assert.is_nil(json.decode(build('{"model":"m"}', { operation = "embeddings" }).body).stream_options)
  end)
end)

describe("a provider's dialect", function()
  local function body(name, text, more)
    more = more or {}
    more.provider = at(name)
    return json.decode(build(text, more).body)
  end

  it("has OpenAI's reasoning models take the newer name of max_tokens", function()
    local sent = body("openai", '{"model":"m","max_tokens":9}', { target = { upstream_id = "o3-mini" } })
    assert.equal(9, sent.max_completion_tokens)
    assert.is_nil(sent.max_tokens)
  end)

  it("leaves OpenAI's other models alone", function()
    local sent = body("openai", '{"model":"m","max_tokens":9}', { target = { upstream_id = "gpt-4o" } })
    assert.equal(9, sent.max_tokens)
  end)

  it("sends Mistral only what its closed schema knows", function()
    local sent = body("mistral",
      '{"model":"m","messages":[],"max_completion_tokens":7,"seed":3,"user":"u","store":true,'
      .. '"stream":true,"stream_options":{"include_usage":true},"temperature":2,"tool_choice":"auto","logprobs":true}',
      { stream = true })
    assert.same({ model = "up-1", messages = {}, max_tokens = 7, random_seed = 3, stream = true, temperature = 1.5 },
      sent)
  end)

  it("never asks Cohere for usage, which it refuses", function()
    local sent = body("cohere",
      '{"model":"m","stream":true,"stream_options":{"include_usage":true},"tool_choice":"auto"}',
      { stream = true })
    assert.same({ model = "up-1", stream = true }, sent)
  end)

  it("drops what only some models of a provider refuse", function()
    local text = '{"model":"m","temperature":1.5,"top_p":0.5}'
    assert.same({ model = "claude-sonnet-5" }, body("anthropic", text,
      { target = { upstream_id = "claude-sonnet-5" } }))
    assert.same({ model = "claude-haiku-4-5", temperature = 1 },
      body("anthropic", text, { target = { upstream_id = "claude-haiku-4-5" } }))
  end)

  it("lets the name that the provider knows win over the other one", function()
    assert.equal(5, body("mistral", '{"model":"m","max_tokens":5,"max_completion_tokens":7}').max_tokens)
    assert.equal(7, body("mistral", '{"model":"m","max_tokens":null,"max_completion_tokens":7}').max_tokens)
  end)

  it("keeps Mistral's tool_choice where there are tools", function()
    assert.equal("auto", body("mistral", '{"model":"m","tools":[{}],"tool_choice":"auto"}').tool_choice)
  end)

  it("renames roles, and drops names that Mistral refuses", function()
    local sent = body("mistral", '{"model":"m","messages":[{"role":"developer","content":"d"},'
      .. '{"role":"user","name":"ann","content":"u"}]}')
    assert.same({ { role = "system", content = "d" }, { role = "user", content = "u" } }, sent.messages)
  end)

  it("gives Mistral tool call ids of nine letters, the same for call and result", function()
    local sent = body("mistral", '{"model":"m","messages":['
      .. '{"role":"assistant","content":null,"tool_calls":[{"id":"call_one","type":"function",'
      .. '"function":{"name":"f","arguments":"{}"}},{"id":"call_two","type":"function",'
      .. '"function":{"name":"f","arguments":"{}"}}]},'
      .. '{"role":"tool","tool_call_id":"call_one","content":"1"},'
      .. '{"role":"tool","tool_call_id":"call_two","content":"2"}]}')
    local calls = sent.messages[1].tool_calls
    assert.is_not_nil(string.find(calls[1].id, "^%w%w%w%w%w%w%w%w%w$"))
    assert.equal(calls[1].id, sent.messages[2].tool_call_id)
    assert.equal(calls[2].id, sent.messages[3].tool_call_id)
    assert.are_not.equal(calls[1].id, calls[2].id)
    assert.equal(json.null, sent.messages[1].content)
  end)

  it("keeps messages byte for byte where nothing in them is refused", function()
    local text = '{"model":"m","messages":[ {"role":"assistant","tool_calls":[{"id":"abcDEF123"}]} ]}'
    assert.is_not_nil(string.find(build(text, { provider = at("mistral") }).body,
      '[ {"role":"assistant","tool_calls":[{"id":"abcDEF123"}]} ]', 1, true))
  end)

  it("is that of the provider that this one is like", function()
    local provider = { name = "mine", like = "mistral", base_url = "https://h/v1" }
    assert.equal(3, json.decode(build('{"model":"m","seed":3}', { provider = provider }).body).random_seed)
  end)

  it("changes embeddings only where embeddings differ", function()
    local sent = body("mistral", '{"model":"m","input":"x","user":"u","dimensions":64}', { operation = "embeddings" })
    assert.same({ model = "up-1", input = "x", output_dimension = 64 }, sent)
  end)
end)

-- As it is read closely and as one that goes on as it came: but for the body there is no difference.
local function read_both(status, text)
  local closely, direct = openai.read_reply(status, {}, text), openai.read_reply(status, {}, text, true)
  for _, name in ipairs { "usage", "error", "text_length", "finish" } do
    assert.same(closely[name], direct[name], name .. " of " .. text)
  end
  return closely, direct
end

describe("a whole reply", function()
  local function read(document, status)
    return (read_both(status or 200, type(document) == "string" and document or json.encode(document)))
  end
  local function answer(message, finish)
    return { choices = json.array({ { index = 0, finish_reason = finish or "stop", message = message } }),
      usage = { prompt_tokens = 4, completion_tokens = 2, total_tokens = 6 } }
  end

  it("tells its usage, its text and its end", function()
    local reply = read(answer({ role = "assistant", content = "hello" }))
    assert.equal(6, reply.usage.total)
    assert.equal(5, reply.text_length)
    assert.equal("stop", reply.finish)
    assert.is_nil(reply.error)
  end)

  it("counts reasoning, refusals and tool calls as text", function()
    assert.equal(9, read(answer({ content = "ab", reasoning_content = "1234567" })).text_length)
    assert.equal(2, read(answer({ content = json.null, refusal = "no" })).text_length)
    assert.equal(5, read(answer({ content = json.null,
      tool_calls = json.array({ { id = "x", ["function"] = { name = "add", arguments = "{}" } } }) })).text_length)
  end)

  it("takes embeddings as they are", function()
    local reply = read({ data = json.array({ { embedding = json.array({ 0.5 }) } }), usage = { prompt_tokens = 3,
      total_tokens = 3 } })
    assert.is_nil(reply.error)
    assert.equal(3, reply.usage.input)
  end)

  -- title, status, document, message, type, code
  for _, case in ipairs({
    { "OpenAI's envelope", 429, { error = { message = "slow", type = "requests", code = "rate_limit_exceeded" } },
      "slow", "requests", "rate_limit_exceeded" },
    { "a string", 400, { error = "broken" }, "broken" },
    { "no envelope", 429, { message = "slow", type = "too_many", code = "token_quota" }, "slow", "too_many",
      "token_quota" },
    { "a list of faults", 422, { detail = { { msg = "Extra inputs are not permitted", type = "extra_forbidden" } } },
      "Extra inputs are not permitted" },
    { "a title", 403, { status = 403, title = "Forbidden" }, "Forbidden" },
    { "Cloudflare's envelope", 429, { success = false, errors = { { code = 3036, message = "used up" } } }, "used up",
      nil, "3036" },
    { "an array", 429, { { error = { code = 429, status = "RESOURCE_EXHAUSTED", message = "quota" } } }, "quota",
      "RESOURCE_EXHAUSTED", "429" },
    { "an error inside a 200", 200, { choices = json.array({}), error = { code = 502, message = "upstream" } },
      "upstream", nil, "502" },
    { "MiniMax' code inside a 200", 200, { base_resp = { status_code = 1002, status_msg = "rpm" } }, "rpm", "base_resp",
      "1002" },
    { "Anthropic's envelope inside a 200", 200, { type = "error", error = { type = "overloaded_error",
      message = "busy" } },
      "busy", "overloaded_error" },
  }) do
    it("tells an error in " .. case[1], function()
      local told = read(case[3], case[2]).error
      assert.equal(case[4], told.message)
      assert.equal(case[5], told.type)
      assert.equal(case[6], told.code)
    end)
  end

  it("is an error if it is not JSON", function()
    assert.equal("malformed", read("<html>hi</html>").error.type)
    assert.equal("Bad gateway", read("<html><h1>Bad gateway</h1></html>", 502).error.message)
    assert.is_not_nil(read("", 503).error.message)
  end)

  it("is an error if it holds no answer", function()
    assert.equal("malformed", read({ choices = json.array({}) }).error.type)
    assert.equal("malformed", read("{}").error.type)
    assert.equal("malformed", read("5").error.type)
  end)

  it("is an error if it ended with one", function()
    assert.equal("overloaded_error", read(answer({ content = "" }, "insufficient_system_resource")).error.type)
    assert.equal("server_error", read(answer({ content = "" }, "error")).error.type)
  end)

  it("does not take null for an error", function()
    local document = answer({ content = "x" })
    document.error = json.null
    document.base_resp = { status_code = 0, status_msg = "" }
    assert.is_nil(read(document).error)
  end)

  it("hands the decoded body on for its limits", function()
    assert.equal("slow", read({ error = { message = "slow" } }, 429).body.error.message)
  end)
end)

describe("a stream event", function()
  -- kind, data, text_length, finish
  for title, case in pairs({
    ["is the end"] = { "end", "[DONE]" },
    ["is the end with blanks"] = { "end", " [DONE] " },
    ["is lifecycle when empty"] = { "lifecycle", "" },
    ["is lifecycle with a role alone"] = { "lifecycle", chunk({ role = "assistant" }) },
    ["is lifecycle with a role and empty content"] = { "lifecycle", chunk({ role = "assistant", content = "" }) },
    ["is lifecycle with null content"] = { "lifecycle", chunk({ role = "assistant", content = json.null }) },
    ["is lifecycle with an empty list of calls"] = { "lifecycle", chunk({ tool_calls = json.array({}) }) },
    ["is lifecycle with empty reasoning"] = { "lifecycle", chunk({ reasoning_content = "", content = json.null }) },
    ["is lifecycle as Azure's filter results"] =
      { "lifecycle", { choices = json.array({}), prompt_filter_results = json.array({ {} }) } },
    ["is content with text"] = { "content", chunk({ content = "h\195\164" }), 3 },
    ["is content with reasoning"] = { "content", chunk({ reasoning = "hm" }), 2 },
    ["is content with DeepSeek's reasoning"] = { "content", chunk({ reasoning_content = "hm" }), 2 },
    ["is content with details of reasoning"] =
      { "content", chunk({ reasoning_details = json.array({ { type = "x", text = "abc" } }) }), 3 },
    ["is content with Mistral's thinking parts"] = { "content", chunk({ content = json.array({
      { type = "thinking", thinking = json.array({ { type = "text", text = "four" } }) } }) }), 4 },
    ["is content with a tool call"] = { "content", chunk({ tool_calls = json.array({
      { index = 0, id = "a", ["function"] = { name = "add", arguments = "" } } }) }), 3 },
    ["is content with a piece of arguments"] = { "content", chunk({ tool_calls = json.array({
      { index = 0, ["function"] = { arguments = '{"x"' } } }) }), 4 },
    ["is content with arguments that are an object"] = { "content", chunk({ tool_calls = json.array({
      { ["function"] = { name = "f", arguments = { x = 1 } } } }) }), 8 },
    ["is content with a refusal"] = { "content", chunk({ refusal = "no" }), 2 },
    ["is content with an old function call"] = { "content", chunk({ function_call = { name = "f",
      arguments = "{" } }), 2 },
    ["is content with audio"] = { "content", chunk({ audio = { data = "AAAA" } }), 0 },
    ["is a finish"] = { "finish", chunk({}, "stop"), 0, "stop" },
    ["is a finish that brings content"] = { "finish", chunk({ content = "bye" }, "length"), 3, "length" },
    ["is lifecycle with an empty finish"] = { "lifecycle", chunk({}, "") },
    ["is other with no choices"] = { "other", { id = "x" } },
    ["is other when it is a word"] = { "other", "ping" },
    ["is usage without choices"] = { "usage", { choices = json.array({}), usage = { total_tokens = 3 } } },
  }) do
    it(title, function()
      local read = event(case[2])
      assert.equal(case[1], read.kind)
      if case[3] then assert.equal(case[3], read.text_length) end
      assert.equal(case[4], read.finish)
      assert.is_nil(read.error)
    end)
  end

  it("may be a finish and bring usage", function()
    local read = event(chunk({ content = "" }, "stop", { prompt_tokens = 3, completion_tokens = 2, total_tokens = 5 }))
    assert.equal("finish", read.kind)
    assert.equal(5, read.usage.total)
  end)

  it("may be content and bring usage so far", function()
    local read = event(chunk({ content = "a" }, nil, { prompt_tokens = 3, completion_tokens = 1 }))
    assert.equal("content", read.kind)
    assert.equal(4, read.usage.total)
  end)

  it("brings no usage when that is null", function()
    assert.is_nil(event(chunk({ content = "a" }, nil, json.null)).usage)
  end)

  it("brings Groq's usage", function()
    local document = chunk({}, "stop")
    document.x_groq = { id = "r", usage = { prompt_tokens = 3, completion_tokens = 4 } }
    assert.equal(7, event(document).usage.total)
  end)

  for title, case in pairs({
    ["in OpenAI's envelope"] = { { error = { message = "late", type = "server_error" } }, "late" },
    ["beside choices"] =
      { { choices = json.array({ { delta = {}, finish_reason = "error" } }), error = { code = 502,
        message = "late" } }, "late" },
    ["as a string"] = { { error = "late" }, "late" },
    ["without an envelope"] = { { object = "error", message = "late" }, "late" },
    ["as Groq's"] = { { x_groq = { error = "late" } }, "late" },
    ["as MiniMax' code"] = { { choices = json.null, base_resp = { status_code = 1002, status_msg = "late" } }, "late" },
    ["as a finish"] = { chunk({}, "insufficient_system_resource"), "the provider ran out of capacity" },
    ["as half an object"] = { '{"choices":[{"del', "an event of the stream is not JSON" },
    ["in an array"] = { { { error = { message = "late" } } }, "late" },
  }) do
    it("is an error " .. title, function()
      local read = event(case[1])
      assert.equal("error", read.kind)
      assert.equal(case[2], read.error.message)
      assert.is_not_nil(read.body)
    end)
  end

  it("is an error if its name says so", function()
    assert.equal("late", event({ message = "late" }, "error").error.message)
    assert.equal("late", event("late", "error").error.message)
  end)

  it("never throws on anything that is JSON", function()
    local pieces = { "null", "5", '"x"', "[]", "{}", "true", '[{"x":1}]', '{"text":5}', '["a",null]' }
    local names = { "choices", "usage", "error", "x_groq", "base_resp", "delta", "message", "tool_calls", "content" }
    for _, name in ipairs(names) do
      for _, piece in ipairs(pieces) do
        openai.read_event({ data = '{"' .. name .. '":' .. piece .. "}" })
        openai.read_event({ data = '{"choices":[{"delta":{"' .. name .. '":' .. piece .. "}}]}" })
        openai.read_event({ data = '{"choices":[' .. piece .. "]}" })
        read_both(200, '{"' .. name .. '":' .. piece .. "}")
        read_both(500, '{"error":{"' .. name .. '":' .. piece .. ',"message":' .. piece .. "}}")
      end
    end
  end)
end)

describe("a whole reply that goes on as it came", function()
  local MESSAGE, USAGE = '{"role":"assistant","content":"h\\u00e9"}', '{"prompt_tokens":4,"completion_tokens":2}'

  local function reply(message, usage, more)
    return string.format('{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":%s}],'
      .. '"usage":%s%s}', message or MESSAGE, usage or USAGE, more or "")
  end

  local USUAL = {
    reply(), reply '{"content":null,"refusal":"no"}', reply '{"content":"","reasoning":"hm"}',
    reply '{"content":"a","reasoning_content":"hm","refusal":null}', reply '{}',
    reply('{"content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}'),
    reply(nil, '{"prompt_tokens":9,"completion_tokens":4,"total_tokens":20,"prompt_tokens_details":{"cached_tokens":5,'
      .. '"cache_write_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}'),
    reply(nil, '{"prompt_tokens":9,"prompt_tokens_details":null}', ',"x_groq":{"id":"r"},"error":null'),
  }
  local ODD = {
    reply '{"content":[{"type":"text","text":"ab"}]}', reply '{"reasoning":"a","reasoning_content":"ab"}',
    reply '{"content":"a","reasoning_details":[{"text":"abc"}]}', reply '{"function_call":{"name":"f"}}',
    reply '{"content":"a","audio":{"transcript":"abc"}}', reply '{"tool_calls":[{"custom":{"name":"f","input":"x"}}]}',
    reply '{"tool_calls":[{"name":"f"}]}', reply '{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}',
    reply(nil, '{"prompt_tokens":9,"cost":0.1}'), reply(nil, '{"prompt_tokens":9,"num_cached_tokens":3}'),
    reply(nil, '{"prompt_tokens":9.5}'), reply(nil, '{"prompt_tokens":-1}'), reply(nil, '{"prompt_tokens":"9"}'),
    reply(nil, '{"prompt_tokens":null,"input_tokens":3}'), reply(nil, '{"prompt_tokens":1,"output_tokens":3}'),
    reply(nil, '{"input_tokens":3}'), reply(nil, "null"), reply(nil, "{}"), reply(nil, "7"),
    reply(nil, nil, ',"error":{"message":"m"}'), reply(nil, nil, ',"error":"m"'), reply(nil, nil, ',"cost":0.1'),
    reply(nil, nil, ',"base_resp":{"status_code":5}'), reply(nil, nil, ',"x_groq":{"error":"m"}'),
    reply(nil, nil, ',"type":"error"'), reply(nil, nil, ',"data":[]'), (reply():gsub("chat.completion", "error")),
    (reply():gsub('"stop"', '"error"')), (reply():gsub('"stop"', '""')), (reply():gsub('"stop"', "5")),
    (reply():gsub('"message"', '"delta"')), (reply():gsub('"index":0', '"text":"abc"')), "[" .. reply() .. "]",
    (reply():gsub('"choices":%[', '%0{"message":{"content":"more"}},')),
    (reply():gsub('"choices":%b[]', '"choices":[]')),
    reply():sub(1, -2), "", "null",
  }

  it("is not built where it looks as usual", function()
    for _, text in ipairs(USUAL) do
      local _, direct = read_both(200, text)
      assert.is_nil(direct.body, text)
      assert.is_nil(direct.error, text)
    end
  end)

  it("is looked at closely where it does not", function()
    for _, text in ipairs(ODD) do
      local _, direct = read_both(200, text)
      assert.is_not_nil(direct.body, text)
    end
  end)
end)

describe("a stream event that goes on as it came", function()
  local USAGE = '{"prompt_tokens":4,"completion_tokens":2}'

  local function choice(delta, more) return string.format('[{"index":0,"delta":%s%s}]', delta, more or "") end

  local function text_of(choices, more)
    return string.format('{"object":"chat.completion.chunk","choices":%s%s}', choices, more or "")
  end

  local TEXT = choice '{"content":"h\\u00e9"}'

  local USUAL = {
    text_of(TEXT), text_of(choice '{"role":"assistant","content":"","refusal":null}', ',"usage":null'),
    text_of(choice '{}'), text_of(choice('{}', ',"finish_reason":"stop"')), text_of "[]",
    text_of(choice('{"content":"a"}', ',"finish_reason":"length","logprobs":{"content":[{"token":"a"}]}')),
    text_of("[]", ',"usage":' .. USAGE), text_of(TEXT, ',"usage":' .. USAGE),
    text_of(choice "{}", ',"usage":' .. USAGE),
    text_of(choice('{}', ',"finish_reason":"stop"'), ',"usage":' .. USAGE), text_of(choice '{"reasoning":"hm"}'),
    text_of(choice '{"content":null,"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}'),
    text_of(choice '{"tool_calls":[]}'), text_of(TEXT, ',"x_groq":{"id":"r"},"error":null'),
    text_of("[]", ',"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":20,"prompt_tokens_details":'
      .. '{"cached_tokens":5,"cache_write_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}'),
    text_of("[]", ',"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}'),
  }
  local ODD = {
    text_of(choice '{"content":[{"type":"text","text":"ab"}]}'), text_of(choice('{}', ',"finish_reason":""')),
    text_of(choice '{"tool_calls":[{"function":{"name":"","arguments":""}}]}'),
    text_of(choice '{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}'),
    text_of(choice('{}', ',"finish_reason":"error"')), text_of '[{"delta":{"content":"a"}}]',
    text_of('[{"index":0,"delta":{}},{"index":1,"delta":{}}]'), text_of '[{"index":0}]', text_of "null",
    text_of(choice('{}', ',"message":{"content":"a"}')), text_of(choice('{}', ',"text":"abc"')),
    text_of(TEXT, ',"error":{"message":"m"}'), text_of(TEXT, ',"type":"error"'), text_of(TEXT, ',"cost":0.1'),
    text_of("[]", ',"usage":{"input_tokens":4}'), text_of("[]", ',"usage":{"prompt_tokens":9,"cost":0.1}'),
    text_of("[]", ',"x_groq":{"usage":' .. USAGE .. "}"), text_of(TEXT):gsub("chat.completion.chunk", "error"), "[]",
    "[" .. text_of(TEXT) .. "]", text_of(TEXT):sub(1, -2), "", "null", "ping", '{"error":"m"}',
  }
  local BEFORE = { input = 3, cached = 1, cache_write = 0, output = 5, reasoning = 0, total = 9, cost_usd = 0.5 }

  -- But for the document there is no difference. Answers whether that was made.
  local function has_document(data, name, before)
    local own = { name = name, data = data }
    assert.same(openai.read_event({ name = name, data = data }, before), openai.read_event(own, before, true), data)
    return own.document ~= nil
  end

  it("is not built where it looks as usual", function()
    for _, data in ipairs(USUAL) do
      assert.is_false(has_document(data, ""), data)
      assert.is_false(has_document(data, "", BEFORE), data)
    end
  end)

  it("reads the same where it does not", function()
    for _, data in ipairs(ODD) do
      has_document(data, "")
      has_document(data, "", BEFORE)
    end
    for _, data in ipairs(USUAL) do assert.is_true(has_document(data, "error"), data) end
  end)

  it("reads the same whatever stands in its place", function()
    local pieces = { "null", "5", '"x"', '""', "[]", "{}", "true", '[{"x":1}]', '{"text":5}', USAGE, '"stop"' }
    local usual = 0
    for _, data in ipairs(USUAL) do
      for place, value in data:gmatch '":()("?[%w_]+"?)' do
        for _, piece in ipairs(pieces) do
          local changed = data:sub(1, place - 1) .. piece .. data:sub(place + #value)
          if not has_document(changed, "") then usual = usual + 1 end
        end
      end
    end
    assert.is_true(usual > 100, usual)
  end)
end)

describe("the marks for the relay", function()
  it("stand in the events they are for", function()
    local scan = openai.scan
    local finish = json.encode(chunk({ content = "a" }, "stop", { total_tokens = 1 }))
    assert.is_not_nil(string.find(finish, scan.usage_mark, 1, true))
    assert.is_not_nil(string.find(finish, scan.finish_mark, 1, true))
    assert.is_not_nil(string.find('{"error":{"message":"late"}}', scan.error_mark, 1, true))
    assert.equal("end", event(scan.terminal).kind)
  end)
end)
