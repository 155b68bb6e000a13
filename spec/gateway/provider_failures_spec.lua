-- The sixteen ways in which providers fail, each on the first of two rungs, whole and streamed: what the caller gets,
-- how often whom was called, what the row says, and that one answer is charged once.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local socket = require "socket"

local in_order = [[
-- By priority, whatever is known of them.
return function(request, candidates)
  return candidates:sort("priority", function(c) return -c.priority end)
end
]]

-- 9 tokens in and 12 out: what an answer costs at each of the two, in micro-dollars.
local COST = { first = 21, second = 210 }
local TEXT = "Hello from the provider."
local TIMEOUTS = { connect = 0.4, first_byte = 0.4, first_content = 0.6, idle = 0.6 }

local first, second, moongate

local function start(change)
  local function openai(upstream, key)
    return { protocol = "openai", base_url = upstream.base_url, api_key = key, retries = 0, timeouts = TIMEOUTS }
  end
  local config = {
    policy = "in-order",
    providers = { first = openai(first, "sk-secret-1"), second = openai(second, "sk-secret-2") },
    models = {
      { id = "small", provider = "first", priority = 90, context_length = 8192, cost = { input = 1, output = 1 } },
      { id = "small", provider = "second", priority = 10, context_length = 8192, cost = { input = 10, output = 10 } },
    },
  }
  if change then change(config) end
  moongate = gateway.start { config = config, policies = { ["routing/in-order.lua"] = in_order } }
end

-- A listening socket whose queue is full: a connection to it is never refused and never made.
local function unreachable()
  local listener = assert(socket.tcp())
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen(0))
  local _, port = listener:getsockname()
  local kept = { listener }
  for index = 1, 4 do
    kept[index + 1] = socket.tcp()
    kept[index + 1]:settimeout(0)
    kept[index + 1]:connect("127.0.0.1", port)
  end
  return "http://127.0.0.1:" .. port .. "/v1", kept
end

local function error_reply(status, more)
  local behaviour = { kind = "error", status = status }
  for name, value in pairs(more or {}) do behaviour[name] = value end
  return behaviour
end

local WAIT = function(seconds) return error_reply(429, { headers = { ["retry-after"] = seconds } }) end
local RATE_LIMIT = { error = { message = "Rate limit reached", type = "tokens", code = "rate_limit_exceeded" } }
local TOO_LONG = error_reply(400, { code = "context_length_exceeded",
  message = "This model's maximum context length is 8192 tokens." })

-- Name, what the first provider does, and what comes of it:
--   second    the second rung answers, and the caller sees nothing of the first but a header
--   broken    the caller has seen content: it gets what there was and the error event, and no other answer
--   a status  the fault is the caller's own: the first one's error is passed on, and nobody else is asked
--   refusal   an answer like any other, which says no
local rows = {
  { "1 dead", act = function() first:refuse() end, "second" },
  { "2 slow to connect", "second", unreachable = true },
  { "3 silent", { kind = "silence" }, "second" },
  { "4 headers, then silent", { kind = "head" }, "second" },
  { "5 stalled after frames without content", { wrong = "silence", roles = 3 }, "second", streamed = true },
  { "5 stalled after the first content", { wrong = "silence", after = 2 }, "broken", streamed = true },
  { "5 stalled inside a whole answer", { kind = "wrong_length", hold = true }, "second", whole = true },
  { "6 cut before content", { wrong = "cut", roles = 1 }, "second", streamed = true },
  { "6 reset before a byte", { kind = "reset" }, "second" },
  { "7 cut after content", { wrong = "cut", after = 2 }, "broken", streamed = true },
  { "7 reset after content", { wrong = "reset", after = 2 }, "broken", streamed = true },
  { "7 ended after content without a finish", { wrong = "end", after = 2 }, "broken", streamed = true },
  { "7 cut inside a whole answer", { kind = "wrong_length" }, "second", whole = true },
  { "8 an error in a 200", error_reply(200, { body = RATE_LIMIT }), "second" },
  { "8 a page of HTML in a 200", { kind = "text" }, "second" },
  { "9 an error event before content", { wrong = "error", roles = 1 }, "second", streamed = true },
  { "9 an error event after content", { wrong = "error", after = 2 }, "broken", streamed = true },
  { "10 429 with a short wait", WAIT "1", "second" },
  { "11 429 with a long wait", WAIT "3600", "second" },
  { "12 401", error_reply(401, { message = "Incorrect API key provided: sk-secret-1" }), "second" },
  { "12 402", error_reply(402), "second" },
  { "12 404 of a retired model", error_reply(404, { code = "model_not_found" }), "second" },
  { "13 400 of the caller", error_reply(400, { type = "invalid_request_error", code = "invalid_value",
    message = "'seed' must not be 13." }), 400 },
  { "14 content refused with a 400", error_reply(400, { code = "content_filter", message = "It was filtered." }), 400 },
  { "14 content refused in the answer", { content = "I cannot help with that.", finish = "content_filter" },
    "refusal" },
  { "15 context too long for both", TOO_LONG, 400 },
  { "15 context too long for the first", TOO_LONG, "second", larger = true },
}

