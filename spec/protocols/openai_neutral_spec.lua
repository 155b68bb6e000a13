-- What OpenAI's protocol makes of the neutral chat, and what it reads into the neutral answer.
require "spec.support.core"
local json = require "moongate.core.json"
local openai = require "protocols.openai"

local function order(name, chat, more)
  local all = {
    operation = "chat", target = { upstream_id = "up-1" }, key = "k", stream = false,
    provider = { name = name, base_url = "https://host.example/v1" },
  }
  if chat then
    all.chat = { system = {}, turns = {}, tools = {}, unread = {} }
    for member, value in pairs(chat) do all.chat[member] = value end
  end
  for member, value in pairs(more or {}) do all[member] = value end
  return all
end

local function sent(name, chat, more)
  local wire = assert(openai.build(order(name, chat, more)))
  return json.decode(wire.body), wire.dropped
end

local function user(...) return { role = "user", blocks = { ... } } end

local function assistant(...) return { role = "assistant", blocks = { ... } } end

local function text(said) return { kind = "text", text = said } end

describe("a neutral chat on its way to an OpenAI-shaped provider", function()
  it("is a chat completion of the model there", function()
    assert.same({ model = "up-1", max_tokens = 5, messages = {
      { role = "system", content = "s" }, { role = "user", content = "hi" },
    } }, (sent("mine", { system = { text "s" }, turns = { user(text "hi") }, max_tokens = 5 })))
  end)

  it("asks for usage in streams", function()
    local body = sent("mine", { turns = { user(text "hi") } }, { stream = true })
    assert.is_true(body.stream)
    assert.same({ include_usage = true }, body.stream_options)
  end)

  it("is written in the provider's dialect", function()
    local chat = { turns = { user(text "hi") }, max_tokens = 5, seed = 3, user = "u", temperature = 2 }
    local body, dropped = sent("mistral", chat, { stream = true })
    assert.same({ model = "up-1", max_tokens = 5, random_seed = 3, temperature = 1.5, stream = true,
      messages = { { role = "user", content = "hi" } } }, body)
    assert.same({ "user" }, dropped)
    body = sent("openai", { max_tokens = 5 }, { target = { upstream_id = "gpt-5-mini" } })
    assert.equal(5, body.max_completion_tokens)
    assert.is_nil(body.max_tokens)
  end)

  it("has ids that Mistral takes, the same for a call and its result", function()
    local body = sent("mistral", { turns = {
      user(text "hi"), assistant { kind = "tool_use", id = "toolu_0123456789", name = "f", arguments = "{}" },
      user { kind = "tool_result", id = "toolu_0123456789", blocks = { text "1" } },
    } })
    local id = body.messages[2].tool_calls[1].id
    assert.matches("^%w%w%w%w%w%w%w%w%w$", id)
    assert.equal(id, body.messages[3].tool_call_id)
  end)

  it("says what it left out", function()
    local _, dropped = sent("mine", { top_k = 4, min_p = 0.1, unread = { "store" }, reasoning = { effort = "low" } })
    assert.same({ "top_k", "min_p", "reasoning_effort", "store" }, dropped)
    local body, none = sent("openrouter", { top_k = 4 })
    assert.equal(4, body.top_k)
    assert.is_nil(none)
  end)

  it("asks only models that think to think", function()
    local chat = { reasoning = { budget = 8192 } }
    assert.equal("medium", sent("mine", chat, { target = { upstream_id = "o3" } }).reasoning_effort)
    assert.equal("medium", sent("mine", chat,
      { target = { upstream_id = "x", strengths = { "reasoning" } } }).reasoning_effort)
    assert.is_nil(sent("mine", chat).reasoning_effort)
  end)

  it("leaves thoughts, marks and foreign signatures behind", function()
    local body = sent("mine", { turns = { user { kind = "text", text = "hi", cache = { type = "ephemeral" } },
      assistant({ kind = "thinking", text = "hm", signature = "s", origin = "anthropic" },
        { kind = "redacted", data = "d", origin = "anthropic" }, text "ho",
        { kind = "tool_use", id = "a", name = "f", arguments = "{}", signature = "g", origin = "gemini" }) } })
    assert.same({ { role = "user", content = "hi" }, { role = "assistant", content = "ho",
      tool_calls = { { id = "a", type = "function", ["function"] = { name = "f", arguments = "{}" } } } } },
      body.messages)
  end)

  it("gives thoughts back to those who want every turn to have some", function()
    local turns = { user(text "hi"), assistant({ kind = "thinking", text = "hm" }, text "ho"), user(text "and"),
      assistant(text "ha") }
    local body = sent("deepseek", { turns = turns })
    assert.equal("hm", body.messages[2].reasoning_content)
    assert.equal("", body.messages[4].reasoning_content)
    assert.is_nil(body.messages[1].reasoning_content)
  end)

  it("asks for no more than the model can say", function()
    assert.equal(100, sent("mine", { max_tokens = 5000 }, { target = { upstream_id = "m", max_output = 100 } })
      .max_tokens)
  end)

  it("can't take a document by its address, nor count", function()
    local document = { kind = "document", url = "https://a.example/" }
    local wire, unfit = openai.build(order("mine", { turns = { user(document) } }))
    assert.is_nil(wire)
    assert.equal("messages", unfit.param)
    wire, unfit = openai.build(order("mine", {}, { operation = "count" }))
    assert.is_nil(wire)
    assert.matches("count", unfit.message)
  end)

  it("does not change the chat, which other providers may get", function()
    local chat = { turns = { user(text "hi"), assistant({ kind = "thinking", text = "hm" }, text "ho") }, top_k = 3,
      max_tokens = 9, tools = { { name = "f" } } }
    local before = json.encode(chat)
    sent("mistral", chat)
    sent("deepseek", chat)
    assert.equal(before, json.encode(chat))
  end)

  it("is an embeddings call where texts are to be embedded", function()
    local body, dropped = sent("mine", nil, { operation = "embeddings",
      embedding = { inputs = { "a", { 1, 2 } }, dimensions = 4, task = "t" } })
    assert.same({ model = "up-1", input = { "a", { 1, 2 } }, dimensions = 4, encoding_format = "float" }, body)
    assert.same({ "task" }, dropped)
  end)

  it("names what a dialect takes out of a caller's own body too", function()
    local wire = openai.build(order("groq", nil, {
      document = assert(json.scan '{"model":"m","messages":[],"logprobs":true,"logit_bias":null}') }))
    assert.same({ "logprobs" }, wire.dropped)
  end)
end)

