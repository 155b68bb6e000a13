require "spec.support.core"
local anthropic = require "protocols.anthropic"
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local surface = require "moongate.surfaces.anthropic"

local PNG = "iVBORw0KGgoAAAA"

local function parse(body, operation, headers)
  return surface.parse(assert(json.scan(type(body) == "table" and json.encode(body) or body)), headers or {},
    operation or "chat")
end

local function body(more)
  local own = { model = "m", max_tokens = 50, messages = json.array { { role = "user", content = "hello" } } }
  for name, value in pairs(more or {}) do
    if value == false then own[name] = nil else own[name] = value end
  end
  return own
end

local function with(...) return body { messages = json.array { ... } } end

local function user(...) return { role = "user", content = json.array { ... } } end

local function assistant(...) return { role = "assistant", content = json.array { ... } } end

local function use(id) return { type = "tool_use", id = id, name = "add", input = {} } end

local function result(id) return { type = "tool_result", tool_use_id = id, content = "1" } end

local function image(kind) return { type = "image", source = { type = "base64", media_type = kind, data = PNG } } end

local function tool(name) return { name = name, input_schema = { type = "object" } } end

local function neutral(value) return surface.chat(assert(json.scan(json.encode(value)))) end

local function call(more)
  local own = { id = "r-1", request = { estimated_tokens = 9, model = "asked" }, served = { model = "served" } }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

describe("a Messages request", function()
  it("shows what policies ask for", function()
    local request = assert(parse(body { system = "be brief", stream = true }))
    assert.equal("m", request.model)
    assert.equal("messages", request.surface)
    assert.is_true(request.stream)
    assert.is_true(request.include_usage)
    assert.equal(50, request.max_tokens)
    assert.equal(13, request.text_length)
    assert.equal(8, request.estimated_tokens)
    assert.is_false(request.tools)
    assert.is_false(request.images)
    assert.is_false(request.json_schema)
    assert.is_false(request.privacy)
  end)

  it("weighs images flat, and knows tools and structured output", function()
    local request = assert(parse(with(user(image "image/png", { type = "text", text = "what?" }))))
    assert.is_true(request.images)
    assert.equal(5, request.text_length)
    assert.is_true(request.estimated_tokens > 1600)
    assert.is_true(assert(parse(body { tools = json.array { tool "add" } })).tools)
    local format = { type = "json_schema", schema = { type = "object" } }
    assert.is_true(assert(parse(body { output_config = { format = format } })).json_schema)
  end)

  it("weighs what tools are called with and answer", function()
    local call_of = { type = "tool_use", id = "a", name = "add", input = { x = "four" } }
    local request = assert(parse(with(user { type = "text", text = "go" }, assistant(call_of), user(result "a"))))
    assert.equal(2 + 3 + 4 + 1, request.text_length)
  end)

  it("shows its messages in OpenAI's shape", function()
    local request = assert(parse(body { system = "be brief", messages = json.array {
      { role = "user", content = "go" }, assistant({ type = "text", text = "ok" }, use "a"), user(result "a"),
    } }))
    assert.is_nil(rawget(request, "messages"))
    assert.same({ role = "system", content = "be brief" }, request.messages[1])
    assert.equal("add", request.messages[3].tool_calls[1]["function"].name)
    assert.same({ role = "tool", tool_call_id = "a", content = "1" }, request.messages[4])
  end)

  it("may be counted without max_tokens, and is no stream then", function()
    local request = assert(parse(body { max_tokens = false, stream = true }, "count"))
    assert.is_false(request.stream)
    assert.equal('{"input_tokens":14}', surface.counted(call(), 14))
  end)

  it("takes the wishes of the caller from headers", function()
    assert.is_true(assert(parse(body(), "chat", { ["x-moongate-privacy"] = "true" })).privacy)
    local _, refusal = parse(body(), "chat", { ["x-moongate-priority"] = "soon" })
    assert.equal(400, refusal.status)
  end)
end)