-- The attempts of a row, as words: "first error", "second ok".
local function attempts_of(row)
  local words = {}
  for index, attempt in ipairs(row.attempts) do
    words[index] = attempt.provider .. (attempt.error and " failed" or " answered")
  end
  return words
end

local function row_of(answer) return (moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])) end

-- One request, one row, one charge, and no secret anywhere.
local function assert_books(answer, row)
  local totals = moongate:admin("/v1/usage").totals
  assert.same({ 1, row.cost_microusd }, { totals.requests, totals.cost_microusd })
  assert.is_nil((answer.body or ""):find("sk-secret", 1, true))
  assert.is_nil(moongate:errors():find("sk-secret", 1, true))
end

local expectations = {}

function expectations.second(answer, row)
  assert.equal(200, answer.status, answer.body)
  assert.equal(TEXT, answer.text)
  assert.same({ "second", "2" }, { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] })
  assert.same({ "first failed", "second answered" }, attempts_of(row))
  assert.same({ "ok", "second", COST.second, false },
    { row.outcome, row.provider, row.cost_microusd, row.estimated })
  assert.equal(1, #second:seen())
end

function expectations.broken(answer, row)
  assert.equal(200, answer.status)
  assert.equal("Hello from", answer.text)
  assert.truthy(answer.last.error.message)
  assert.same({ "error", "first" }, { row.outcome, row.provider })
  assert.is_true(row.estimated)
  assert.truthy(row.output_tokens > 0 and row.cost_microusd > 0 and row.cost_microusd <= COST.first)
  assert.equal(0, #second:seen())
end

function expectations.refusal(answer, row)
  assert.equal(200, answer.status)
  assert.equal("I cannot help with that.", answer.text)
  assert.equal("content_filter", answer.finish)
  assert.same({ "first answered" }, attempts_of(row))
  assert.same({ "ok", COST.first }, { row.outcome, row.cost_microusd })
  assert.equal(0, #second:seen())
end

local function passed_on(status, behaviour)
  return function(answer, row)
    assert.equal(status, answer.status)
    assert.same({ behaviour.message, behaviour.code }, { answer:json().error.message, answer:json().error.code })
    assert.equal("1", answer.headers["x-moongate-attempts"])
    assert.same({ "error", 0 }, { row.outcome, row.cost_microusd })
    assert.equal(0, #second:seen())
  end
end

-- The whole of an answer, its text and how it ended beside it.
local function ask(streamed)
  if not streamed then
    local answer = moongate:chat { model = "small" }
    local choice = answer.status == 200 and answer:json().choices[1]
    if choice then answer.text, answer.finish = choice.message.content, choice.finish_reason end
    return answer
  end
  local answer = moongate:stream { model = "small" }
  if answer.status ~= 200 then return answer:rest() end
  local events, done = answer:events(), false
  answer.text, answer.last = gateway.text_of(events)
  for _, event in ipairs(events) do
    if event == "[DONE]" then done = true end
    local choice = type(event) == "table" and event.choices and event.choices[1]
    if choice and type(choice.finish_reason) == "string" then answer.finish = choice.finish_reason end
  end
  -- Whole or an error, never both, and never neither.
  local failed = type(answer.last) == "table" and answer.last.error ~= nil
  assert.equal(not failed, done)
  assert.equal(not failed, answer.finish ~= nil)
  answer:close()
  return answer
end

describe("a provider that is", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  for _, row in ipairs(rows) do
    local behaviour = type(row[2]) == "table" and row[2] or {}
    local outcome = row[#row]
    local expect = expectations[outcome] or passed_on(outcome, behaviour)
    for _, streamed in ipairs { false, true } do
      if not (streamed and row.whole or not streamed and row.streamed) then
        it(("%s, for %s, is met as told: %s"):format(row[1], streamed and "a stream" or "a whole answer",
          tostring(outcome)), function()
          local address, kept
          if row.unreachable then address, kept = unreachable() end
          start(function(config)
            if address then config.providers.first.base_url = address end
            if row.larger then config.models[2].context_length = 131072 end
          end)
          first:usually(behaviour)
          if row.act then row.act() end
          local answer = ask(streamed)
          local told = row_of(answer)
          expect(answer, told)
          assert_books(answer, told)
          if not (row.act or kept) then assert.equal(1, #first:seen()) end
          for _, each in ipairs(kept or {}) do each:close() end
        end)
      end
    end
  end

  it("16 flapping costs no caller an answer, and nobody two", function()
    start()
    local sum = 0
    for number = 1, 24 do
      first:next(({ error_reply(500), { kind = "answer" }, { kind = "reset" } })[number % 3 + 1])
      local answer = ask(number % 2 == 0)
      assert.equal(200, answer.status, answer.body)
      assert.equal(TEXT, answer.text)
      local told = row_of(answer)
      assert.equal(COST[told.provider], told.cost_microusd)
      sum = sum + told.cost_microusd
    end
    local totals = moongate:admin("/v1/usage").totals
    assert.same({ 24, sum }, { totals.requests, totals.cost_microusd })
    local answered = 0
    for _, record in ipairs(first:seen()) do
      if record.state == "answered" then answered = answered + 1 end
    end
    -- Each was answered once, by one of them; what the first answered beside that were errors.
    assert.equal(24, #second:seen() + (sum - #second:seen() * COST.second) / COST.first)
    assert.truthy(answered <= 24)
  end)
end)

describe("with one rung, a provider that is", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  for _, row in ipairs(rows) do
    local outcome = row[#row]
    if outcome == "second" and type(row[2]) == "table" and not row.larger and not row[1]:find("short wait") then
      for _, streamed in ipairs { false, true } do
        if not (streamed and row.whole or not streamed and row.streamed) then
          it(("%s, for %s, is told honestly, and costs nothing"):format(row[1],
            streamed and "a stream" or "a whole answer"), function()
            start(function(config) table.remove(config.models) end)
            first:usually(row[2])
            local answer = ask(streamed)
            assert.truthy(answer.status == 502 or answer.status == 503 or answer.status == 504, answer.status)
            assert.matches("first/small", answer:json().error.message, 1, true)
            local told = row_of(answer)
            assert.same({ "error", 0 }, { told.outcome, told.cost_microusd })
            assert_books(answer, told)
            assert.equal(1, #first:seen())
          end)
        end
      end
    end
  end

  it("10 429 with a short wait is asked once more, and charged once", function()
    for _, streamed in ipairs { false, true } do
      start(function(config)
        table.remove(config.models)
        config.providers.first.retries = 1
      end)
      first:forget():next(WAIT "0")
      local answer = ask(streamed)
      assert.same({ 200, TEXT, "2" }, { answer.status, answer.text, answer.headers["x-moongate-attempts"] })
      assert.equal(2, #first:seen())
      local told = row_of(answer)
      assert.equal(COST.first, told.cost_microusd)
      assert_books(answer, told)
    end
  end)
end)
