require "spec.support.core"
local json = require "moongate.core.json"
local reading = require "moongate.surfaces.openai_chat"
local shapes = require "moongate.chat"
local writing = require "moongate.openai_chat"

local function neutral(members)
  local chat = { system = {}, turns = {}, tools = {}, unread = {}, stream = false }
  for name, value in pairs(members or {}) do chat[name] = value end
  return chat
end

local function text(said) return { kind = "text", text = said } end

local function user(...) return { role = "user", blocks = { ... } } end

local function assistant(...) return { role = "assistant", blocks = { ... } } end

local function written(members, leave) return writing.document(neutral(members), leave) end

local function read(body)
  if type(body) == "table" then body = json.encode(body) end
  return reading.read((json.decode(body)))
end

local function message(members) return read { messages = { members } } end

-- What a chat says, written; and that it reads back as it was.
local GOLDEN = {
  ["plain turns"] = {
    { system = { text "be brief" }, turns = { user(text "hi"), assistant(text "ho"), user(text "why?") } },
    { messages = {
      { role = "system", content = "be brief" }, { role = "user", content = "hi" },
      { role = "assistant", content = "ho" }, { role = "user", content = "why?" },
    } },
  },
  ["pictures, documents and sound"] = {
    { turns = { user(text "look", { kind = "image", data = "iVBORw0KGgo=", media_type = "image/png", detail = "low" },
      { kind = "image", url = "https://a.example/b.png" },
      { kind = "document", data = "JVBERg==", media_type = "application/pdf", name = "a.pdf" },
      { kind = "audio", data = "UklGRg==", format = "wav" }) } },
    { messages = { { role = "user", content = {
      { type = "text", text = "look" },
      { type = "image_url", image_url = { url = "data:image/png;base64,iVBORw0KGgo=", detail = "low" } },
      { type = "image_url", image_url = { url = "https://a.example/b.png" } },
      { type = "file", file = { filename = "a.pdf", file_data = "data:application/pdf;base64,JVBERg==" } },
      { type = "input_audio", input_audio = { data = "UklGRg==", format = "wav" } },
    } } } },
  },
  ["calls and their results"] = {
    { turns = {
      user(text "add"),
      assistant({ kind = "tool_use", id = "a", name = "add", arguments = '{"x":1}' },
        { kind = "tool_use", id = "b", name = "add", arguments = "{}", signature = "sig", origin = "gemini" }),
      user({ kind = "tool_result", id = "a", name = "add", blocks = { text "1" } },
        { kind = "tool_result", id = "b", name = "add", blocks = { text "no" }, is_error = true }, text "go on"),
    } },
    { messages = {
      { role = "user", content = "add" },
      { role = "assistant", content = json.null, tool_calls = {
        { id = "a", type = "function", ["function"] = { name = "add", arguments = '{"x":1}' } },
        { id = "b", type = "function", ["function"] = { name = "add", arguments = "{}" },
          extra_content = { google = { thought_signature = "moongate.gemini.sig" } } },
      } },
      { role = "tool", tool_call_id = "a", content = "1" },
      { role = "tool", tool_call_id = "b", content = "no", is_error = true },
      { role = "user", content = "go on" },
    } },
  },
  ["thoughts that must come back"] = {
    { turns = { user(text "hi"),
      assistant({ kind = "thinking", text = "hm", signature = "s", origin = "anthropic" },
        { kind = "redacted", data = "d", origin = "anthropic" }, text "ho") } },
    { messages = {
      { role = "user", content = "hi" },
      { role = "assistant", content = "ho", reasoning_content = "hm", thinking_blocks = {
        { type = "thinking", thinking = "hm", signature = "moongate.anthropic.s" },
        { type = "redacted_thinking", data = "moongate.anthropic.d" },
      } },
    } },
  },
  ["thoughts that need not"] = {
    { turns = { user(text "hi"), assistant({ kind = "thinking", text = "hm" }, text "ho") } },
    { messages = {
      { role = "user", content = "hi" }, { role = "assistant", content = "ho", reasoning_content = "hm" },
    } },
  },
  ["marks of what to keep in a cache"] = {
    { turns = { user { kind = "text", text = "long", cache = { type = "ephemeral" } } } },
    { messages = { { role = "user", content = {
      { type = "text", text = "long", cache_control = { type = "ephemeral" } },
    } } } },
  },
  ["tools, and how they are to be used"] = {
    { tools = { { name = "add", description = "adds", schema = { type = "object", properties = { x = {} } },
      strict = true } }, tool_choice = { kind = "named", name = "add" }, parallel = false },
    { messages = json.array {}, parallel_tool_calls = false,
      tool_choice = { type = "function", ["function"] = { name = "add" } },
      tools = { { type = "function", ["function"] = { name = "add", description = "adds", strict = true,
        parameters = { type = "object", properties = { x = {} } } } } } },
  },
  ["how to answer"] = {
    { max_tokens = 9, temperature = 0.5, top_p = 0.9, top_k = 4, min_p = 0.1, seed = 3, presence_penalty = 1,
      frequency_penalty = -1, n = 2, logprobs = true, top_logprobs = 3, user = "u", stop = { "a", "b" },
      stream = true, reasoning = { effort = "low" }, format = { kind = "json" } },
    { messages = json.array {}, max_tokens = 9, temperature = 0.5, top_p = 0.9, top_k = 4, min_p = 0.1, seed = 3,
      presence_penalty = 1, frequency_penalty = -1, n = 2, logprobs = true, top_logprobs = 3, user = "u",
      stop = { "a", "b" }, stream = true, reasoning_effort = "low", response_format = { type = "json_object" } },
  },
  ["a schema for the answer"] = {
    { format = { kind = "schema", name = "n", schema = { type = "object" }, strict = true, description = "d" } },
    { messages = json.array {}, response_format = { type = "json_schema", json_schema = { name = "n",
      schema = { type = "object" }, strict = true, description = "d" } } },
  },
}