describe("what is wrong with a Messages body", function()
  local many = {}
  for i = 1, 5 do many[i] = { type = "text", text = "a", cache_control = { type = "ephemeral" } } end
  local deep = '{"type":"object"}'
  for _ = 1, 50 do deep = '{"type":"object","properties":{"a":' .. deep .. "}}" end
  local thinking = function(budget) return body { thinking = { type = "enabled", budget_tokens = budget } } end

  local WRONG = {
    { "no max_tokens", body { max_tokens = false }, "max_tokens" },
    { "no answer at all", body { max_tokens = 0 }, "max_tokens" },
    { "half a token", body { max_tokens = 1.5 }, "max_tokens" },
    { "no messages", body { messages = false }, "messages" },
    { "an empty list", body { messages = json.array {} }, "messages" },
    { "a role of OpenAI's", with { role = "tool", content = "x" }, "messages[0].role" },
    { "no content", with { role = "user" }, "messages[0].content" },
    { "empty content", with(user()), "messages[0].content" },
    { "a block nobody knows", with(user { type = "video" }), "messages[0].content[0].type" },
    { "a block without a type", with(user { text = "x" }), "messages[0].content[0].type" },
    { "text without text", with(user { type = "text" }), "messages[0].content[0].text" },
    { "an image of another kind", with(user(image "image/bmp")), "messages[0].content[0].source.media_type" },
    { "an image without a source", with(user { type = "image" }), "messages[0].content[0].source" },
    { "a document of another kind", with(user { type = "document", source = {
      type = "base64", media_type = "text/csv", data = "x" } }), "messages[0].content[0].source.media_type" },
    { "a call by the user", with(user(use "a")), "messages[0].content[0].type" },
    { "a result by the assistant", with({ role = "user", content = "x" }, assistant(result "a")),
      "messages[1].content[0].type" },
    { "a call with arguments in text", with({ role = "user", content = "x" }, assistant {
      type = "tool_use", id = "a", name = "f", input = "{}" }), "messages[1].content[0].input" },
    { "a result without its call", with(user(result "a")), "messages[0].content[0].tool_use_id" },
    { "a result of a call long ago", with(user { type = "text", text = "x" }, assistant(use "a"), user(result "a"),
      assistant { type = "text", text = "y" }, user(result "a")), "messages[4].content[0].tool_use_id" },
    { "two results of a call", with({ role = "user", content = "x" }, assistant(use "a"), user(result "a", result "a")),
      "messages[2].content[1].tool_use_id" },
    { "a call without its result", with(user { type = "text", text = "x" }, assistant(use "a", use "b"),
      user(result "a")), "messages[1].content[1]" },
    { "the same id again", with(user { type = "text", text = "x" }, assistant(use "a", use "a")),
      "messages[1].content[1].id" },
    { "thoughts without a signature", with({ role = "user", content = "x" }, assistant {
      type = "thinking", thinking = "hm" }), "messages[1].content[0].signature" },
    { "a system that is no text", body { system = 1 }, "system" },
    { "a system with images", body { system = json.array { image "image/png" } }, "system[0].type" },
    { "a tool without a name", body { tools = json.array { { input_schema = { type = "object" } } } },
      "tools[0].name" },
    { "a name with a blank", body { tools = json.array { tool "a b" } }, "tools[0].name" },
    { "a tool without a schema", body { tools = json.array { { name = "a" } } }, "tools[0].input_schema" },
    { "a schema of a string", body { tools = json.array { { name = "a", input_schema = { type = "string" } } } },
      "tools[0].input_schema.type" },
    { "two tools of a name", body { tools = json.array { tool "a", tool "a" } }, "tools[1].name" },
    { "a schema too deep", body { tools = json.array { { name = "a", input_schema = json.decode(deep) } } },
      "tools[0].input_schema" },
    { "a choice of OpenAI's", body { tool_choice = "auto" }, "tool_choice" },
    { "a choice nobody knows", body { tool_choice = { type = "required" } }, "tool_choice.type" },
    { "a choice of a tool that is not there", body { tools = json.array { tool "a" },
      tool_choice = { type = "tool", name = "b" } }, "tool_choice.name" },
    { "a choice among none", body { tool_choice = { type = "any" } }, "tool_choice" },
    { "a temperature above 1", body { temperature = 1.5 }, "temperature" },
    { "a top_p above 1", body { top_p = 2 }, "top_p" },
    { "a top_k below 0", body { top_k = -1 }, "top_k" },
    { "words that are none", body { stop_sequences = json.array { 1 } }, "stop_sequences[0]" },
    { "a stream of words", body { stream = "yes" }, "stream" },
    { "a user without words", body { metadata = { user_id = 1 } }, "metadata.user_id" },
    { "thinking of another kind", body { thinking = { type = "hard" } }, "thinking.type" },
    { "thinking too little", thinking(10), "thinking.budget_tokens" },
    { "thinking beyond the answer", thinking(2000), "thinking.budget_tokens" },
    { "an effort nobody knows", body { output_config = { effort = "huge" } }, "output_config.effort" },
    { "an output without a schema", body { output_config = { format = { type = "json_schema" } } },
      "output_config.format.schema" },
    { "a mark of another kind", with(user { type = "text", text = "x", cache_control = { type = "forever" } }),
      "messages[0].content[0].cache_control.type" },
    { "a fifth mark", with(user(unpack(many))), "cache_control" },
    { "a model without a name", body { model = "" }, "model" },
  }

  for _, case in ipairs(WRONG) do
    it("is told: " .. case[1], function()
      local request, refusal = parse(case[2])
      assert.is_nil(request)
      assert.equal(400, refusal.status)
      assert.equal(case[3], refusal.param)
      assert.matches(case[3], refusal.message, 1, true)
      assert.matches("expected", refusal.message)
    end)
  end

  it("is told of a body that is no object", function()
    local _, refusal = parse("[]")
    assert.matches("JSON object", refusal.message)
  end)

  it("is nothing in a conversation that Anthropic would take", function()
    assert(parse(body { messages = json.array {
      { role = "user", content = "go" },
      assistant({ type = "thinking", thinking = "hm", signature = "s" }, { type = "redacted_thinking", data = "d" },
        use "a", use "b"),
      user(result "b"), user(result "a", { type = "text", text = "and?" }),
      assistant({ type = "server_tool_use", id = "s", name = "web_search", input = {} },
        { type = "web_search_tool_result", tool_use_id = "s", content = json.array {} }),
    }, tools = json.array { tool "add", { type = "web_search_20250305", name = "web_search" } },
    tool_choice = { type = "tool", name = "web_search" }, temperature = 1, top_p = 0, top_k = 0 }))
    assert(parse(thinking(2000), "chat", { ["anthropic-beta"] = "interleaved-thinking-2025-05-14" }))
  end)
end)

