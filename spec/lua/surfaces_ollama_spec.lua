-- Ollama's API as callers see it: what is taken, what is refused, and how answers look.
require "spec.support.core"
local json = require "moongate.core.json"
local surface = require "moongate.surfaces.ollama"

local PNG = "iVBORw0KGgoAAAA="
local GENERATE = { verb = "generate" }

local function scan(body) return assert(json.scan(type(body) == "table" and json.encode(body) or body)) end

local function parse(body, operation, path, headers)
  return surface.parse(scan(body), headers or {}, operation or "chat", path)
end

local function chat(more)
  local own = { model = "m", messages = json.array { { role = "user", content = "hello" } } }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

local function with(...) return chat { messages = json.array { ... } } end

local function neutral(body, path)
  local document = scan(body)
  local request = assert(surface.parse(document, {}, "chat", path))
  return surface.chat(document, request)
end

local function call(more)
  local own = {
    id = "r-1", request = { estimated_tokens = 9, model = "asked", now = 1767323045.5, stream = true },
    served = { model = "served" },
  }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

local USED = { input = 5, cached = 2, cache_write = 1, output = 3, reasoning = 4, total = 15 }
local AT = "2026-01-02T03:04:05.500000Z"

describe("a request to Ollama's API", function()
  it("shows what policies ask for", function()
    local request = assert(parse(chat { options = { num_predict = 50 } }))
    assert.same({ "m", "ollama", true, true, 50, 5, 6 }, {
      request.model, request.surface, request.stream, request.include_usage, request.max_tokens, request.text_length,
      request.estimated_tokens,
    })
    assert.same({ false, false, false, false },
      { request.tools, request.images, request.json_schema, request.privacy })
    assert.same({ { role = "user", content = "hello" } }, request.messages)
  end)

  it("streams unless it says otherwise", function()
    assert.is_false(parse(chat { stream = false }).stream)
    assert.is_true(parse(chat { stream = true }).stream)
  end)

  it("knows images, tools and schemas, and weighs them", function()
    local request = parse(chat {
      messages = json.array { { role = "user", content = "see", images = json.array { PNG, PNG } } },
      tools = json.array { { type = "function", ["function"] = { name = "add" } } }, format = { type = "object" },
    })
    assert.same({ true, true, true }, { request.images, request.tools, request.json_schema })
    assert.is_true(request.estimated_tokens > 2 * 765)
  end)

  it("has no end where its num_predict means none", function()
    assert.is_nil(parse(chat { options = { num_predict = -1 } }).max_tokens)
  end)

  it("takes the router's headers", function()
    assert.is_true(parse(chat(), "chat", nil, { ["x-moongate-privacy"] = "true" }).privacy)
    assert.equal("x-moongate-priority", select(2, parse(chat(), "chat", nil, { ["x-moongate-priority"] = "x" })).param)
  end)

  it("of generate is read too", function()
    local request = parse({ model = "m", prompt = "hello", system = "be brief", images = json.array { PNG } }, "chat",
      GENERATE)
    assert.same({ "ollama", true, 13, true, true }, {
      request.surface, request.stream, request.text_length, request.images, request.generate,
    })
    assert.equal("system", request.messages[1].role)
    assert.is_truthy(request.framing)
  end)

  it("of embeddings is read in the newer form and in the older", function()
    local document = scan { model = "m", input = json.array { "ab", "cd" }, dimensions = 3 }
    local request = assert(surface.parse(document, {}, "embeddings"))
    assert.same({ false, 4, 1 }, { request.stream, request.text_length, request.estimated_tokens })
    assert.same({ inputs = { "ab", "cd" }, dimensions = 3 }, surface.embedding(document))
    document = scan { model = "m", prompt = "abc" }
    assert.is_true(surface.parse(document, {}, "embeddings").single)
    assert.same({ inputs = { "abc" } }, surface.embedding(document))
  end)

  it("that says nothing is answered at once: there is no model to load", function()
    for _, body in ipairs { { model = "m" }, { model = "m", messages = json.array {} } } do
      local answer = json.decode(parse(body).at_once(call()))
      assert.same({ true, "load", "" }, { answer.done, answer.done_reason, answer.message.content })
    end
    local request = parse({ model = "m", keep_alive = 0 }, "chat", GENERATE)
    local own = call()
    own.request.generate = true
    assert.equal("", json.decode(request.at_once(own)).response)
    assert.is_nil(parse(chat()).at_once)
    assert.is_nil(parse({ model = "m", prompt = "a" }, "chat", GENERATE).at_once)
  end)
end)