describe("a chat in OpenAI's words", function()
  for title, case in pairs(GOLDEN) do
    it("tells " .. title, function()
      assert.same(json.decode(json.encode(case[2])), json.decode(json.encode(written(case[1]))))
    end)

    it("reads back: " .. title, function()
      local chat = assert(read(written(case[1])))
      assert.same(neutral(case[1]), chat)
    end)
  end

  it("has one system message, whatever there were", function()
    local body = written { system = { text "a", }, turns = {} }
    assert.equal("a", body.messages[1].content)
    body = written { system = { text "a", text "b" }, turns = {} }
    assert.same({ role = "system", content = "a\n\nb" }, body.messages[1])
  end)

  it("moves a result's pictures into the user's next message, for a result is text there", function()
    local body = written { turns = {
      assistant { kind = "tool_use", id = "a", name = "shot", arguments = "{}" },
      user { kind = "tool_result", id = "a", blocks = { text "done", { kind = "image", url = "https://a.example/" } } },
    } }
    assert.equal("done", body.messages[2].content)
    assert.equal("user", body.messages[3].role)
    assert.equal("image_url", body.messages[3].content[1].type)
  end)

  it("leaves out what a provider must not see", function()
    local members = { turns = {
      user { kind = "text", text = "long", cache = { type = "ephemeral" } },
      assistant({ kind = "thinking", text = "hm", signature = "s", origin = "anthropic" }, text "ho",
        { kind = "tool_use", id = "b", name = "add", arguments = "{}", signature = "sig", origin = "gemini" }),
      user { kind = "tool_result", id = "b", blocks = { text "no" }, is_error = true },
    } }
    local body = written(members, { cache = true, thoughts = true, signatures = true, marks = true })
    assert.same({
      { role = "user", content = "long" },
      { role = "assistant", content = "ho",
        tool_calls = { { id = "b", type = "function", ["function"] = { name = "add", arguments = "{}" } } } },
      { role = "tool", tool_call_id = "b", content = "Error: no" },
    }, body.messages)
    body = written(members, { signatures = true })
    assert.equal("hm", body.messages[2].reasoning_content)
    assert.is_nil(body.messages[2].thinking_blocks)
  end)

  it("names an effort for a budget of thoughts", function()
    local efforts = {}
    for index, budget in ipairs { 0, 1024, 8192, 24576 } do efforts[index] = shapes.effort { budget = budget } end
    assert.same({ "none", "low", "medium", "high" }, efforts)
    assert.equal("minimal", shapes.effort { effort = "minimal", budget = 9 })
    assert.is_nil(shapes.effort(nil))
    assert.is_nil(shapes.effort { show = true })
  end)

  it("gives a tool that takes nothing an empty schema", function()
    local body = written { tools = { { name = "now" } } }
    assert.same({ type = "object", properties = {} }, body.tools[1]["function"].parameters)
  end)
end)

