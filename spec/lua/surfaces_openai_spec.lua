require "spec.support.core"
local json = require "moongate.core.json"
local surface = require "moongate.surfaces.openai"

local function parse(body, headers, operation)
  return surface.parse(assert(json.scan(body)), headers or {}, operation or "chat")
end

local function chat(members, headers)
  return parse('{"model":"m","messages":[{"role":"user","content":"hello"}]' .. (members or "") .. "}", headers)
end

local function messages(list)
  return parse('{"model":"m","messages":' .. list .. "}")
end

describe("a chat request", function()
  it("shows what policies ask for", function()
    local request = assert(chat(',"stream":true,"max_tokens":50'))
    assert.equal("m", request.model)
    assert.equal("chat", request.surface)
    assert.is_true(request.stream)
    assert.equal(50, request.max_tokens)
    assert.equal(5, request.text_length)
    assert.equal(6, request.estimated_tokens)
    assert.is_false(request.tools)
    assert.is_false(request.images)
    assert.is_false(request.json_schema)
    assert.is_false(request.privacy)
    assert.is_false(request.include_usage)
  end)

  it("takes the newer name of max_tokens first", function()
    assert.equal(9, assert(chat(',"max_tokens":50,"max_completion_tokens":9')).max_tokens)
  end)

  it("builds its messages when somebody reads them, once", function()
    local request = assert(chat())
    assert.is_nil(rawget(request, "messages"))
    assert.same({ role = "user", content = "hello" }, request.messages[1])
    assert.equal(request.messages, request.messages)
    assert.is_nil(request.nothing)
  end)

  it("knows tools, structured output and usage that is asked for", function()
    local request = assert(chat(',"tools":[{"type":"function","function":{"name":"add"}}],"stream":true,'
      .. '"stream_options":{"include_usage":true},"response_format":{"type":"json_schema","json_schema":{"name":"n"}}'))
    assert.is_true(request.tools)
    assert.is_true(request.json_schema)
    assert.is_true(request.include_usage)
  end)

  it("does not take JSON mode for a schema, nor an empty list for tools", function()
    local request = assert(chat(',"tools":[],"response_format":{"type":"json_object"}'))
    assert.is_false(request.tools)
    assert.is_false(request.json_schema)
  end)

  it("weighs images flat, not by their bytes", function()
    local url = "data:image/png;base64," .. string.rep("A", 40000)
    local body = '[{"role":"user","content":[{"type":"text","text":"12345678"},'
      .. '{"type":"image_url","image_url":{"url":"' .. url .. '","detail":"%s"}}]}]'
    local low, high = assert(messages(string.format(body, "low"))), assert(messages(string.format(body, "high")))
    assert.is_true(low.images)
    assert.is_true(low.estimated_tokens < 110)
    assert.equal(765 - 85, high.estimated_tokens - low.estimated_tokens)
    assert.equal(8, low.text_length)
  end)

  it("weighs tools with the text", function()
    local plain = assert(chat())
    local tooled = assert(chat(',"tools":[{"type":"function","function":{"name":"add","description":"'
      .. string.rep("d", 400) .. '"}}]'))
    assert.is_true(tooled.estimated_tokens - plain.estimated_tokens >= 100)
    assert.equal(plain.text_length, tooled.text_length)
  end)

  it("takes null for absent", function()
    local request = assert(chat(',"temperature":null,"stream":null,"tools":null,"stop":null,"stream_options":null'))
    assert.is_false(request.stream)
  end)
end)