describe("a request to Ollama's API is refused", function()
  local function deep(levels)
    local text = "{}"
    for _ = 2, levels do text = '{"a":' .. text .. "}" end
    return text
  end

  local function check(list, operation, path)
    for _, entry in ipairs(list) do
      local request, refusal = parse(entry[1], operation, path)
      assert.is_nil(request, entry[2])
      assert.same({ 400, entry[2] }, { refusal.status, refusal.param })
      assert.matches(entry[3], refusal.message)
    end
  end

  it("by its messages", function()
    check {
      { "[]", nil, "expected a JSON object; got an empty array" },
      { chat { model = 5 }, "model", "name of a model" },
      { chat { messages = 5 }, "messages", "expected an array; got 5" },
      { with("x"), "messages[0]", "expected an object" },
      { with { role = "robot", content = "a" }, "messages[0].role", "system, user, assistant, tool; got \"robot\"" },
      { with { role = "user" }, "messages[0].content", "expected a string; it is missing" },
      { with { role = "user", content = json.array {} }, "messages[0].content", '%(images go into "images"%)' },
      { with { role = "tool", content = "3", tool_name = 5 }, "messages[0].tool_name", "expected a string" },
      { with { role = "tool", tool_name = "add" }, "messages[0].content", "it is missing" },
      { with { role = "assistant", tool_calls = json.array { {} } }, "messages[0].tool_calls[0].function",
        "expected an object" },
      { with { role = "assistant", tool_calls = json.array { { ["function"] = { arguments = {} } } } },
        "messages[0].tool_calls[0].function.name", "it is missing" },
      { with { role = "assistant", tool_calls = json.array { { ["function"] = { name = "a", arguments = "{}" } } } },
        "messages[0].tool_calls[0].function.arguments", 'expected an object; got "{}"' },
    }
  end)

  it("by its images", function()
    for data, word in pairs {
      ["data:image/png;base64," .. PNG] = "without the beginning of a data URL", ["not base64!!"] = "in base64",
      [""] = "in base64", ["AAA"] = "in base64", ["A=AA"] = "in base64", ["===="] = "in base64",
    } do
      local images = json.array { data }
      check { { with { role = "user", content = "a", images = images }, "messages[0].images[0]", word } }
      check({ { { model = "m", prompt = "a", images = images }, "images[0]", word } }, "chat", GENERATE)
    end
    check { { with { role = "user", content = "a", images = PNG }, "messages[0].images", "expected an array" } }
    assert.is_truthy(parse(with { role = "user", images = json.array { "AAAA\nAA==" } }))
  end)

  it("by its tools, formats and thoughts", function()
    local function tool(fields) return chat { tools = json.array { { type = "function", ["function"] = fields } } } end
    check {
      { chat { tools = {} }, "tools", "expected an array; got an object" },
      { chat { tools = json.array { { type = "function" } } }, "tools[0].function", "it is missing" },
      { tool {}, "tools[0].function.name", "it is missing" },
      { tool { name = "" }, "tools[0].function.name", "expected a name" },
      { tool { name = "a", parameters = "x" }, "tools[0].function.parameters", "expected an object" },
      { tool { name = "a", parameters = json.decode(deep(65)) }, "tools[0].function.parameters", "at most 64 levels" },
      { chat { format = "xml" }, "format", 'expected "json" or a JSON schema; got "xml"' },
      { chat { format = json.decode(deep(65)) }, "format", "at most 64 levels" },
      { chat { think = "hard" }, "think", "low, medium, high or max" }, { chat { think = 1 }, "think", "true, false" },
    }
    assert.is_truthy(parse(chat { format = json.decode(deep(64)), think = "max" }))
    assert.is_truthy(parse(chat { format = "" }))
  end)

  it("by its options", function()
    local function options(fields) return chat { options = fields } end
    check {
      { chat { options = "x" }, "options", "expected an object" },
      { options { temperature = "hot" }, "options.temperature", 'expected a number; got "hot"' },
      { options { num_predict = 1.5 }, "options.num_predict", "expected a whole number; got 1.5" },
      { options { use_mmap = 1 }, "options.use_mmap", "expected a boolean" },
      { options { stop = "END" }, "options.stop", "expected an array" },
      { options { stop = json.array { 5 } }, "options.stop[0]", "expected a string" },
      { chat { stream = "yes" }, "stream", "expected a boolean" },
      { chat { top_logprobs = 21 }, "top_logprobs", "from 0 to 20" },
    }
    assert.is_truthy(parse(options { some_day = "x", seed = json.null }))
  end)

  it("by its prompt, or its input", function()
    check({ { { model = "m", prompt = 5 }, "prompt", "expected a string" } }, "chat", GENERATE)
    check({
      { { model = "m" }, "input", "it is missing" }, { { model = "m", input = json.array {} }, "input", "empty array" },
      { { model = "m", input = json.array { 1 } }, "input[0]", "expected a string" },
      { { model = "m", input = "a", dimensions = 0 }, "dimensions", "positive integer" },
    }, "embeddings")
  end)
end)