local function whole(message, finish)
  return openai.reply { id = "c1", model = "m", choices = { { message = message, finish_reason = finish or "stop" } } }
    .choices[1]
end

describe("a whole reply", function()
  it("is read into blocks", function()
    assert.same({ finish = "tool_calls", blocks = {
      { kind = "thinking", text = "hm" }, { kind = "text", text = "ho" },
      { kind = "tool_use", id = "a", name = "f", arguments = '{"x":1}' },
    } }, whole({ content = "ho", reasoning_content = "hm",
      tool_calls = { { id = "a", ["function"] = { name = "f", arguments = '{"x":1}' } } } }, "tool_calls"))
  end)

  -- message, blocks
  for title, case in pairs {
    ["thoughts as Groq names them"] = { { reasoning = "hm" }, { { kind = "thinking", text = "hm" } } },
    ["thoughts as OpenRouter tells them, twice"] = {
      { reasoning = "hm", reasoning_details = { { type = "reasoning.text", text = "hm" } } },
      { { kind = "thinking", text = "hm" } } },
    ["thoughts in details alone"] = { { reasoning_details = { { text = "h" }, { summary = "m" } } },
      { { kind = "thinking", text = "hm" } } },
    ["Mistral's chunks"] = {
      { content = { { type = "thinking", thinking = { { type = "text", text = "hm" } } },
        { type = "text", text = "ho" } } },
      { { kind = "thinking", text = "hm" }, { kind = "text", text = "ho" } } },
    ["arguments that are an object"] = { { tool_calls = { { id = "a", ["function"] = { name = "f",
      arguments = { x = 1 } } } } }, { { kind = "tool_use", id = "a", name = "f", arguments = '{"x":1}' } } },
    ["no arguments at all"] = { { tool_calls = { { id = "a", ["function"] = { name = "f", arguments = "null" } } } },
      { { kind = "tool_use", id = "a", name = "f", arguments = "{}" } } },
    ["a call without an id"] = { { tool_calls = { { ["function"] = { name = "f", arguments = "{}" } } } },
      { { kind = "tool_use", id = "call_c1_0_0", name = "f", arguments = "{}" } } },
    ["the old function call"] = { { function_call = { name = "f", arguments = "{}" } },
      { { kind = "tool_use", id = "call_c1_0_0", name = "f", arguments = "{}" } } },
    ["a refusal"] = { { content = json.null, refusal = "no" }, { { kind = "refusal", text = "no" } } },
    ["pictures"] = { { images = { { image_url = { url = "data:image/png;base64,iVBORw0KGgo=" } } } },
      { { kind = "image", data = "iVBORw0KGgo=", media_type = "image/png" } } },
    ["signed thoughts of a gateway like this"] = {
      { reasoning_content = "hm", thinking_blocks = { { thinking = "hm", signature = "moongate.anthropic.s" } } },
      { { kind = "thinking", text = "hm", signature = "s", origin = "anthropic" } } },
    ["several of them"] = { { reasoning_content = "ab", thinking_blocks = {
      { thinking = "a", signature = "moongate.anthropic.1" },
      { thinking = "b", signature = "moongate.anthropic.2" } } },
      { { kind = "thinking", text = "a", signature = "1", origin = "anthropic" },
        { kind = "thinking", text = "b", signature = "2", origin = "anthropic" } } },
    ["nothing that makes sense"] = { { content = 5, tool_calls = { 3, { ["function"] = "x" } }, reasoning = {},
      reasoning_details = "x", images = { 1, {} }, thinking_blocks = { true }, refusal = {} }, {} },
  } do
    it("may hold " .. title, function() assert.same(case[2], whole(case[1]).blocks) end)
  end

  it("has ended with calls if it holds some, whatever it says", function()
    assert.equal("tool_calls", whole({ tool_calls = { { id = "a", ["function"] = { name = "f" } } } }, "stop").finish)
    local found = {}
    for index, finish in ipairs { "eos", "model_length", "length", "content_filter", "function_call", json.null } do
      found[index] = whole({ content = "a" }, finish).finish
    end
    assert.same({ "stop", "length", "length", "content_filter", "tool_calls", "stop" }, found)
  end)

  it("of embeddings gives the vectors in the order of the inputs", function()
    assert.same({ { 1 }, { 2 }, { 0.5, -1 } }, openai.vectors { data = {
      { index = 1, embedding = { 2 } }, { index = 0, embedding = { 1 } },
      { index = 2, embedding = "AAAAPwAAgL8=" },
    } }.vectors)
  end)
end)

