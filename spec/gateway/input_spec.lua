-- Bad input: one clear sentence each, with the right status, and the gateway lives on.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"
local socket = require "socket"

local demo = { demo = { protocol = "mock" } }
local echo = { { id = "echo", provider = "demo" } }

describe("a request", function()
  local moongate
  setup(function() moongate = gateway.start { config = { providers = demo, models = echo } } end)
  teardown(gateway.stop_all)
  after_each(function() assert.equal(200, moongate:request({ path = "/health" }).status) end)

  local function post(body, path)
    return moongate:request { path = path or "/v1/chat/completions", body = body,
      headers = { ["content-type"] = "application/json" } }
  end

  local function is_refused(answer, status, words)
    assert.equal(status, answer.status, answer.body)
    local problem = answer:json().error
    assert.equal("string", type(problem.message))
    assert.equal("string", type(problem.type))
    for _, word in ipairs(words or {}) do assert.matches(word, problem.message, 1, true) end
    assert.truthy(answer.headers["x-request-id"])
    return problem
  end

  it("with malformed JSON is told the position", function()
    is_refused(post '{\n  "model": "echo",\n  "messages": [}\n}', 400, { "line 3", "column 16" })
  end)

  for title, body in pairs {
    ["no body"] = "",
    ["half a body"] = '{"model":"echo","messages":[{"role":"user"',
    ["an array"] = "[]",
    ["a number"] = "17",
    ["something behind its body"] = '{"model":"echo","messages":[{"role":"user","content":"x"}]} x',
    ["bytes that are no UTF-8"] = '{"model":"echo","messages":[{"role":"user","content":"\255\254"}]}',
    ["nesting without end"] = ("["):rep(100000),
    ["a NUL in the model's name"] = '{"model":"ec\\u0000ho","messages":[{"role":"user","content":"x"}]}',
    ["the model named twice"] = '{"model":"echo","model":"other","messages":[{"role":"user","content":"x"}]}',
  } do
    it("with " .. title .. " is refused", function() is_refused(post(body), 400) end)
  end

  for title, row in pairs {
    ["a model that is no string"] = { { model = 17 }, "model" },
    ["messages that are no list"] = { { messages = "hello" }, "messages" },
    ["no messages"] = { { messages = {} }, "messages" },
    ["a message that is no object"] = { { messages = { "hello" } }, "messages" },
    ["a stream flag that is no flag"] = { { stream = "yes" }, "stream" },
    ["max_tokens that are no number"] = { { max_tokens = "many" }, "max_tokens" },
    ["negative max_tokens"] = { { max_tokens = -5 }, "max_tokens" },
  } do
    it("with " .. title .. " is told which member", function()
      local problem = is_refused(moongate:chat(row[1]), 400, { row[2] })
      assert.equal("invalid_request_error", problem.type)
      assert.matches("^" .. row[2], problem.param or row[2])
    end)
  end

  it("without messages is told so", function()
    is_refused(post '{"model":"echo"}', 400, { "messages" })
  end)

  it("for embeddings without input is told so", function()
    is_refused(post('{"model":"echo"}', "/v1/embeddings"), 400, { "input" })
  end)

  it("that is too large is refused with a 413, before it has been read", function()
    local long = ("x"):rep(11 * 1024 * 1024)
    is_refused(moongate:chat { messages = { { role = "user", content = long } } }, 413, { "10485760" })
  end)

  it("that is too large and tells no length is refused with a 413 too", function()
    local chunk = ("10000\r\n%s\r\n"):format(("x"):rep(65536))
    local answer = http.raw(moongate.address, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
      .. "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" .. chunk:rep(170))
    assert.equal(413, answer.status)
  end)

  it("in chunks is read as one", function()
    local answer = http.raw(moongate.address, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
      .. 'content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{"model":"echo",\r\n'
      .. '2d\r\n"messages":[{"role":"user","content":"hello"}\r\n2\r\n]}\r\n0\r\n\r\n')
    assert.equal(200, answer.status)
  end)

  it("of another content type is refused with a 415", function()
    is_refused(moongate:request { path = "/v1/chat/completions", body = "<xml/>",
      headers = { ["content-type"] = "application/xml" } }, 415)
  end)

  it("to an unknown path is a 404 that names it", function()
    is_refused(moongate:request { path = "/v1/chat/completion" }, 404, { "/v1/chat/completion" })
    is_refused(moongate:request { path = "/" }, 404)
  end)

  it("with the wrong method is a 405 that names the right one", function()
    local answer = moongate:request { path = "/v1/chat/completions" }
    is_refused(answer, 405)
    assert.matches("POST", answer.headers.allow, 1, true)
    is_refused(moongate:request { path = "/v1/models", method = "DELETE" }, 405)
  end)

  it("with an unknown policy is a 400 that names it", function()
    is_refused(moongate:chat({ model = "echo" }, { headers = { ["x-moongate-policy"] = "balansed" } }), 400,
      { "balansed", "balanced" })
  end)

  it("with a header that means nothing is a 400 that names it", function()
    is_refused(moongate:chat({ model = "echo" }, { headers = { ["x-moongate-max-cost"] = "cheap" } }), 400,
      { "x-moongate-max-cost" })
  end)

  for title, head in pairs {
    ["no Host"] = "GET /health HTTP/1.1\r\n\r\n",
    ["two Hosts"] = "GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    ["two lengths"] = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
      .. "content-length: 3\r\n\r\n{}x",
    ["length and chunks"] = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
      .. "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ["a folded header"] = "GET /health HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
    ["a space before the colon"] = "GET /health HTTP/1.1\r\nhost: x\r\na : b\r\n\r\n",
    ["bare line feeds"] = "GET /health HTTP/1.1\nhost: x\n\n",
    ["nonsense"] = "hello there\r\n\r\n",
    ["headers without end"] = "GET /health HTTP/1.1\r\nhost: x\r\n" .. ("x: y\r\n"):rep(20000),
  } do
    it("with " .. title .. " is refused, and its connection closed", function()
      local answer = http.raw(moongate.address, head)
      assert.truthy(answer == nil or (answer.status >= 400 and answer.status < 500))
      if answer then assert.equal("close", answer.headers.connection) end
    end)
  end

  it("that never ends does not keep others waiting", function()
    local slow = {}
    for n = 1, 50 do
      slow[n] = socket.connect(moongate.address:match("^(.*):(%d+)$"))
      slow[n]:send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    end
    assert.equal(200, moongate:chat({ model = "echo" }).status)
    for _, connection in ipairs(slow) do connection:close() end
  end)

  it("may be a HEAD where GET is one", function()
    local answer = moongate:request { path = "/health", method = "HEAD" }
    assert.equal(200, answer.status)
    assert.equal("", answer.body)
  end)
end)

