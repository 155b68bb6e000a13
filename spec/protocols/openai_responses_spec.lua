require "spec.support.core"
local json = require "moongate.core.json"
local responses = require "protocols.openai_responses"

local function order(more)
  local all = {
    operation = "chat", target = { upstream_id = "up-1" }, key = "k", stream = false,
    provider = { name = "mine", base_url = "https://host.example/v1" },
  }
  for name, value in pairs(more) do all[name] = value end
  return all
end

local function neutral(members)
  local chat = { system = {}, turns = {}, tools = {}, unread = {} }
  for name, value in pairs(members) do chat[name] = value end
  return chat
end

local function sent(chat, more)
  more = more or {}
  more.chat = neutral(chat)
  local wire = assert(responses.build(order(more)))
  return json.decode(wire.body), wire.dropped
end

local function user(...) return { role = "user", blocks = { ... } } end

local function assistant(...) return { role = "assistant", blocks = { ... } } end

local function text(said) return { kind = "text", text = said } end

describe("a call to a Responses provider", function()
  it("goes to its address, with the caller's own body but for the model", function()
    local wire = responses.build(order {
      document = assert(json.scan '{ "model":"any", "input" : "hi","previous_response_id":"resp_1" }') })
    assert.equal("https://host.example/v1/responses", wire.url)
    assert.equal('{ "model":"up-1", "input" : "hi","previous_response_id":"resp_1" }', wire.body)
    assert.equal("Bearer k", wire.headers.authorization)
    assert.is_nil(wire.dropped)
  end)

  it("keeps nothing there if it is written here", function()
    local body, dropped = sent({ system = { text "a", text "b" }, turns = { user(text "hi") }, max_tokens = 5 },
      { stream = true })
    assert.same({ model = "up-1", store = false, stream = true, instructions = "a\n\nb", max_output_tokens = 16,
      input = { { type = "message", role = "user", content = { { type = "input_text", text = "hi" } } } } }, body)
    assert.is_nil(dropped)
  end)

  it("has an item for each thing that was said", function()
    local body = sent { turns = {
      user(text "look", { kind = "image", url = "https://a.example/b.png", detail = "low" },
        { kind = "image", data = "QUJD", media_type = "image/png" },
        { kind = "document", data = "JVBERg==", media_type = "application/pdf", name = "a.pdf" },
        { kind = "document", url = "https://a.example/c.pdf" }),
      assistant({ kind = "thinking", text = "hm", signature = "e", origin = "openai_responses", id = "rs_1" },
        { kind = "thinking", text = "foreign", signature = "s", origin = "anthropic" },
        { kind = "redacted", data = "r", origin = "openai_responses" },
        { kind = "redacted", data = "x", origin = "anthropic" }, text "ho", { kind = "refusal", text = "no" },
        { kind = "tool_use", id = "a", name = "f", arguments = "{}" }),
      user({ kind = "tool_result", id = "a", blocks = { text "bad" }, is_error = true },
        { kind = "tool_result", id = "b", blocks = { text "see", { kind = "image", url = "https://a.example/d" } } },
        text "so?"),
    } }
    assert.same({
      { type = "message", role = "user", content = { { type = "input_text", text = "look" },
        { type = "input_image", image_url = "https://a.example/b.png", detail = "low" },
        { type = "input_image", image_url = "data:image/png;base64,QUJD", detail = "auto" },
        { type = "input_file", filename = "a.pdf", file_data = "data:application/pdf;base64,JVBERg==" },
        { type = "input_file", file_url = "https://a.example/c.pdf" } } },
      { type = "reasoning", id = "rs_1", summary = { { type = "summary_text", text = "hm" } },
        encrypted_content = "e" },
      { type = "reasoning", summary = {}, encrypted_content = "r" },
      { type = "message", role = "assistant", content = { { type = "output_text", text = "ho", annotations = {} },
        { type = "refusal", refusal = "no" } } },
      { type = "function_call", call_id = "a", name = "f", arguments = "{}" },
      { type = "function_call_output", call_id = "a", output = "Error: bad" },
      { type = "function_call_output", call_id = "b", output = { { type = "input_text", text = "see" },
        { type = "input_image", image_url = "https://a.example/d", detail = "auto" } } },
      { type = "message", role = "user", content = { { type = "input_text", text = "so?" } } },
    }, body.input)
  end)

  it("has flat tools, which are strict only if that was said", function()
    local body = sent { tools = { { name = "f", schema = { type = "object" }, description = "d" },
      { name = "g", strict = true } }, tool_choice = { kind = "named", name = "f" }, parallel = false }
    assert.same({
      { type = "function", name = "f", description = "d", parameters = { type = "object" }, strict = false },
      { type = "function", name = "g", parameters = { type = "object", properties = {} }, strict = true },
    }, body.tools)
    assert.same({ type = "function", name = "f" }, body.tool_choice)
    assert.is_false(body.parallel_tool_calls)
    assert.equal("required", sent({ tool_choice = { kind = "any" } }).tool_choice)
  end)

  it("has a flat format", function()
    assert.same({ format = { type = "json_object" } }, sent({ format = { kind = "json" } }).text)
    assert.same({ format = { type = "json_schema", name = "n", schema = { type = "object" }, strict = true } },
      sent({ format = { kind = "schema", name = "n", schema = { type = "object" }, strict = true } }).text)
  end)

  it("wants sealed thoughts back from models that think, and from no other", function()
    local body = sent({ reasoning = { budget = 8192, show = true } }, { target = { upstream_id = "gpt-5" } })
    assert.same({ "reasoning.encrypted_content" }, body.include)
    assert.same({ effort = "medium", summary = "auto" }, body.reasoning)
    local plain, dropped = sent { reasoning = { effort = "low" } }
    assert.is_nil(plain.include)
    assert.is_nil(plain.reasoning)
    assert.same({ "reasoning_effort" }, dropped)
  end)

  it("says what it left out", function()
    local _, dropped = sent { seed = 1, stop = { "a" }, top_k = 3, unread = { "logit_bias" } }
    assert.same({ "top_k", "seed", "stop", "logit_bias" }, dropped)
  end)

  it("can't listen, nor answer twice, nor count", function()
    local function unfit(members, more)
      more = more or {}
      more.chat = neutral(members)
      local wire, why = responses.build(order(more))
      assert.is_nil(wire)
      return why
    end
    assert.equal("messages", unfit({ turns = { user { kind = "audio", data = "", format = "wav" } } }).param)
    assert.equal("n", unfit({ n = 2 }).param)
    assert.matches("count", unfit({}, { operation = "count" }).message)
  end)

  it("embeds at the address that chat providers have", function()
    local wire = responses.build(order { operation = "embeddings", embedding = { inputs = { "a" } } })
    assert.equal("https://host.example/v1/embeddings", wire.url)
  end)
end)