-- What a stream's chunks say; deltas may be of one choice or tables of choices.
local function read(deltas)
  local reader, found = openai.reader(), {}
  for _, delta in ipairs(deltas) do
    local event = { data = json.encode { id = "c1", model = "m", choices = { delta } } }
    openai.read_event(event)
    for _, said in ipairs(reader(event)) do found[#found + 1] = said end
  end
  return found
end

local function fragments(...)
  local deltas = {}
  for index, calls in ipairs { ... } do deltas[index] = { index = 0, delta = { tool_calls = calls } } end
  return read(deltas)
end

-- Calls by number: { id, name, arguments }.
local function calls_of(events)
  local calls = {}
  for _, event in ipairs(events) do
    if event.kind == "tool" then calls[event.call + 1] = { event.id, event.name, "" } end
    if event.kind == "arguments" then calls[event.call + 1][3] = calls[event.call + 1][3] .. event.text end
  end
  return calls
end

local function part(index, id, name, arguments)
  return { index = index, id = id, ["function"] = { name = name, arguments = arguments } }
end

describe("a stream", function()
  it("is read event by event", function()
    assert.same({
      { kind = "start", id = "c1", model = "m" }, { kind = "thinking", text = "hm", index = 0 },
      { kind = "text", text = "ho", index = 0, logprobs = { content = {} } },
      { kind = "finish", finish = "stop", index = 0 },
    }, read { { index = 0, delta = { role = "assistant", content = "" } },
      { index = 0, delta = { reasoning_content = "hm" } },
      { index = 0, delta = { content = "ho" }, logprobs = { content = {} } },
      { index = 0, delta = {}, finish_reason = "stop" }, { index = 0, delta = {}, finish_reason = "stop" } })
  end)

  for title, events in pairs {
    ["as OpenAI does"] = { { part(0, "a", "f", "") }, { part(0, nil, nil, '{"x"') }, { part(1, "b", "g", "{}") },
      { part(0, nil, nil, ":1}") } },
    ["with the id again and again"] = { { part(0, "a", "f", '{"x"') }, { part(0, "a", nil, ":1}") },
      { part(1, "b", "g", "{}") } },
    ["with an empty id behind the first"] = { { part(0, "a", "f", '{"x"') }, { part(0, "", nil, ":1}") },
      { part(1, "b", "g", "{}") } },
    ["whole, all with index 0"] = { { part(0, "a", "f", '{"x":1}') }, { part(0, "b", "g", "{}") } },
    ["whole, without an index"] = { { part(nil, "a", "f", '{"x":1}'), part(nil, "b", "g", "{}") } },
    ["without an index, joined by id"] = { { part(nil, "a", "f", '{"x"') }, { part(nil, "b", "g", "{}") },
      { part(nil, "a", nil, ":1}") } },
    ["with a new id for every fragment"] = { { part(0, "a", "f", '{"x"') }, { part(0, "z1", nil, ":1}") },
      { part(1, "b", "g", "{}") }, { part(1, "z2", nil, "") } },
    ["with the name behind the arguments"] = { { part(0, "a", nil, '{"x"') }, { part(0, nil, "f", ":1}") },
      { part(1, "b", "g", "{}") } },
  } do
    it("joins the fragments of calls that come " .. title, function()
      assert.same({ { "a", "f", '{"x":1}' }, { "b", "g", "{}" } }, calls_of(fragments(unpack(events))))
    end)
  end

  it("joins fragments without index and id by their place", function()
    assert.same({ { "a", "f", '{"x":1}' } },
      calls_of(fragments({ part(nil, "a", "f", '{"x"') }, { part(nil, nil, nil, ":1}") })))
  end)

  it("makes ids where there are none, a new one for each", function()
    local calls = calls_of(fragments({ part(0, nil, "f", "{}") }, { part(1, nil, "f", "{}") }))
    assert.are_not.equal(calls[1][1], calls[2][1])
  end)

  it("gives the same however a reply is cut into deltas", function()
    local said, seed = "some text that is said", 7
    local function random(most)
      seed = seed * 16807 % 2147483647
      return seed % most + 1
    end
    for _ = 1, 50 do
      local deltas, from = {}, 1
      while from <= #said do
        local to = math.min(#said, from + random(6) - 1)
        deltas[#deltas + 1] = { index = 0, delta = { content = string.sub(said, from, to) } }
        from = to + 1
      end
      local parts = {}
      for _, event in ipairs(read(deltas)) do parts[#parts + 1] = event.text end
      assert.equal(said, table.concat(parts))
    end
  end)

  it("is never too odd to be read", function()
    local reader = openai.reader()
    for _, document in ipairs { {}, { choices = 5 }, { choices = { 1, {} } }, { choices = { { delta = { 1 } } } },
      { choices = { { delta = { tool_calls = { {}, 4, { index = "x" } } }, finish_reason = {} } } },
      { choices = { { index = "a", delta = { content = { { text = 5 }, 9 } } } } }, { id = 5, choices = {} } } do
      reader { document = document }
    end
    assert.same({}, reader {})
    assert.same({}, reader { document = "x" })
  end)
end)

