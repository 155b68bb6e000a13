require "spec.support.core"
local chat = require "moongate.chat"
local gemini = require "protocols.gemini"
local json = require "moongate.core.json"
local limits = require "moongate.limits"
local failures = require "moongate.failures"

local SKIP = "skip_thought_signature_validator"
local FLASH3, FLASH25, OLD, GEMMA = "gemini-3.5-flash", "gemini-2.5-flash", "gemini-2.0-flash", "gemma-3-27b-it"

local function order(more)
  local own = {
    operation = "chat", target = { upstream_id = FLASH25 }, key = "k1", stream = false,
    provider = { name = "gemini" },
  }
  for name, value in pairs(more or {}) do own[name] = value end
  if own.model then own.target = { upstream_id = own.model, max_output = own.max_output } end
  return own
end

local function user(...) return { role = "user", blocks = { ... } } end
local function assistant(...) return { role = "assistant", blocks = { ... } } end
local function text(words) return { kind = "text", text = words } end

local function neutral(more)
  local own = { system = {}, turns = { user(text "hi") }, tools = {}, unread = {}, stream = false }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

-- The body that a neutral chat becomes, decoded; and the names of what was left out.
local function body(more, model, max_output)
  local wire, unfit = gemini.build(order { chat = neutral(more), model = model or FLASH25, max_output = max_output })
  if not wire then return nil, unfit end
  return assert(json.decode(wire.body)), wire.dropped or {}
end

local function event(data) return { data = type(data) == "string" and data or json.encode(data) } end

local function chunk(parts, finish, more)
  local own = { candidates = { { content = { role = "model", parts = parts }, finishReason = finish, index = 0 } } }
  own.responseId, own.modelVersion = "resp-1", "m-1"
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

