-- One call of a provider: what is reserved before it and settled after it, what its answer must be to be handed on, and
-- what health and store are told. Whatever happens, both are told once.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("an attempt", function()
  local core, attempt, wire

  before_each(function()
    core = fakes.install()
    attempt = require "moongate.attempt"
  end)
  after_each(function() core.restore() end)

  local rpm = { name = "rpm", metric = "requests", window = "minute", max = 30 }
  local SSE = { ["content-type"] = "text/event-stream" }

  -- try({ wire = ..., target = ..., stream = ..., ... }): answer, outcome, call
  local function try(given, more)
    more = more or {}
    wire = given and fakes.wire(given)
    core.wires = { wire }
    local target = more.target or fakes.target("one/small", { provider_limits = { rpm } })
    local call = fakes.call({ target }, more)
    local answer, outcome = attempt.try(call, target)
    return answer, outcome, call
  end

  local function streamed(given, more)
    more = more or {}
    more.request = more.request or {}
    more.request.stream = true
    given.headers = given.headers or SSE
    return try(given, more)
  end

  local function names(pattern)
    local found = {}
    for _, call in ipairs(core.calls) do
      if string.find(call.name, pattern) then found[#found + 1] = call.name end
    end
    return found
  end

  -- The reservation that was settled, and what each of its claims is charged.
  local function settled()
    local calls = core.of "store.settle"
    assert.is_true(#calls <= 1)
    local call = calls[1]
    if not call then return nil end
    local told = { call[1] }
    for i, claim in ipairs(call[2]) do told[i + 1] = claim.place and call[2 + claim.place] or 0 end
    return told
  end

  -- What health was told after it admitted.
  local function told_health()
    local calls = names "^health%."
    assert.equal("health.admit", calls[1])
    assert.equal(2, #calls)
    return string.match(calls[2], "%w+$")
  end

  local function refused(status, message, more)
    local error = { message = message }
    for name, value in pairs(more or {}) do error[name] = value end
    return { status = status, body = json.encode { error = error } }
  end

  describe("that succeeds", function()
    it("hands on what it read, and leaves the reservation open for the end", function()
      core.tick = 0.25
      local answer, outcome, call = try { body = fakes.answer("hello", { prompt_tokens = 4, completion_tokens = 2 }) }
      assert.is_nil(outcome)
      assert.same({ 200, 5, 6, "reservation 1", wire }, { answer.status, answer.text_length, answer.usage.total,
        answer.reservation, answer.wire })
      assert.same({ "one/small", "one", 1 }, { answer.target.id, answer.provider.name, #answer.wanted.claims })
      assert.equal(fakes.answer("hello", { prompt_tokens = 4, completion_tokens = 2 }), answer.text)
      assert.is_nil(settled())
      assert.same({}, call.attempts)
      assert.same({}, wire.closed)
    end)

    it("tells health how long it took, and the store that target and provider are well", function()
      core.tick = 0.25
      try { body = fakes.answer "x" }
      assert.equal("succeeded", told_health())
      assert.same({ "one/small", 250 }, { core.of("health.succeeded")[1][1], core.of("health.succeeded")[1][2] })
      local recovered = core.of "store.recovered"
      assert.same({ "one/small", "one" }, { recovered[1][1], recovered[2][1] })
    end)

    it("reserves before it calls", function()
      try { body = fakes.answer "x" }
      assert.same({ "store.reserve", "attempt.send" },
        { names("^store%.reserve")[1], names("^attempt%.send")[1] })
      local order = names "reserve$"
      assert.equal(1, #order)
      local wanted = core.of("store.reserve")[1]
      local claims = wanted[1]
      assert.same({ "one", "up-small", "provider:one:requests" }, { claims.provider, claims.model, claims[1].key })
      assert.same({ 1, 1, 510, 0, 0 }, { unpack(wanted, 2, wanted.n) })
    end)

    it("calls with the provider's key, address and times, within what is left of the whole", function()
      local handle = fakes.handle()
      handle.elapsed_s = 40
      try({ body = fakes.answer "x" }, { handle = handle, body = '{"model":"any","messages":[],"top_p":0.5}',
        providers = { one = { http2 = true, ca_file = "/ca.pem" } } })
      local _, route, id, body, deadline, first_content = unpack(core.of("attempt.send")[1], 1, 6)
      assert.same({ "one/small", "POST", "http://one.test/v1/chat/completions", true, "/ca.pem" },
        { id, route.method, route.url, route.http2, route.ca_file })
      assert.equal("Bearer secret-of-one", route.headers.authorization)
      assert.same({ model = "up-small", messages = {}, top_p = 0.5 }, json.decode(tostring(body)))
      assert.same({ 5, 10, 30, 560 }, { route.connect, route.first_byte, route.idle, deadline })
      assert.is_nil(first_content)
    end)

    it("still has a moment where the time is used up", function()
      local handle = fakes.handle()
      handle.elapsed_s = 700
      try({ body = fakes.answer "x" }, { handle = handle })
      assert.is_true(core.of("attempt.send")[1][5] > 0)
    end)

    it("takes a provider's keys in turn", function()
      local seen = {}
      for _ = 1, 4 do
        try({ body = fakes.answer "x" }, { providers = { one = { keys = { { key = "k1" }, { key = "k2" } } } } })
      end
      for i, sent in ipairs(core.of "attempt.send") do seen[i] = sent[2].headers.authorization end
      assert.equal(seen[1], seen[3])
      assert.equal(seen[2], seen[4])
      assert.are_not.equal(seen[1], seen[2])
    end)

    it("makes the route of its calls once, for each kind and key", function()
      local provider = { keys = { { key = "k1" }, { key = "k2" } } }
      local call = fakes.call({ fakes.target "one/small" }, { providers = { one = provider } })
      for i = 1, 8 do
        call.request.stream = i > 4
        core.wires[1] = fakes.wire {
          headers = i > 4 and SSE or nil, body = fakes.answer "x", events = { fakes.chunk "x" },
        }
        assert(attempt.try(call, call.plan.ladder[1]))
      end
      assert.equal(8, #core.of "attempt.send")
      local made = {}
      for i, route in ipairs(core.of "attempt.route") do
        made[i] = route[1].headers.authorization .. " " .. route[1].headers.accept
      end
      table.sort(made)
      assert.same({ "Bearer k1 application/json", "Bearer k1 text/event-stream", "Bearer k2 application/json",
        "Bearer k2 text/event-stream" }, made)
    end)

    it("sends no key where there is none", function()
      try({ body = fakes.answer "x" }, { providers = { one = { keys = {} } } })
      assert.is_nil(core.of("attempt.send")[1][2].headers.authorization)
    end)

    it("plays a provider that needs no network", function()
      assert.is_not_nil((try({ body = fakes.answer "x" }, { providers = { one = { protocol = "mock" } } })))
      local played = core.of("attempt.play")[1]
      assert.same({ "one/small", 200, 600 }, { played[2], played[3].status, played[4].deadline })
      assert.equal(0, #core.of "attempt.send")
    end)

    it("learns what the provider tells of its limits", function()
      try({
        headers = { ["content-type"] = "application/json", ["x-ratelimit-limit-requests"] = "100",
          ["x-ratelimit-remaining-requests"] = "99", ["x-ratelimit-reset-requests"] = "6s" },
        body = fakes.answer "x",
      }, { providers = { one = { like = "openai" } } })
      local learnt = core.of("store.learn")[1][1]
      assert.same({ "one", "requests", 100, 99, 6, "header" },
        { learnt.provider, learnt.metric, learnt.limit, learnt.remaining, learnt.reset_s, learnt.source })
      assert.equal("up-small", learnt.model)
    end)

    it("learns for all models what concerns the whole provider", function()
      package.loaded["moongate.attempt"] = nil
      core.replace("moongate.providers", { get = function() return { limit_scope = "provider" } end })
      core.replace("moongate.limits", {
        read = function() return { limits = { { metric = "requests", window = "minute", remaining = 5 } } } end,
      })
      attempt = require "moongate.attempt"
      try { body = fakes.answer "x" }
      assert.equal("", core.of("store.learn")[1][1].model)
    end)
  end)

  describe("that is never made", function()
    it("leaves alone a target that failed repeatedly, and reserves nothing", function()
      core.set("health.admit", function() return false end)
      core.set("health.state", function() return true, nil, 1, 12.5 end)
      local answer, outcome = try()
      assert.is_nil(answer)
      assert.same({ skipped = "it failed repeatedly and is left alone for a while", wait = 12.5 }, outcome)
      assert.same({ "health.admit", "health.state" }, names "^health%.")
      assert.same({}, names "^store%.")
    end)

    it("goes on where the target's quota is used up", function()
      core.set("store.reserve", function() return nil, "provider:one:requests minute", 20 end)
      local answer, outcome, call = try()
      assert.is_nil(answer)
      assert.same({ skipped = "no quota left: provider:one:requests minute", wait = 20 }, outcome)
      assert.equal("released", told_health())
      assert.is_nil(settled())
      assert.same({}, call.attempts)
    end)

    it("is refused at the caller's own limit, with its figure", function()
      core.set("store.reserve", function() return nil, "key:config:dev:requests minute", 20 end)
      local answer, outcome = try(nil, { caller = { rpm = 60 } })
      assert.is_nil(answer)
      assert.same({ refusal = "key:config:dev:requests minute", wait = 20, max = 60, amount = 1 }, outcome)
      assert.equal("released", told_health())
      assert.is_nil(settled())
    end)

    it("says that the limit was counted without Redis", function()
      core.set("store.reserve", function() return nil, "key:config:dev:requests minute", 20, true end)
      local _, outcome = try(nil, { caller = { rpm = 60 } })
      assert.same({ refusal = "key:config:dev:requests minute", wait = 20, max = 60, amount = 1, away = true }, outcome)
    end)

    it("is over for a caller that left while the store was asked", function()
      core.set("store.reserve", function() return nil, "client_gone" end)
      local answer, outcome = try()
      assert.is_nil(answer)
      assert.same({ cancelled = "client_gone" }, outcome)
      assert.equal("released", told_health())
      assert.is_nil(settled())
    end)

    it("gives everything back where the protocol itself fails", function()
      core.set("attempt.send", function() error "the protocol is broken" end)
      core.set("attempt.play", function() error "the protocol is broken" end)
      assert.error_matches(function() try({}, { caller = { rpm = 60 } }) end, "the protocol is broken")
      assert.equal("released", told_health())
      assert.same({ "reservation 1", 0, 0 }, settled())
    end)

    it("gives everything back where the firewall bars it", function()
      local answer, outcome, call = try({ barred = "zero spend: one/small may cost money" },
        { caller = { rpm = 60, tpm = 900 } })
      assert.is_nil(answer)
      assert.same({ skipped = "zero spend: one/small may cost money", barred = true }, outcome)
      assert.equal("released", told_health())
      assert.same({ "reservation 1", 0, 0, 0 }, settled())
      assert.same({}, call.attempts)
    end)
  end)

  describe("that fails", function()
    it("counts at the provider if it was reached, and against the target's health", function()
      core.tick = 0.1
      local answer, verdict, call = try(refused(500, "boom"), { caller = { rpm = 60, tpm = 900 } })
      assert.is_nil(answer)
      assert.same({ "server_error", 500, true, "yes", "boom" },
        { verdict.kind, verdict.status, verdict.retry, verdict.next, verdict.error.message })
      assert.same({ "reservation 1", 0, 0, 1 }, settled())
      assert.equal("failed", told_health())
      local told = core.of("health.failed")[1]
      assert.same({ "one/small", 5, 15 }, { told[1], told[2], told[3] })
      local noted = call.attempts[1]
      assert.same({ "one/small", 500, "server_error", verdict.message, 100 },
        { noted.target.id, noted.status, noted.error, noted.message, noted.ms })
      assert.equal(0.1, math.floor(call.upstream_seconds * 1000 + 0.5) / 1000)
      assert.equal(1, core.counted['moongate_attempts_total{outcome="server_error"}'])
      assert.same({ false }, wire.closed)
    end)

    it("does not count at a provider that refused it for its limits", function()
      local _, verdict = try(refused(429, "slow down", { code = "rate_limit_exceeded" }))
      assert.equal("rate_limited", verdict.kind)
      assert.same({ "reservation 1", 0 }, settled())
      assert.equal("released", told_health())
    end)

    it("does not count where nobody was reached", function()
      local _, verdict, call = try { failure = { "unreachable", "connection refused" } }
      assert.same({ "unreachable", "it cannot be reached (connection refused)" }, { verdict.kind, verdict.message })
      assert.same({ "reservation 1", 0 }, settled())
      assert.equal("failed", told_health())
      assert.is_nil(call.attempts[1].status)
      assert.same({}, names "^store%.learn")
    end)

    -- title, what happened, kind
    for _, case in ipairs {
      { "breaks off in the body", { failure = { "cut", "" }, status = 200 }, "cut" },
      { "is no JSON", { body = "<html>" }, "malformed" },
      { "holds no answer", { body = "{}" }, "malformed" },
      { "is an error inside a 200", { body = '{"error":{"message":"overloaded","code":503}}' }, "overloaded" },
    } do
      it("because its answer " .. case[1] .. " is told to health once, and counts at the provider", function()
        local answer, verdict = try(case[2])
        assert.is_nil(answer)
        assert.equal(case[3], verdict.kind)
        assert.equal("failed", told_health())
        assert.same({ "reservation 1", 1 }, settled())
      end)
    end

    it("for the caller's own fault is not held against the target", function()
      local _, verdict = try(refused(400, "top_p is out of range"))
      assert.same({ "bad_request", "no", true }, { verdict.kind, verdict.next, verdict.pass_on })
      assert.equal("released", told_health())
    end)

    it("keeps secrets out of what is written down", function()
      local key = "sk-abcdefghijklmnop1234567890"
      local _, verdict, call = try(refused(401, "Incorrect API key provided: " .. key))
      assert.equal("auth", verdict.kind)
      assert.not_matches(key, verdict.message .. call.attempts[1].message, 1, true)
      _, verdict = try { failure = { "unreachable", "no route for " .. key } }
      assert.not_matches(key, verdict.message, 1, true)
    end)
  end)

  describe("after which somebody is out of the race", function()
    local function exhausted(given, more)
      core.calls = {}
      local _, verdict = try(given, more)
      local marks = core.of "store.exhaust"
      assert.is_true(#marks <= 1)
      return marks[1] and { marks[1][1], marks[1][2], marks[1][3] }, verdict
    end
    local function limited(headers)
      headers["content-type"] = "application/json"
      return { status = 429, headers = headers, body = '{"error":{"message":"slow down"}}' }
    end

    it("is the provider, for as long as it said", function()
      local mark, verdict = exhausted(limited { ["retry-after"] = "41" })
      assert.same({ "one", 41, "rate_limited" }, mark)
      assert.equal(41, verdict.wait)
    end)

    it("is the model where that provider limits models", function()
      assert.same({ "one/small", 41, "rate_limited" },
        exhausted(limited { ["retry-after"] = "41" }, { providers = { one = { like = "groq" } } }))
    end)

    it("is what the config says of that provider, before all", function()
      assert.same({ "one", 41, "rate_limited" }, exhausted(limited { ["retry-after"] = "41" },
        { providers = { one = { like = "groq", limit_scope = "provider" } } }))
      assert.same({ "one/small", 41, "rate_limited" }, exhausted(limited { ["retry-after"] = "41" },
        { providers = { one = { limit_scope = "model" } } }))
    end)

    it("is left to the store to guess where nobody said how long", function()
      local mark, verdict = exhausted(limited {})
      assert.same({ "one", nil, "rate_limited" }, mark)
      assert.equal(60, verdict.wait)
    end)

    it("is the provider with a refused key, and the model that is not there", function()
      assert.same({ "one", 300, "auth" }, exhausted(refused(401, "no")))
      assert.same({ "one/small", 600, "not_found" }, exhausted(refused(404, "no such model")))
    end)

    -- title, of the provider's table, hint, seconds
    for _, case in ipairs {
      { "until that window begins anew, by its own clock", {}, nil, 5000 },
      { "no shorter than it said, where windows are fixed", { resets = "fixed" }, 9000, 9000 },
      { "no shorter than its window, where windows are fixed", { resets = "fixed" }, 60, 5000 },
      { "as long as it said, where windows roll", {}, 60, 60 },
    } do
      it("and whose day is used up is out " .. case[1], function()
        package.loaded["moongate.attempt"] = nil
        core.replace("moongate.providers", { get = function() return case[2] end })
        core.replace("moongate.limits", { read = function()
          return { class = "quota_exhausted", retry_after_s = case[3],
            limits = { { metric = "requests", window = "day", remaining = 0 } } }
        end })
        attempt = require "moongate.attempt"
        core.set("store.used", function(limit)
          return 0, limit.window == "day" and limit.zone == "Asia/Tokyo" and 5000 or 1
        end)
        local rpd = { name = "rpd", metric = "requests", window = "day", max = 5, zone = "Asia/Tokyo" }
        local target = fakes.target("one/small", { provider_limits = { rpm }, limits = { rpd } })
        assert.same({ "one", case[4], "quota_exhausted" }, (exhausted(refused(429, "used up"), { target = target })))
      end)
    end

    it("is nobody after a failure that passes", function()
      assert.is_nil((exhausted(refused(500, "boom"))))
      assert.is_nil((exhausted { failure = { "cut" } }))
    end)
  end)

  describe("whose caller leaves", function()
    for _, reason in ipairs { "client_gone", "shutdown" } do
      it("is settled by whoever writes the row (" .. reason .. ")", function()
        local answer, outcome, call = try { failure = { reason } }
        assert.is_nil(answer)
        assert.same({ reason, "one/small", "reservation 1", 1 },
          { outcome.cancelled, outcome.target.id, outcome.reservation, #outcome.wanted.claims })
        assert.is_nil(settled())
        assert.equal("released", told_health())
        assert.same({ false }, wire.closed)
        assert.equal("cancelled", call.attempts[1].error)
        assert.equal(1, core.counted['moongate_attempts_total{outcome="cancelled"}'])
      end)
    end

    it("ends in the body and before the first content too", function()
      local _, outcome = try { status = 200, failure = { "client_gone" } }
      assert.equal("client_gone", outcome.cancelled)
      _, outcome = streamed { status = 200, events = {}, failure = { "client_gone" } }
      assert.equal("client_gone", outcome.cancelled)
      assert.is_nil(settled())
    end)
  end)

  describe("at a stream", function()
    local role = '{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}'
    local figures = '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3}}'

    it("holds back what comes before the first content", function()
      local answer = streamed { events = { { raw = ": hello\n\n" }, role, fakes.chunk "Hi" } }
      assert.same({ ": hello\n\n", "data: " .. role .. "\n\n" }, { answer.held[1].raw, answer.held[2].raw })
      assert.same({ "content", 2, "data: " .. fakes.chunk "Hi" .. "\n\n" },
        { answer.read.kind, answer.read.text_length, answer.event.raw })
      assert.same({ 20, 200 }, { core.of("attempt.send")[1][6], answer.status })
      assert.equal("succeeded", told_health())
      assert.is_nil(settled())
    end)

    it("keeps what was told of usage before it, and how each event reads", function()
      local answer = streamed { events = { figures, fakes.chunk "Hi" } }
      assert.same({ "usage", 3 }, { answer.held[1].read.kind, answer.usage.total })
    end)

    it("takes a finish for content: an answer may be empty", function()
      assert.equal("finish", streamed({ events = { role, fakes.chunk("", "stop") } }).read.kind)
    end)

    -- title, what comes, kind
    for _, case in ipairs {
      { "that holds an error", { events = { role, '{"error":{"message":"boom","type":"server_error"}}' } },
        "server_error" },
      { "that ends before its first content", { events = { role } }, "cut" },
      { "that is over at once", { events = { "[DONE]" } }, "cut" },
      { "that breaks off", { status = 200, events = { role }, failure = { "cut", "reset by peer" } }, "cut" },
      { "without content in time",
        { status = 200, events = { role }, failure = { "first_content_timeout", "" } }, "timeout" },
      { "of broken JSON", { events = { '{"choices":[' } }, "malformed" },
    } do
      it(case[1] .. " is a failure of this rung, once told and settled as one request", function()
        local answer, verdict, call = streamed(case[2])
        assert.is_nil(answer)
        assert.equal(case[3], verdict.kind)
        assert.equal("failed", told_health())
        assert.same({ "reservation 1", 1 }, settled())
        assert.same({ false }, wire.closed)
        assert.same({ 200, case[3] }, { call.attempts[1].status, call.attempts[1].error })
      end)
    end

    it("that says nothing at length is given up", function()
      local events = {}
      for i = 1, 40 do events[i] = { raw = ":" .. string.rep(" ", 32768) .. "\n\n" } end
      local _, verdict = streamed { events = events }
      assert.equal("malformed", verdict.kind)
      assert.matches("begins without content", verdict.message, 1, true)
    end)

    it("refused with a plain error is read as such", function()
      local _, verdict = streamed { status = 400, headers = { ["content-type"] = "application/json" },
        body = '{"error":{"message":"top_p is out of range"}}' }
      assert.same({ "bad_request", 400 }, { verdict.kind, verdict.status })
    end)

    it("fails where something else came", function()
      local answer, verdict = streamed { headers = { ["content-type"] = "application/json" },
        body = fakes.answer "whole" }
      assert.is_nil(answer)
      assert.equal("malformed", verdict.kind)
      assert.matches("a stream was asked for", verdict.message, 1, true)
      assert.equal("failed", told_health())
      assert.same({ "reservation 1", 1 }, settled())
    end)

    it("is known by its type, however it is written", function()
      for _, kind in ipairs { "Text/Event-Stream; charset=utf-8", { "text/event-stream", "text/plain" } } do
        assert.is_not_nil((streamed { headers = { ["content-type"] = kind }, events = { fakes.chunk "x" } }))
      end
    end)

    it("not asked for is read as a whole", function()
      local answer, verdict = try { headers = SSE, body = "data: {}\n\n" }
      assert.is_nil(answer)
      assert.equal("malformed", verdict.kind)
    end)
  end)

  describe("that was handed on", function()
    local function finish(kind, message)
      core.tick, core.monotonic = 0.2, 50
      local answer, _, call = streamed { events = { fakes.chunk "x" } }
      core.calls = {}
      attempt.finished(call, answer, kind, message)
      return call.attempts[1]
    end

    it("is noted as well where it ended well", function()
      local noted = finish "ok"
      assert.same({ "one/small", 200 }, { noted.target.id, noted.status })
      assert.is_nil(noted.error)
      assert.equal(400, noted.ms)
      assert.equal(1, core.counted['moongate_attempts_total{outcome="ok"}'])
      assert.same({}, names "^health%.")
    end)

    it("counts against the target where it broke", function()
      local noted = finish("cut", "it broke off")
      assert.same({ "cut", "it broke off" }, { noted.error, noted.message })
      assert.same({ "health.failed" }, names "^health%.")
    end)

    it("does not where the caller left", function()
      assert.equal("cancelled", finish("cancelled", "the caller left").error)
      assert.same({}, names "^health%.")
    end)
  end)
end)