describe("a request to Ollama's API becomes the neutral chat", function()
  it("with its options", function()
    local read = neutral(chat {
      options = {
        num_predict = 50, temperature = 0.5, top_k = 40, top_p = 0.9, min_p = 0.1, seed = 7,
        stop = json.array { "END" }, presence_penalty = 1, frequency_penalty = -1, num_ctx = 4096,
      },
      keep_alive = "5m", template = "x", think = "max", format = "json", logprobs = true, top_logprobs = 2,
    })
    assert.same({
      system = {}, turns = { { role = "user", blocks = { { kind = "text", text = "hello" } } } }, tools = {},
      max_tokens = 50, temperature = 0.5, top_k = 40, top_p = 0.9, min_p = 0.1, seed = 7, stop = { "END" },
      presence_penalty = 1, frequency_penalty = -1, reasoning = { effort = "xhigh", show = true },
      format = { kind = "json" }, logprobs = true, top_logprobs = 2, stream = true,
      unread = { "template", "options.num_ctx" },
    }, read)
    assert.same({ effort = "none" }, neutral(chat { think = false }).reasoning)
    assert.same({ effort = "medium", show = true }, neutral(chat { think = true }).reasoning)
    assert.is_nil(neutral(chat { options = { top_k = 0 } }).top_k)
    local format = { type = "object" }
    assert.same({ kind = "schema", schema = format }, neutral(chat { format = format }).format)
  end)

  it("with every kind of message", function()
    local read = neutral(with(
      { role = "system", content = "be brief" }, { role = "User", content = "see", images = json.array { PNG } },
      { role = "assistant", content = "so", thinking = "hm", tool_calls = json.array {
        { ["function"] = { name = "add", arguments = { x = 1 } } }, { ["function"] = { name = "now" }, id = "c9" },
      } },
      { role = "tool", content = "12:00", tool_call_id = "c9" }, { role = "tool", content = "3", tool_name = "add" }))
    assert.same({ { kind = "text", text = "be brief" } }, read.system)
    assert.same({
      { role = "user", blocks = {
        { kind = "text", text = "see" }, { kind = "image", data = PNG, media_type = "image/png" },
      } },
      { role = "assistant", blocks = {
        { kind = "thinking", text = "hm" }, { kind = "text", text = "so" },
        { kind = "tool_use", id = "call_1", name = "add", arguments = '{"x":1}' },
        { kind = "tool_use", id = "c9", name = "now", arguments = "{}" },
      } },
      { role = "user", blocks = {
        { kind = "tool_result", id = "c9", name = "now", blocks = { { kind = "text", text = "12:00" } } },
        { kind = "tool_result", id = "call_1", name = "add", blocks = { { kind = "text", text = "3" } } },
      } },
    }, read.turns)
  end)

  it("with results in the order of their calls, where nothing names them", function()
    local calls = json.array { { ["function"] = { name = "add" } }, { ["function"] = { name = "add" } } }
    local read = neutral(with({ role = "assistant", tool_calls = calls }, { role = "tool", content = "1" },
      { role = "tool", content = "2", tool_name = "add" }))
    local results = read.turns[2].blocks
    assert.same({ "call_1", "1", "call_2", "2" },
      { results[1].id, results[1].blocks[1].text, results[2].id, results[2].blocks[1].text })
    local _, refusal = neutral(with { role = "tool", content = "1", tool_name = "add" })
    assert.same({ 400, "messages[0]" }, { refusal.status, refusal.param })
  end)

  it("with its tools", function()
    assert.same({
      { name = "add", description = "adds", schema = { type = "object" } }, { name = "now" },
    }, neutral(chat { tools = json.array {
      { type = "function", ["function"] = { name = "add", description = "adds", parameters = { type = "object" } } },
      { ["function"] = { name = "now", parameters = {} } },
    } }).tools)
  end)

  it("from a prompt, but not where it is meant for the bare model", function()
    local read = neutral({ model = "m", prompt = "hello", system = "be brief", context = json.array { 1 } }, GENERATE)
    assert.same({ { kind = "text", text = "be brief" } }, read.system)
    assert.same({ { role = "user", blocks = { { kind = "text", text = "hello" } } } }, read.turns)
    assert.same({ "context" }, read.unread)
    for _, field in ipairs { { suffix = "x" }, { raw = true } } do
      field.model, field.prompt = "m", "a"
      local _, refusal = neutral(field, GENERATE)
      assert.same({ 400, field.raw and "raw" or "suffix" }, { refusal.status, refusal.param })
    end
  end)
end)