describe("the caller's headers", function()
  it("tell privacy, priority, cost, task and policy", function()
    local request = assert(chat("", {
      ["x-moongate-privacy"] = "true", ["x-moongate-priority"] = "best", ["x-moongate-max-cost"] = "0.05",
      ["x-moongate-task"] = "coding", ["x-moongate-policy"] = "free-tier",
    }))
    assert.is_true(request.privacy)
    assert.equal("best", request.priority)
    assert.equal(0.05, request.max_cost)
    assert.equal("coding", request.task)
    assert.equal("free-tier", request.policy)
  end)

  it("are shown to policies without credentials", function()
    local request = assert(chat("", {
      authorization = "Bearer x", ["x-api-key"] = "x", ["x-goog-api-key"] = "x", cookie = "x", ["api-key"] = "x",
      ["user-agent"] = "spec",
    }))
    assert.same({ ["user-agent"] = "spec" }, request.headers)
  end)

  for name, value in pairs({
    ["x-moongate-privacy"] = "maybe", ["x-moongate-priority"] = "fast", ["x-moongate-max-cost"] = "-1",
  }) do
    it("are refused when " .. name .. " makes no sense", function()
      local request, fault = chat("", { [name] = value })
      assert.is_nil(request)
      assert.equal(400, fault.status)
      assert.equal(name, fault.param)
    end)
  end
end)

-- body; where; what the sentence holds
local REFUSED = {
  { "[]", nil, "expected a JSON object; got an empty array" },
  { '"hello"', nil, 'got "hello"' },
  { '{"model":5,"messages":[]}', "model", "got 5" },
  { '{"model":"","messages":[]}', "model", 'got ""' },
  { '{"model":"m"}', "messages", "expected an array; it is missing" },
  { '{"model":"m","messages":{}}', "messages", "got an object" },
  { '{"model":"m","messages":[]}', "messages", "expected at least one message" },
  { '{"model":"m","messages":["hi"]}', "messages[0]", 'expected an object; got "hi"' },
  { '{"model":"m","messages":[{"role":"user","content":"x"},{"content":"x"}]}', "messages[1].role", "it is missing" },
  { '{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"robot"}]}',
    "messages[2].role", 'expected one of system, developer, user, assistant, tool, function; got "robot"' },
  { '{"model":"m","messages":[{"role":"user"}]}', "messages[0].content", "it is missing" },
  { '{"model":"m","messages":[{"role":"user","content":null}]}', "messages[0].content", "got null" },
  { '{"model":"m","messages":[{"role":"user","content":7}]}', "messages[0].content", "got 7" },
  { '{"model":"m","messages":[{"role":"user","content":[]}]}', "messages[0].content", "got an empty array" },
  { '{"model":"m","messages":[{"role":"user","content":["x"]}]}', "messages[0].content[0]", "expected an object" },
  { '{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}', "messages[0].content[0].type", "missing" },
  { '{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}', "messages[0].content[0].text",
    "missing" },
  { '{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":"http://x"}]}]}',
    "messages[0].content[0].image_url", "expected an object" },
  { '{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":""}}]}]}',
    "messages[0].content[0].image_url.url", "expected an address" },
  { '{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"x"}}]}]}',
    "messages[0].content[0].input_audio.format", "missing" },
  { '{"model":"m","messages":[{"role":"assistant"}]}', "messages[0].content", "it is missing" },
  { '{"model":"m","messages":[{"role":"tool","content":"x"}]}', "messages[0].tool_call_id", "it is missing" },
  { '{"model":"m","messages":[{"role":"function","content":"x"}]}', "messages[0].name", "it is missing" },
  { '{"model":"m","messages":[{"role":"assistant","tool_calls":{}}]}', "messages[0].tool_calls", "expected an array" },
  { '{"model":"m","messages":[{"role":"assistant","tool_calls":[{"type":"function"}]}]}',
    "messages[0].tool_calls[0].id", "missing" },
  { '{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":'
    .. '{"name":"f","arguments":{}}}]}]}', "messages[0].tool_calls[0].function.arguments", "expected a string" },
  { '{"model":"m","messages":[{"role":"user","content":"x"},{"role":"tool","tool_call_id":"a","content":"x"}]}',
    "messages[1].tool_call_id", 'expected the id of a call in a message before it; got "a"' },
  { '{"model":"m","messages":[{"role":"tool","tool_call_id":"a","content":"x"},{"role":"assistant","tool_calls":'
    .. '[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}]}',
    "messages[0].tool_call_id", "before it" },
  { '{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":'
    .. '{"url":"data:application/pdf;base64,AAAA"}}]}]}', "messages[0].content[0].image_url.url", "of an image" },
  { '{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],'
    .. '"tool_choice":{"type":"function","function":{"name":"g"}}}', "tool_choice.function.name", 'got "g"' },
  { '{"model":"m","messages":[{"role":"user","content":"x"}],"tool_choice":"required"}', "tool_choice",
    "there are none" },
  { '{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f",'
    .. '"description":[]}}]}', "tools[0].function.description", "expected a string" },
  { '{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":'
    .. '{"name":"n","schema":"{}"}}}', "response_format.json_schema.schema", "expected an object" },
}
local OPTIONS = {
  { "temperature", "3", "expected a number from 0 to 2; got 3" }, { "temperature", '"warm"', 'got "warm"' },
  { "top_p", "1.5", "from 0 to 1" }, { "presence_penalty", "-3", "from -2 to 2" },
  { "frequency_penalty", "2.5", "from -2 to 2" }, { "n", "0", "an integer from 1 to 128" }, { "n", "1.5", "got 1.5" },
  { "max_tokens", "0", "a positive integer" }, { "max_tokens", "-1", "a positive integer" },
  { "max_completion_tokens", "2.5", "a positive integer" }, { "top_logprobs", "21", "from 0 to 20" },
  { "seed", "1.5", "expected an integer" }, { "seed", "true", "expected a number" },
  { "user", "7", "expected a string" },
  { "stream", '"yes"', "expected a boolean" }, { "stream", "1", "got 1" },
  { "stream_options", "[]", "expected an object" }, { "tool_choice", "7", "a string or an object" },
  { "tools", "{}", "expected an array" }, { "response_format", '"json"', "expected an object" }, { "stop", "7",
    "list of strings" },
}

