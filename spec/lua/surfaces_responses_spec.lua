require "spec.support.core"
local json = require "moongate.core.json"
local protocol = require "protocols.openai_responses"
local surface = require "moongate.surfaces.responses"

local function parse(body, headers)
  if type(body) == "table" then body = json.encode(body) end
  local document = assert(json.scan(body))
  local request, refusal = surface.parse(document, headers or {}, "chat")
  return request, refusal, document
end

local function chat(body)
  local request, refusal, document = parse(body)
  assert(request, refusal and refusal.message)
  return surface.chat(document, request)
end

local function items(...) return { model = "m", input = json.array { ... } } end

local function text(said) return { kind = "text", text = said } end

describe("a Responses request", function()
  it("shows what policies ask for", function()
    local request = assert(parse { model = "m", input = "hello", stream = true, max_output_tokens = 50,
      instructions = "be brief", tools = { { type = "function", name = "f" } },
      text = { format = { type = "json_schema", name = "n", schema = {} } } })
    assert.same({ "m", "responses", true, 50, 13, true, true, false, true },
      { request.model, request.surface, request.stream, request.max_tokens, request.text_length, request.tools,
        request.json_schema, request.images, request.include_usage })
    assert.is_nil(request.needs_native)
  end)

  it("shows policies its messages in the shape of a chat completion", function()
    local request = assert(parse { model = "m", input = "hello", instructions = "be brief" })
    assert.is_nil(rawget(request, "messages"))
    assert.same({ { role = "system", content = "be brief" }, { role = "user", content = "hello" } }, request.messages)
  end)

  it("weighs pictures flat, not by their bytes", function()
    local request = assert(parse(items { role = "user", content = {
      { type = "input_text", text = "look" },
      { type = "input_image", image_url = "data:image/png;base64," .. string.rep("A", 40000) } } }))
    assert.is_true(request.images)
    assert.equal(4, request.text_length)
    assert.is_true(request.estimated_tokens < 1000)
  end)

  it("reads the caller's headers", function()
    assert.equal("best", assert(parse({ model = "m", input = "a" }, { ["x-moongate-priority"] = "best" })).priority)
    local _, refusal = parse({ model = "m", input = "a" }, { ["x-moongate-priority"] = "x" })
    assert.equal("x-moongate-priority", refusal.param)
  end)

  for param, body in pairs {
    previous_response_id = { model = "m", input = "a", previous_response_id = "resp_1" },
    conversation = { model = "m", input = "a", conversation = "conv_1" },
    background = { model = "m", input = "a", background = true },
    prompt = { model = "m", prompt = { id = "pmpt_1" } },
    ["input[0]"] = items { type = "item_reference", id = "msg_1" },
  } do
    it("goes to a provider of the same API alone if it has " .. param, function()
      local request, refusal, document = parse(body)
      assert(request, refusal and refusal.message)
      assert.equal(param, request.needs_native)
      local neutral
      neutral, refusal = surface.chat(document, request)
      assert.is_nil(neutral)
      assert.same({ 400, param }, { refusal.status, refusal.param })
      assert.equal(param .. ":", string.sub(refusal.message, 1, #param + 1))
    end)
  end

  -- where, body
  for title, case in pairs {
    ["has no input"] = { "input", { model = "m" } },
    ["has an empty one"] = { "input", { model = "m", input = json.array {} } },
    ["has an item that is none"] = { "input[0]", items "x" },
    ["has a role that nobody has"] = { "input[0].role", items { role = "robot", content = "a" } },
    ["has a message without content"] = { "input[0].content", items { role = "user" } },
    ["has a part without its text"] = { "input[0].content[0].text",
      items { role = "user", content = { { type = "input_text" } } } },
    ["has a picture that is none"] = { "input[0].content[0].image_url", items { role = "user",
      content = { { type = "input_image", image_url = "data:text/plain;base64,AAAA" } } } },
    ["has a call without its id"] = { "input[0].call_id", items { type = "function_call", name = "f",
      arguments = "{}" } },
    ["has an output that belongs to no call"] = { "input[0].call_id", items { type = "function_call_output",
      call_id = "a", output = "1" } },
    ["nests its function as chat completions do"] = { "tools[0].name", { model = "m", input = "a",
      tools = { { type = "function", ["function"] = { name = "f" } } } } },
    ["chooses a tool that is not there"] = { "tool_choice.name", { model = "m", input = "a",
      tools = { { type = "function", name = "f" } }, tool_choice = { type = "function", name = "g" } } },
    ["requires tools and has none"] = { "tool_choice", { model = "m", input = "a", tool_choice = "required" } },
    ["has too hot a temperature"] = { "temperature", { model = "m", input = "a", temperature = 3 } },
    ["has no positive limit"] = { "max_output_tokens", { model = "m", input = "a", max_output_tokens = 0 } },
    ["wants a schema without a name"] = { "text.format.name", { model = "m", input = "a",
      text = { format = { type = "json_schema", json_schema = { name = "n" } } } } },
    ["is no object"] = { nil, "[]" },
    ["streams by word"] = { "stream", { model = "m", input = "a", stream = "yes" } },
  } do
    it("is refused if it " .. title, function()
      local request, refusal = parse(case[2])
      assert.is_nil(request)
      assert.equal(400, refusal.status)
      assert.equal(case[1], refusal.param)
    end)
  end
end)

describe("the neutral chat of a Responses request", function()
  it("has its turns, whatever items they came as", function()
    local neutral = assert(chat {
      model = "m", instructions = "s", max_output_tokens = 9, temperature = 1, top_p = 0.5, user = "u",
      parallel_tool_calls = false, reasoning = { effort = "low", summary = "auto" },
      input = {
        { role = "developer", content = "d" },
        { type = "message", role = "user", content = { { type = "input_text", text = "hi" },
          { type = "input_image", image_url = "https://a.example/b.png", detail = "low" },
          { type = "input_file", filename = "a.pdf", file_data = "data:application/pdf;base64,JVBERg==" },
          { type = "input_file", file_url = "https://a.example/c.pdf" } } },
        { type = "reasoning", id = "rs_1", summary = { { type = "summary_text", text = "hm" } },
          encrypted_content = "enc" },
        { type = "reasoning", summary = json.array {}, encrypted_content = "moongate.anthropic.redacted.d" },
        { type = "message", role = "assistant", content = { { type = "output_text", text = "ho" } } },
        { type = "function_call", call_id = "a", name = "f", arguments = "{}",
          extra_content = { google = { thought_signature = "moongate.gemini.g" } } },
        { type = "web_search_call", id = "ws_1" },
        { type = "function_call_output", call_id = "a", output = { { type = "input_text", text = "1" } } },
      },
      tools = { { type = "function", name = "f", parameters = { type = "object" }, strict = true } },
      tool_choice = { type = "function", name = "f" },
      text = { format = { type = "json_schema", name = "n", schema = { type = "object" }, strict = true } },
      service_tier = "flex", store = true,
    })
    assert.same({
      system = { text "s", text "d" },
      turns = {
        { role = "user", blocks = { text "hi", { kind = "image", url = "https://a.example/b.png", detail = "low" },
          { kind = "document", name = "a.pdf", data = "JVBERg==", media_type = "application/pdf" },
          { kind = "document", url = "https://a.example/c.pdf" } } },
        { role = "assistant", blocks = {
          { kind = "thinking", text = "hm", signature = "enc", origin = "openai_responses", id = "rs_1" },
          { kind = "redacted", data = "d", origin = "anthropic" }, text "ho",
          { kind = "tool_use", id = "a", name = "f", arguments = "{}", signature = "g", origin = "gemini" } } },
        { role = "user", blocks = { { kind = "tool_result", id = "a", name = "f", blocks = { text "1" } } } },
      },
      tools = { { name = "f", schema = { type = "object" }, strict = true } },
      tool_choice = { kind = "named", name = "f" }, parallel = false, max_tokens = 9, temperature = 1, top_p = 0.5,
      format = { kind = "schema", name = "n", schema = { type = "object" }, strict = true },
      reasoning = { effort = "low", show = true }, user = "u", stream = false, unread = { "service_tier" },
    }, neutral)
  end)

  for title, case in pairs {
    ["a built-in tool"] = { "tools[0].type", { model = "m", input = "a", tools = { { type = "web_search" } } } },
    ["a stored file"] = { "input[0].content[0].file_id", items { role = "user",
      content = { { type = "input_image", file_id = "file-1" } } } },
    ["an item that wants its own tool"] = { "input[0].type", items { type = "computer_call", id = "c" } },
    ["a part of a type of its own"] = { "input[0].content[0].type", items { role = "user",
      content = { { type = "hologram" } } } },
  } do
    it("can't hold " .. title, function()
      local neutral, refusal = chat(case[2])
      assert.is_nil(neutral)
      assert.same({ 400, case[1] }, { refusal.status, refusal.param })
    end)
  end
end)

local USAGE = { input = 10, cached = 4, cache_write = 2, output = 5, reasoning = 3, total = 24 }

local function call(body)
  local request = assert(parse(body or { model = "asked", input = "hi", metadata = { a = "b" }, temperature = 0.5 }))
  request.now = 1000
  return { id = "r-1", request = request, served = { model = "served" }, operation = "chat" }
end

local BLOCKS = {
  { kind = "thinking", text = "hm", signature = "s", origin = "anthropic" },
  { kind = "redacted", data = "d", origin = "anthropic" },
  { kind = "thinking", text = "own", signature = "e", origin = "openai_responses" },
  { kind = "text", text = "ho" }, { kind = "refusal", text = "no" },
  { kind = "tool_use", id = "a", name = "f", arguments = '{"x":1}', signature = "g", origin = "gemini" },
  { kind = "tool_use", id = "b", name = "g", arguments = "{}" },
}

local EVENTS = {
  { kind = "start", id = "x" }, { kind = "thinking", text = "h" }, { kind = "thinking", text = "m" },
  { kind = "signature", signature = "s", origin = "anthropic" },
  { kind = "redacted", data = "d", origin = "anthropic" },
  { kind = "thinking", text = "own" }, { kind = "signature", signature = "e", origin = "openai_responses" },
  { kind = "text", text = "h" }, { kind = "text", text = "o" }, { kind = "refusal", text = "no" },
  { kind = "tool", call = 0, id = "a", name = "f", signature = "g", origin = "gemini" },
  { kind = "arguments", call = 0, text = '{"x"' }, { kind = "tool", call = 1, id = "b", name = "g" },
  { kind = "arguments", call = 1, text = "{}" }, { kind = "arguments", call = 0, text = ":1}" },
  { kind = "finish", finish = "tool_calls" },
}

local function whole(blocks, finish)
  return json.decode(surface.reply(call(), { choices = { { blocks = blocks, finish = finish or "stop" } },
    usage = USAGE }))
end

-- The events of a stream: { name, document }.
local function stream(events, usage)
  local writer, parts = surface.writer(call()), {}
  for index, event in ipairs(events) do parts[index] = writer:event(event) end
  parts[#parts + 1] = writer:finish(usage)
  local list = {}
  for name, data in string.gmatch(table.concat(parts), "event: ([^\n]+)\ndata: ([^\n]+)\n\n") do
    list[#list + 1] = { name, assert(json.decode(data)) }
  end
  return list
end

describe("a whole response", function()
  it("tells of the request and of the answer", function()
    local body = whole({ text "ho" })
    assert.same({ "resp_r1", "response", "completed", 1000, "served", 0.5, "b", false },
      { body.id, body.object, body.status, body.created_at, body.model, body.temperature, body.metadata.a, body.store })
    assert.same({ { type = "message", id = "msg_r100", role = "assistant", status = "completed",
      content = { { type = "output_text", text = "ho", annotations = {}, logprobs = {} } } } }, body.output)
    assert.same({ input_tokens = 16, output_tokens = 8, total_tokens = 24,
      input_tokens_details = { cached_tokens = 4, cache_write_tokens = 2 },
      output_tokens_details = { reasoning_tokens = 3 } }, body.usage)
    assert.equal(json.null, body.error)
  end)

  it("is incomplete where it was cut short", function()
    local body = whole({ text "ho" }, "length")
    assert.same({ "incomplete", "max_output_tokens", "incomplete" },
      { body.status, body.incomplete_details.reason, body.output[1].status })
    assert.equal("content_filter", whole({ text "ho" }, "content_filter").incomplete_details.reason)
  end)

  it("holds thoughts, refusals and calls as items, which read back as they were", function()
    local body = whole(BLOCKS, "tool_calls")
    local kinds = {}
    for index, item in ipairs(body.output) do kinds[index] = item.type end
    assert.same({ "reasoning", "reasoning", "reasoning", "message", "function_call", "function_call" }, kinds)
    assert.equal("moongate.anthropic.s", body.output[1].encrypted_content)
    assert.equal("e", body.output[3].encrypted_content)
    local neutral = assert(chat { model = "m", input = { { role = "user", content = "hi" }, unpack(body.output) } })
    local blocks = neutral.turns[2].blocks
    for _, block in ipairs(blocks) do block.id = block.kind == "tool_use" and block.id or nil end
    assert.same(BLOCKS, blocks)
  end)
end)

describe("a response as a stream", function()
  it("numbers its events without a gap, each named as its type", function()
    for index, event in ipairs(stream(EVENTS, USAGE)) do
      assert.equal(index - 1, event[2].sequence_number)
      assert.equal(event[1], event[2].type)
    end
  end)

  it("begins, adds, says, ends and completes", function()
    local names = {}
    local events = { { kind = "text", text = "a" }, { kind = "finish", finish = "stop" } }
    for index, event in ipairs(stream(events, USAGE)) do
      names[index] = event[1]
    end
    assert.same({
      "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
      "response.output_text.delta", "response.output_text.done", "response.content_part.done",
      "response.output_item.done", "response.completed",
    }, names)
  end)

  it("ends every item and every part that it has begun, once, as it then stands in the output", function()
    local list = stream(EVENTS, USAGE)
    local final, open, parts, done = list[#list][2].response, {}, 0, 0
    for _, event in ipairs(list) do
      local name, told = event[1], event[2]
      if name == "response.output_item.added" then
        assert.is_nil(open[told.output_index])
        open[told.output_index] = told.item.id
      elseif name == "response.output_item.done" then
        assert.equal(open[told.output_index], told.item.id)
        open[told.output_index] = nil
        assert.same(told.item, final.output[told.output_index + 1])
        done = done + 1
      elseif string.find(name, "part.added$") then
        parts = parts + 1
      elseif string.find(name, "part.done$") then
        parts = parts - 1
      elseif told.item_id then
        assert.equal(open[told.output_index], told.item_id)
      end
    end
    assert.same({}, open)
    assert.same({ 0, 6 }, { parts, done })
    assert.equal(24, final.usage.total_tokens)
  end)

  it("ends with the same output as a whole response", function()
    local list = stream(EVENTS, USAGE)
    assert.same(whole(BLOCKS, "tool_calls"), list[#list][2].response)
  end)

  it("reads back as what was said", function()
    local reader, blocks = protocol.reader(), {}
    local calls = {}
    for _, event in ipairs(stream(EVENTS, USAGE)) do
      local raw = { name = event[1], data = json.encode(event[2]) }
      assert.is_nil(protocol.read_event(raw).error)
      for _, said in ipairs(reader(raw)) do
        local last = blocks[#blocks]
        if said.kind == "arguments" then
          calls[said.call].text = calls[said.call].text .. said.text
        elseif said.text and last and last.kind == said.kind then
          last.text = last.text .. said.text
        else
          blocks[#blocks + 1] = said
          if said.kind == "tool" then
            calls[said.call] = said
            said.text = ""
          end
        end
      end
    end
    local told = {}
    for index, said in ipairs(blocks) do told[index] = said.kind .. ":" .. (said.text or said.finish or "") end
    assert.same({ "start:", "thinking:hm", "signature:", "redacted:", "thinking:own", "signature:", "text:ho",
      "refusal:no", 'tool:{"x":1}', "tool:{}", "finish:tool_calls" }, told)
  end)

  it("is incomplete where it was cut short", function()
    local list = stream({ { kind = "text", text = "a" }, { kind = "finish", finish = "length" } }, USAGE)
    assert.equal("response.incomplete", list[#list][1])
    assert.equal("max_output_tokens", list[#list][2].response.incomplete_details.reason)
    assert.equal("incomplete", list[#list][2].response.output[1].status)
  end)

  it("completes even if nothing was said", function()
    local list = stream {}
    assert.same({ "response.created", "response.in_progress", "response.completed" },
      { list[1][1], list[2][1], list[3][1] })
    assert.same({}, list[3][2].response.output)
  end)

  it("gives the same output however the text is cut", function()
    local said, seed, before = "some text that is said", 3, nil
    local function random(most)
      seed = seed * 16807 % 2147483647
      return seed % most + 1
    end
    for _ = 1, 20 do
      local events, from = {}, 1
      while from <= #said do
        local to = math.min(#said, from + random(6) - 1)
        events[#events + 1] = { kind = "text", text = string.sub(said, from, to) }
        from = to + 1
      end
      local list = stream(events, USAGE)
      local output = json.encode(list[#list][2].response)
      assert.equal(before or output, output)
      before = output
    end
  end)
end)

describe("an error of the Responses surface", function()
  it("has OpenAI's shape", function()
    local body = json.decode(surface.error(429, "slow down")).error
    assert.same({ "slow down", "rate_limit_error", "rate_limit_exceeded" }, { body.message, body.type, body.code })
  end)

  it("is an event of its own in a stream; the response itself fails too if the stream's writer is known", function()
    local writer = surface.writer(call())
    writer:event { kind = "text", text = "a" }
    local text_of = surface.error_event(502, "broke", "server_error", "x", writer)
    local name, data, last = string.match(text_of,
      "^event: (%w+)\ndata: ([^\n]*)\n\nevent: response.failed\ndata: (.*)\n\n$")
    assert.equal("error", name)
    last = json.decode(last)
    assert.same({ 6, "failed", { code = "x", message = "broke" } },
      { last.sequence_number, last.response.status, last.response.error })
    assert.same({ type = "error", code = "x", message = "broke", param = json.null, sequence_number = 5 },
      (json.decode(data)))
    data = string.match(surface.error_event(502, "broke"), "data: (.*)\n\n$")
    assert.same({ type = "error", code = "server_error", message = "broke", param = json.null }, (json.decode(data)))
  end)
end)
