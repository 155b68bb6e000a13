-- Streams: what is held back, what is passed on as it comes, and how each way to break off looks to the caller.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

describe("a stream", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = {
      providers = {
        acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0,
          timeouts = { connect = 2, first_byte = 10, first_content = 10, idle = 10 } },
        hasty = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-2", retries = 0,
          timeouts = { connect = 2, first_byte = 10, first_content = 10, idle = 0.3 } },
      },
      models = {
        { id = "small", provider = "acme", cost = { input = 1, output = 2 } },
        { id = "impatient", provider = "hasty", cost = { input = 1, output = 2 } },
      },
    } }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  local function row_of(answer)
    return (moongate:admin("/v1/requests/" .. answer.headers["x-request-id"]))
  end

  it("shows nothing before the first content, then all of it", function()
    upstream:next { hold = { after = 0, name = "content" }, comments = 2, roles = 2 }
    local connection = moongate:begin_chat { model = "small", stream = true }
    upstream:wait_for(1, "content")
    connection:settimeout(0)
    local _, problem, part = connection:receive("*a")
    assert.same({ "timeout", "" }, { problem, part })
    connection:settimeout(http.seconds)
    upstream:go("content")
    local stream = http.answered(connection)
    local events = stream:events()
    assert.equal("assistant", events[1].choices[1].delta.role)
    assert.equal("Hello from the provider.", (gateway.text_of(events)))
    stream:close()
  end)

  it("passes each event on as it comes", function()
    upstream:next { hold = { after = 2, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    local got = ""
    while got ~= "Hello from" do got = got .. (stream:event().data:match('"content":"([^"]*)"') or "") end
    upstream:wait_for(1, "middle")
    upstream:go("middle")
    assert.equal(" the provider.", (gateway.text_of(stream:events())))
    stream:close()
  end)

  it("has its usage chunk hidden from a caller who did not ask for it", function()
    local stream = moongate:stream { model = "small" }
    for _, event in ipairs(stream:events()) do
      if type(event) == "table" then
        assert.is_nil(event.usage)
        assert.equal(1, #event.choices)
      end
    end
    assert.is_true(upstream:body().stream_options.include_usage)
    local row = row_of(stream)
    assert.same({ 9, 12, false }, { row.input_tokens, row.output_tokens, row.estimated })
    stream:close()
  end)

  it("shows its usage chunk to a caller who asked for it", function()
    local stream = moongate:stream { model = "small", stream_options = { include_usage = true } }
    local events = stream:events()
    local last = events[#events - 1]
    assert.equal("[DONE]", events[#events])
    assert.same({ prompt_tokens = 9, completion_tokens = 12, total_tokens = 21 }, last.usage)
    assert.same({}, last.choices)
    stream:close()
  end)

  it("with usage in its last chunk of content keeps that chunk", function()
    upstream:next { at = "last" }
    local stream = moongate:stream { model = "small" }
    local events = stream:events()
    assert.equal("stop", events[#events - 1].choices[1].finish_reason)
    assert.equal(12, row_of(stream).output_tokens)
    stream:close()
  end)

  it("counts the last usage it is told, never a sum", function()
    upstream:next { extra = { usage = { prompt_tokens = 5, completion_tokens = 1, total_tokens = 6 } } }
    local stream = moongate:stream { model = "small" }
    stream:rest()
    local row = row_of(stream)
    assert.same({ 9, 12 }, { row.input_tokens, row.output_tokens })
    stream:close()
  end)

  for title, behaviour in pairs {
    ["one byte at a time"] = { size = 1 },
    ["three bytes at a time"] = { size = 3 },
    ["with line ends of Windows"] = { crlf = true, size = 7 },
    ["without chunks, until the end of the connection"] = { framing = "close", drop = true },
    ["with comments in between"] = { comments = 3 },
  } do
    it("arrives whole when it comes " .. title, function()
      behaviour.pieces = { "na\u{ef}ve", " \u{20ac}5", " \u{1f642}", " \\ \" \n end" }
      upstream:next(behaviour)
      local stream = moongate:stream { model = "small" }
      local text, last = gateway.text_of(stream:events())
      assert.equal("na\u{ef}ve \u{20ac}5 \u{1f642} \\ \" \n end", text)
      assert.equal("[DONE]", last)
      assert.is_true(stream.complete)
      assert.equal(12, row_of(stream).output_tokens)
      stream:close()
    end)
  end

  it("without [DONE] but with a finish reason and a clean end is complete", function()
    upstream:next { done = false }
    local stream = moongate:stream { model = "small" }
    local text, last = gateway.text_of(stream:events())
    assert.equal("Hello from the provider.", text)
    assert.is_nil(type(last) == "table" and last.error or nil)
    assert.equal("ok", row_of(stream).outcome)
    stream:close()
  end)

  for title, behaviour in pairs {
    ["is cut"] = { wrong = "cut", after = 2 },
    ["is reset"] = { wrong = "reset", after = 2 },
    ["is cut inside an event"] = { wrong = "mid_event", after = 2 },
    ["is cut inside a character"] = { wrong = "mid_character", after = 2 },
    ["ends without a finish reason"] = { wrong = "end", after = 2 },
    ["brings an error"] = { wrong = "error", after = 2, message = "The model is overloaded." },
    ["brings an error and is cut"] = { wrong = "error", after = 2, quit = true },
  } do
    it("that " .. title .. " after its first content ends with an error event, not as if complete", function()
      upstream:next(behaviour)
      local stream = moongate:stream { model = "small" }
      assert.equal(200, stream.status)
      local events = stream:events()
      local text, last = gateway.text_of(events)
      assert.equal("Hello from", text)
      assert.truthy(last.error.message)
      assert.truthy(last.error.type)
      for _, event in ipairs(events) do assert.not_equal("[DONE]", event) end
      local row = row_of(stream)
      assert.equal("error", row.outcome)
      assert.is_true(row.estimated)
      assert.truthy(row.output_tokens > 0)
      stream:close()
    end)
  end

  it("that falls silent after its first content ends with an error event", function()
    upstream:next { wrong = "silence", after = 2 }
    local stream = moongate:stream { model = "impatient" }
    local text, last = gateway.text_of(stream:events())
    assert.equal("Hello from", text)
    assert.truthy(last.error.message)
    upstream:wait_for(1, "left")
    stream:close()
  end)

  for _, way in ipairs { "close", "reset" } do
    it("whose caller leaves (" .. way .. ") is cancelled at the provider, and billed for what was used", function()
      upstream:next { endless = true, delay = 5 }
      local stream = moongate:stream { model = "small" }
      stream:event()
      stream:event()
      stream[way](stream)
      upstream:wait_for(1, "left")
      local row = wait.until_(function()
        local row = row_of(stream)
        return row.outcome == "cancelled" and row
      end, "the row to be closed")
      assert.is_true(row.estimated)
      assert.truthy(row.output_tokens > 0 and row.cost_microusd > 0)
    end)
  end

  it("whose caller leaves before the first content is cancelled at the provider", function()
    upstream:next { kind = "silence" }
    local connection = moongate:begin_chat { model = "small", stream = true }
    upstream:wait_for(1, "answering")
    connection:close()
    upstream:wait_for(1, "left")
  end)

  it("whose caller does not read is not read from the provider either", function()
    local piece = ("x"):rep(16000)
    local repeats = 4000
    upstream:next { pieces = { piece }, ["repeat"] = repeats }
    local stream = moongate:stream { model = "small" }
    local function written() return upstream:seen()[1].written end
    local before
    wait.until_(function()
      local now = written()
      local stands = upstream:seen()[1].blocked and now == before
      before = now
      return stands
    end, "the provider to be held up")
    assert.truthy(written() < 32e6)
    local _, status = process.run({ "cat", "/proc/" .. moongate.process.pid .. "/status" })
    local resident = tonumber(status:match("VmRSS:%s+(%d+) kB"))
    local is_plain = not (os.getenv "MOONGATE_PRELOAD" or valgrind.is_on)
    if is_plain then assert.truthy(resident < 64 * 1024) end
    local total = 0
    for event in function() return stream:event() end do
      if event.data:find(piece, 1, true) then total = total + 1 end
    end
    assert.equal(repeats, total)
    assert.is_true(stream.complete)
    stream:close()
  end)
end)

describe("a stream over TLS", function()
  local folder
  setup(function()
    folder = process.folder()
    assert(process.run({ "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes", "-keyout", folder .. "/key.pem", "-out", folder .. "/cert.pem", "-days", "2",
      "-subj", "/CN=provider", "-addext", "subjectAltName=IP:127.0.0.1" }) == 0)
  end)
  teardown(function() process.remove(folder) end)
  after_each(gateway.stop_all)

  local function start(options, settings)
    options.cert, options.key = folder .. "/cert.pem", folder .. "/key.pem"
    local upstream = provider.open(options)
    local acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 }
    for name, value in pairs(settings) do acme[name] = value end
    local moongate = gateway.start { config = {
      providers = { acme = acme }, models = { { id = "small", provider = "acme" } } } }
    return moongate, upstream
  end

  it("comes from a provider whose certificate is trusted", function()
    local moongate, upstream = start({}, { ca_file = folder .. "/cert.pem" })
    local stream = moongate:stream { model = "small" }
    assert.equal("Hello from the provider.", (gateway.text_of(stream:events())))
    assert.equal("1.1", upstream:seen()[1].version)
    stream:close()
  end)

  it("comes over HTTP/2 from a provider that is configured so", function()
    local moongate, upstream = start({ http2 = true }, { ca_file = folder .. "/cert.pem", http2 = true })
    local stream = moongate:stream { model = "small" }
    assert.equal("Hello from the provider.", (gateway.text_of(stream:events())))
    assert.equal("2", upstream:seen()[1].version)
    stream:close()
  end)

  it("never comes from a provider whose certificate is not trusted", function()
    local moongate, upstream = start({}, {})
    local answer = moongate:chat { model = "small" }
    assert.equal(502, answer.status)
    assert.matches("certificate", answer:json().error.message)
    assert.same({}, upstream:seen())
  end)
end)