describe("a Messages body as a neutral chat", function()
  it("carries everything that others have a word for", function()
    local cache = { type = "ephemeral" }
    assert.same({
      system = { { kind = "text", text = "be brief", cache = cache } },
      turns = {
        { role = "user", blocks = { { kind = "image", data = PNG, media_type = "image/png" },
          { kind = "document", text = "csv", name = "a" } } },
        { role = "assistant", blocks = { { kind = "thinking", text = "hm", signature = "s", origin = "anthropic" },
          { kind = "tool_use", id = "a", name = "add", arguments = "{}" } } },
        { role = "user", blocks = { { kind = "tool_result", id = "a", name = "add", is_error = true,
          blocks = { { kind = "text", text = "1" } } }, { kind = "text", text = "and?" } } },
      },
      tools = { { name = "add", description = "adds", schema = { type = "object" }, strict = true, cache = cache } },
      tool_choice = { kind = "any" }, parallel = false, max_tokens = 50, temperature = 0.5, top_k = 3, top_p = 1,
      stop = { "END" }, format = { kind = "schema", schema = { type = "object" }, name = "answer", strict = true },
      reasoning = { effort = "xhigh", budget = 2000, show = true }, user = "u1", stream = true,
      unread = { "service_tier" },
    }, neutral(body {
      system = json.array { { type = "text", text = "be brief", cache_control = cache } },
      messages = json.array {
        user(image "image/jpeg", { type = "document", title = "a", source = { type = "text", data = "csv" } }),
        assistant({ type = "thinking", thinking = "hm", signature = "s" }, use "a"),
        user({ type = "text", text = "and?" }, { type = "tool_result", tool_use_id = "a", is_error = true,
          content = json.array { { type = "text", text = "1" } } }),
      },
      tools = json.array { { name = "add", description = "adds", input_schema = { type = "object" }, strict = true,
        cache_control = cache } },
      tool_choice = { type = "any", disable_parallel_tool_use = true }, temperature = 0.5, top_k = 3, top_p = 1,
      stop_sequences = json.array { "END" }, metadata = { user_id = "u1" }, stream = true, service_tier = "auto",
      thinking = { type = "enabled", budget_tokens = 2000 },
      output_config = { effort = "max", format = { type = "json_schema", schema = { type = "object" } } },
    }))
  end)

  it("puts a system message in mid-conversation to the system", function()
    local own = neutral(with({ role = "user", content = "a" }, { role = "system", content = "b" },
      { role = "user", content = "c" }))
    assert.equal("b", own.system[1].text)
    assert.equal(2, #own.turns[1].blocks)
  end)

  it("is refused where only Anthropic could do it", function()
    for param, value in pairs {
      ["tools[0].type"] = body { tools = json.array { { type = "web_search_20250305", name = "web_search" } } },
      ["messages[0].content[0].source.type"] = with(user { type = "image", source = { type = "file", file_id = "f" } }),
    } do
      local own, refusal = neutral(value)
      assert.is_nil(own)
      assert.equal(param, refusal.param)
    end
  end)

  it("gives thoughts of others back to their makers", function()
    local own = neutral(with({ role = "user", content = "x" }, assistant(
      { type = "thinking", thinking = "", signature = chat.seal("g", "gemini", "anthropic") }, use "a",
      { type = "thinking", thinking = "bare", signature = chat.seal("", "unsigned", "anthropic") },
      { type = "redacted_thinking", data = chat.seal("r", "openai_responses", "anthropic") })))
    assert.same({
      { kind = "tool_use", id = "a", name = "add", arguments = "{}", signature = "g", origin = "gemini" },
      { kind = "thinking", text = "bare" }, { kind = "redacted", data = "r", origin = "openai_responses" },
    }, own.turns[2].blocks)
  end)

  it("marks the last block where the whole prompt is marked", function()
    local own = neutral(body { cache_control = { type = "ephemeral" } })
    assert.same({ type = "ephemeral" }, own.turns[1].blocks[1].cache)
  end)

  it("goes to Anthropic's protocol and is the same there", function()
    local original = body {
      system = "be brief", messages = json.array {
        { role = "user", content = "go" }, assistant({ type = "text", text = "ok" }, use "a"),
        user { type = "tool_result", tool_use_id = "a", content = "1" },
      }, tools = json.array { tool "add" }, tool_choice = { type = "auto" }, stop_sequences = json.array { "END" },
      metadata = { user_id = "u" }, top_k = 4,
    }
    local wire = anthropic.build {
      operation = "chat", target = { upstream_id = "m" }, provider = { name = "mine", base_url = "http://h" },
      chat = neutral(original),
    }
    assert.same(json.decode(json.encode(original)), json.decode(wire.body))
  end)
end)

local USAGE = { input = 24, cached = 16, cache_write = 5, output = 8, reasoning = 4, total = 57 }

describe("a whole answer in Anthropic's shape", function()
  it("holds what was said", function()
    assert.same({
      id = "msg_r-1", type = "message", role = "assistant", model = "served", stop_reason = "tool_use",
      stop_sequence = json.null, content = {
        { type = "thinking", thinking = "hm", signature = "s" },
        { type = "thinking", thinking = "bare", signature = "moongate.unsigned." },
        { type = "text", text = "ok" }, { type = "thinking", thinking = "", signature = "moongate.gemini.g" },
        { type = "tool_use", id = "call_1", name = "add", input = { x = 1 } },
      },
      usage = { input_tokens = 24, cache_read_input_tokens = 16, cache_creation_input_tokens = 5, output_tokens = 12,
        output_tokens_details = { thinking_tokens = 4 } },
    }, json.decode(surface.reply(call(), { id = "chatcmpl-1", usage = USAGE, choices = { { finish = "stop", blocks = {
      { kind = "thinking", text = "hm", signature = "s", origin = "anthropic" }, { kind = "thinking", text = "bare" },
      { kind = "text", text = "ok" }, { kind = "text", text = "" },
      { kind = "tool_use", id = "call.1", name = "add", arguments = '{"x":1}', signature = "g", origin = "gemini" },
    } } } })))
  end)

  it("ends in Anthropic's words", function()
    for finish, reason in pairs { stop = "end_turn", length = "max_tokens", content_filter = "refusal",
      pause = "pause_turn", stop_sequence = "stop_sequence" } do
      local reply = { choices = { { finish = finish, blocks = {}, stop_sequence = "E" } } }
      local own = json.decode(surface.reply(call(), reply))
      assert.equal(reason, own.stop_reason)
      assert.equal("E", own.stop_sequence)
    end
  end)

  it("keeps an id of Anthropic's own", function()
    assert.equal("msg_01A", json.decode(surface.reply(call(), { id = "msg_01A", choices = {} })).id)
  end)

  it("reads back as what was written", function()
    local reply = { id = "msg_1", model = "served", usage = USAGE, choices = { { finish = "tool_calls", blocks = {
      { kind = "thinking", text = "hm", signature = "s", origin = "anthropic" }, { kind = "text", text = "ok" },
      { kind = "redacted", data = "d", origin = "anthropic" },
      { kind = "tool_use", id = "a", name = "f", arguments = '{"x":1}' },
    } } } }
    assert.same(reply, anthropic.reply(json.decode(surface.reply(call(), reply))))
  end)
end)

-- The events of a stream, as a client reads them.
local function read(text)
  local list = {}
  for name, data in string.gmatch(text, "event: ([%w_]+)\ndata: ([^\n]*)\n\n") do
    local document = json.decode(data)
    assert.equal(name, document.type)
    list[#list + 1] = document
  end
  return list
end

local function written(events, usage, known)
  local own, parts = surface.writer(call()), {}
  own.usage = known
  for i, event in ipairs(events) do parts[i] = own:event(event) end
  return read(table.concat(parts) .. own:finish(usage))
end

-- The content that the events add up to; one block is open at a time, and the indices count.
local function content(list)
  local blocks, open = {}, nil
  for _, event in ipairs(list) do
    if event.type == "content_block_start" then
      assert.is_nil(open)
      assert.equal(#blocks, event.index)
      open = event.content_block
      blocks[#blocks + 1] = open
      open.json = open.type == "tool_use" and "" or nil
    elseif event.type == "content_block_delta" then
      assert.equal(#blocks - 1, event.index)
      local delta = event.delta
      local field = delta.text and "text" or delta.thinking and "thinking" or delta.signature and "signature" or "json"
      open[field] = open[field] .. (delta[field] or delta.partial_json)
    elseif event.type == "content_block_stop" then
      assert.equal(#blocks - 1, event.index)
      open = nil
    end
  end
  assert.is_nil(open)
  return blocks
end

describe("a streamed answer in Anthropic's shape", function()
  it("is a beginning, blocks and an end", function()
    local list = written({
      { kind = "start", id = "x", model = "up" }, { kind = "text", text = "" }, { kind = "text", text = "He" },
      { kind = "ping" }, { kind = "text", text = "llo" }, { kind = "finish", finish = "stop_sequence",
        stop_sequence = "END" },
    }, USAGE)
    local kinds = {}
    for i, event in ipairs(list) do kinds[i] = event.type end
    assert.same({ "message_start", "content_block_start", "content_block_delta", "ping", "content_block_delta",
      "content_block_stop", "message_delta", "message_stop" }, kinds)
    assert.same({
      id = "msg_r-1", type = "message", role = "assistant", model = "served", content = {}, stop_reason = json.null,
      stop_sequence = json.null, usage = { input_tokens = 9, cache_read_input_tokens = 0,
        cache_creation_input_tokens = 0, output_tokens = 0 },
    }, list[1].message)
    assert.same({ stop_reason = "stop_sequence", stop_sequence = "END" }, list[7].delta)
    assert.same({ 24, 16, 5, 12 }, { list[7].usage.input_tokens, list[7].usage.cache_read_input_tokens,
      list[7].usage.cache_creation_input_tokens, list[7].usage.output_tokens })
  end)

  it("tells the input at once where it is known", function()
    local usage = written({ { kind = "start" } }, USAGE, USAGE)[1].message.usage
    assert.same({ 24, 0 }, { usage.input_tokens, usage.output_tokens })
  end)

  it("is whole even where nothing was said", function()
    local list = written({}, USAGE)
    assert.equal(3, #list)
    assert.equal("end_turn", list[2].delta.stop_reason)
  end)

  it("has thoughts with a signature, or the mark of none", function()
    assert.same({
      { type = "thinking", thinking = "hm", signature = "s" }, { type = "text", text = "a" },
      { type = "thinking", thinking = "bare", signature = "moongate.unsigned." },
      { type = "redacted_thinking", data = "moongate.openai_responses.d" },
      { type = "thinking", thinking = "", signature = "moongate.gemini.g" },
      { type = "tool_use", id = "t", name = "f", input = {}, json = "{}" },
    }, content(written({
      { kind = "thinking", text = "h" }, { kind = "thinking", text = "m" },
      { kind = "signature", signature = "s", origin = "anthropic" }, { kind = "text", text = "a" },
      { kind = "thinking", text = "bare" }, { kind = "redacted", data = "d", origin = "openai_responses" },
      { kind = "tool", call = 0, id = "t", name = "f", signature = "g", origin = "gemini" },
      { kind = "arguments", call = 0, text = "{}" }, { kind = "finish", finish = "stop" },
    }, USAGE)))
  end)

  it("closes each call before the next, however they are mixed", function()
    local list = written({
      { kind = "text", text = "a" }, { kind = "tool", call = 0, id = "t0", name = "f" },
      { kind = "arguments", call = 0, text = '{"x"' }, { kind = "tool", call = 1, id = "t1", name = "g" },
      { kind = "arguments", call = 1, text = '{"y":' }, { kind = "arguments", call = 0, text = ':{}' },
      { kind = "arguments", call = 1, text = "2}" }, { kind = "arguments", call = 0, text = "}" },
      { kind = "tool", call = 2, id = "t2", name = "h" }, { kind = "text", text = "b" },
      { kind = "arguments", call = 5, text = "?" }, { kind = "finish", finish = "tool_calls" },
    }, USAGE)
    assert.same({
      { type = "text", text = "a" }, { type = "tool_use", id = "t0", name = "f", input = {}, json = '{"x":{}}' },
      { type = "tool_use", id = "t1", name = "g", input = {}, json = '{"y":2}' },
      { type = "tool_use", id = "t2", name = "h", input = {}, json = "" }, { type = "text", text = "b" },
    }, content(list))
    assert.equal("tool_use", list[#list - 1].delta.stop_reason)
  end)

  it("says the same however its texts are cut", function()
    local arguments, text = '{"city":"M\195\188nchen","n":{"a":[1,2]}}', "Hello, world"
    local function events(size)
      local list = { { kind = "start" } }
      local function cut(whole, make)
        for at = 1, #whole, size do list[#list + 1] = make(string.sub(whole, at, at + size - 1)) end
      end
      cut(text, function(part) return { kind = "text", text = part } end)
      list[#list + 1] = { kind = "tool", call = 0, id = "t", name = "f" }
      list[#list + 1] = { kind = "tool", call = 1, id = "u", name = "g" }
      cut(arguments, function(part) return { kind = "arguments", call = 1, text = part } end)
      cut(arguments, function(part) return { kind = "arguments", call = 0, text = part } end)
      list[#list + 1] = { kind = "finish", finish = "tool_calls" }
      return list
    end
    local whole = content(written(events(1000), USAGE))
    assert.equal(arguments, whole[2].json)
    assert.equal(arguments, whole[3].json)
    for _, size in ipairs { 2, 3, 7, 20 } do assert.same(whole, content(written(events(size), USAGE))) end
  end)

  it("reads back as what was written", function()
    local events = {
      { kind = "start", id = "msg_1", model = "served" }, { kind = "thinking", text = "hm" },
      { kind = "signature", signature = "s", origin = "anthropic" }, { kind = "text", text = "a" },
      { kind = "tool", call = 0, id = "t", name = "f" }, { kind = "arguments", call = 0, text = '{"x":1}' },
      { kind = "finish", finish = "tool_calls" },
    }
    local list, usage, read_on = {}, nil, anthropic.reader()
    for _, document in ipairs(written(events, USAGE)) do
      local event = { data = json.encode(document) }
      usage = anthropic.read_event(event, usage).usage or usage
      for _, each in ipairs(read_on(event)) do list[#list + 1] = each end
    end
    assert.same(events, list)
    assert.same(USAGE, usage)
  end)

  it("is one answer, whatever else was given", function()
    assert.equal("", surface.writer(call()):event { kind = "text", text = "b", index = 1 })
  end)
end)

describe("an error in Anthropic's shape", function()
  local function kind(...) return json.decode(surface.error(...)).error.type end

  it("has a type by its status", function()
    local types = {
      [400] = "invalid_request_error", [401] = "authentication_error", [403] = "permission_error",
      [404] = "not_found_error", [405] = "invalid_request_error", [413] = "request_too_large",
      [429] = "rate_limit_error", [500] = "api_error", [502] = "api_error", [503] = "overloaded_error",
    }
    for status, name in pairs(types) do assert.equal(name, kind(status, "m", "whatever")) end
  end)

  it("tells a failure upstream better than its status does", function()
    assert.equal("overloaded_error", kind(502, "m", "overloaded_error"))
    assert.equal("rate_limit_error", kind(502, "m", "tokens", "rate_limit_exceeded"))
    assert.equal("api_error", kind(502, "m", "authentication_error"))
  end)

  it("names the request", function()
    assert.same({ type = "error", error = { type = "not_found_error", message = "m" }, request_id = "r-1" },
      json.decode(surface.error(404, "m", nil, nil, nil, "r-1")))
  end)

  it("is an event of its own in a stream", function()
    local event = read(surface.error_event(502, "m", "overloaded_error"))[1]
    assert.same({ type = "overloaded_error", message = "m" }, event.error)
  end)
end)

describe("models in Anthropic's shape", function()
  it("are a page", function()
    local list = json.decode(surface.models { { id = "a", context_length = 10, max_output = 5 }, { id = "b" } })
    assert.same({ type = "model", id = "a", display_name = "a", created_at = "1970-01-01T00:00:00Z",
      max_input_tokens = 10, max_tokens = 5 }, list.data[1])
    assert.same({ false, "a", "b" }, { list.has_more, list.first_id, list.last_id })
    assert.same(json.null, json.decode(surface.models {}).first_id)
    assert.equal("b", json.decode(surface.model { id = "b" }).id)
  end)
end)