describe("the gateway", function()
  after_each(gateway.stop_all)

  local function refuses_to_start(options, words)
    local moongate = gateway.prepare(options)
    if options.before then options.before(moongate) end
    local status, _, errors = moongate:command("serve")
    assert.equal(1, status)
    for _, word in ipairs(words) do assert.matches(word, errors, 1, true) end
    return moongate
  end

  it("says which port is in use", function()
    local running = gateway.start { config = { providers = demo, models = echo } }
    refuses_to_start({ config = { listen = running.address, providers = demo, models = echo } },
      { running.address, "in use" })
  end)

  it("says which database cannot be opened", function()
    refuses_to_start({ config = { store = "sqlite:no-such-folder/moongate.db", providers = demo, models = echo } },
      { "no-such-folder", "store" })
    refuses_to_start({ config = { store = "sqlite:moongate.db", providers = demo, models = echo },
      before = function(moongate) moongate:write("moongate.db", ("no database "):rep(1000)) end }, { "moongate.db" })
  end)

  it("answers at once a caller who is too slow with headers or body", function()
    local moongate = gateway.start { config = { providers = demo, models = echo,
      limits = { header_s = 0.2, body_s = 0.2, idle_s = 0.2 } } }
    assert.equal(408, http.raw(moongate.address, "GET /health HTTP/1.1\r\nhost:").status)
    assert.equal(408, http.raw(moongate.address, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
      .. "content-type: application/json\r\ncontent-length: 10\r\n\r\n{").status)
    local idle = http.keep(moongate.address)
    assert.equal(200, idle:request({ path = "/health" }).status)
    local _, problem = idle.connection:receive("*l")
    assert.equal("closed", problem)
  end)

  it("drains: it takes no new request, ends what runs, and exits with 0", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = {
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk" } },
      models = { { id = "small", provider = "acme" } } } }
    upstream:next { hold = { after = 2, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    upstream:wait_for(1, "middle")
    moongate.process:kill("TERM")
    wait.until_(function()
      local connection = socket.connect(moongate.address:match("^(.*):(%d+)$"))
      if connection then connection:close() end
      return not connection
    end, "the door to close")
    assert.is_false(moongate.process:has_ended())
    upstream:go("middle")
    local text, last = gateway.text_of(stream:events())
    assert.same({ "Hello from the provider.", "[DONE]" }, { text, last })
    stream:close()
    assert.equal(0, (moongate.process:wait()))
  end)

  it("that is told twice to end does not wait", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = {
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk" } },
      models = { { id = "small", provider = "acme" } } } }
    upstream:next { hold = { after = 2, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    upstream:wait_for(1, "middle")
    moongate.process:kill("TERM")
    wait.until_(function() return moongate:errors():find("drain") end, "the drain to begin")
    moongate.process:kill("TERM")
    moongate.process:wait(10)
    moongate:kill()
    stream:close()
  end)
end)