describe("a chat body", function()
  for _, case in ipairs(REFUSED) do
    it("is refused: " .. (case[2] or "the body") .. " in " .. string.sub(case[1], 1, 60), function()
      local request, fault = parse(case[1])
      assert.is_nil(request)
      assert.equal(400, fault.status)
      assert.equal(case[2], fault.param)
      assert.is_not_nil(string.find(fault.message, case[3], 1, true), fault.message)
      assert.equal(1, string.find(fault.message, (case[2] or "the body") .. ": ", 1, true))
    end)
  end

  it("may leave the model to the policy", function()
    local body = '{"messages":[{"role":"user","content":"hi"}]}'
    assert.is_nil(assert(parse(body)).model)
    assert.is_nil(assert(parse('{"model":null,' .. string.sub(body, 2))).model)
  end)

  for _, case in ipairs(OPTIONS) do
    it("is refused with " .. case[1] .. " " .. case[2], function()
      local request, fault = chat(',"' .. case[1] .. '":' .. case[2])
      assert.is_nil(request)
      assert.equal(case[1], fault.param)
      assert.is_not_nil(string.find(fault.message, case[3], 1, true), fault.message)
    end)
  end

  it("is refused with a tool without a name, saying where", function()
    local _, fault = chat(',"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{}}]')
    assert.equal("tools[1].function.name", fault.param)
  end)

  it("is refused with a schema without a name", function()
    local _, fault = chat(',"response_format":{"type":"json_schema","json_schema":{}}')
    assert.equal("response_format.json_schema.name", fault.param)
  end)

  it("is refused with a list of stops that holds a number", function()
    local _, fault = chat(',"stop":["a",5]')
    assert.equal("stop[1]", fault.param)
  end)

  it("shows only the beginning of a long value, and no broken character", function()
    local _, fault = messages('[{"role":"' .. string.rep("\195\164", 500) .. '","content":"x"}]')
    assert.is_true(#fault.message < 160)
    assert.is_not_nil(json.decode(surface.error(400, fault.message)))
  end)

  for title, body in pairs({
    ["an assistant's turn of tool calls alone"] =
      '[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}]',
    ["an assistant's turn with null content"] = '[{"role":"assistant","content":null}]',
    ["an assistant's refusal"] = '[{"role":"assistant","refusal":"no"}]',
    ["a developer's message"] = '[{"role":"developer","content":"be brief"}]',
    ["a tool's result in parts"] =
      '[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},'
      .. '{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"1"}]}]',
    ["a part of a type that nobody knows"] = '[{"role":"user","content":[{"type":"hologram","beam":1}]}]',
    ["a custom tool call"] = '[{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"c"}}]}]',
    ["empty text"] = '[{"role":"user","content":""}]',
  }) do
    it("may hold " .. title, function() assert(messages(body)) end)
  end

  it("may hold fields that nobody knows", function()
    assert(chat(',"provider":{"order":["a"]},"reasoning":{"effort":"low"},"tools":[{"type":"web_search"}]'))
  end)
end)

describe("a chat request that goes to a provider of another format", function()
  it("becomes the neutral chat, and streams as it was asked", function()
    local document = assert(json.scan '{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}')
    local request = assert(surface.parse(document, {}, "chat"))
    local neutral = assert(surface.chat(document, request))
    assert.is_true(neutral.stream)
    assert.same({ { role = "user", blocks = { { kind = "text", text = "hi" } } } }, neutral.turns)
  end)
end)

describe("an embeddings request", function()
  local function embed(members)
    return parse('{"model":"e"' .. members .. "}", {}, "embeddings")
  end

  it("is weighed by its text", function()
    local request = assert(embed(',"input":["12345678","1234"]'))
    assert.equal("embeddings", request.surface)
    assert.equal(12, request.text_length)
    assert.equal(3, request.estimated_tokens)
    assert.is_false(request.stream)
  end)

  it("is weighed by its tokens", function()
    assert.equal(3, assert(embed(',"input":[1,2,3]')).estimated_tokens)
    assert.equal(5, assert(embed(',"input":[[1,2,3],[4,5]]')).estimated_tokens)
  end)

  for members, param in pairs({
    [""] = "input", [',"input":""'] = "input", [',"input":[]'] = "input", [',"input":{}'] = "input",
    [',"input":[null]'] = "input[0]", [',"input":["a",1]'] = "input[1]", [',"input":[["a"]]'] = "input[0][0]",
    [',"input":"a","dimensions":0'] = "dimensions", [',"input":"a","encoding_format":"hex"'] = "encoding_format",
  }) do
    it("is refused with " .. (members == "" and "nothing" or members), function()
      local request, fault = embed(members)
      assert.is_nil(request)
      assert.equal(param, fault.param)
    end)
  end
end)

describe("an error", function()
  for status, expected in pairs({
    [400] = { "invalid_request_error" }, [401] = { "authentication_error", "invalid_api_key" },
    [403] = { "permission_error" }, [404] = { "not_found_error", "model_not_found" },
      [413] = { "invalid_request_error" },
    [429] = { "rate_limit_error", "rate_limit_exceeded" }, [502] = { "server_error" }, [503] = { "api_error" },
  }) do
    it("of status " .. status .. " has the type clients know", function()
      local told = json.decode(surface.error(status, "why")).error
      assert.equal("why", told.message)
      assert.equal(expected[1], told.type)
      assert.equal(expected[2] or json.null, told.code)
      assert.equal(json.null, told.param)
    end)
  end

  it("takes type, code and place as told", function()
    assert.same({ message = "w", type = "t", code = "c", param = "p" },
      json.decode(surface.error(400, "w", "t", "c", "p")).error)
  end)

  it("ends a stream as an event", function()
    local event = surface.error_event(502, "broken off")
    local data = string.match(event, "^data: (.-)\n\n$")
    assert.equal("broken off", json.decode(data).error.message)
  end)
end)

describe("the list of models", function()
  it("has OpenAI's shape and shows more", function()
    local list = json.decode(surface.models({ { id = "a", provider = "groq", context_length = 8 }, { id = "b" } }))
    assert.equal("list", list.object)
    assert.same({ id = "a", object = "model", created = 0, owned_by = "groq", provider = "groq", context_length = 8 },
      list.data[1])
    assert.equal("moongate", list.data[2].owned_by)
  end)

  it("is a list even when empty", function()
    assert.is_not_nil(string.find(surface.models({}), '"data":[]', 1, true))
  end)

  it("has entries that can be told one by one", function()
    local list = json.decode(surface.models({ { id = "a", provider = "groq" } }))
    assert.same(list.data[1], (json.decode(surface.model({ id = "a", provider = "groq" }))))
  end)
end)

describe("what a usual body looks like", function()
  local check = require "moongate.surfaces.openai_check"
  local outline = require "moongate.surfaces.openai_outline"

  local USUAL = {
    '{"messages":[{"role":"user","content":"hi"}]}',
    '{"model":"m","stream":true,"temperature":0.7,"max_tokens":9,"stop":["a"],"messages":[{"role":"system","content":'
      .. '"s"},{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":"b"}]}',
    '{"model":null,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"auto",'
      .. '"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":'
      .. '"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"x"}]}',
    '{"messages":[{"role":"assistant","tool_calls":[]},{"role":"user","content":"a"}],"response_format":{"type":'
      .. '"json_schema","json_schema":{"name":"n","schema":{}}},"stream_options":{"include_usage":true},"seed":5}',
  }

  it("is that of most callers", function()
    for _, text in ipairs(USUAL) do assert.is_true(json.scan(text):fits(0, outline.body), text) end
  end)

  it("has nothing wrong with it, whatever is changed in it", function()
    local PIECES = {
      "null", "1", "-1", "0.5", '""', '"a"', "[]", "{}", "true", '"tool"', '"user"', '"c1"', '"required"',
    }
    local seed = 7
    local function random(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
    local fit = 0
    for _ = 1, 4000 do
      local text = USUAL[random(#USUAL)]
      -- One value of it becomes another: what stands behind a colon, to the next comma or bracket.
      local places = {}
      for at in text:gmatch '():[^{%[]' do places[#places + 1] = at end
      local at = places[random(#places)]
      local rest = text:sub(at + 1):gsub('^"[^"]*"', PIECES[random(#PIECES)]):gsub("^[%a%d.]+", PIECES[random(#PIECES)])
      local changed = text:sub(1, at) .. rest
      local document = assert(json.scan(changed))
      if document:fits(0, outline.body) then
        fit = fit + 1
        assert.is_nil(check.closely(document), changed)
      end
    end
    assert.is_true(fit > 400 and fit < 3600, fit)
  end)

  local TALK = '{"role":"user","content":"first"},{"role":"assistant","content":"b"}'

  it("says what a closer look does", function()
    local texts = { unpack(USUAL) }
    for _, more in ipairs { "", ',{"role":"user","content":"l\\u00e4st"}', ',{"role":"user","content":[{"type":"text",'
      .. '"text":"parts"}]},{"role":"developer","content":"c"}' } do
      texts[#texts + 1] = '{"model":"m","max_tokens":5,"max_completion_tokens":9,"stream":null,"tools":[],"messages":['
        .. TALK .. more .. "]}"
    end
    for _, text in ipairs(texts) do
      assert.is_true(json.scan(text):fits(0, outline.body), text)
      local usual = assert(surface.parse(json.scan(text), {}, "chat"))
      -- A choice of tools is not usual.
      local odd = text:gsub('"messages":', '"tool_choice":{},"messages":'):gsub('"tool_choice":"auto",', "")
      local other = assert(surface.parse(json.scan(odd), {}, "chat"))
      for _, name in ipairs {
        "text_length", "estimated_tokens", "images", "tools", "json_schema", "old_functions", "model", "stream",
        "include_usage", "max_tokens", "asked",
      } do assert.same(other[name], usual[name], name .. " of " .. text) end
    end
  end)
end)
