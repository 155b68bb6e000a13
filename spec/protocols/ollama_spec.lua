-- What goes to an Ollama, and what is made of what it answers.
require "spec.support.core"
local json = require "moongate.core.json"
local ollama = require "protocols.ollama"

local PNG = "iVBORw0KGgoAAAA="

local function order(more)
  local own = {
    operation = "chat", target = { upstream_id = "up-1" }, key = "k1", stream = false,
    provider = { name = "mine", base_url = "http://host.example:11434" },
  }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

local function neutral(more)
  local chat = {
    system = {}, turns = { { role = "user", blocks = { { kind = "text", text = "hello" } } } }, tools = {}, unread = {},
  }
  for name, value in pairs(more or {}) do chat[name] = value end
  return chat
end

local function sent(chat, more)
  local own = { chat = neutral(chat) }
  for name, value in pairs(more or {}) do own[name] = value end
  local wire, unfit = ollama.build(order(own))
  if not wire then return nil, unfit end
  return json.decode(wire.body), wire.dropped or {}
end

local function passed_on(body, more)
  local own = { document = assert(json.scan(body)) }
  for name, value in pairs(more or {}) do own[name] = value end
  return ollama.build(order(own))
end

describe("a call of Ollama", function()
  it("goes to the path of its kind, with the key as a bearer token where there is one", function()
    local wire = ollama.build(order { chat = neutral() })
    assert.same({ "POST", "http://host.example:11434/api/chat", "Bearer k1" },
      { wire.method, wire.url, wire.headers.authorization })
    assert.is_nil(ollama.build(order { chat = neutral(), key = false }).headers.authorization)
    assert.equal("http://host.example:11434/api/embed",
      ollama.build(order { operation = "embeddings", embedding = { inputs = { "a" } } }).url)
    assert.matches("count", select(2, ollama.build(order { operation = "count", chat = neutral() })).message)
  end)

  it("is answered by lines where it is streamed", function()
    local wire = ollama.build(order { chat = neutral(), stream = true })
    assert.same({ true, "application/x-ndjson" }, { wire.lines, wire.headers.accept })
    assert.is_nil(ollama.build(order { chat = neutral() }).lines)
  end)

  describe("by a caller of its own format", function()
    it("keeps the caller's body, but for the model", function()
      local wire = passed_on '{"model":"m", "messages":[],"options":{"num_ctx":5},"stream":false}'
      assert.equal('{"model":"up-1", "messages":[],"options":{"num_ctx":5},"stream":false}', wire.body)
      assert.equal("http://host.example:11434/api/chat", wire.url)
    end)

    it("says of the stream what is meant", function()
      local body = '{"model":"m","messages":[]}'
      assert.equal('{"model":"up-1","messages":[]}', passed_on(body, { stream = true }).body)
      assert.is_false(json.decode(passed_on(body).body).stream)
      body = '{"model":"m","messages":[],"stream":false}'
      assert.is_true(json.decode(passed_on(body, { stream = true }).body).stream)
    end)

    it("goes where it came from", function()
      assert.matches("/api/generate$", passed_on('{"model":"m","prompt":"a"}').url)
      local embed = passed_on('{"model":"m","input":"a"}', { operation = "embeddings" })
      assert.matches("/api/embed$", embed.url)
      assert.equal('{"model":"up-1","input":"a"}', embed.body)
      assert.matches("/api/embeddings$", passed_on('{"model":"m","prompt":"a"}', { operation = "embeddings" }).url)
    end)
  end)

  describe("from the neutral chat", function()
    it("says what is meant of streams, for they are the default there", function()
      assert.same({ false, true }, { sent().stream, sent({}, { stream = true }).stream })
    end)

    it("has every kind of message", function()
      local body, dropped = sent {
        system = { { kind = "text", text = "a" }, { kind = "text", text = "b" } },
        turns = {
          { role = "user", blocks = {
            { kind = "text", text = "see" }, { kind = "image", data = PNG }, { kind = "document", text = "paper" },
          } },
          { role = "assistant", blocks = {
            { kind = "thinking", text = "hm", signature = "s", origin = "anthropic" },
            { kind = "redacted", data = "x", origin = "anthropic" }, { kind = "text", text = "so" },
            { kind = "tool_use", id = "c1", name = "add", arguments = '{"x":1}' },
            { kind = "tool_use", id = "c2", name = "now", arguments = "" },
          } },
          { role = "user", blocks = {
            { kind = "tool_result", id = "c1", name = "add", blocks = { { kind = "text", text = "3" } } },
            { kind = "tool_result", id = "c2", name = "now", is_error = true,
              blocks = { { kind = "text", text = "no clock" }, { kind = "image", data = PNG } } },
            { kind = "text", text = "go on" },
          } },
        },
      }
      assert.same({}, dropped)
      assert.same({
        { role = "system", content = "a\n\nb" }, { role = "user", content = "see\npaper", images = { PNG } },
        { role = "assistant", content = "so", thinking = "hm", tool_calls = {
          { id = "c1", ["function"] = { index = 0, name = "add", arguments = { x = 1 } } },
          { id = "c2", ["function"] = { index = 1, name = "now", arguments = {} } },
        } },
        { role = "tool", content = "3", tool_name = "add", tool_call_id = "c1" },
        { role = "tool", content = "Error: no clock", images = { PNG }, tool_name = "now", tool_call_id = "c2" },
        { role = "user", content = "go on" },
      }, body.messages)
    end)

    it("has the options, each by its name there", function()
      local options = {
        temperature = 0.5, top_p = 0.9, top_k = 40, min_p = 0.1, seed = 7, presence_penalty = 1, frequency_penalty = -1,
      }
      local chat = { stop = { "END" }, max_tokens = 90 }
      for name, value in pairs(options) do chat[name] = value end
      options.num_predict, options.stop = 90, { "END" }
      assert.same(options, sent(chat).options)
      assert.equal(50, sent(chat, { target = { upstream_id = "u", max_output = 50 } }).options.num_predict)
      assert.is_nil(sent().options)
    end)

    it("asks for the context that the configuration tells of, lest the prompt be cut", function()
      assert.same({ num_ctx = 32768 }, sent({}, { target = { upstream_id = "u", context_length = 32768 } }).options)
    end)

    it("has tools, and no more of them than may be called", function()
      local add = { name = "add", description = "adds", schema = { type = "object", properties = {} } }
      local tools = { add, { name = "now" } }
      local function names(choice)
        local body, dropped = sent { tools = tools, tool_choice = choice }
        local list = {}
        for i, tool in ipairs(body.tools or {}) do list[i] = tool["function"].name end
        return list, dropped
      end
      assert.same({
        { type = "function", ["function"] = { name = "add", description = "adds",
          parameters = { type = "object", properties = {} } } },
        { type = "function", ["function"] = { name = "now", parameters = { type = "object", properties = {} } } },
      }, sent({ tools = tools }).tools)
      assert.same({ { "add", "now" }, {} }, { names { kind = "auto" } })
      assert.same({ {}, {} }, { names { kind = "none" } })
      assert.same({ { "add", "now" }, { "tool_choice" } }, { names { kind = "any" } })
      assert.same({ { "now" }, { "tool_choice" } }, { names { kind = "named", name = "now" } })
    end)

    it("has the format", function()
      assert.equal("json", sent({ format = { kind = "json" } }).format)
      assert.same({ type = "object" }, sent({ format = { kind = "schema", schema = { type = "object" } } }).format)
    end)

    it("asks only those to think who can", function()
      local function think(upstream_id, reasoning, strengths)
        local body, dropped = sent({ reasoning = reasoning }, { target = {
          upstream_id = upstream_id, strengths = strengths,
        } })
        return body.think, dropped[1]
      end
      assert.same({ true }, { think("qwen3:8b", { effort = "high" }) })
      assert.same({ "high" }, { think("gpt-oss:20b", { effort = "xhigh" }) })
      assert.same({ "low" }, { think("gpt-oss:20b", { budget = 1024 }) })
      assert.same({ true }, { think("my-model", { effort = "low" }, { "reasoning" }) })
      assert.same({ nil, "reasoning" }, { think("llama3.2", { effort = "low" }) })
      assert.same({ false }, { think("llama3.2", { effort = "none" }) })
      assert.same({ false }, { think("qwen3", { budget = 0 }) })
      assert.same({}, { think("qwen3", { show = true }) })
    end)

    it("names what it leaves out", function()
      local _, dropped = sent { unread = { "store" }, user = "u", parallel = false, tools = { { name = "a" } } }
      assert.same({ "store", "user", "parallel_tool_calls" }, dropped)
    end)

    it("says what it can't carry", function()
      local function unfit(block)
        local _, why = sent { turns = { { role = "user", blocks = { block } } } }
        return why.message
      end
      assert.matches("images", unfit { kind = "image", url = "https://a.test/b.png" })
      assert.matches("documents", unfit { kind = "document", data = "JVBE", media_type = "application/pdf" })
      assert.matches("sound", unfit { kind = "audio", data = "UklG", format = "wav" })
      assert.matches("images", unfit { kind = "tool_result", id = "c", name = "n",
        blocks = { { kind = "image", url = "https://a.test/b.png" } } })
      assert.equal("n", select(2, sent { n = 2 }).param)
      local _, why = ollama.build(order { operation = "embeddings", embedding = { inputs = { { 1, 2 } } } })
      assert.equal("input", why.param)
    end)

    it("has texts to embed", function()
      local wire = ollama.build(order {
        operation = "embeddings", embedding = { inputs = { "a" }, dimensions = 3, task = "query" },
      })
      assert.same({ model = "up-1", input = { "a" }, dimensions = 3 }, json.decode(wire.body))
      assert.same({ "task" }, wire.dropped)
    end)
  end)
end)

