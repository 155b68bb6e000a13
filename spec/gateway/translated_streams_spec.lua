-- Streams between surfaces and protocols: how each way to break off looks to the caller and in the ledger, whichever of
-- the two formats either side speaks.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local json = require "dkjson"
local provider = require "spec.support.provider"
local surfaces = require "spec.support.surfaces"
local wait = require "spec.support.wait"

local function pairings(try)
  for _, name in ipairs(surfaces.names) do
    for _, protocol in ipairs(surfaces.protocols) do try(name, protocol, name .. " to " .. protocol) end
  end
end

describe("a stream of any pairing", function()
  local upstream, moongate
  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = surfaces.config(upstream, function(config)
      for _, protocol in ipairs(surfaces.protocols) do
        local hasty = {}
        for field, value in pairs(config.providers["p-" .. protocol]) do hasty[field] = value end
        hasty.timeouts = { connect = 2, first_byte = 10, first_content = 10, idle = 0.2 }
        config.providers["h-" .. protocol] = hasty
        table.insert(config.models, { id = "h-" .. protocol, provider = "h-" .. protocol,
          cost = { input = 1, output = 2 } })
      end
    end) }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  local function ask(name, protocol, more)
    local answer = moongate:request(surfaces.request(name, "Hi", "m-" .. protocol, true, more))
    return surfaces.read(name, answer.body), answer
  end
  local function row_of(answer) return (moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])) end

  for title, behaviour in pairs {
    ["is cut"] = { wrong = "cut", after = 2 },
    ["is reset"] = { wrong = "reset", after = 2 },
    ["is cut inside an event"] = { wrong = "mid_event", after = 2 },
    ["is cut inside a character"] = { wrong = "mid_character", after = 2 },
    ["ends without its last event"] = { wrong = "end", after = 2 },
    ["brings an error"] = { wrong = "error", after = 2, message = "The model is overloaded." },
  } do
    it("that " .. title .. " ends with the surface's error event, and is billed by estimate", function()
      upstream:usually(behaviour)
      pairings(function(name, protocol, pair)
        local read, answer = ask(name, protocol)
        assert.equal(200, answer.status, pair)
        assert.is_true(answer.complete, pair)
        assert.same({ "Hello from", false }, { read.text, read.complete }, pair)
        assert.truthy(read.error and read.error.message, pair)
        if behaviour.wrong == "error" then assert.matches("overloaded", read.error.message) end
        local row = row_of(answer)
        assert.same({ "error", true, true, true }, { row.outcome, row.estimated, row.output_tokens > 1,
          row.input_tokens > 0 }, pair)
      end)
    end)
  end

  it("that ends cleanly in the middle of an event has its error apart from it", function()
    local halves = {
      openai = 'data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\ndata: {"choices":[{"ind',
      responses = 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"m",'
        .. '"output_index":0,"content_index":0,"delta":"Hello"}\n\n'
        .. 'event: response.output_text.delta\ndata: {"type":"re',
      anthropic = 'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
        .. '"role":"assistant","content":[],"model":"m","usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        .. 'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
        .. '{"type":"text","text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        .. '"delta":{"type":"text_delta","text":"Hello"}}\n\nevent: content_block_delta\ndata: {"type":"cont',
      gemini = 'data: {"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Hello"}]}}]}\r\n\r\n'
        .. 'data: {"candidates":[{"ind',
      ollama = '{"model":"m","message":{"role":"assistant","content":"Hello"},"done":false}\n{"model":"m","mess',
    }
    pairings(function(name, protocol, pair)
      upstream:usually { kind = "text", body = halves[protocol],
        type = protocol == "ollama" and "application/x-ndjson" or "text/event-stream" }
      local answer = moongate:request(surfaces.request(name, "Hi", "m-" .. protocol, true))
      local fault, text = nil, ""
      local said = answer.body:gsub("\r\n", "\n")
      for line in said:gmatch("[^\n]+") do
        local data = name == "ollama" and line or line:match "^data: (.*)$"
        local event = data and json.decode(data)
        if event then
          fault = surfaces[name].error(event) or fault
          text = text .. (surfaces[name].said(event) or "")
        end
      end
      assert.equal("Hello", text, pair .. answer.body)
      assert.truthy(fault and fault.message, pair .. answer.body)
      if name ~= "ollama" then
        -- An event of its own: a blank line before it.
        assert.matches("\n\n[^\n]*[^\n]*\n?data: [^\n]*error[^\n]*\n\n$", said)
      end
      assert.equal("error", row_of(answer).outcome, pair)
    end)
  end)

  it("that is but half an event never began", function()
    for protocol, half in pairs { openai = 'data: {"choices":[{"ind', anthropic = 'event: message_start\ndata: {"ty',
      gemini = 'data: {"candi', ollama = '{"model":', responses = 'event: response.created\ndata: {"typ' } do
      upstream:usually { kind = "text", body = half,
        type = protocol == "ollama" and "application/x-ndjson" or "text/event-stream" }
      for _, name in ipairs(surfaces.names) do
        local answer = moongate:request(surfaces.request(name, "Hi", "m-" .. protocol, true))
        assert.equal(502, answer.status, name .. " to " .. protocol .. answer.body)
        assert.truthy(surfaces[name].error(answer:json()).message)
      end
    end
  end)

  it("whose last event lacks its end is whole", function()
    upstream:usually { kind = "text", type = "text/event-stream",
      body = 'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\ndata: [DONE]' }
    for _, name in ipairs(surfaces.names) do
      local read = surfaces.read(name, moongate:request(surfaces.request(name, "Hi", "m-openai", true)).body)
      assert.same({ "Hello", true }, { read.text, read.complete }, name)
    end
    upstream:usually { kind = "text", type = "application/x-ndjson",
      body = '{"model":"m","message":{"role":"assistant","content":"Hello"},"done":false}\n'
        .. '{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}' }
    for _, name in ipairs(surfaces.names) do
      local read = surfaces.read(name, moongate:request(surfaces.request(name, "Hi", "m-ollama", true)).body)
      assert.same({ "Hello", true }, { read.text, read.complete }, name)
    end
  end)

  it("that falls silent ends with the surface's error event", function()
    upstream:usually { wrong = "silence", after = 2 }
    local connections = {}
    pairings(function(name, protocol, pair)
      connections[#connections + 1] = { name, pair, http.begin(moongate.address,
        surfaces.request(name, "Hi", "h-" .. protocol, true)) }
    end)
    for _, each in ipairs(connections) do
      local name, pair, answer = each[1], each[2], http.answered(each[3]):rest()
      local read = surfaces.read(name, answer.body)
      assert.same({ "Hello from", false }, { read.text, read.complete }, pair)
      assert.matches("silent", read.error.message)
      answer:close()
    end
  end)

  it("arrives whole, byte by byte and with long events", function()
    local long = ("long "):rep(60000)
    upstream:usually { cases = {
      { when = "bytes", pieces = { "na\u{ef}ve", " \u{20ac}5", " \u{1f642}", ' \\ " end' }, size = 1 },
      { when = "long", pieces = { "It is ", long, "end" } },
    } }
    pairings(function(name, protocol, pair)
      for word, text in pairs {
        bytes = "na\u{ef}ve \u{20ac}5 \u{1f642} \\ \" end", long = "It is " .. long .. "end",
      } do
        local answer = moongate:request(surfaces.request(name, word, "m-" .. protocol, true))
        local read = surfaces.read(name, answer.body)
        assert.is_true(read.text == text, pair .. " " .. word .. " " .. #read.text)
        assert.is_true(read.complete, pair)
        assert.equal(12, row_of(answer).output_tokens, pair)
      end
    end)
  end)

  local USAGE = {
    prompt_tokens = 100, completion_tokens = 50, total_tokens = 150,
    prompt_tokens_details = { cached_tokens = 40 }, completion_tokens_details = { reasoning_tokens = 20 },
  }

  it("and a whole answer leave the same row, its classes adding up", function()
    upstream:usually { usage = USAGE }
    pairings(function(name, protocol, pair)
      for _, stream in ipairs { false, true } do
        local answer = moongate:request(surfaces.request(name, "Hi", "m-" .. protocol, stream))
        local row = row_of(answer)
        local sum = row.input_tokens + row.cached_tokens + row.cache_write_tokens + row.output_tokens
          + row.reasoning_tokens
        local why = pair .. " " .. tostring(stream)
        assert.same({ 150, 150, false, "ok" }, { sum, row.billed_tokens, row.estimated, row.outcome }, why)
        local has_cache, has_reasoning = protocol ~= "ollama", protocol ~= "ollama" and protocol ~= "anthropic"
        assert.equal(has_cache and 40 or 0, row.cached_tokens, why)
        if has_reasoning then assert.equal(20, row.reasoning_tokens, why) end
      end
    end)
  end)

  it("without usage is estimated, and says so", function()
    upstream:usually { usage = false }
    pairings(function(name, protocol, pair)
      for _, stream in ipairs { false, true } do
        local answer = moongate:request(surfaces.request(name, "Hi there", "m-" .. protocol, stream))
        assert.equal(200, answer.status, pair .. answer.body)
        local row = row_of(answer)
        assert.same({ true, true, true }, { row.estimated, row.output_tokens > 0, row.input_tokens > 0 },
          pair .. tostring(stream))
      end
    end)
  end)

  it("whose caller leaves is cancelled at the provider, and billed", function()
    upstream:usually { endless = true, delay = 3 }
    local number = 0
    pairings(function(name, protocol, pair)
      number = number + 1
      local stream = http.open(moongate.address, surfaces.request(name, "Hi", "m-" .. protocol, true))
      stream:piece()
      stream:close()
      upstream:wait_for(number, "left")
      local row = wait.until_(function()
        local row = row_of(stream)
        return row.outcome == "cancelled" and row
      end, "the row of " .. pair)
      assert.truthy(row.estimated and row.output_tokens > 1 and row.cost_microusd > 0, pair)
    end)
  end)

  it("whose caller does not read is not read from the provider either", function()
    for name, protocol in pairs { anthropic = "openai", openai = "gemini", ollama = "anthropic", gemini = "ollama",
      responses = "openai" } do
      upstream:forget()
      upstream:usually { pieces = { ("x"):rep(16000) }, ["repeat"] = 4000 }
      local stream = http.open(moongate.address, surfaces.request(name, "Hi", "m-" .. protocol, true))
      local before
      wait.until_(function()
        local seen = upstream:seen()[1]
        local stands = seen.blocked and seen.written == before
        before = seen.written
        return stands
      end, "the provider to be held up")
      assert.truthy(before < 32e6, name)
      stream:reset()
      upstream:wait_for(1, "left")
    end
  end)
end)