describe("a body of OpenAI's", function()
  it("gives up its system and developer messages wherever they stand", function()
    local chat = assert(read { messages = {
      { role = "system", content = "a" }, { role = "user", content = "hi" }, { role = "developer", content = "b" },
    } })
    assert.same({ text "a", text "b" }, chat.system)
    assert.equal(1, #chat.turns)
  end)

  it("joins turns of one role, and puts results first", function()
    local chat = assert(read { messages = {
      { role = "user", content = "a" }, { role = "user", content = "b" },
      { role = "assistant", tool_calls = { { id = "x", type = "function",
        ["function"] = { name = "f", arguments = "{}" } } } },
      { role = "user", content = "c" }, { role = "tool", tool_call_id = "x", content = "d" },
    } })
    assert.same({ "user", "assistant", "user" }, { chat.turns[1].role, chat.turns[2].role, chat.turns[3].role })
    assert.equal("tool_result", chat.turns[3].blocks[1].kind)
    assert.equal("f", chat.turns[3].blocks[1].name)
  end)

  it("drops empty text, and turns that so become empty", function()
    local chat = assert(read { messages = {
      { role = "user", content = "a" }, { role = "assistant", content = "" }, { role = "user", content = "b" },
    } })
    assert.same({ user(text "a", text "b") }, chat.turns)
  end)

  it("takes the deprecated functions for tools", function()
    local chat = assert(read { messages = {
      { role = "user", content = "a" },
      { role = "assistant", content = json.null, function_call = { name = "f", arguments = "{}" } },
      { role = "function", name = "f", content = "1" },
    }, functions = { { name = "f" } }, function_call = { name = "f" } })
    assert.same({ { name = "f" } }, chat.tools)
    assert.same({ kind = "named", name = "f" }, chat.tool_choice)
    assert.equal(chat.turns[2].blocks[1].id, chat.turns[3].blocks[1].id)
  end)

  it("offers only the tools that are allowed", function()
    local function tool(name) return { type = "function", ["function"] = { name = name } } end
    local chat = assert(read { messages = {}, tools = { tool "a", tool "b" },
      tool_choice = { type = "allowed_tools", allowed_tools = { mode = "required", tools = { tool "b" } } } })
    assert.same({ { name = "b" } }, chat.tools)
    assert.same({ kind = "any" }, chat.tool_choice)
  end)

  it("is asked to think in three ways", function()
    local function reasoning(members)
      members.messages = {}
      return read(members).reasoning
    end
    assert.same({ effort = "high" }, reasoning { reasoning_effort = "high" })
    assert.same({ effort = "low", show = false }, reasoning { reasoning = { effort = "low", exclude = true } })
    assert.same({ budget = 2000 }, reasoning { thinking = { type = "enabled", budget_tokens = 2000 } })
    assert.same({ budget = 0 }, reasoning { thinking = { type = "disabled" } })
    assert.is_nil(reasoning {})
  end)

  it("knows a picture by its bytes, not by its name", function()
    local chat = assert(message { role = "user", content = {
      { type = "image_url", image_url = { url = "data:image/png;base64,/9j/4AAQ" } } } })
    assert.equal("image/jpeg", chat.turns[1].blocks[1].media_type)
  end)

  it("names what it says that others have no words for", function()
    local chat = assert(read { messages = {}, logit_bias = { ["1"] = 2 }, store = true, metadata = json.null,
      stream_options = { include_usage = true } })
    assert.same({ "logit_bias", "store" }, chat.unread)
  end)

  for title, case in pairs {
    ["a file kept at OpenAI"] = { "messages[0].content[0].file.file_id",
      { messages = { { role = "user", content = { { type = "file", file = { file_id = "file-1" } } } } } } },
    ["a part of a type of its own"] = { "messages[0].content[0].type",
      { messages = { { role = "user", content = { { type = "hologram" } } } } } },
    ["a picture at no address that is one"] = { "messages[0].content[0].image_url.url",
      { messages = { { role = "user", content = { { type = "image_url", image_url = { url = "gs://a/b" } } } } } } },
    ["a custom tool"] = { "tools[0].type",
      { messages = {}, tools = { { type = "custom", custom = { name = "c" } } } } },
    ["a call of one"] = { "messages[0].tool_calls[0].type", { messages = { { role = "assistant",
      tool_calls = { { id = "a", type = "custom", custom = { name = "c" } } } } } } },
  } do
    it("is refused to other formats for " .. title, function()
      local chat, refusal = read(case[2])
      assert.is_nil(chat)
      assert.equal(400, refusal.status)
      assert.equal(case[1], refusal.param)
      assert.equal(case[1], string.sub(refusal.message, 1, #case[1]))
    end)
  end
end)