local function message(fields, more)
  local body = { model = "m", created_at = "2026-01-02T03:04:05.678901234Z", message = fields, done = true }
  for name, value in pairs(more or {}) do body[name] = value end
  return body
end

local call = { ["function"] = { name = "add", arguments = { x = 1 } } }

local function reading(body, status) return ollama.read_reply(status or 200, {}, json.encode(body)) end

local function usage(input, output)
  return { input = input, cached = 0, cache_write = 0, output = output, reasoning = 0, total = input + output }
end

describe("a whole reply of Ollama", function()
  it("tells what was used; a count of nothing is left out there", function()
    assert.same(usage(5, 7), reading(message({ content = "a" }, { prompt_eval_count = 5, eval_count = 7 })).usage)
    assert.same(usage(0, 7), reading(message({ content = "a" }, { eval_count = 7 })).usage)
    assert.is_nil(reading(message { content = "a" }).usage)
    assert.is_nil(reading(message({ content = "a" }, { eval_count = -1 })).usage)
  end)

  it("tells how it ended and how long its text is", function()
    local fields = { content = "four", thinking = "hm", tool_calls = { call } }
    local read = reading(message(fields, { done_reason = "length" }))
    assert.same({ "length", 4 + 2 + 3 + 7 }, { read.finish, read.text_length })
    assert.is_nil(read.error)
    assert.equal(2, reading({ response = "ok", done = true }).text_length)
  end)

  it("is no answer where the model was only loaded, and may be asked for again", function()
    local read = reading(message({ content = "" }, { done_reason = "load" }))
    assert.same({ "server_error", "load" }, { read.error.type, read.error.code })
    assert.equal("malformed", reading(message({ content = "a" }, { done = false })).error.type)
    assert.equal("malformed", reading({ model = "m" }).error.type)
  end)

  it("is an error where it says so, whatever the status", function()
    assert.equal('model "x" not found', reading({ error = 'model "x" not found' }, 404).error.message)
    assert.equal("broken", reading({ error = "broken" }).error.message)
    assert.equal("Bad Gateway", ollama.read_reply(502, {}, "<h1>Bad Gateway</h1>").error.message)
    assert.equal("malformed", ollama.read_reply(200, {}, "ok").error.type)
  end)

  it("becomes the neutral answer", function()
    local reply = ollama.reply(message({ thinking = "hm", content = "so", tool_calls = { call, {
      id = "c9", ["function"] = { name = "now", arguments = {} },
    } } }, { done_reason = "stop", prompt_eval_count = 5, eval_count = 7 }))
    assert.same({
      model = "m", usage = usage(5, 7),
      choices = { { finish = "tool_calls", blocks = {
        { kind = "thinking", text = "hm" }, { kind = "text", text = "so" },
        { kind = "tool_use", id = "call_60102030405678901234_0", name = "add", arguments = '{"x":1}' },
        { kind = "tool_use", id = "c9", name = "now", arguments = "{}" },
      } } },
    }, reply)
    assert.equal("length", ollama.reply(message({ content = "a" }, { done_reason = "length" })).choices[1].finish)
    local generated = ollama.reply { response = "text", thinking = "hm", done = true }
    assert.same({ { kind = "thinking", text = "hm" }, { kind = "text", text = "text" } }, generated.choices[1].blocks)
  end)

  it("holds vectors, in the newer form and in the older", function()
    local body = { model = "m", embeddings = { { 1, 2 }, { 3, 4 } }, prompt_eval_count = 4 }
    local read = reading(body)
    assert.same({ usage(4, 0), 0 }, { read.usage, read.text_length })
    assert.same({ { 1, 2 }, { 3, 4 } }, ollama.vectors(read.body).vectors)
    assert.same({ { 5 } }, ollama.vectors({ embedding = { 5 } }).vectors)
  end)
end)