local USAGE = { input_tokens = 16, output_tokens = 8, total_tokens = 24,
  input_tokens_details = { cached_tokens = 4 }, output_tokens_details = { reasoning_tokens = 3 } }
local CLASSES = { input = 12, cached = 4, cache_write = 0, output = 5, reasoning = 3, total = 24 }

local function response(members)
  local all = { id = "resp_1", object = "response", status = "completed", model = "m", output = json.array {},
    usage = USAGE, error = json.null }
  for name, value in pairs(members or {}) do all[name] = value end
  return all
end

local function whole(members) return responses.read_reply(200, {}, json.encode(response(members))) end

local function message(said)
  return { type = "message", role = "assistant", content = { { type = "output_text", text = said } } }
end

describe("a whole response", function()
  it("tells its usage in classes that sum to the total", function()
    local read = whole { output = { message "hello" } }
    assert.same(CLASSES, read.usage)
    assert.equal(read.usage.total, read.usage.input + read.usage.cached + read.usage.cache_write + read.usage.output
      + read.usage.reasoning)
    assert.same({ 5, "stop" }, { read.text_length, read.finish })
    assert.is_nil(read.error)
  end)

  it("is read into blocks", function()
    local reply = responses.reply(response { output = {
      { type = "reasoning", id = "rs_1", summary = { { type = "summary_text", text = "a" },
        { type = "summary_text", text = "b" } }, encrypted_content = "e" },
      { type = "reasoning", id = "rs_2", summary = {}, encrypted_content = "f" },
      { type = "reasoning", summary = {}, content = { { type = "reasoning_text", text = "open" } } },
      { type = "message", content = { { type = "output_text", text = "ho" }, { type = "refusal", refusal = "no" } } },
      { type = "web_search_call", id = "ws" },
      { type = "function_call", call_id = "c", name = "f", arguments = '{"x":1}' },
      { type = "image_generation_call", result = "QUJD" },
    } })
    assert.same({
      { kind = "thinking", text = "a\n\nb", signature = "e", origin = "openai_responses", id = "rs_1" },
      { kind = "redacted", data = "f", origin = "openai_responses" },
      { kind = "thinking", text = "open" }, text "ho", { kind = "refusal", text = "no" },
      { kind = "tool_use", id = "c", name = "f", arguments = '{"x":1}' },
      { kind = "image", data = "QUJD", media_type = "image/png" },
    }, reply.choices[1].blocks)
    assert.equal("tool_calls", reply.choices[1].finish)
    assert.same(CLASSES, reply.usage)
  end)

  it("that was cut short says why", function()
    local function finish(reason)
      return whole({ status = "incomplete", incomplete_details = { reason = reason } }).finish
    end
    assert.equal("length", finish "max_output_tokens")
    assert.equal("content_filter", finish "content_filter")
  end)

  it("that has failed is an error, whatever its status says in HTTP", function()
    local read = whole { status = "failed", error = { code = "rate_limit_exceeded", message = "slow down" } }
    assert.same({ "slow down", "rate_limit_exceeded" }, { read.error.message, read.error.code })
    assert.truthy(whole({ status = "failed" }).error)
    assert.truthy(responses.read_reply(200, {}, "{}").error)
    assert.equal("insufficient_quota",
      responses.read_reply(429, {}, '{"error":{"message":"m","code":"insufficient_quota"}}').error.code)
    assert.truthy(responses.read_reply(502, {}, "<html>Bad gateway</html>").error)
  end)
end)

