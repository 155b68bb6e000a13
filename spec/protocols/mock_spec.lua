require "spec.support.core"
local json = require "moongate.core.json"
local limits = require "moongate.limits"
local mock = require "protocols.mock"
local sample = require "moongate.sample"
local vector = require "moongate.vector"

local NOW = 1805014800

local function play(prompt, options, more)
  local call = {
    operation = "chat", target = { upstream_id = "mock-1" }, provider = { name = "one", mock = options }, now = NOW,
  }
  local body = { model = "any", messages = json.array({ { role = "user", content = prompt } }) }
  for name, value in pairs(more or {}) do
    if name == "stream" or name == "operation" then call[name] = value else body[name] = value end
  end
  call.document = assert(json.scan(json.encode(body)))
  return mock.play(call)
end

local function text_of(reply)
  local parts = {}
  for _, piece in ipairs(reply.pieces) do parts[#parts + 1] = piece.text end
  return table.concat(parts)
end

local function read(reply)
  return mock.read_reply(reply.status, reply.headers, text_of(reply))
end

-- The events of a streamed reply: what `read_event` makes of each, and the decoded data.
local function events(reply)
  local list = {}
  for _, piece in ipairs(reply.pieces) do
    local data = string.match(piece.text, "^data: (.-)\n\n$")
    if data then
      local event = mock.read_event({ data = data })
      event.data = data ~= "[DONE]" and json.decode(data) or nil
      list[#list + 1] = event
    end
  end
  return list
end

local function kinds(reply)
  local list = {}
  for index, event in ipairs(events(reply)) do list[index] = event.kind end
  return table.concat(list, " ")
end

local function said(reply)
  local parts = {}
  for _, event in ipairs(events(reply)) do
    local choice = event.data and event.data.choices and event.data.choices[1]
    if choice and type(choice.delta.content) == "string" then parts[#parts + 1] = choice.delta.content end
  end
  return table.concat(parts)
end

describe("a whole mock reply", function()
  it("answers in OpenAI's shape, repeating the prompt's first words", function()
    local reply = play("Tell me a short story about a gate")
    assert.equal(200, reply.status)
    assert.equal("done", reply.finish)
    assert.equal("application/json", reply.headers["content-type"])
    local answer = json.decode(text_of(reply))
    assert.equal("chat.completion", answer.object)
    assert.equal("mock-1", answer.model)
    assert.equal(NOW, answer.created)
    assert.equal("assistant", answer.choices[1].message.role)
    assert.is_not_nil(string.find(answer.choices[1].message.content, "Tell me a short story", 1, true))
    assert.is_nil(read(reply).error)
    assert.equal("stop", read(reply).finish)
  end)

  it("counts about four bytes a token", function()
    local usage = read(play("x", { text = "12345678" })).usage
    assert.equal(2, usage.output)
    assert.is_true(usage.input > 0)
    assert.equal(usage.input + usage.output, usage.total)
  end)

  it("is the same for the same call", function()
    assert.equal(text_of(play("Hello")), text_of(play("Hello")))
  end)

  it("says what it is told, and counts what it is told", function()
    local reply = play("x", { text = "As told.", usage = { prompt_tokens = 7, completion_tokens = 5,
      total_tokens = 12 } })
    assert.equal("As told.", json.decode(text_of(reply)).choices[1].message.content)
    assert.equal(12, read(reply).usage.total)
  end)

  it("has rate-limit headers that the gate reads", function()
    local reading = limits.read({ provider = "one", status = 200, headers = play("x").headers, now = NOW })
    assert.equal(2, #reading.limits)
    assert.equal(999, reading.limits[1].remaining)
  end)

  it("has the headers it is told, and leaves out what is false", function()
    local headers = play("x", { headers = { ["X-Ratelimit-Limit-Requests"] = 5,
      ["x-ratelimit-limit-tokens"] = false } }).headers
    assert.equal("5", headers["x-ratelimit-limit-requests"])
    assert.is_nil(headers["x-ratelimit-limit-tokens"])
  end)

  it("gives as many answers as are asked for", function()
    assert.equal(3, #json.decode(text_of(play("x", nil, { n = 3 }))).choices)
  end)

  it("reads the text of a prompt in parts", function()
    local parts = json.array({ { type = "text", text = "in parts" }, { type = "image_url",
      image_url = { url = "u" } } })
    assert.is_not_nil(string.find(text_of(play(parts)), "in parts", 1, true))
  end)

  it("answers JSON where JSON is asked for", function()
    local schema = { type = "object", required = { "n", "who", "list" },
      properties = { n = { type = "integer" }, who = { enum = { "me", "you" } }, list = { type = "array" } } }
    local reply = play("x", nil, { response_format = { type = "json_schema", json_schema = { name = "s",
      schema = schema } } })
    local content = json.decode(text_of(reply)).choices[1].message.content
    assert.same({ n = 1, who = "me", list = {} }, json.decode(content))
    reply = play("x", nil, { response_format = { type = "json_object" } })
    assert.is_table(json.decode(json.decode(text_of(reply)).choices[1].message.content))
  end)
end)

describe("a mock stream", function()
  it("has a role, content, a finish, usage and the end", function()
    local reply = play("Hi", { chunks = 3 }, { stream = true })
    assert.equal("text/event-stream", reply.headers["content-type"])
    assert.equal("lifecycle content content content finish usage end", kinds(reply))
    assert.equal("done", reply.finish)
  end)

  it("says just what the whole reply says", function()
    local whole = json.decode(text_of(play("Hi there"))).choices[1].message.content
    assert.equal(whole, said(play("Hi there", nil, { stream = true })))
    assert.equal(whole, said(play("Hi there", { chunks = 500 }, { stream = true })))
  end)

  it("never cuts inside a character", function()
    local reply = play("x", { text = string.rep("\195\164\226\130\172", 20), chunks = 33 }, { stream = true })
    assert.equal(string.rep("\195\164\226\130\172", 20), said(reply))
  end)

  it("has the usage of the whole reply", function()
    local list = events(play("Hi", { chunks = 2 }, { stream = true }))
    assert.same(read(play("Hi")).usage, list[#list - 1].usage)
  end)

  it("waits as told", function()
    local reply = play("x", { chunks = 2, delay = 0.2, chunk_delay = 0.05 }, { stream = true })
    assert.equal(0.2, reply.delay_s)
    assert.equal(0, reply.pieces[1].delay_s)
    assert.equal(0.05, reply.pieces[2].delay_s)
  end)

  it("breaks off after as many pieces as told", function()
    local reply = play("x", { chunks = 5, cut_after = 3 }, { stream = true })
    assert.equal(3, #reply.pieces)
    assert.equal("cut", reply.finish)
  end)

  it("turns into an error before or after content", function()
    assert.equal("error", kinds(play("x", { error_in_body = true }, { stream = true })))
    local late = play("x", { chunks = 5, error_after = 2, status = 503 }, { stream = true })
    assert.equal(200, late.status)
    assert.equal("lifecycle content error", kinds(late))
  end)

  for silence, shown in pairs({ role = "lifecycle", content = "lifecycle content", body = "" }) do
    it("falls silent after its " .. silence, function()
      local reply = play("x", { chunks = 4, silent = silence }, { stream = true })
      assert.equal(shown, kinds(reply))
      assert.is_true(reply.pieces[#reply.pieces].delay_s > 3600)
    end)
  end

  it("falls silent before its head", function()
    assert.is_true(play("x", { silent = "head" }, { stream = true }).delay_s > 3600)
  end)
end)

describe("mock tool calls", function()
  local tools = json.array({ { type = "function", ["function"] = { name = "add",
    parameters = { type = "object", required = { "x", "ok" },
      properties = { x = { type = "number" }, ok = { type = "boolean" }, other = { type = "string" } } } } } })

  it("call the first tool with arguments that fit", function()
    local choice = json.decode(text_of(play("mock: tool", nil, { tools = tools }))).choices[1]
    assert.equal("tool_calls", choice.finish_reason)
    assert.equal(json.null, choice.message.content)
    assert.equal("add", choice.message.tool_calls[1]["function"].name)
    assert.same({ x = 1, ok = true }, json.decode(choice.message.tool_calls[1]["function"].arguments))
  end)

  it("come in fragments that join", function()
    local arguments = {}
    local reply = play("mock: tool", nil, { tools = tools, stream = true })
    for _, event in ipairs(events(reply)) do
      local choice = event.data and event.data.choices[1]
      local call = choice and choice.delta.tool_calls and choice.delta.tool_calls[1]
      if call then arguments[#arguments + 1] = call["function"].arguments end
    end
    assert.same({ x = 1, ok = true }, json.decode(table.concat(arguments)))
    assert.equal("lifecycle content content content finish usage end", kinds(reply))
  end)

  it("are not made up where no tool is offered", function()
    assert.equal("stop", read(play("mock: tool")).finish)
  end)

  it("come always when the config says so", function()
    assert.equal("tool_calls", read(play("add one and two", { tools = true }, { tools = tools })).finish)
  end)
end)

describe("a mock that misbehaves", function()
  it("refuses with a status, a header and words", function()
    local reply = play("x", { status = 429, retry_after = 41 })
    assert.equal(429, reply.status)
    assert.equal("41", reply.headers["retry-after"])
    local reading = limits.read({
      provider = "one", status = 429, headers = reply.headers, body = json.decode(text_of(reply)), now = NOW,
    })
    assert.equal("rate_limited", reading.class)
    assert.equal(41, reading.retry_after_s)
  end)

  for status, class in pairs({
    [400] = "bad_request", [401] = "auth", [402] = "quota_exhausted", [403] = "auth", [404] = "bad_request",
    [413] = "context_too_long", [429] = "rate_limited", [500] = "server_error", [503] = "overloaded",
      [502] = "server_error",
  }) do
    it("is understood when it answers " .. status, function()
      local reply = play("x", { status = status }, { stream = true })
      local reading = limits.read({
        provider = "one", status = status, headers = reply.headers, body = json.decode(text_of(reply)), now = NOW,
      })
      assert.equal(class, reading.class)
      assert.is_not_nil(read(reply).error.message)
    end)
  end

  it("hides an error in a 200", function()
    local reply = play("x", { error_in_body = true, status = 503 })
    assert.equal(200, reply.status)
    assert.is_not_nil(read(reply).error)
  end)

  it("breaks off in the middle of a whole reply", function()
    local reply = play("x", { cut_after = 1 })
    assert.equal("cut", reply.finish)
    assert.is_nil(json.decode(text_of(reply)))
  end)
end)

describe("a prompt that begins with mock:", function()
  it("tells the mock what to do, for this call", function()
    local reply = play("mock: status=429 retry-after=1.5")
    assert.equal(429, reply.status)
    assert.equal("1.5", reply.headers["retry-after"])
  end)

  it("goes before the config", function()
    assert.equal(9 + 4, #play("mock: chunks=9 chunk-delay=0.01", { chunks = 2 }, { stream = true }).pieces)
  end)

  it("may be meant for one provider only", function()
    assert.equal(500, play("mock: on=one status=500").status)
    assert.equal(200, play("mock: on=two status=500").status)
  end)

  it("is only taken for orders where it knows the words", function()
    assert.equal(200, play("mock: headers=5 usage=3 nonsense=1 status=").status)
    assert.equal(200, play("the mock: status=500").status)
  end)

  it("is the last thing the user says", function()
    local list = json.array({ { role = "user", content = "mock: status=500" }, { role = "assistant", content = "no" },
      { role = "user", content = "and now?" } })
    assert.equal(200, play("", nil, { messages = list }).status)
  end)
end)

describe("mock embeddings", function()
  local function embed(more)
    more.operation, more.messages = "embeddings", json.null
    return play("", nil, more)
  end

  it("are the same for the same text and of the size asked for", function()
    local first, second = embed({ input = "a", dimensions = 5 }), embed({ input = json.array({ "b", "a" }),
      dimensions = 5 })
    local one, two = json.decode(text_of(first)), json.decode(text_of(second))
    assert.equal(5, #one.data[1].embedding)
    assert.same(one.data[1].embedding, two.data[2].embedding)
    assert.are_not.same(one.data[1].embedding, two.data[1].embedding)
    assert.equal(1, two.data[2].index)
    assert.is_nil(read(first).error)
    assert.is_true(read(first).usage.input > 0)
  end)

  it("are the same numbers in base64", function()
    local plain = json.decode(text_of(embed({ input = "a", dimensions = 7 }))).data[1].embedding
    local packed = json.decode(text_of(embed({ input = "a", dimensions = 7,
      encoding_format = "base64" }))).data[1].embedding
    assert.equal(vector.pack(plain), packed)
  end)

  it("take tokens for one text and lists of tokens for many", function()
    assert.equal(1, #json.decode(text_of(embed({ input = json.array({ 1, 2 }) }))).data)
    assert.equal(2, #json.decode(text_of(embed({ input = json.array({ json.array({ 1 }), json.array({ 2 }) }) }))).data)
  end)
end)

describe("made-up values", function()
  it("end for a schema without end", function()
    local schema = { type = "object", required = { "again" }, properties = {} }
    schema.properties.again = schema
    assert.is_table(sample.of(schema))
  end)
end)

describe("the request to a mock", function()
  it("exists, goes nowhere and bears no key", function()
    local request = mock.build({
      operation = "chat", target = { upstream_id = "mock-1" }, provider = { name = "one" }, key = "secret",
        stream = true,
      document = assert(json.scan('{"model":"any","messages":[]}')),
    })
    assert.is_not_nil(string.find(request.url, "^mock:"))
    assert.is_nil(request.headers.authorization)
    assert.equal("mock-1", json.decode(request.body).model)
  end)
end)

describe("a caller of another format", function()
  local function neutral(turns, more)
    local call = {
      operation = "chat", target = { upstream_id = "mock-1" }, provider = { name = "one" }, now = NOW,
      chat = { system = {}, turns = turns, tools = { { name = "f", schema = { type = "object" } } }, unread = {} },
    }
    for name, value in pairs(more or {}) do call[name] = value end
    return call
  end

  local function user(text) return { role = "user", blocks = { { kind = "text", text = text } } } end

  it("is answered as any other", function()
    local call = neutral { user "hello" }
    local body = read(mock.play(call)).body
    assert.same({ { kind = "text", text = "This is the mock provider of moongate. You said: hello" } },
      mock.reply(body).choices[1].blocks)
    assert.equal("openai", mock.speaks)
    assert.equal("mock:/chat/completions", mock.build(call).url)
  end)

  it("tells the mock what to do in the same words", function()
    assert.equal(429, mock.play(neutral { user "mock: status=429" }).status)
    local call = mock.reply(read(mock.play(neutral { user "mock: tool" })).body).choices[1]
    assert.same({ "tool_calls", "f" }, { call.finish, call.blocks[1].name })
  end)

  it("streams", function()
    local list, reader = {}, mock.reader()
    for _, event in ipairs(events(mock.play(neutral({ user "hello" }, { stream = true })))) do
      for _, each in ipairs(reader { document = event.data }) do list[#list + 1] = each.kind end
    end
    assert.same({ "start", "text", "finish" }, { list[1], list[2], list[#list] })
  end)

  it("has texts embedded", function()
    local reply = read(mock.play {
      operation = "embeddings", target = { upstream_id = "mock-1" }, provider = { name = "one" }, now = NOW,
      embedding = { inputs = { "a", "b" }, dimensions = 3 },
    })
    local vectors = mock.vectors(reply.body).vectors
    assert.same({ 2, 3 }, { #vectors, #vectors[2] })
  end)
end)