local function read_all(chunks)
  local reader, list = gemini.reader(), {}
  for _, each in ipairs(chunks) do
    local one = event(each)
    gemini.read_event(one)
    for _, seen in ipairs(reader(one)) do list[#list + 1] = seen end
  end
  return list
end

describe("the request that goes to Gemini", function()
  it("has the model, the verb and the key in their places", function()
    local wire = gemini.build(order { chat = neutral() })
    assert.equal("https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent", wire.url)
    assert.equal("k1", wire.headers["x-goog-api-key"])
    assert.is_nil(wire.headers.authorization)
    assert.equal("POST", wire.method)
  end)

  it("asks for events where a stream is wanted", function()
    local wire = gemini.build(order { chat = neutral { stream = true }, stream = true, model = "models/x y" })
    assert.is_truthy(wire.url:find("/v1beta/models/x%20y:streamGenerateContent?alt=sse", 1, true))
    assert.equal("text/event-stream", wire.headers.accept)
  end)

  it("goes to the operator's own address", function()
    local wire = gemini.build(order { chat = neutral(), provider = { name = "g", base_url = "http://h:1/v1beta/" } })
    assert.equal("http://h:1/v1beta/models/gemini-2.5-flash:generateContent", wire.url)
  end)

  it("is the caller's own, byte for byte", function()
    local own = '{ "contents" : [{"parts":[{"text":"caf\\u00e9"}]}],\n "safetySettings":[],"x":1e2 }'
    local wire = gemini.build(order { document = assert(json.scan(own)), stream = true })
    assert.equal(own, wire.body)
    assert.is_nil(wire.dropped)
  end)

  it("names the provider's model within the caller's own body too", function()
    local wire = gemini.build(order {
      operation = "count",
      document = assert(json.scan '{"generateContentRequest":{"model":"models/demo","contents":[]}}'),
    })
    assert.equal("models/gemini-2.5-flash", json.decode(wire.body).generateContentRequest.model)
    wire = gemini.build(order {
      operation = "embeddings", document = assert(json.scan '{"requests":[{"content":{"parts":[]}},{"model":"x"}]}'),
    })
    assert.is_truthy(wire.url:find(":batchEmbedContents", 1, true))
    for _, each in ipairs(json.decode(wire.body).requests) do assert.equal("models/gemini-2.5-flash", each.model) end
    wire = gemini.build(order { operation = "embeddings", document = assert(json.scan '{"content":{"parts":[]}}') })
    assert.is_truthy(wire.url:find(":embedContent", 1, true))
  end)

  it("counts a whole request", function()
    local wire = gemini.build(order { operation = "count", chat = neutral { system = { text "Be brief." } } })
    assert.is_truthy(wire.url:find(":countTokens", 1, true))
    local inner = json.decode(wire.body).generateContentRequest
    assert.equal("models/gemini-2.5-flash", inner.model)
    assert.equal("Be brief.", inner.systemInstruction.parts[1].text)
  end)

  it("embeds texts, and says that it can't embed tokens", function()
    local wire = gemini.build(order { operation = "embeddings", embedding = { inputs = { "a", "b" }, dimensions = 8 } })
    assert.same({
      model = "models/gemini-2.5-flash", content = { parts = { { text = "b" } } }, outputDimensionality = 8,
    }, json.decode(wire.body).requests[2])
    local none, unfit = gemini.build(order { operation = "embeddings", embedding = { inputs = { { 1, 2 } } } })
    assert.is_nil(none)
    assert.equal("input", unfit.param)
  end)
end)

describe("a neutral chat in Gemini's words", function()
  it("says all of it", function()
    local own, dropped = body({
      system = { text "A", text "B" }, temperature = 0.2, top_p = 0.5, top_k = 3, max_tokens = 9000, n = 2, seed = 7,
      presence_penalty = 0.1, frequency_penalty = 0.2, logprobs = true, top_logprobs = 2, stop = { "END" }, min_p = 0.1,
      user = "u", parallel = false, unread = { "logit_bias" },
      format = { kind = "schema", schema = { type = "object", properties = { n = { type = "integer" } } } },
    }, FLASH25, 8192)
    assert.same({
      contents = { { role = "user", parts = { { text = "hi" } } } },
      systemInstruction = { parts = { { text = "A\n\nB" } } },
      generationConfig = {
        temperature = 0.2, topP = 0.5, topK = 3, maxOutputTokens = 8192, candidateCount = 2, seed = 7,
        presencePenalty = 0.1, frequencyPenalty = 0.2, responseLogprobs = true, logprobs = 2,
        stopSequences = { "END" }, responseMimeType = "application/json",
        responseJsonSchema = { type = "object", properties = { n = { type = "integer" } } },
      },
    }, own)
    assert.same({ "min_p", "user", "parallel_tool_calls", "logit_bias" }, dropped)
  end)

  it("keeps to the order of turns that Gemini wants", function()
    local own = body { turns = {
      assistant(text "  ", text "first"), user(text ""), assistant(text "second"), user(text "x"),
    } }
    assert.same({
      { role = "user", parts = { { text = "(start)" } } },
      { role = "model", parts = { { text = "first" }, { text = "second" } } },
      { role = "user", parts = { { text = "x" } } },
    }, own.contents)
    assert.same({ { role = "user", parts = { { text = "(start)" } } } },
      body { turns = {}, system = { text "s" } }.contents)
  end)

  local TURNS = {
    user(text "add"),
    assistant({ kind = "tool_use", id = "c1", name = "add", arguments = '{"x":1}' },
      { kind = "tool_use", id = "c2", name = "sub", arguments = "" }),
    user({ kind = "tool_result", id = "c2", name = "sub", blocks = { text "no" }, is_error = true },
      { kind = "tool_result", id = "c1", name = "add", blocks = { text '{"sum":3}' } }, text "go on"),
  }

  it("answers all calls in one turn, in their order, each with an object", function()
    local own = body { turns = TURNS }
    assert.same({ role = "model", parts = {
      { functionCall = { id = "c1", name = "add", args = { x = 1 } } },
      { functionCall = { id = "c2", name = "sub", args = {} } },
    } }, own.contents[2])
    assert.same({ role = "user", parts = {
      { functionResponse = { id = "c1", name = "add", response = { sum = 3 } } },
      { functionResponse = { id = "c2", name = "sub", response = { error = "no" } } },
      { text = "go on" },
    } }, own.contents[3])
  end)

  it("signs foreign calls for models that ask for it: the first of a turn", function()
    local parts = body({ turns = TURNS }, FLASH3).contents[2].parts
    assert.equal(SKIP, parts[1].thoughtSignature)
    assert.is_nil(parts[2].thoughtSignature)
    assert.is_nil(body({ turns = TURNS }, FLASH25).contents[2].parts[1].thoughtSignature)
  end)

  it("gives signatures of its own back where they belong, and no others", function()
    local function parts(...)
      return body({ turns = { user(text "x"), assistant(...), user(text "y") } }, FLASH3).contents[2].parts
    end
    local call = { kind = "tool_use", id = "c", name = "a", arguments = "{}", signature = "S", origin = "gemini" }
    assert.equal("S", parts(call)[1].thoughtSignature)
    local thought = { kind = "thinking", text = "t", signature = "S", origin = "gemini" }
    local bare = { kind = "tool_use", id = "c", name = "a", arguments = "{}" }
    assert.same({ { text = "so", thoughtSignature = "S" } }, parts(thought, text "so"))
    assert.equal("S", parts(thought, bare)[1].thoughtSignature)
    assert.same({ { text = "so" }, { text = "", thoughtSignature = "S" } }, parts(text "so", thought))
    local foreign = { kind = "thinking", text = "t", signature = "S", origin = "anthropic" }
    assert.same({ { text = "so" } }, parts(foreign, { kind = "redacted", data = "d", origin = "anthropic" }, text "so"))
    assert.equal(SKIP, parts(foreign, bare)[1].thoughtSignature)
  end)

  it("sends no ids of calls to Vertex", function()
    local wire = gemini.build(order {
      chat = neutral { turns = TURNS }, provider = { name = "v", base_url = "https://aiplatform.googleapis.com/v1/p" },
    })
    local own = json.decode(wire.body)
    assert.is_nil(own.contents[2].parts[1].functionCall.id)
    assert.is_nil(own.contents[3].parts[1].functionResponse.id)
  end)

  it("shows pictures in results where the model looks for them", function()
    local turns = {
      user(text "x"), assistant { kind = "tool_use", id = "c1", name = "see", arguments = "{}" },
      user { kind = "tool_result", id = "c1", name = "see",
        blocks = { text "here", { kind = "image", data = "iVBORw0KGgoA", media_type = "image/png" } } },
    }
    local picture = { inlineData = { mimeType = "image/png", data = "iVBORw0KGgoA" } }
    assert.same({ picture }, body({ turns = turns }, FLASH3).contents[3].parts[1].functionResponse.parts)
    assert.same(picture, body({ turns = turns }, FLASH25).contents[3].parts[2])
  end)

  it("carries media as data", function()
    local own = body { turns = { user({ kind = "image", data = "/9j/AAAA", media_type = "image/png" },
      { kind = "document", data = "JVBE", media_type = "application/pdf" }, { kind = "document", text = "words" },
      { kind = "audio", data = "AAAA", format = "mp3" }) } }
    assert.same({
      { inlineData = { mimeType = "image/jpeg", data = "/9j/AAAA" } },
      { inlineData = { mimeType = "application/pdf", data = "JVBE" } }, { text = "words" },
      { inlineData = { mimeType = "audio/mp3", data = "AAAA" } },
    }, own.contents[1].parts)
  end)

  it("lets Google fetch addresses, if the model does", function()
    local function with(url, model)
      return body({ turns = { user { kind = "image", url = url } } }, model)
    end
    assert.same({ fileData = { mimeType = "image/png", fileUri = "https://h/a.PNG?x=1" } },
      with("https://h/a.PNG?x=1", FLASH3).contents[1].parts[1])
    for url, model in pairs { ["https://h/a.png"] = OLD, ["http://h/a.png"] = FLASH3 } do
      local none, unfit = with(url, model)
      assert.is_nil(none)
      assert.equal("messages", unfit.param)
      assert.is_string(unfit.message)
    end
  end)

  it("says that it can't show what Gemini does not take", function()
    local none, unfit = body { turns = { user { kind = "image", data = "R0lGODdh", media_type = "image/gif" } } }
    assert.is_nil(none)
    assert.is_truthy(unfit.message:find("image/gif", 1, true))
  end)

  it("tells a model without instructions in the user's words", function()
    local own = body({ system = { text "S" }, format = { kind = "json" } }, GEMMA)
    assert.is_nil(own.systemInstruction)
    assert.is_nil(own.generationConfig)
    assert.is_truthy(own.contents[1].parts[1].text:find("^S\n\nAnswer with one JSON"))
  end)

  local TOOLS = {
    { name = "add", description = "adds", schema = { type = "object", properties = { x = { type = "number" } },
      patternProperties = {} } },
    { name = "now", schema = { type = "object", properties = {} } },
  }

  it("declares tools as the model takes them, those without arguments bare", function()
    local own = body { tools = TOOLS }
    assert.same({ { functionDeclarations = {
      { name = "add", description = "adds", parametersJsonSchema = TOOLS[1].schema }, { name = "now" },
    } } }, own.tools)
    assert.is_nil(own.toolConfig)
    local dropped
    own, dropped = body({ tools = TOOLS }, OLD)
    assert.same({ type = "OBJECT", properties = { x = { type = "NUMBER" } } },
      own.tools[1].functionDeclarations[1].parameters)
    assert.same({ "tools.add.patternProperties" }, dropped)
  end)

  for kind, expected in pairs {
    auto = { mode = "AUTO" }, none = { mode = "NONE" }, any = { mode = "ANY" },
    named = { mode = "ANY", allowedFunctionNames = { "add" } },
  } do
    it("lets the choice be " .. kind, function()
      local own = body { tools = TOOLS, tool_choice = { kind = kind, name = kind == "named" and "add" or nil } }
      assert.same(expected, own.toolConfig.functionCallingConfig)
    end)
  end

  it("asks for valid calls where a tool is strict", function()
    local own = body { tools = { { name = "a", strict = true } } }
    assert.equal("VALIDATED", own.toolConfig.functionCallingConfig.mode)
  end)

  it("asks for JSON beside tools only where both go together", function()
    local asked = { tools = TOOLS, format = { kind = "schema", schema = { type = "array" } } }
    local own = body(asked, FLASH25)
    assert.is_nil(own.generationConfig)
    assert.is_truthy(own.systemInstruction.parts[1].text:find('{"type":"array"}', 1, true))
    assert.equal("application/json", body(asked, FLASH3).generationConfig.responseMimeType)
    assert.same({ type = "ARRAY", items = { type = "STRING" } },
      body({ format = asked.format }, OLD).generationConfig.responseSchema)
  end)
end)

describe("thinking", function()
  local function config(reasoning, model, max_tokens)
    local own, dropped = body({ reasoning = reasoning, max_tokens = max_tokens }, model)
    return (own.generationConfig or {}).thinkingConfig, dropped
  end

  for _, each in ipairs {
    { { effort = "low" }, FLASH25, { thinkingBudget = 1024, includeThoughts = true } },
    { { effort = "medium" }, FLASH25, { thinkingBudget = 8192, includeThoughts = true } },
    { { effort = "high" }, FLASH25, { thinkingBudget = 24576, includeThoughts = true } },
    { { effort = "none" }, FLASH25, { thinkingBudget = 0 } },
    { { effort = "none" }, "gemini-2.5-pro", { thinkingBudget = 128 } },
    { { budget = 99999 }, "gemini-2.5-pro", { thinkingBudget = 32768, includeThoughts = true } },
    { { budget = 100 }, "gemini-2.5-flash-lite", { thinkingBudget = 512, includeThoughts = true } },
    { { budget = 2000, show = false }, FLASH25, { thinkingBudget = 2000 } },
    { { show = true }, FLASH25, { includeThoughts = true } },
    { { effort = "medium" }, FLASH3, { thinkingLevel = "MEDIUM", includeThoughts = true } },
    { { effort = "none" }, FLASH3, { thinkingLevel = "MINIMAL" } },
    { { effort = "xhigh" }, FLASH3, { thinkingLevel = "HIGH", includeThoughts = true } },
    { { budget = 8000 }, FLASH3, { thinkingLevel = "MEDIUM", includeThoughts = true } },
    { { effort = "minimal" }, "gemini-3.1-pro-preview", { thinkingLevel = "LOW", includeThoughts = true } },
    { { effort = "medium" }, "gemini-3-pro-preview", { thinkingLevel = "HIGH", includeThoughts = true } },
    { { effort = "low" }, "gemini-flash-latest", { thinkingLevel = "LOW", includeThoughts = true } },
  } do
    it("is asked of " .. each[2] .. " for " .. json.encode(each[1]), function()
      assert.same(each[3], (config(each[1], each[2])))
    end)
  end

  it("leaves room for an answer", function()
    assert.equal(800, config({ effort = "high" }, FLASH25, 1000).thinkingBudget)
  end)

  it("is told to be left out where the model does not think", function()
    local own, dropped = config({ effort = "high" }, OLD)
    assert.is_nil(own)
    assert.same({ "reasoning_effort" }, dropped)
    own, dropped = config({ effort = "none" }, OLD)
    assert.is_nil(own)
    assert.same({}, dropped)
  end)
end)

describe("a whole reply of Gemini's", function()
  local USAGE = {
    promptTokenCount = 40, cachedContentTokenCount = 16, candidatesTokenCount = 8, thoughtsTokenCount = 4,
    totalTokenCount = 52,
  }
  local CLASSES = { input = 24, cached = 16, cache_write = 0, output = 8, reasoning = 4, total = 52 }

  local function read(document, status) return gemini.read_reply(status or 200, {}, json.encode(document)) end

  it("tells its usage in classes that add up", function()
    assert.same(CLASSES, read(chunk({ { text = "x" } }, "STOP", { usageMetadata = USAGE })).usage)
    local odd = read(chunk({ { text = "x" } }, "STOP", { usageMetadata = {
      promptTokenCount = 5, toolUsePromptTokenCount = 3, candidatesTokenCount = 2, totalTokenCount = 20,
    } })).usage
    assert.same({ input = 8, cached = 0, cache_write = 0, output = 2, reasoning = 10, total = 20 }, odd)
  end)

  it("is read into blocks", function()
    local reply = gemini.reply(chunk({
      { text = "pl", thought = true }, { text = "an", thought = true }, { text = "So", thoughtSignature = "T" },
      { functionCall = { name = "add", args = { x = 1 } }, thoughtSignature = "S" },
      { functionCall = { id = "f2", name = "now" } },
      { inlineData = { mimeType = "image/png", data = "iVBORw0KGgoA" } },
    }, "STOP", { usageMetadata = USAGE }))
    assert.same({
      id = "resp-1", model = "m-1", usage = CLASSES,
      choices = { { finish = "tool_calls", blocks = {
        { kind = "thinking", text = "plan", signature = "T", origin = "gemini" }, { kind = "text", text = "So" },
        { kind = "tool_use", id = "call_resp1_0_0", name = "add", arguments = '{"x":1}', signature = "S",
          origin = "gemini" },
        { kind = "tool_use", id = "f2", name = "now", arguments = "{}" },
        { kind = "image", data = "iVBORw0KGgoA", media_type = "image/png" },
      } } },
    }, reply)
  end)

  for reason, finish in pairs {
    STOP = "stop", MAX_TOKENS = "length", SAFETY = "content_filter", RECITATION = "content_filter",
    IMAGE_SAFETY = "content_filter", LANGUAGE = "stop", OTHER = "stop",
  } do
    it("that ended with " .. reason .. " ended with " .. finish, function()
      assert.equal(finish, gemini.reply(chunk({ { text = "x" } }, reason)).choices[1].finish)
    end)
  end

  it("may have no content at all", function()
    local document = { candidates = { { finishReason = "MAX_TOKENS" } }, usageMetadata = USAGE }
    local reading = read(document)
    assert.is_nil(reading.error)
    assert.equal(0, reading.text_length)
    assert.same({ { blocks = {}, finish = "length" } }, gemini.reply(document).choices)
  end)

  local function judged(reading)
    return failures.judge {
      stage = "body", status = 200, error = reading.error,
      reading = limits.read { provider = "gemini", status = 200, headers = {}, body = reading.body, now = 0 },
    }
  end

  it("of a blocked prompt is a refusal of the content", function()
    local reading = read { promptFeedback = { blockReason = "PROHIBITED_CONTENT" }, usageMetadata = USAGE }
    assert.equal("content_filter", reading.error.code)
    assert.equal("content_refusal", judged(reading).kind)
  end)

  it("with a broken call is tried again", function()
    local reading = read { candidates = { { finishReason = "MALFORMED_FUNCTION_CALL", finishMessage = "print(" } } }
    assert.equal("bad_generation", judged(reading).kind)
    assert.is_nil(read(chunk({ { text = "x" } }, "MALFORMED_FUNCTION_CALL")).error)
  end)

  it("that is an error says so, wrapped in an array too", function()
    local error = { error = { code = 429, message = "slow down", status = "RESOURCE_EXHAUSTED" } }
    for _, document in ipairs { error, json.array { error } } do
      local reading = read(document, 429)
      assert.equal("slow down", reading.error.message)
      assert.equal("RESOURCE_EXHAUSTED", reading.error.type)
      assert.same(document, reading.body)
    end
    assert.is_truthy(read({}, 200).error)
    assert.is_truthy(gemini.read_reply(502, {}, "<h1>Bad</h1>").error)
  end)

  it("may be a count or vectors", function()
    assert.equal(7, read({ totalTokens = 7 }).tokens)
    local document = { embeddings = { { values = { 1, 2 } }, { values = { 3 } } } }
    assert.is_nil(read(document).error)
    assert.same({ { 1, 2 }, { 3 } }, gemini.vectors(document).vectors)
    assert.same({ { 1 } }, gemini.vectors({ embedding = { values = { 1 } } }).vectors)
  end)
end)

describe("an event of Gemini's", function()
  local function kind(document, before) return gemini.read_event(event(document), before).kind end

  it("is told by what it holds", function()
    assert.equal("content", kind(chunk { { text = "x" } }))
    assert.equal("content", kind(chunk { { functionCall = { name = "a" } } }))
    assert.equal("lifecycle", kind(chunk { { text = "", thoughtSignature = "S" } }))
    assert.equal("finish", kind(chunk({ { text = "" } }, "STOP")))
    assert.equal("usage", kind { usageMetadata = { promptTokenCount = 1, totalTokenCount = 1 } })
    assert.equal("lifecycle", kind {})
    assert.equal("lifecycle", kind "")
    assert.equal("error", kind { error = { code = 503, message = "overloaded", status = "UNAVAILABLE" } })
    assert.equal("error", kind { promptFeedback = { blockReason = "SAFETY" } })
    assert.equal("error", kind '{"candidates":')
  end)

  it("keeps what it is decoded to", function()
    local one = event(chunk { { text = "x" } })
    gemini.read_event(one)
    assert.equal("resp-1", one.document.responseId)
  end)

  it("tells usage so far; figures that tell nothing leave it as it was", function()
    local before = { input = 1, cached = 0, cache_write = 0, output = 1, reasoning = 0, total = 2 }
    local odd = event { usageMetadata = { trafficType = "ON_DEMAND" } }
    assert.equal(before, gemini.read_event(odd, before).usage)
    assert.equal(9, gemini.read_event(event { usageMetadata = { promptTokenCount = 9 } }, before).usage.total)
  end)
end)

describe("a stream of Gemini's", function()
  local CHUNKS = {
    chunk { { text = "hm", thought = true } }, chunk { { text = "So" } },
    chunk { { text = " it", thoughtSignature = "T" } },
    chunk { { functionCall = { name = "a", args = { x = 1 } }, thoughtSignature = "S" },
      { functionCall = { name = "b", args = {} } } },
    chunk({ { functionCall = { id = "f", name = "c" } } }, "STOP", { usageMetadata = { promptTokenCount = 1 } }),
  }

  it("is read into events, calls numbered over all of it", function()
    assert.same({
      { kind = "start", id = "resp-1", model = "m-1" }, { kind = "thinking", text = "hm", index = 0 },
      { kind = "text", text = "So", index = 0 }, { kind = "signature", signature = "T", origin = "gemini", index = 0 },
      { kind = "text", text = " it", index = 0 },
      { kind = "tool", call = 0, id = "call_resp1_0_0", name = "a", signature = "S", origin = "gemini", index = 0 },
      { kind = "arguments", call = 0, text = '{"x":1}', index = 0 },
      { kind = "tool", call = 1, id = "call_resp1_0_1", name = "b", index = 0 },
      { kind = "arguments", call = 1, text = "{}", index = 0 },
      { kind = "tool", call = 2, id = "f", name = "c", index = 0 },
      { kind = "arguments", call = 2, text = "{}", index = 0 },
      { kind = "finish", finish = "tool_calls", index = 0 },
    }, read_all(CHUNKS))
  end)

  it("is the same however its parts are spread over events", function()
    local apart = {}
    for _, each in ipairs(CHUNKS) do
      local parts = each.candidates[1].content.parts
      for i, part in ipairs(parts) do
        apart[#apart + 1] = chunk({ part }, i == #parts and each.candidates[1].finishReason or nil)
      end
    end
    local together = {}
    for _, each in ipairs(CHUNKS) do
      for _, part in ipairs(each.candidates[1].content.parts) do together[#together + 1] = part end
    end
    local expected = read_all(CHUNKS)
    assert.same(expected, read_all(apart))
    assert.same(expected, read_all { chunk(together, "STOP") })
  end)

  it("puts arguments together that come piece by piece", function()
    local function piece(path, value, more)
      local call = { partialArgs = { { jsonPath = path, stringValue = value } }, willContinue = more }
      return chunk { { functionCall = call } }
    end
    local events = read_all {
      chunk { { functionCall = { name = "a", willContinue = true } } }, piece("$.list[0].name", "ap", true),
      piece("$.list[0].name", "ple", true), piece("$.list[1].name", "pear", true), piece("$['odd key']", "x", true),
      piece("nonsense", "x", true), chunk { { functionCall = {} } },
      chunk { { functionCall = { name = "b", willContinue = true } } }, piece("$.id", "B", true), chunk({}, "STOP"),
    }
    assert.equal('{"list":[{"name":"apple"},{"name":"pear"}],"odd key":"x"}', events[3].text)
    assert.equal('{"id":"B"}', events[5].text)
    assert.equal("tool_calls", events[6].finish)
  end)

  it("has several choices apart", function()
    local events = read_all { { candidates = {
      { index = 1, content = { parts = { { text = "b" } } }, finishReason = "STOP" },
      { index = 0, content = { parts = { { functionCall = { name = "a" } } } }, finishReason = "STOP" },
    } } }
    local ends = {}
    for _, each in ipairs(events) do
      if each.kind == "finish" then ends[each.index] = each.finish end
    end
    assert.same({ [0] = "tool_calls", [1] = "stop" }, ends)
  end)

  it("raises nothing, whatever comes", function()
    local odd = { args = 1, partialArgs = { 1, { jsonPath = {} } } }
    for _, document in ipairs {
      { candidates = "x" },
      { candidates = { 1, { content = 2 }, { content = { parts = { 3, { functionCall = 4 } } } } } },
      { candidates = { { content = { parts = { { functionCall = odd } } } } } },
      { usageMetadata = 1, promptFeedback = 2 }, { candidates = { { finishReason = 5, index = "x" } } },
      { candidates = { { content = { parts = { { functionCall = { name = "a", args = "x", partialArgs = 5 } } } } } } },
    } do
      local one = event(document)
      gemini.read_event(one)
      gemini.reader()(one)
      gemini.reply(document)
      gemini.read_reply(200, {}, json.encode(document))
    end
  end)
end)

describe("sealed signatures", function()
  it("are known in a body, plain or as base64", function()
    assert.is_true(chat.has_seal(json.scan '{"a":"moongate.openai.x"}'))
    assert.is_true(chat.has_seal(json.scan '{"a":"bW9vbmdhdGUub3BlbmFpLng="}'))
    assert.is_false(chat.has_seal(json.scan '{"a":"Cq=="}'))
  end)
end)