local function event(document) return { name = document.type, data = json.encode(document) } end

local function read(documents)
  local reader, found = responses.reader(), {}
  for _, document in ipairs(documents) do
    local raw = event(document)
    responses.read_event(raw)
    for _, said in ipairs(reader(raw)) do found[#found + 1] = said end
  end
  return found
end

local function added(place, item) return { type = "response.output_item.added", output_index = place, item = item } end

local function done(place, item) return { type = "response.output_item.done", output_index = place, item = item } end

local function delta(kind, place, said, more)
  local document = { type = "response." .. kind .. ".delta", output_index = place, delta = said }
  for name, value in pairs(more or {}) do document[name] = value end
  return document
end

local function completed(members) return { type = "response.completed", response = response(members) } end

describe("an event of a response", function()
  it("is content from the first word on", function()
    local kinds = {}
    for index, document in ipairs {
      { type = "response.created", response = response { usage = json.null } }, added(0, { type = "message" }),
      delta("output_text", 0, ""), delta("output_text", 0, "a"), added(1, { type = "function_call" }),
      done(0, { type = "message" }), { type = "ping" }, { type = "response.output_text.done", text = "a" },
    } do kinds[index] = responses.read_event(event(document)).kind end
    assert.same({ "lifecycle", "lifecycle", "lifecycle", "content", "content", "content", "other", "lifecycle" }, kinds)
  end)

  it("ends the answer with usage and reason", function()
    local raw = event(completed())
    local told = responses.read_event(raw)
    assert.same({ "end", "stop", 24 }, { told.kind, told.finish, told.usage.total })
    assert.is_table(raw.document)
    told = responses.read_event(event { type = "response.incomplete",
      response = response { status = "incomplete", incomplete_details = { reason = "max_output_tokens" } } })
    assert.same({ "end", "length" }, { told.kind, told.finish })
  end)

  it("is an error where it says so", function()
    for _, document in ipairs {
      { type = "error", code = "c", message = "m" }, { type = "error", error = { code = "c", message = "m" } },
      { type = "response.failed", response = response { status = "failed", error = { code = "c", message = "m" } } },
    } do
      local told = responses.read_event(event(document))
      assert.same({ "error", "m", "c" }, { told.kind, told.error.message, told.error.code })
    end
    assert.equal("error", responses.read_event({ data = '{"type":' }).kind)
    assert.equal("other", responses.read_event({ data = "[DONE]" }).kind)
  end)
end)

describe("a response that streams", function()
  it("is read event by event", function()
    assert.same({
      { kind = "start", id = "resp_1", model = "m" }, { kind = "thinking", text = "a" },
      { kind = "thinking", text = "\n\nb" }, { kind = "signature", signature = "e", origin = "openai_responses" },
      { kind = "text", text = "ho" }, { kind = "refusal", text = "no" },
      { kind = "tool", call = 0, id = "c", name = "f" }, { kind = "arguments", call = 0, text = '{"x"' },
      { kind = "arguments", call = 0, text = ":1}" }, { kind = "finish", finish = "tool_calls" },
    }, read {
      { type = "response.created", response = response() }, { type = "response.in_progress", response = response() },
      added(0, { type = "reasoning", summary = {} }), delta("reasoning_summary_text", 0, "a", { summary_index = 0 }),
      delta("reasoning_summary_text", 0, "b", { summary_index = 1 }),
      done(0, { type = "reasoning", summary = { { text = "a" }, { text = "b" } }, encrypted_content = "e" }),
      added(1, { type = "message" }), delta("output_text", 1, "ho"), delta("refusal", 1, "no"),
      done(1, message "ho"), added(2, { type = "function_call", call_id = "c", name = "f", arguments = "" }),
      delta("function_call_arguments", 2, '{"x"'), delta("function_call_arguments", 2, ":1}"),
      { type = "response.function_call_arguments.done", output_index = 2, arguments = '{"x":1}' },
      done(2, { type = "function_call", call_id = "c", name = "f", arguments = '{"x":1}' }),
      completed { output = { { type = "function_call" } } },
    })
  end)

  it("is read where items come whole", function()
    assert.same({
      { kind = "redacted", data = "e", origin = "openai_responses" }, { kind = "text", text = "ho" },
      { kind = "tool", call = 0, id = "c", name = "f" }, { kind = "arguments", call = 0, text = "{}" },
      { kind = "finish", finish = "tool_calls" },
    }, read {
      done(0, { type = "reasoning", summary = {}, encrypted_content = "e" }), done(1, message "ho"),
      done(2, { type = "function_call", call_id = "c", name = "f", arguments = "{}" }), completed(),
    })
  end)

  it("is read where only the last event tells", function()
    assert.same({ { kind = "text", text = "ho" }, { kind = "finish", finish = "stop" } },
      read { completed { output = { message "ho" } } })
  end)

  it("keeps calls apart that come at the same time", function()
    local calls = {}
    for _, said in ipairs(read {
      added(0, { type = "function_call", call_id = "a", name = "f" }),
      added(1, { type = "function_call", call_id = "b", name = "g" }),
      delta("function_call_arguments", 1, "{"), delta("function_call_arguments", 0, "{}"),
      delta("function_call_arguments", 1, "}"),
    }) do
      if said.kind == "arguments" then calls[said.call] = (calls[said.call] or "") .. said.text end
    end
    assert.same({ [0] = "{}", [1] = "{}" }, calls)
  end)

  it("is never too odd to be read", function()
    local reader = responses.reader()
    for _, document in ipairs { {}, { type = 5 }, { type = "response.completed" },
      { type = "response.output_item.done", item = 5 }, { type = "response.output_item.done", item = { type = {} } },
      { type = "response.output_text.delta", delta = {} }, { type = "response.output_item.added" },
      { type = "response.output_item.done", item = { type = "message", content = { 1, { text = {} } } } },
      { type = "response.function_call_arguments.delta", delta = "x", output_index = {} } } do
      reader { document = document }
    end
    assert.same({}, reader {})
  end)
end)