describe("an answer in Ollama's shape", function()
  local reply = { usage = USED, choices = { { finish = "tool_calls", blocks = {
    { kind = "thinking", text = "hm" }, { kind = "text", text = "a" }, { kind = "text", text = "b" },
    { kind = "tool_use", id = "c1", name = "add", arguments = '{"x":[]}' },
  } } } }

  it("has all that was said, and counts", function()
    assert.same({
      model = "served", created_at = AT, done = true, done_reason = "stop", prompt_eval_count = 8, eval_count = 7,
      message = { role = "assistant", content = "ab", thinking = "hm", tool_calls = {
        { id = "c1", ["function"] = { index = 0, name = "add", arguments = { x = {} } } },
      } },
    }, json.decode(surface.reply(call(), reply)))
    local bare = json.decode(surface.reply(call(), { choices = { { finish = "length", blocks = {} } } }))
    assert.same({ "length", "", 9, 0 },
      { bare.done_reason, bare.message.content, bare.prompt_eval_count, bare.eval_count })
  end)

  it("tells how long it took, where that is known", function()
    local answer = json.decode(surface.reply(call { handle = { elapsed = function() return 1.5 end } }, reply))
    assert.same({ 1.5e9, 0, 0, 1.5e9 }, {
      answer.total_duration, answer.load_duration, answer.prompt_eval_duration, answer.eval_duration,
    })
  end)

  it("to a prompt has its text beside the rest", function()
    local own = call()
    own.request.generate = true
    local answer = json.decode(surface.reply(own, reply))
    assert.same({ "ab", "hm" }, { answer.response, answer.thinking })
    assert.is_nil(answer.message)
  end)

  it("of vectors is a list, or one alone in the older form", function()
    local vectors = { vectors = { { 1, 2 }, { 3 } }, usage = USED }
    assert.same({ model = "served", embeddings = { { 1, 2 }, { 3 } }, prompt_eval_count = 8 },
      json.decode(surface.vectors(call(), vectors)))
    local own = call()
    own.request.single = true
    assert.same({ embedding = { 1, 2 } }, json.decode(surface.vectors(own, vectors)))
  end)
end)

