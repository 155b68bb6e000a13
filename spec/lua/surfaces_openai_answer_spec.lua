require "spec.support.core"
local json = require "moongate.core.json"
local openai = require "protocols.openai"
local surface = require "moongate.surfaces.openai"
local vector = require "moongate.vector"

local USAGE = { input = 10, cached = 4, cache_write = 2, output = 5, reasoning = 3, total = 24 }

local function call(request)
  request = request or {}
  request.now, request.model = 1000, "asked"
  return { id = "r1", request = request, served = { model = "served" }, operation = "chat" }
end

local function reply(blocks, finish, request)
  return json.decode(surface.reply(call(request), {
    choices = { { blocks = blocks, finish = finish or "stop" } }, usage = USAGE,
  }))
end

-- The events of a stream, decoded; "[DONE]" and comments as they are.
local function chunks(text)
  local list = {}
  for event in string.gmatch(text, "(.-)\n\n") do
    local data = string.match(event, "^data: (.*)$") or event
    list[#list + 1] = json.decode(data) or data
  end
  return list
end

local function stream(events, request, usage)
  local writer, parts = surface.writer(call(request)), {}
  for index, event in ipairs(events) do parts[index] = writer:event(event) end
  parts[#parts + 1] = writer:finish(usage)
  return chunks(table.concat(parts))
end

local function deltas(list)
  local found = {}
  for _, chunk in ipairs(list) do
    local choice = type(chunk) == "table" and chunk.choices[1]
    if choice then found[#found + 1] = choice.delta end
  end
  return found
end

describe("a whole answer in OpenAI's shape", function()
  it("has a frame, the message and why it ended", function()
    local body = reply { { kind = "text", text = "a" }, { kind = "text", text = "b" } }
    assert.same({ "chatcmpl-r1", "chat.completion", 1000, "served" },
      { body.id, body.object, body.created, body.model })
    assert.same({ index = 0, finish_reason = "stop", logprobs = json.null,
      message = { role = "assistant", content = "ab", refusal = json.null } }, body.choices[1])
  end)

  it("counts cached tokens into the prompt and thoughts into the completion", function()
    assert.same({
      prompt_tokens = 16, completion_tokens = 8, total_tokens = 24,
      prompt_tokens_details = { cached_tokens = 4, cache_write_tokens = 2 },
      completion_tokens_details = { reasoning_tokens = 3 },
    }, reply({}).usage)
  end)

  it("ends for each reason in OpenAI's words", function()
    local found = {}
    for index, finish in ipairs { "stop", "stop_sequence", "length", "tool_calls", "content_filter", "pause" } do
      found[index] = reply({}, finish).choices[1].finish_reason
    end
    assert.same({ "stop", "stop", "length", "tool_calls", "content_filter", "stop" }, found)
  end)

  it("tells calls, refusals, thoughts and pictures", function()
    local message = reply({
      { kind = "thinking", text = "hm", signature = "s", origin = "anthropic" },
      { kind = "refusal", text = "no" }, { kind = "image", data = "QUJD", media_type = "image/png" },
      { kind = "tool_use", id = "c", name = "f", arguments = "{}" },
    }, "tool_calls").choices[1].message
    assert.equal(json.null, message.content)
    assert.equal("no", message.refusal)
    assert.equal("hm", message.reasoning_content)
    assert.equal("moongate.anthropic.s", message.thinking_blocks[1].signature)
    assert.equal("data:image/png;base64,QUJD", message.images[1].image_url.url)
    assert.same({ id = "c", type = "function", ["function"] = { name = "f", arguments = "{}" } },
      message.tool_calls[1])
  end)

  it("tells a caller of the old functions of a function call", function()
    local choice = reply({ { kind = "tool_use", id = "c", name = "f", arguments = "{}" } }, "tool_calls",
      { old_functions = true }).choices[1]
    assert.equal("function_call", choice.finish_reason)
    assert.same({ name = "f", arguments = "{}" }, choice.message.function_call)
    assert.is_nil(choice.message.tool_calls)
  end)
end)

describe("a stream in OpenAI's shape", function()
  it("begins with the role, ends with the reason and [DONE]", function()
    local list = stream { { kind = "start", id = "x" }, { kind = "text", text = "a" }, { kind = "text", text = "b" },
      { kind = "finish", finish = "stop" } }
    assert.same({ { role = "assistant", content = "" }, { content = "a" }, { content = "b" }, {} }, deltas(list))
    assert.equal("stop", list[4].choices[1].finish_reason)
    assert.equal("[DONE]", list[5])
    assert.same({ "chat.completion.chunk", "served", "chatcmpl-r1" }, { list[1].object, list[1].model, list[1].id })
  end)

  it("tells usage only to those who ask, in a chunk of its own", function()
    local events = { { kind = "text", text = "a" }, { kind = "finish", finish = "stop" } }
    local list = stream(events, { include_usage = true }, USAGE)
    assert.equal(json.null, list[1].usage)
    assert.same({}, list[4].choices)
    assert.equal(24, list[4].usage.total_tokens)
    list = stream(events, {}, USAGE)
    assert.equal("[DONE]", list[4])
    assert.is_nil(list[1].usage)
  end)

  it("gives each choice its role and its end", function()
    local list = stream { { kind = "text", text = "a" }, { kind = "text", text = "b", index = 1 },
      { kind = "finish", finish = "length", index = 1 } }
    local seen = {}
    for index, chunk in ipairs(list) do
      local choice = type(chunk) == "table" and chunk.choices[1]
      seen[index] = choice and choice.index .. (choice.delta.role or choice.delta.content or choice.finish_reason)
    end
    assert.same({ "0assistant", "0a", "1assistant", "1b", "1length", "0stop", false }, seen)
  end)

  it("ends even if nothing was said", function()
    local list = stream {}
    assert.same({ { role = "assistant", content = "" }, {} }, deltas(list))
    assert.equal("[DONE]", list[3])
  end)

  it("tells calls piece by piece", function()
    local list = deltas(stream { { kind = "tool", call = 0, id = "a", name = "f", signature = "s", origin = "gemini" },
      { kind = "arguments", call = 0, text = '{"x":' }, { kind = "tool", call = 1, id = "b", name = "g" },
      { kind = "arguments", call = 0, text = "1}" }, { kind = "finish", finish = "tool_calls" } })
    assert.same({ index = 0, id = "a", type = "function", ["function"] = { name = "f", arguments = "" },
      extra_content = { google = { thought_signature = "moongate.gemini.s" } } }, list[2].tool_calls[1])
    assert.same({ index = 0, ["function"] = { arguments = '{"x":' } }, list[3].tool_calls[1])
    assert.equal(1, list[4].tool_calls[1].index)
    assert.same({ index = 0, ["function"] = { arguments = "1}" } }, list[5].tool_calls[1])
  end)

  it("says a ping as a comment", function()
    assert.equal(": ping\n\n", surface.writer(call()):event { kind = "ping" })
  end)

  it("reads back as what was said, signatures and all", function()
    local events = {
      { kind = "thinking", text = "h", index = 0 }, { kind = "thinking", text = "m", index = 0 },
      { kind = "signature", signature = "s", origin = "anthropic" },
      { kind = "redacted", data = "d", origin = "anthropic" }, { kind = "text", text = "a", index = 0 },
      { kind = "refusal", text = "no", index = 0 },
      { kind = "tool", call = 0, id = "a", name = "f", index = 0, signature = "g", origin = "gemini" },
      { kind = "arguments", call = 0, text = "{}", index = 0 },
      { kind = "image", data = "QUJD", media_type = "image/png", index = 0 },
      { kind = "finish", finish = "tool_calls", index = 0 },
    }
    local read, found = openai.reader(), {}
    for _, chunk in ipairs(stream(events, { include_usage = true }, USAGE)) do
      if type(chunk) == "table" then
        for _, event in ipairs(read { document = chunk }) do found[#found + 1] = event end
      end
    end
    assert.equal("start", table.remove(found, 1).kind)
    events[3].index, events[4].index = 0, 0
    assert.same(events, found)
  end)
end)

describe("embeddings in OpenAI's shape", function()
  local function body(request)
    return json.decode(surface.vectors(call(request), { vectors = { { 0.5, -1 }, { 0.25 } }, usage = USAGE }))
  end

  it("are numbers, or packed where that was asked for", function()
    local plain, packed = body(), body { packed = true }
    assert.same({ object = "embedding", index = 0, embedding = { 0.5, -1 } }, plain.data[1])
    assert.equal(1, plain.data[2].index)
    assert.same({ prompt_tokens = 16, total_tokens = 24 }, plain.usage)
    assert.same({ 0.5, -1 }, vector.unpack(packed.data[1].embedding))
  end)

  it("are asked for by text, texts or tokens", function()
    local function inputs(text)
      return surface.embedding(assert(json.scan('{"input":' .. text .. ',"dimensions":3}')))
    end
    assert.same({ inputs = { "a" }, dimensions = 3 }, inputs '"a"')
    assert.same({ "a", "b" }, inputs('["a","b"]').inputs)
    assert.same({ { 1, 2 } }, inputs("[1,2]").inputs)
    assert.same({ { 1 }, { 2 } }, inputs("[[1],[2]]").inputs)
    local parsed = assert(surface.parse(assert(json.scan '{"model":"m","input":"a","encoding_format":"base64"}'), {},
      "embeddings"))
    assert.is_true(parsed.packed)
  end)
end)