describe("failover before the first content", function()
  after_each(gateway.stop_all)

  it("crosses formats", function()
    local broken, sound = provider.open(), provider.open()
    local moongate = gateway.start {
      config = surfaces.config(sound, function(config)
        config.policy = "listed"
        for _, protocol in ipairs(surfaces.protocols) do
          local other = surfaces.config(broken).providers["p-" .. protocol]
          config.providers["b-" .. protocol] = other
          for _, second in ipairs(surfaces.protocols) do
            local id = protocol .. "-" .. second
            table.insert(config.models, { id = id, provider = "b-" .. protocol, priority = 90 })
            table.insert(config.models, { id = id, provider = "p-" .. second, priority = 10 })
          end
        end
      end),
      policies = { ["routing/listed.lua"] = [[
return function(request, candidates)
  return candidates:sort("broken first", function(c) return c.provider:sub(1, 2) == "b-" and 0 or 1 end)
end
]] },
    }
    for _, behaviour in ipairs {
      { wrong = "error", after = 0, message = "overloaded" }, { wrong = "cut", after = 0 },
    } do
      broken:usually(behaviour)
      for _, name in ipairs(surfaces.names) do
        for _, first in ipairs(surfaces.protocols) do
          for _, second in ipairs(surfaces.protocols) do
            local why = name .. " over " .. first .. " to " .. second
            local answer = moongate:request(surfaces.request(name, "Hi", first .. "-" .. second, true))
            assert.equal(200, answer.status, why .. answer.body)
            local read = surfaces.read(name, answer.body)
            assert.same({ "Hello from the provider.", true }, { read.text, read.complete }, why)
            assert.same({ "p-" .. second, "2" },
              { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] }, why)
          end
        end
      end
    end
  end)
end)
