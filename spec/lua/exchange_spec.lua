-- The life of a request: who is let in, what goes out, in which order, and that every end is settled, written down and
-- answered once.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"
local routing = require "spec.support.routing"

describe("an exchange", function()
  local core, exchange, surface, state, handle, wires

  local figures = { prompt_tokens = 4, completion_tokens = 2, total_tokens = 6 }

  before_each(function()
    core = fakes.install()
    exchange = require "moongate.exchange"
    surface = require "moongate.surfaces.openai"
    wires = core.wires
    local callers = require "moongate.callers"
    local providers = { one = fakes.provider "one", two = fakes.provider "two" }
    local config = {
      auth = "keys", keys = { { name = "dev", key = "the-key", org = "acme", tier = "pro", rpm = 60 },
        { name = "private", key = "private-key", privacy = true } }, providers = providers,
    }
    local policies = routing.policies { plain = function(_, candidates) return candidates end }
    function policies.billing() end
    state = {
      config = config, policies = policies, callers = callers.new(config),
      registry = routing.registry({
        { id = "small", provider = "one", cost = { input = 1, output = 2 } },
        { id = "small", provider = "two", cost = { input = 3, output = 4 } },
      }, { policy = "plain", providers = providers }),
    }
  end)
  after_each(function() core.restore() end)

  local function run(body, headers, operation)
    local sent = { authorization = "Bearer the-key" }
    for name, value in pairs(headers or {}) do sent[name] = value or nil end
    handle = fakes.handle { headers = sent, body = type(body) == "table" and json.encode(body) or body }
    exchange.handler(surface, operation or "chat")(handle, state)
    return handle.replies[1]
  end

  local function question(more)
    local body = { model = "small", messages = json.array { { role = "user", content = "Hi" } } }
    for name, value in pairs(more or {}) do body[name] = value end
    return body
  end

  local function serve(given)
    wires[#wires + 1] = fakes.wire(given)
    return wires[#wires]
  end

  local function error_of(reply) return json.decode(reply.body).error end

  local function names(...)
    local wanted, found = {}, {}
    for _, name in ipairs { ... } do wanted[name] = true end
    for _, call in ipairs(core.calls) do
      if wanted[call.name] then found[#found + 1] = call.name end
    end
    return found
  end

  -- Every request that was let in has one row, closed once.
  local function row()
    local rows = core.of "ledger.close"
    assert.equal(1, #rows)
    return rows[1][1]
  end

  describe("that is turned away", function()
    it("without a key it knows, before the body is looked at", function()
      local reply = run("{", { authorization = "Bearer nobodys" })
      assert.same({ 401, "invalid_api_key" }, { reply.status, error_of(reply).code })
      assert.same({ 1, {} }, { #handle.replies, core.of "ledger.close" })
      assert.equal(1, #core.of "log.write")
      assert.equal(1, core.counted['moongate_requests_total{surface="",provider="",model="",status="401"}'])
    end)

    it("with a body that says it is something else", function()
      local reply = run(question(), { ["content-type"] = "multipart/form-data; boundary=x" })
      assert.same({ 415, "unsupported_media_type" }, { reply.status, error_of(reply).code })
    end)

    it("with broken JSON, told where", function()
      local reply = run '{"model": "small",\n "messages": [}'
      assert.same({ 400, "invalid_json" }, { reply.status, error_of(reply).code })
      assert.matches("line 2, column %d+", error_of(reply).message)
    end)

    it("with JSON nested beyond reason", function()
      local deep = string.rep("[", 200) .. string.rep("]", 200)
      assert.equal(400, run('{"model":"small","messages":' .. deep .. "}").status)
    end)

    it("with a body that is no such request", function()
      local reply = run { model = "small" }
      assert.equal(400, reply.status)
      assert.matches("messages", error_of(reply).message .. tostring(error_of(reply).param))
    end)

    it("with a header of its own twice, as with a wrong one", function()
      local reply = run(question(), { ["x-moongate-privacy"] = { "true", "false" } })
      assert.same({ 400, "x-moongate-privacy" }, { reply.status, error_of(reply).param })
    end)

    for _, kind in ipairs { "application/json; charset=utf-8", "Application/JSON", "application/x+json", "text/plain",
      "application/x-www-form-urlencoded" } do
      it("not for " .. kind, function()
        serve { body = fakes.answer("x", figures) }
        assert.equal(200, run(question(), { ["content-type"] = kind }).status)
      end)
    end

    it("not for a header that came twice", function()
      serve { body = fakes.answer("x", figures) }
      assert.equal(200, run(question(), { ["x-forwarded-for"] = { "10.0.0.1", "10.0.0.2" } }).status)
    end)
  end)

  describe("that has a whole answer", function()
    it("hands on the provider's own bytes, with who served it and for how much", function()
      local wire = serve { body = fakes.answer("hello", figures) }
      local reply = run(question())
      assert.same({ 200, fakes.answer("hello", figures), 1 }, { reply.status, reply.body, #handle.replies })
      assert.same({ "one", "small", "plain@00000000", "1", "0.000008", "6" }, {
        reply.headers["x-moongate-provider"], reply.headers["x-moongate-model"], reply.headers["x-moongate-policy"],
        reply.headers["x-moongate-attempts"], reply.headers["x-moongate-cost-usd"],
        reply.headers["x-moongate-billed-tokens"],
      })
      assert.same({ true }, wire.closed)
      assert.same({ "one", "ok", 8, 6 }, { row().provider, row().outcome, row().cost_microusd, row().billed_tokens })
    end)

    it("goes through its steps in order, and answers when the ledger has the row", function()
      serve { body = fakes.answer("x", figures) }
      core.set("ledger.close", function()
        assert.same({}, handle.replies)
        return true
      end)
      run(question())
      assert.same({ "ledger.open", "health.admit", "store.reserve", "attempt.send", "health.succeeded", "store.settle",
        "ledger.close" }, names("ledger.open", "health.admit", "store.reserve", "attempt.send", "health.succeeded",
        "health.failed", "health.released", "store.settle", "ledger.close"))
    end)

    it("comes from the next provider if the first one fails", function()
      serve { status = 500, body = '{"error":{"message":"boom"}}' }
      serve { body = fakes.answer("x", figures) }
      local reply = run(question())
      assert.same({ 200, "two", "2" },
        { reply.status, reply.headers["x-moongate-provider"], reply.headers["x-moongate-attempts"] })
      local attempts = json.decode(row().detail).attempts
      assert.same({ { "one", "server_error" }, { "two" } },
        { { attempts[1].provider, attempts[1].error }, { attempts[2].provider, attempts[2].error } })
      assert.equal(2, #core.of "store.settle")
    end)

    it("is estimated where the provider does not tell its usage", function()
      serve { body = fakes.answer "12345678" }
      run(question())
      assert.same({ true, 1, 2 }, { row().estimated, row().input_tokens, row().output_tokens })
    end)

    it("serves embeddings too", function()
      serve { body = '{"object":"list","data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":3,"total_tokens":3}}' }
      assert.equal(200, run({ model = "small", input = "abc" }, nil, "embeddings").status)
      assert.matches("/embeddings$", core.of("attempt.send")[1][2].url)
      assert.same({ "embeddings", 3, 0 }, { row().surface, row().input_tokens, row().output_tokens })
    end)

    it("may be written anew by the surface, from a body of its own", function()
      serve { body = fakes.answer("x", figures) }
      local other = setmetatable({
        parse = function(document, headers, operation)
          local request = surface.parse(document, headers, operation)
          request.document = assert(json.scan('{"model":"m","messages":[],"top_k":7}', 10))
          return request
        end,
        reply = function(call, reply, closed)
          return call.served.id .. " " .. closed.outcome .. " " .. reply.choices[1].blocks[1].text
        end,
        speaks = false, reads = "openai",
      }, { __index = surface })
      handle = fakes.handle { headers = { authorization = "Bearer the-key" }, body = json.encode(question()) }
      exchange.handler(other, "chat")(handle, state)
      assert.equal("one/small ok x", handle.replies[1].body)
      assert.equal(7, json.decode(tostring(core.of("attempt.send")[1][4])).top_k)
    end)
  end)

  describe("that is private", function()
    it("says so to the connection before anything else is decided", function()
      assert.equal(403, run(question(), { ["x-moongate-privacy"] = "true" }).status)
      assert.is_true(handle.private)
      assert.equal(403, run(question(), { authorization = "Bearer private-key" }).status)
      assert.is_true(handle.private)
      assert.same({}, core.of "attempt.send")
    end)

    it("only where caller or key say so", function()
      serve { body = fakes.answer("x", figures) }
      run(question())
      assert.is_false(handle.private)
    end)
  end)

  describe("that is refused", function()
    it("by a mistake of our own closes its row and settles what was reserved", function()
      local broken = setmetatable({ writer = function() error "a mistake" end, speaks = "ours", reads = "openai" },
        { __index = surface })
      serve { headers = { ["content-type"] = "text/event-stream" }, events = { fakes.chunk "Hello" } }
      local usual = surface
      surface = broken
      local fine, fault = pcall(run, question { stream = true })
      surface = usual
      assert.is_false(fine)
      assert.matches("a mistake.*traceback", fault)
      assert.equal(1, #core.of "store.settle")
      local closed = core.of("ledger.close")[1][1]
      assert.same({ "error", 500 }, { closed.outcome, closed.status })
    end)

    it("by the router has a row and the shape of the surface", function()
      local reply = run(question { model = "smal" })
      assert.same({ 404, "model_not_found" }, { reply.status, error_of(reply).code })
      assert.same({ "error", 404, "smal" }, { row().outcome, row().status, row().model })
      assert.same({}, core.of "ledger.open")
    end)

    it("by every provider says so, with the wait, the policy and the calls made", function()
      local busy = { status = 429, headers = { ["retry-after"] = "30" }, body = '{"error":{"message":"slow"}}' }
      serve(busy)
      serve(busy)
      local reply = run(question())
      assert.same({ 502, "all_providers_failed", "30", "2", "plain@00000000" }, { reply.status, error_of(reply).code,
        reply.headers["retry-after"], reply.headers["x-moongate-attempts"], reply.headers["x-moongate-policy"] })
      assert.same({ "error", 502, 2 }, { row().outcome, row().status, row().attempts })
      assert.equal(1, #core.of "ledger.open")
    end)

    it("at the caller's own limit is a 429 that nobody was called for", function()
      core.set("store.reserve", function() return nil, "key:config:dev:requests minute", 12.1 end)
      local reply = run(question())
      assert.same({ 429, "rate_limit_exceeded", "13", "0" }, { reply.status, error_of(reply).code,
        reply.headers["retry-after"], reply.headers["x-moongate-attempts"] })
      assert.equal("key dev has used up its 60 requests per minute; try again in 13 s", error_of(reply).message)
      assert.same({ 429, 0 }, { row().status, row().attempts })
    end)

    it("tells its policies' faults once", function()
      state.policies.routing = routing.policies { plain = function() return nil end }.routing
      serve { body = fakes.answer("x", figures) }
      assert.equal(200, run(question()).status)
      assert.equal(1, core.counted['moongate_policy_faults_total{policy="routing/plain",kind="result"}'])
    end)
  end)

  describe("whose caller leaves before there is an answer", function()
    it("is calmed, settled and written down once", function()
      serve { failure = { "client_gone" } }
      run(question())
      assert.same({ 1, "cancelled", 499, true },
        { handle.calmed, row().outcome, row().status, row().estimated })
      assert.equal(1, #core.of "store.settle")
      assert.same({ 503, 1 }, { handle.replies[1].status, #handle.replies })
    end)

    it("is calmed before it waits for the ledger", function()
      core.set("ledger.close", function()
        assert.equal(1, handle.calmed)
        return true
      end)
      serve { failure = { "shutdown" } }
      run(question())
      assert.equal(1, #core.of "ledger.close")
    end)
  end)

  describe("that streams", function()
    local SSE = { ["content-type"] = "text/event-stream" }

    local function stream(piped, more)
      more = more or {}
      local events = more.events or { fakes.chunk "Hello" }
      local wire = serve { headers = SSE, events = events, piped = piped, gone = more.gone }
      run(question { stream = true, stream_options = more.stream_options })
      assert.equal(1, handle.finished)
      assert.same({}, handle.replies)
      -- The connection is kept for others only where the stream came to its end.
      assert.same({ row().outcome == "ok" }, wire.closed)
    end

    local function last() return handle.written[#handle.written] end

    it("begins with what was held back, and ends when the ledger has the row", function()
      local usage = '{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}'
      core.set("ledger.close", function()
        assert.equal(1, #handle.written)
        return true
      end)
      stream({ ended = "terminal", usage = usage, text_bytes = 3, terminal_raw = "data: [DONE]\n\n" })
      assert.same({ "data: " .. fakes.chunk "Hello" .. "\n\n", "data: [DONE]\n\n" }, handle.written)
      assert.same({ 200, "one", "1" }, { handle.begun.status, handle.begun.headers["x-moongate-provider"],
        handle.begun.headers["x-moongate-attempts"] })
      assert.same({ "ok", 4, 2, false, 200 },
        { row().outcome, row().input_tokens, row().output_tokens, row().estimated, row().status })
      assert.equal(1, #core.of "store.settle")
      assert.same({ "health.admit", "health.succeeded" },
        names("health.admit", "health.succeeded", "health.failed", "health.released"))
    end)

    it("hides the usage event that the caller did not ask for", function()
      local given = { headers = SSE, events = { fakes.chunk "x" }, piped = { ended = "finished", text_bytes = 0 } }
      local wire = serve(given)
      run(question { stream = true })
      assert.is_true(wire.marks.hide_usage)
      assert.same({ "[DONE]", '"usage"' }, { wire.marks.terminal, wire.marks.usage })
      wire = serve(given)
      run(question { stream = true, stream_options = { include_usage = true } })
      assert.is_false(wire.marks.hide_usage)
    end)

    it("is estimated by all the text that went out where no usage came", function()
      stream { ended = "finished", text_bytes = 7 }
      assert.same({ true, 3, "ok" }, { row().estimated, row().output_tokens, row().outcome })
      assert.equal(1, #handle.written)
    end)

    it("takes usage that came with its first and only event", function()
      local whole = json.encode { usage = figures,
        choices = json.array { { index = 0, delta = { content = "Hi" }, finish_reason = "stop" } } }
      stream({ ended = "cut", text_bytes = 0 }, { events = { whole } })
      assert.same({ "ok", false, 4, 2 },
        { row().outcome, row().estimated, row().input_tokens, row().output_tokens })
    end)

    it("that broke off ends with an error event, never as if it were whole", function()
      stream { ended = "cut", failure = "cut", text_bytes = 3 }
      assert.matches("^data: {.*broke off.*}\n\n$", last())
      assert.same({ "error", 200, true }, { row().outcome, row().status, row().estimated })
      assert.same({ "health.admit", "health.succeeded", "health.failed" },
        names("health.admit", "health.succeeded", "health.failed", "health.released"))
      assert.equal(1, #core.of "store.settle")
    end)

    it("hands on the words of a provider's own error", function()
      local told = '{"error":{"message":"boom","type":"server_error","code":"e1"}}'
      stream { ended = "error", error = told, text_bytes = 0 }
      local error = json.decode(string.match(last(), "^data: (.*)\n\n$")).error
      assert.same({ "boom", "server_error", "e1" }, { error.message, error.type, error.code })
      assert.equal("stream_error", json.decode(row().detail).attempts[1].error)
    end)

    it("whose caller leaves is billed for what was used, and nothing more is written", function()
      stream({ ended = "cut", text_bytes = 3 }, { gone = "client_gone" })
      assert.same({ 1, 1, "cancelled" }, { handle.calmed, #handle.written, row().outcome })
      assert.same({ 2, true }, { row().output_tokens, row().estimated })
      assert.equal(1, #core.of "store.settle")
      assert.same({}, core.of "health.failed")
    end)

    it("fails over as long as nothing went out", function()
      serve { headers = SSE, events = { '{"error":{"message":"boom"}}' } }
      stream { ended = "finished", text_bytes = 0 }
      assert.same({ "two", "2" }, { handle.begun.headers["x-moongate-provider"],
        handle.begun.headers["x-moongate-attempts"] })
      assert.equal(2, #core.of "store.settle")
      assert.equal(0, core.counted["moongate_streams_open{}"])
    end)

    it("that nobody could begin is refused like any other", function()
      serve { status = 400, body = '{"error":{"message":"bad top_p","type":"invalid_request_error"}}' }
      local reply = run(question { stream = true })
      assert.same({ 400, "bad top_p" }, { reply.status, error_of(reply).message })
      assert.is_nil(handle.begun)
      assert.equal(0, core.counted["moongate_streams_open{}"])
    end)
  end)
end)