-- The lines of a stream through both readers.
local function stream(...)
  local read, events, kinds = ollama.reader(), {}, {}
  for i, line in ipairs { ... } do
    local event = { name = "", data = type(line) == "table" and json.encode(line) or line }
    kinds[i] = ollama.read_event(event).kind
    for _, each in ipairs(read(event)) do events[#events + 1] = each end
  end
  return events, kinds
end

local function line(fields, more) return message(fields, more or { done = false }) end

describe("a line of Ollama's stream", function()
  local function read(value)
    return ollama.read_event { name = "", data = type(value) == "table" and json.encode(value) or value }
  end

  it("is content where it says something", function()
    for _, fields in ipairs { { content = "a" }, { thinking = "a" }, { tool_calls = { call } } } do
      assert.equal("content", read(line(fields)).kind)
    end
    assert.equal("content", read({ response = "a", done = false }).kind)
    assert.equal("lifecycle", read(line { content = "" }).kind)
    assert.equal("other", read({ status = "pulling" }).kind)
    assert.equal(1, read(line { content = "a" }).text_length)
  end)

  it("is the end where it is done, and tells the usage there", function()
    local last = read(line({ content = "a" }, { done_reason = "length", prompt_eval_count = 5, eval_count = 7 }))
    assert.same({ "finish", "length", true, 1, usage(5, 7) },
      { last.kind, last.finish, last.last, last.text_length, last.usage })
    assert.equal("stop", read(line({ content = "" }, {})).finish)
  end)

  it("is an error where it says so, is broken, or only loaded the model", function()
    assert.equal("broken", read({ error = "broken" }).error.message)
    assert.equal("malformed", read('{"message":').error.type)
    assert.equal("load", read(line({ content = "" }, { done_reason = "load" })).error.code)
  end)

  it("is decoded once", function()
    local event = { name = "", data = json.encode(line { content = "a" }) }
    ollama.read_event(event)
    local document = event.document
    ollama.read_event(event)
    assert.equal(document, event.document)
  end)

  it("is passed over where it is empty or nonsense", function()
    assert.same({ {}, { "lifecycle", "other", "other" } }, { stream(" ", "hello", "[1]") })
  end)
end)

describe("a stream of Ollama", function()
  it("becomes neutral events", function()
    assert.same({
      { kind = "start", model = "m" }, { kind = "thinking", text = "hm" }, { kind = "text", text = "so" },
      { kind = "tool", call = 0, id = "call_60102030405678901234_0", name = "add" },
      { kind = "arguments", call = 0, text = '{"x":1}' }, { kind = "tool", call = 1, id = "c9", name = "now" },
      { kind = "arguments", call = 1, text = "{}" }, { kind = "finish", finish = "tool_calls" },
    }, (stream(line { content = "", thinking = "hm" }, line { content = "so" }, line { tool_calls = { call } },
      line { tool_calls = { { id = "c9", ["function"] = { name = "now" } } } },
      line({ content = "" }, { done_reason = "stop" }))))
  end)

  it("is read wherever its parts stand", function()
    assert.same({
      { kind = "start", model = "m" }, { kind = "text", text = "all" }, { kind = "finish", finish = "length" },
    }, (stream(line({ content = "all" }, { done_reason = "length" }), line({ content = "" }, {}))))
    assert.same({ { kind = "start" }, { kind = "text", text = "a" }, { kind = "finish", finish = "stop" } },
      (stream({ response = "a", done = false }, { response = "", done = true })))
  end)

  it("raises nothing, whatever comes", function()
    for _, odd in ipairs {
      '{"message":5,"done":1}', '{"message":{"content":{},"tool_calls":"x"}}', '{"message":{"tool_calls":[5,{}]}}',
      '{"message":{"tool_calls":[{"function":{"name":5,"arguments":7}}]},"created_at":{},"done":true}',
      '{"message":null,"response":[],"done":true,"done_reason":{},"eval_count":"x"}', '{"message":{"images":[5]}}',
    } do
      assert.has_no.errors(function() stream(odd, odd) end, odd)
      assert.has_no.errors(function() ollama.reply(json.decode(odd)) end, odd)
      assert.has_no.errors(function() ollama.read_reply(200, {}, odd) end, odd)
    end
  end)
end)

describe("the marks for the relay", function()
  it("are true of what Ollama sends", function()
    local scan = ollama.scan
    local last = json.encode(line({ content = "" }, { eval_count = 1 }))
    assert.matches(scan.last_mark .. ":true", last, 1, true)
    assert.is_true(scan.needs_terminal)
    assert.is_nil(scan.finish_mark)
    for _, mark in ipairs { scan.usage_mark, scan.error_mark, unpack(scan.text_marks) } do
      assert.matches('^"%w+"$', mark)
    end
    assert.is_true(#scan.text_marks <= 4)
  end)
end)