describe("a stream in Ollama's shape", function()
  local function lines(text)
    local list = {}
    for line in text:gmatch "([^\n]*)\n" do list[#list + 1] = assert(json.decode(line)) end
    assert.equal(select(2, text:gsub("\n", "")), #list)
    return list
  end

  local function write(events, own, usage)
    local writer, parts = surface.writer(own or call()), {}
    for i, event in ipairs(events) do parts[i] = writer:event(event) end
    return lines(table.concat(parts) .. writer:finish(usage)), parts
  end

  it("has a line for each piece, and counts in the last", function()
    local list = write({
      { kind = "start", id = "x" }, { kind = "thinking", text = "hm" }, { kind = "text", text = "a" },
      { kind = "signature", signature = "s", origin = "anthropic" }, { kind = "ping" },
      { kind = "finish", finish = "length" },
    }, nil, USED)
    assert.same({
      { model = "served", created_at = AT, done = false,
        message = { role = "assistant", content = "", thinking = "hm" } },
      { model = "served", created_at = AT, done = false, message = { role = "assistant", content = "a" } },
      { model = "served", created_at = AT, done = true, done_reason = "length", prompt_eval_count = 8, eval_count = 7,
        message = { role = "assistant", content = "" } },
    }, list)
  end)

  it("has calls whole, each in its order, however their arguments came", function()
    local function tool(number, id) return { kind = "tool", call = number, id = id, name = "f" .. number } end
    local function part(number, text) return { kind = "arguments", call = number, text = text } end
    local list = write {
      tool(0, "a"), part(0, '{"x"'), tool(1, "b"), part(1, "{"), part(0, ":1}"), part(1, "}"), tool(2, "c"),
      { kind = "finish", finish = "tool_calls" },
    }
    assert.equal(2, #list)
    assert.same({
      { id = "a", ["function"] = { index = 0, name = "f0", arguments = { x = 1 } } },
      { id = "b", ["function"] = { index = 1, name = "f1", arguments = {} } },
      { id = "c", ["function"] = { index = 2, name = "f2", arguments = {} } },
    }, list[1].message.tool_calls)
    assert.equal("stop", list[2].done_reason)
  end)

  it("loses no call that the provider never finished", function()
    local list = write {
      { kind = "tool", call = 0, id = "a", name = "f" }, { kind = "arguments", call = 9, text = "x" },
    }
    assert.equal("f", list[1].message.tool_calls[1]["function"].name)
    assert.equal("stop", list[2].done_reason)
    assert.same({ 9, 0 }, { list[2].prompt_eval_count, list[2].eval_count })
  end)

  it("has its times where they are known", function()
    local seconds = 0
    local own = call { handle = { elapsed = function()
      seconds = seconds + 1
      return seconds
    end } }
    local list = write({ { kind = "text", text = "a" }, { kind = "text", text = "b" } }, own)
    assert.same({ 2e9, 1e9, 1e9 }, { list[3].total_duration, list[3].prompt_eval_duration, list[3].eval_duration })
  end)

  it("to a prompt has its text beside the rest", function()
    local own = call()
    own.request.generate = true
    local list = write({ { kind = "text", text = "a" } }, own)
    assert.same({ "a", "", true }, { list[1].response, list[2].response, list[2].done })
  end)
end)

describe("what else Ollama's clients see", function()
  it("is an error as a sentence, also as the last line of a stream", function()
    assert.equal('{"error":"no"}', surface.error(404, "no", "not_found_error", "x"))
    assert.equal('{"error":"no"}\n', surface.error_event(502, "no"))
    assert.equal("application/x-ndjson", surface.stream_type)
  end)

  it("is a list of models", function()
    local list = json.decode(surface.models {
      { id = "a", provider = "acme", tools = true }, { id = "b", owned_by = "me" },
    })
    local model = list.models[1]
    assert.same({ "a", "a", "acme", { "completion", "tools" } },
      { model.name, model.model, model.details.family, model.capabilities })
    assert.matches("^%x+$", model.digest)
    assert.equal(64, #model.digest)
    assert.not_equal(model.digest, list.models[2].digest)
    assert.equal('{"models":[]}', surface.models {})
  end)

  it("is a model with its context and what it can do, and a version", function()
    local model = json.decode(surface.model {
      id = "a", context_length = 8192, tools = true, vision = true, strengths = { "reasoning" },
    })
    assert.same({ "completion", "tools", "vision", "thinking" }, model.capabilities)
    assert.equal(8192, model.model_info[model.model_info["general.architecture"] .. ".context_length"])
    assert.same({ "embedding" }, json.decode(surface.model { id = "e", strengths = { "embedding" } }).capabilities)
    assert.matches("^%d+%.%d+%.%d+$", json.decode(surface.version()).version)
  end)
end)
