-- A model that goes on for ever, whatever was asked of it, on a budget: its stream is ended like an answer that has
-- reached its longest, in every caller's API, whichever way the stream goes.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local surfaces = require "spec.support.surfaces"

-- Twenty bytes: five tokens by the rule of thumb.
local PIECE = "The quick brown fox "
local BUDGET = 700
-- More of them than the budget holds; the simulator goes round and round.
local PIECES = {}
for i = 1, 200 do PIECES[i] = PIECE end

-- How a stream in each API says that its answer is longer than it may be, and what it has used.
local endings = {}

function endings.openai(events)
  local reasons, usage = {}, nil
  for _, event in ipairs(events) do
    for _, choice in ipairs(type(event) == "table" and event.choices or {}) do
      reasons[#reasons + 1] = type(choice.finish_reason) == "string" and choice.finish_reason or nil
    end
    usage = type(event) == "table" and type(event.usage) == "table" and event.usage or usage
  end
  return table.concat(reasons, " "), usage and usage.completion_tokens, "length"
end

function endings.anthropic(events)
  local reasons, usage, open = {}, nil, {}
  for _, event in ipairs(events) do
    if event.type == "content_block_start" then open[event.index] = true end
    if event.type == "content_block_stop" then
      assert.is_true(open[event.index])
      open[event.index] = nil
    end
    if event.type == "message_delta" then reasons[#reasons + 1], usage = event.delta.stop_reason, event.usage end
  end
  assert.is_nil(next(open))
  return table.concat(reasons, " "), usage.output_tokens, "max_tokens"
end

function endings.gemini(events)
  local reasons, usage = {}, nil
  for _, event in ipairs(events) do
    reasons[#reasons + 1], usage = event.candidates[1].finishReason, event.usageMetadata or usage
  end
  return table.concat(reasons, " "), usage.candidatesTokenCount, "MAX_TOKENS"
end

function endings.responses(events)
  local last, text, number = events[#events], {}, nil
  for _, event in ipairs(events) do
    if number then assert.equal(number + 1, event.sequence_number) end
    number = event.sequence_number
    if event.type == "response.output_text.delta" then text[#text + 1] = event.delta end
    if event.type == "response.output_text.done" then assert.equal(table.concat(text), event.text) end
  end
  assert.equal(events[1].response.id, last.response.id)
  assert.same({ "response.incomplete", "incomplete" }, { last.type, last.response.status })
  assert.equal(table.concat(text), surfaces.responses.text(last.response))
  for _, item in ipairs(last.response.output) do assert.not_equal("in_progress", item.status) end
  return last.response.incomplete_details.reason, last.response.usage.output_tokens, "max_output_tokens"
end

function endings.ollama(events)
  local last = events[#events]
  return last.done_reason, last.eval_count, "length"
end

local HOOKS = {
  ["no hook"] = {},
  ["a hook that looks at its events"] = { ["hooks/10_look.lua"] = "return { event = function(req, event) end }\n" },
  ["a hook that waits for the whole"] = { ["hooks/10_wait.lua"] = "return { response = function(req, reply) end }\n" },
}

for title, hooks in pairs(HOOKS) do
  describe("an endless stream through " .. title, function()
    local upstream, moongate, number

    setup(function()
      number = 0
      local policies = { ["routing/auto-cheapest.lua"] = "return function(_, candidates) return candidates end\n" }
      for path, text in pairs(hooks) do policies[path] = text end
      upstream = provider.open()
      moongate = gateway.start {
        policies = policies,
        config = surfaces.config(upstream, function(config)
          config.auth = "keys"
          for _, model in ipairs(config.models) do model.cost = { input = 1, output = 2 } end
        end),
      }
    end)
    before_each(function()
      upstream:forget()
      upstream:usually { endless = true, pieces = PIECES, usage = false }
    end)
    teardown(gateway.stop_all)

    local function new_key(budget)
      number = number + 1
      local answer = moongate:request { method = "POST", path = "/admin/keys", key = gateway.admin_token,
        json = { name = "key" .. number, budget = budget } }
      return (assert(answer:json().key, answer.body))
    end

    local function ask(name, protocol, key, more)
      local request = surfaces.request(name, "Hi", "m-" .. protocol, true, { key = key })
      if name == "openai" then request.json.stream_options = { include_usage = true } end
      for field, value in pairs(more or {}) do request.json[field] = value end
      local answer = moongate:request(request)
      return surfaces.read(name, answer.body), answer
    end

    local function row_of(answer) return (moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])) end

    for _, name in ipairs(surfaces.names) do
      for _, protocol in ipairs(surfaces.protocols) do
        it("is ended properly from " .. protocol .. " to " .. name, function()
          local key = new_key { billed_tokens = BUDGET, window = "day" }
          local read, answer = ask(name, protocol, key)
          assert.same({ 200, true, true }, { answer.status, answer.complete, read.complete }, answer.body)
          assert.is_nil(read.error)
          local reason, tokens, wanted = endings[name](read.events)
          assert.equal(wanted, reason)
          assert.equal(PIECE:rep(#read.text / #PIECE), read.text)
          local row = row_of(answer)
          assert.same({ "ok", true, tokens }, { row.outcome, row.estimated, row.output_tokens })
          assert.equal(math.ceil(#read.text / 4), tokens)
          -- What little is left is less than a stream goes on with.
          assert.is_true(row.billed_tokens <= BUDGET and row.billed_tokens > BUDGET - 50, row.billed_tokens)
          assert.matches("nothing is left of key:", row.attempts[1].message, 1, true)
          upstream:wait_for(1, "left")
        end)
      end
    end

    if title == "no hook" then
      it("is ended in each of the answers that were asked for", function()
        local read = ask("openai", "openai", new_key { billed_tokens = BUDGET, window = "day" }, { n = 2 })
        assert.equal("length length", (endings.openai(read.events)))
      end)
    end

    if title == "no hook" then
      it("is ended by an error where its last event would have to repeat more than an event may be", function()
        upstream:usually { endless = true, pieces = { PIECE:rep(5000) }, usage = false }
        local read, answer = ask("responses", "responses", new_key { billed_tokens = 2200000, window = "day" })
        assert.equal(200, answer.status)
        assert.is_true(#read.text > 8 * 2 ^ 20, #read.text)
        local last = read.events[#read.events]
        assert.same({ "error", "rate_limit_exceeded" }, { last.type, last.code })
        assert.matches("a limit of its caller is used up", last.message, 1, true)
        local row = row_of(answer)
        assert.same({ "ok", math.ceil(#read.text / 4) }, { row.outcome, row.output_tokens })
      end)
    end

    -- A stream that is ended before it says anything, or within something that is no text.
    local function ends_properly(name, protocol, more, budget, text)
      local pair = protocol .. " to " .. name
      local read, answer = ask(name, protocol, new_key { billed_tokens = budget, window = "day" }, more)
      assert.same({ 200, true, true, text }, { answer.status, answer.complete, read.complete, read.text },
        pair .. answer.body)
      local reason, tokens, wanted = endings[name](read.events)
      assert.equal(wanted, reason, pair)
      local row = row_of(answer)
      assert.same({ "ok", true, tokens }, { row.outcome, row.estimated, row.output_tokens }, pair)
      assert.is_true(row.billed_tokens <= budget, pair)
    end

    it("is ended properly in its first words, whoever speaks what", function()
      upstream:usually { endless = true, pieces = { PIECE:rep(1000) }, usage = false }
      for _, name in ipairs(surfaces.names) do
        for _, protocol in ipairs(surfaces.protocols) do ends_properly(name, protocol, nil, BUDGET, "") end
      end
    end)

    it("is ended properly in a call of a tool, whoever speaks what", function()
      upstream:usually { content = PIECE, usage = false, tools = { { id = "call_1", type = "function",
        ["function"] = { name = "write", arguments = '{"text":"' .. PIECE:rep(1000) .. '"}' } } } }
      for _, name in ipairs(surfaces.names) do
        for _, protocol in ipairs(surfaces.protocols) do
          -- The arguments of a call are no text there: only the provider's own figures tell of them.
          local is_hidden = name == protocol and (name == "gemini" or name == "ollama")
          if not is_hidden then ends_properly(name, protocol, nil, BUDGET, PIECE) end
        end
      end
    end)

    it("is held to what its provider counts on the way, thoughts that nobody sees included", function()
      local function frame(text, thoughts, finish)
        return ('data: {"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"%s"}]}%s}],'
          .. '"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"thoughtsTokenCount":%d}}\r\n\r\n')
          :format(text, finish and ',"finishReason":"STOP"' or "", thoughts)
      end
      local function play(...)
        upstream:usually { kind = "text", type = "text/event-stream", body = table.concat { ... } }
      end
      for _, name in ipairs(surfaces.names) do
        play(frame("a", 10), frame("b", 650), frame("c", 5000), frame("d", 5000, true))
        local read, answer = ask(name, "gemini", new_key { billed_tokens = BUDGET, window = "day" })
        assert.same({ "ab", true }, { read.text, read.complete }, name .. answer.body)
        local reason, _, wanted = endings[name](read.events)
        assert.equal(wanted, reason, name)
        local row = row_of(answer)
        assert.same({ "ok", true, 650 }, { row.outcome, row.estimated, row.reasoning_tokens }, name)
        assert.is_true(row.billed_tokens <= BUDGET, name)
        -- What has come to its end is not ended, whatever it took: it is charged.
        play(frame("a", 10), frame("b", 5000, true))
        read, answer = ask(name, "gemini", new_key { billed_tokens = BUDGET, window = "day" })
        assert.equal("ab", read.text, name)
        assert.same({ 5010, false }, { row_of(answer).billed_tokens, row_of(answer).estimated }, name)
      end
    end)

    it("is ended properly in its thoughts", function()
      local thoughts = {}
      for i = 1, 600 do thoughts[i] = PIECE end
      upstream:usually { thinking = thoughts, content = "Never said.", usage = false }
      local asked = {
        openai = { reasoning_effort = "low" }, responses = { reasoning = { effort = "low", summary = "auto" } },
        anthropic = { max_tokens = 1100, thinking = { type = "enabled", budget_tokens = 1024 } },
        gemini = { generationConfig = { thinkingConfig = { includeThoughts = true } } }, ollama = { think = true },
      }
      for name, more in pairs(asked) do ends_properly(name, name, more, 1500, "") end
    end)

    it("goes on as long as there is room, and gives back what it took for that", function()
      upstream:usually { pieces = PIECES }
      for _, name in ipairs(surfaces.names) do
        for _, protocol in ipairs(surfaces.protocols) do
          local key = new_key { billed_tokens = 1300, window = "day" }
          -- Either would not fit beside the thousand tokens of the other.
          for _ = 1, 2 do
            local read, answer = ask(name, protocol, key)
            assert.same({ PIECE:rep(#PIECES), true }, { read.text, read.complete }, protocol .. " to " .. name)
            local row = row_of(answer)
            assert.same({ "ok", false, 21 }, { row.outcome, row.estimated, row.billed_tokens })
          end
        end
      end
    end)

    it("takes no more than its budget of money", function()
      local key = new_key { usd = 0.001, window = "day" }
      local _, answer = ask("openai", "openai", key)
      local row = row_of(answer)
      assert.is_true(row.cost_microusd <= 1000 and row.cost_microusd > 900, row.cost_microusd)
      local refused = select(2, ask("openai", "openai", key))
      assert.equal(429, refused.status)
    end)
  end)
end
