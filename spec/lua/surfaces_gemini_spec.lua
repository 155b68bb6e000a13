require "spec.support.core"
local base64 = require "moongate.base64"
local chat = require "moongate.chat"
local gemini = require "protocols.gemini"
local json = require "moongate.core.json"
local surface = require "moongate.surfaces.gemini"

local UNSIGNED = "skip_thought_signature_validator"
local USER = '{"role":"user","parts":[{"text":"hello"}]}'

local function scan(body) return assert(json.scan(body)) end

local function parse(body, path, operation, headers)
  path = path or { model = "demo", verb = "generateContent", stream = false, sse = false }
  return surface.parse(scan(body), headers or {}, operation or "chat", path)
end

local function body(members, contents)
  return '{"contents":[' .. (contents or USER) .. "]" .. (members or "") .. "}"
end

local function neutral(text) return surface.chat(scan(text), { stream = false }) end

local function call_of(request)
  request = request or {}
  return { id = "r-1", request = request, served = { model = "served" } }
end

-- The objects of a stream.
local function pieces(text)
  local list = {}
  for data in string.gmatch(text, "data: (.-)\r\n\r\n") do list[#list + 1] = assert(json.decode(data)) end
  return list
end

local FULL = [[{"systemInstruction":{"parts":[{"text":"Be brief."}]},
 "contents":[{"role":"user","parts":[{"text":"1+2?"},{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgoA"}}]},
  {"role":"model","parts":[{"text":"plan","thought":true},{"functionCall":{"id":"f1","name":"add","args":{"x":1,"y":2}},
    "thoughtSignature":"Cq=="}]},
  {"role":"user","parts":[{"functionResponse":{"id":"f1","name":"add","response":{"result":"3"}}}]}],
 "tools":[{"functionDeclarations":[{"name":"add","description":"adds","parameters":{"type":"OBJECT",
   "properties":{"x":{"type":"NUMBER","nullable":true},"y":{"type":"ARRAY","items":{"type":"STRING"},"maxItems":"3"}},
   "required":["x"]}}]}],
 "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["add"]}},
 "generationConfig":{"temperature":0.2,"topP":0.5,"topK":3,"maxOutputTokens":256,"stopSequences":["END"],"seed":7,
   "candidateCount":2,"presencePenalty":0.1,"frequencyPenalty":0.2,"responseLogprobs":true,"logprobs":2,
   "responseMimeType":"application/json","responseSchema":{"type":"OBJECT","properties":{"n":{"type":"INTEGER"}}},
   "thinkingConfig":{"includeThoughts":true,"thinkingBudget":1024},"mediaResolution":"MEDIA_RESOLUTION_LOW"},
 "safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}]}]]

describe("a call of generateContent", function()
  it("shows what policies ask for, and takes the model from the address", function()
    local request = assert(parse(FULL))
    assert.equal("demo", request.model)
    assert.equal("gemini", request.surface)
    assert.is_false(request.stream)
    assert.is_true(request.include_usage)
    assert.is_true(request.images)
    assert.is_true(request.tools)
    assert.is_true(request.json_schema)
    assert.equal(256, request.max_tokens)
    assert.is_nil(request.framing)
    assert.is_true(request.estimated_tokens > 258)
  end)

  it("drops the prefix of a model's name", function()
    assert.equal("x", assert(parse(body(), { model = "models/x" })).model)
  end)

  it("streams events, or one array where none were asked for", function()
    local request = assert(parse(body(), { model = "m", stream = true, sse = true }))
    assert.is_true(request.stream)
    assert.is_nil(request.framing)
    assert.equal("text/event-stream; charset=utf-8", surface.stream_type { request = request })
    request = assert(parse(body(), { model = "m", stream = true, sse = false }))
    assert.equal("json", request.framing)
    assert.equal("application/json; charset=utf-8", surface.stream_type { request = request })
  end)

  it("shows its messages in OpenAI's shape", function()
    local messages = assert(parse(FULL)).messages
    assert.same({ "system", "user", "assistant", "tool" },
      { messages[1].role, messages[2].role, messages[3].role, messages[4].role })
    assert.equal("1+2?", messages[2].content[1].text)
    assert.equal('{"x":1,"y":2}', messages[3].tool_calls[1]["function"].arguments)
    assert.equal("3", messages[4].content)
  end)

  it("obeys the router's own headers", function()
    assert.is_true(assert(parse(body(), nil, "chat", { ["x-moongate-privacy"] = "true" })).privacy)
    local _, refusal = parse(body(), nil, "chat", { ["x-moongate-priority"] = "x" })
    assert.equal(400, refusal.status)
  end)

  it("is counted bare or wrapped", function()
    assert.equal(5, assert(parse(body(), nil, "count")).text_length)
    local request = assert(parse('{"generateContentRequest":' .. body(',"model":"models/m"') .. "}", nil, "count"))
    assert.equal(5, request.text_length)
    assert.equal("hello", assert(neutral('{"generateContentRequest":' .. body() .. "}")).turns[1].blocks[1].text)
    assert.equal('{"totalTokens":7}', surface.counted(call_of(), 7))
  end)
end)

describe("the neutral chat of a call", function()
  it("holds all that others can be told", function()
    local own = assert(neutral(FULL))
    assert.same({ { kind = "text", text = "Be brief." } }, own.system)
    assert.same({ kind = "image", data = "iVBORw0KGgoA", media_type = "image/png" }, own.turns[1].blocks[2])
    assert.same({
      { kind = "thinking", text = "plan" },
      {
        kind = "tool_use", id = "f1", name = "add", arguments = '{"x":1,"y":2}', signature = "Cq==",
        origin = "gemini",
      },
    }, own.turns[2].blocks)
    assert.same({ kind = "tool_result", id = "f1", name = "add", blocks = { { kind = "text", text = "3" } } },
      own.turns[3].blocks[1])
    assert.same({ kind = "named", name = "add" }, own.tool_choice)
    assert.same({
      type = "object", required = { "x" },
      properties = {
        x = { type = { "number", "null" } }, y = { type = "array", items = { type = "string" }, maxItems = 3 },
      },
    }, own.tools[1].schema)
    assert.same({ 0.2, 0.5, 3, 256, 7, 2, 0.1, 0.2, true, 2 }, {
      own.temperature, own.top_p, own.top_k, own.max_tokens, own.seed, own.n, own.presence_penalty,
      own.frequency_penalty, own.logprobs, own.top_logprobs,
    })
    assert.same({ "END" }, own.stop)
    assert.same({ budget = 1024, show = true }, own.reasoning)
    assert.equal("schema", own.format.kind)
    assert.equal("integer", own.format.schema.properties.n.type)
    assert.same({ "generationConfig.mediaResolution", "safetySettings" }, own.unread)
  end)

  it("is the same in snake_case", function()
    local text = FULL
    for _, name in ipairs {
      "systemInstruction", "inlineData", "mimeType", "functionCall", "functionResponse", "thoughtSignature",
      "functionDeclarations", "toolConfig", "functionCallingConfig", "allowedFunctionNames", "generationConfig", "topP",
      "topK", "maxOutputTokens", "stopSequences", "candidateCount", "presencePenalty", "frequencyPenalty",
      "responseLogprobs", "responseMimeType", "responseSchema", "thinkingConfig", "includeThoughts", "thinkingBudget",
      "maxItems",
    } do
      local snake = string.gsub(name, "%u", function(letter) return "_" .. string.lower(letter) end)
      text = string.gsub(text, '"' .. name .. '"', '"' .. snake .. '"')
    end
    assert.is_truthy(parse(text))
    local camel, snake = assert(neutral(FULL)), assert(neutral(text))
    camel.unread, snake.unread = nil, nil
    assert.same(camel, snake)
  end)

  it("gives calls ids that have none, and finds their results by name and order", function()
    local own = assert(neutral(body("", USER .. [[,{"role":"model","parts":[{"functionCall":{"name":"a"}},
      {"functionCall":{"name":"b"}},{"functionCall":{"name":"a"}}]},{"role":"function","parts":[
      {"functionResponse":{"name":"a","response":{"error":"one"}}},
      {"functionResponse":{"name":"a","response":{"x":1}}},
      {"functionResponse":{"name":"b","response":{}}}]}]])))
    local calls, results = own.turns[2].blocks, own.turns[3].blocks
    assert.same({ calls[1].id, calls[3].id, calls[2].id }, { results[1].id, results[2].id, results[3].id })
    assert.is_true(results[1].is_error)
    assert.equal('{"x":1}', results[2].blocks[1].text)
    assert.equal("{}", calls[1].arguments)
  end)

  it("knows levels of thought and modes", function()
    local own = assert(neutral(body(',"generationConfig":{"thinkingConfig":{"thinkingLevel":"HIGH"}}')))
    assert.same({ effort = "high" }, own.reasoning)
    own = assert(neutral(body(',"generationConfig":{"thinkingConfig":{"thinkingBudget":-1}}')))
    assert.is_nil(own.reasoning)
    own = assert(neutral(body(',"generationConfig":{"responseMimeType":"application/json"}')))
    assert.same({ kind = "json" }, own.format)
  end)

  it("refuses what exists at Google alone", function()
    for text, param in pairs {
      [body(',"tools":[{"googleSearch":{}}]')] = "tools[0].googleSearch",
      [body(',"cachedContent":"cachedContents/x"')] = "cachedContent",
      [body("", '{"parts":[{"fileData":{"mimeType":"image/png","fileUri":"gs://b/x.png"}}]}')] =
        "contents[0].parts[0].fileData.fileUri",
      [body("", '{"parts":[{"inlineData":{"mimeType":"video/mp4","data":"AAAA"}}]}')] =
        "contents[0].parts[0].inlineData",
    } do
      assert.is_truthy(parse(text))
      local own, refusal = neutral(text)
      assert.is_nil(own)
      assert.equal(400, refusal.status)
      assert.equal(param, refusal.param)
    end
  end)
end)

local function nested(levels)
  return string.rep('{"type":"OBJECT","properties":{"a":', levels) .. '{"type":"STRING"}' .. string.rep("}}", levels)
end

describe("a body that Google would refuse", function()
  local CALL = '{"role":"model","parts":[{"functionCall":{"name":"add","args":{}}}]}'
  local TOOLS = ',"tools":[{"functionDeclarations":[{"name":"add"}]}]'
  local function config(text) return body(',"generationConfig":{' .. text .. "}") end

  for text, param in pairs {
    ["{}"] = "contents",
    ['{"contents":[]}'] = "contents",
    ['{"contents":"hi"}'] = "contents",
    [body("", '{"role":"assistant","parts":[{"text":"x"}]}')] = "contents[0].role",
    [body("", '{"role":"user"}')] = "contents[0].parts",
    [body("", '{"role":"user","parts":[]}')] = "contents[0].parts",
    [body("", '{"parts":[{}]}')] = "contents[0].parts[0]",
    [body("", '{"parts":[{"text":"a","inlineData":{}}]}')] = "contents[0].parts[0]",
    [body("", '{"parts":[{"text":1}]}')] = "contents[0].parts[0].text",
    [body("", '{"parts":[{"inlineData":{"mimeType":"image/bmp","data":"AAAA"}}]}')] =
      "contents[0].parts[0].inlineData.mimeType",
    [body("", '{"parts":[{"inline_data":{"mime_type":"image/tiff","data":"AAAA"}}]}')] =
      "contents[0].parts[0].inline_data.mime_type",
    [body("", '{"parts":[{"inlineData":{"mimeType":"image/png","data":"%"}}]}')] =
      "contents[0].parts[0].inlineData.data",
    [body("", '{"parts":[{"functionCall":{"name":"add"}}]}')] = "contents[0].parts[0].functionCall",
    [body("", USER .. ',{"role":"user","parts":[{"functionResponse":{"name":"add","response":{}}}]}')] =
      "contents[1].parts[0].functionResponse",
    [body("", USER .. "," .. CALL .. ',{"parts":[{"functionResponse":{"name":"sub","response":{}}}]}')] =
      "contents[2].parts[0].functionResponse",
    [body("", USER .. "," .. CALL .. ',{"parts":[{"functionResponse":{"name":"add","response":"3"}}]}')] =
      "contents[2].parts[0].functionResponse.response",
    [body("", USER .. ',{"role":"model","parts":[{"functionCall":{"name":"a"}},{"functionCall":{"name":"b"}}]},'
      .. '{"parts":[{"functionResponse":{"name":"b","response":{}}}]}')] = "contents[1].parts[0].functionCall",
    [body("", USER .. ',{"role":"model","parts":[{"functionCall":{"name":"a"}}]},{"parts":[{"functionResponse":'
      .. '{"name":"a","response":{},"parts":[{"fileData":{"mimeType":"image/png"}}]}}]}')] =
      "contents[2].parts[0].functionResponse.parts[0].fileData.fileUri",
    [body(',"systemInstruction":"x"')] = "systemInstruction",
    [body(',"tools":{}')] = "tools",
    [body(',"tools":[{"functionDeclarations":[{"name":"1x"}]}]')] = "tools[0].functionDeclarations[0].name",
    [body(',"tools":[{"functionDeclarations":[{"name":"a"},{"name":"a"}]}]')] =
      "tools[0].functionDeclarations[1].name",
    [body(',"tools":[{"functionDeclarations":[{"name":"a","parameters":{"type":"TEXT"}}]}]')] =
      "tools[0].functionDeclarations[0].parameters.type",
    [body(',"tools":[{"functionDeclarations":[{"name":"a","parameters":' .. nested(60) .. "}]}]")] =
      "tools[0].functionDeclarations[0].parameters",
    [body(TOOLS .. ',"toolConfig":{"functionCallingConfig":{"mode":"SOME"}}')] =
      "toolConfig.functionCallingConfig.mode",
    [body(TOOLS .. ',"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["sub"]}}')] =
      "toolConfig.functionCallingConfig.allowedFunctionNames[0]",
    [body(TOOLS .. ',"toolConfig":{"functionCallingConfig":{"allowedFunctionNames":["add"]}}')] =
      "toolConfig.functionCallingConfig.allowedFunctionNames",
    [body(',"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}')] = "toolConfig.functionCallingConfig",
    [config '"temperature":3'] = "generationConfig.temperature",
    [config '"temperature":"hot"'] = "generationConfig.temperature",
    [config '"maxOutputTokens":0'] = "generationConfig.maxOutputTokens",
    [config '"max_output_tokens":1.5'] = "generationConfig.max_output_tokens",
    [config '"stopSequences":["1","2","3","4","5","6"]'] = "generationConfig.stopSequences",
    [config '"responseMimeType":"image/png"'] = "generationConfig.responseMimeType",
    [config '"responseSchema":{"type":"OBJECT"}'] = "generationConfig.responseMimeType",
    [config '"thinkingConfig":{"thinkingBudget":1,"thinkingLevel":"LOW"}'] = "generationConfig.thinkingConfig",
    [body(',"safetySettings":[{"category":"X"}]')] = "safetySettings[0].threshold",
  } do
    it("is told where: " .. param .. " in " .. string.sub(text, 1, 90), function()
      local request, refusal = parse(text)
      assert.is_nil(request)
      assert.equal(400, refusal.status)
      assert.equal(param, refusal.param)
      assert.is_not_nil(string.find(refusal.message, param, 1, true))
    end)
  end
end)

describe("an answer in Gemini's shape", function()
  local USAGE = { input = 24, cached = 16, cache_write = 0, output = 8, reasoning = 4, total = 52 }

  it("says what the neutral one says", function()
    local told = json.decode(surface.reply(call_of(), {
      id = "up", choices = { { finish = "tool_calls", blocks = {
        { kind = "thinking", text = "plan" }, { kind = "text", text = "So:" },
        { kind = "tool_use", id = "f1", name = "add", arguments = '{"x":1}' },
        { kind = "tool_use", id = "f2", name = "add", arguments = "" },
      } } }, usage = USAGE,
    }))
    assert.same({
      candidates = { {
        index = 0, finishReason = "STOP",
        content = { role = "model", parts = {
          { text = "plan", thought = true }, { text = "So:" },
          { functionCall = { id = "f1", name = "add", args = { x = 1 } }, thoughtSignature = UNSIGNED },
          { functionCall = { id = "f2", name = "add", args = {} } },
        } },
      } },
      usageMetadata = {
        promptTokenCount = 40, cachedContentTokenCount = 16, candidatesTokenCount = 8, thoughtsTokenCount = 4,
        totalTokenCount = 52,
      },
      modelVersion = "served", responseId = "up",
    }, told)
  end)

  for finish, reason in pairs {
    stop = "STOP", stop_sequence = "STOP", tool_calls = "STOP", length = "MAX_TOKENS", content_filter = "SAFETY",
  } do
    it("ends with " .. reason .. " for " .. finish, function()
      local told = json.decode(surface.reply(call_of(), { choices = { { blocks = {}, finish = finish } } }))
      assert.equal(reason, told.candidates[1].finishReason)
    end)
  end

  it("keeps foreign signatures as base64, and knows them when they come back", function()
    local told = json.decode(surface.reply(call_of(), { choices = { { finish = "stop", blocks = {
      { kind = "thinking", text = "deep", signature = "EqRk+/", origin = "anthropic" },
      { kind = "redacted", data = "xyz", origin = "anthropic" },
      { kind = "tool_use", id = "f1", name = "a", arguments = "{}", signature = "Cq==", origin = "gemini" },
    } } } }))
    local parts = told.candidates[1].content.parts
    for _, part in ipairs(parts) do assert.is_string(base64.decode(part.thoughtSignature)) end
    assert.equal("Cq==", parts[3].thoughtSignature)
    local text = body("", USER .. "," .. json.encode { role = "model", parts = parts })
    assert.is_true(chat.has_seal(json.scan(text)))
    local blocks = assert(neutral(text)).turns[2].blocks
    assert.same({ kind = "thinking", text = "deep", signature = "EqRk+/", origin = "anthropic" }, blocks[1])
    assert.same({ kind = "redacted", data = "xyz", origin = "anthropic" }, blocks[2])
    assert.equal("Cq==", blocks[3].signature)
  end)

  it("joins thoughts that came in pieces, so that their signature fits", function()
    local text = body("", USER .. "," .. json.encode { role = "model", parts = {
      { text = "de", thought = true }, { text = "ep", thought = true },
      { text = "", thought = true, thoughtSignature = base64.encode("moongate.anthropic.EqRk+/") }, { text = "So." },
    } })
    assert.same({
      { kind = "thinking", text = "deep", signature = "EqRk+/", origin = "anthropic" }, { kind = "text", text = "So." },
    }, assert(neutral(text)).turns[2].blocks)
  end)

  it("takes a call that nobody signed for one", function()
    local text = body("", USER .. ',{"role":"model","parts":[{"functionCall":{"name":"a"},"thoughtSignature":"'
      .. UNSIGNED .. '"}]}')
    assert.is_nil(assert(neutral(text)).turns[2].blocks[1].signature)
  end)
end)

describe("a stream in Gemini's shape", function()
  local EVENTS = {
    { kind = "start", id = "up", model = "m" }, { kind = "thinking", text = "hm" }, { kind = "text", text = "So" },
    { kind = "tool", call = 0, id = "c0", name = "add" }, { kind = "tool", call = 1, id = "c1", name = "sub" },
    { kind = "arguments", call = 0, text = '{"x":' }, { kind = "arguments", call = 1, text = '{"y":2}' },
    { kind = "arguments", call = 0, text = "1}" }, { kind = "ping" }, { kind = "finish", finish = "tool_calls" },
  }
  local USAGE = { input = 3, cached = 0, cache_write = 0, output = 5, reasoning = 0, total = 8 }

  local function write(request)
    local writer, out = surface.writer(call_of(request)), {}
    for _, event in ipairs(EVENTS) do out[#out + 1] = writer:event(event) end
    out[#out + 1] = writer:finish(USAGE)
    return table.concat(out)
  end

  it("says calls whole, and its end with the usage last", function()
    local list = pieces(write())
    local parts = {}
    for _, piece in ipairs(list) do
      assert.equal("served", piece.modelVersion)
      for _, part in ipairs(piece.candidates[1].content.parts) do parts[#parts + 1] = part end
    end
    assert.same({
      { text = "hm", thought = true }, { text = "So" },
      { functionCall = { id = "c0", name = "add", args = { x = 1 } }, thoughtSignature = UNSIGNED },
      { functionCall = { id = "c1", name = "sub", args = { y = 2 } } }, { text = "" },
    }, parts)
    for i = 1, #list - 1 do
      assert.is_nil(list[i].candidates[1].finishReason)
      assert.is_nil(list[i].usageMetadata)
    end
    assert.equal("STOP", list[#list].candidates[1].finishReason)
    assert.equal(8, list[#list].usageMetadata.totalTokenCount)
  end)

  it("is one array where no events were asked for", function()
    local list = assert(json.decode(write { framing = "json" }))
    assert.is_true(json.is_array(list))
    assert.equal("hm", list[1].candidates[1].content.parts[1].text)
    assert.equal("STOP", list[#list].candidates[1].finishReason)
  end)

  it("that says nothing is a whole stream too", function()
    local writer = surface.writer(call_of { framing = "json" })
    local list = assert(json.decode(writer:finish(nil)))
    assert.equal("STOP", list[1].candidates[1].finishReason)
  end)

  it("reads back as what it was", function()
    local reader, seen = gemini.reader(), {}
    for _, piece in ipairs(pieces(write())) do
      local event = { data = json.encode(piece) }
      gemini.read_event(event)
      for _, each in ipairs(reader(event)) do seen[#seen + 1] = each.kind .. ":" .. tostring(each.text or each.name) end
    end
    assert.same({
      "start:nil", "thinking:hm", "text:So", "tool:add", 'arguments:{"x":1}', "tool:sub", 'arguments:{"y":2}',
      "finish:nil",
    }, seen)
  end)

  it("ends with an error in its own shape", function()
    local told = pieces(surface.error_event(502, "gone", "overloaded_error"))[1]
    assert.same({ error = { code = 503, message = "gone", status = "UNAVAILABLE" } }, told)
    local writer = surface.writer(call_of { framing = "json" })
    local text = writer:event { kind = "text", text = "x" }
      .. surface.error_event(502, "slow down", "RESOURCE_EXHAUSTED", "429", writer)
    assert.equal(429, assert(json.decode(text))[2].error.code)
  end)
end)

describe("embeddings at Gemini's surface", function()
  it("are asked for one by one", function()
    local text = '{"content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"RETRIEVAL_QUERY",'
      .. '"outputDimensionality":8}'
    local request = assert(parse(text, { model = "m", verb = "embedContent" }, "embeddings"))
    assert.equal("embeddings", request.surface)
    assert.is_false(request.batch)
    assert.same({ inputs = { "a\nb" }, dimensions = 8, task = "RETRIEVAL_QUERY" }, surface.embedding(scan(text)))
    local call = call_of(request)
    assert.same({ embedding = { values = { 1, 2 } } }, json.decode(surface.vectors(call, { vectors = { { 1, 2 } } })))
  end)

  it("or many at once", function()
    local text = '{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}'
    local request = assert(parse(text, { model = "m", verb = "batchEmbedContents" }, "embeddings"))
    assert.is_true(request.batch)
    assert.same({ "a", "b" }, surface.embedding(scan(text)).inputs)
    assert.same({ embeddings = { { values = { 1 } }, { values = { 2 } } } },
      json.decode(surface.vectors(call_of(request), { vectors = { { 1 }, { 2 } } })))
  end)

  it("are refused without a text", function()
    for text, param in pairs {
      ["{}"] = "content", ['{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}'] =
        "content.parts[0]",
      ['{"content":{"parts":[{"text":"a"}]},"outputDimensionality":0}'] = "outputDimensionality",
    } do
      local _, refusal = parse(text, { model = "m", verb = "embedContent" }, "embeddings")
      assert.equal(param, refusal.param)
    end
    local _, refusal = parse('{"requests":[]}', { model = "m", verb = "batchEmbedContents" }, "embeddings")
    assert.equal("requests", refusal.param)
  end)
end)

describe("errors in Gemini's shape", function()
  for status, word in pairs {
    [400] = "INVALID_ARGUMENT", [401] = "UNAUTHENTICATED", [403] = "PERMISSION_DENIED", [404] = "NOT_FOUND",
    [413] = "INVALID_ARGUMENT", [429] = "RESOURCE_EXHAUSTED", [500] = "INTERNAL", [502] = "UNAVAILABLE",
    [503] = "UNAVAILABLE", [504] = "DEADLINE_EXCEEDED",
  } do
    it("say " .. word .. " for " .. status, function()
      assert.same({ error = { code = status, message = "why", status = word } },
        json.decode(surface.error(status, "why", "invalid_request_error", "x", "field", "id")))
    end)
  end
end)

describe("the models at Gemini's surface", function()
  it("are listed, and shown one by one", function()
    local entry = { id = "demo", owned_by = "groq", context_length = 1000, max_output = 100 }
    local model = {
      name = "models/demo", version = "001", displayName = "demo", description = "served by groq",
      inputTokenLimit = 1000, outputTokenLimit = 100,
      supportedGenerationMethods = { "generateContent", "streamGenerateContent", "countTokens" },
    }
    assert.same({ models = { model } }, json.decode(surface.models { entry }))
    assert.same(model, json.decode(surface.model(entry)))
    assert.equal('{"models":[]}', surface.models {})
    assert.same({ "embedContent", "batchEmbedContents" },
      json.decode(surface.model { id = "text-embedding-004" }).supportedGenerationMethods)
  end)
end)
