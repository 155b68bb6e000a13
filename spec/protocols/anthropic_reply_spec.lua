require "spec.support.core"
local anthropic = require "protocols.anthropic"
local json = require "moongate.core.json"

local function event(document) return { data = json.encode(document) } end

-- What a stream tells: how its events read, the usage in the end, and the neutral events.
local function stream(documents)
  local kinds, usage, events, read_on = {}, nil, {}, anthropic.reader()
  for i, document in ipairs(documents) do
    local own = event(document)
    local read = anthropic.read_event(own, usage)
    kinds[i], usage = read.kind, read.usage or usage
    for _, each in ipairs(read_on(own)) do events[#events + 1] = each end
  end
  return events, usage, kinds
end

local function start(usage)
  return {
    type = "message_start",
    message = {
      id = "msg_1", type = "message", role = "assistant", model = "m", content = json.array {}, usage = usage,
    },
  }
end

local function block(index, content) return { type = "content_block_start", index = index, content_block = content } end

local function delta(index, content) return { type = "content_block_delta", index = index, delta = content } end

local function stop(index) return { type = "content_block_stop", index = index } end

local function ending(reason, usage, more)
  local own = { stop_reason = reason, stop_sequence = json.null }
  for name, value in pairs(more or {}) do own[name] = value end
  return { type = "message_delta", delta = own, usage = usage }
end

local LAST = { type = "message_stop" }

describe("a whole reply of Anthropic's", function()
  local REPLY = {
    id = "msg_1", type = "message", role = "assistant", model = "demo", stop_reason = "tool_use",
    content = { { type = "thinking", thinking = "add them", signature = "EqQB" }, { type = "text", text = "Adding." },
      { type = "server_tool_use", id = "s", name = "web_search", input = {} },
      { type = "redacted_thinking", data = "xx" },
      { type = "tool_use", id = "toolu_1", name = "add", input = { x = 1 } } },
    usage = { input_tokens = 24, cache_creation_input_tokens = 5, cache_read_input_tokens = 16, output_tokens = 12,
      output_tokens_details = { thinking_tokens = 4 } },
  }
  local USAGE = { input = 24, cached = 16, cache_write = 5, output = 8, reasoning = 4, total = 57 }

  it("is read", function()
    local read = anthropic.read_reply(200, {}, json.encode(REPLY))
    assert.is_nil(read.error)
    assert.same(USAGE, read.usage)
    assert.equal("tool_use", read.finish)
    assert.equal(8 + 7 + 3 + 7, read.text_length)
  end)

  -- As it is read closely and as one that goes on as it came: but for the body there is no difference.
  local function read_both(text, status)
    local closely, direct = anthropic.read_reply(status or 200, {}, text),
      anthropic.read_reply(status or 200, {}, text, true)
    for _, name in ipairs { "usage", "error", "text_length", "finish", "tokens" } do
      assert.same(closely[name], direct[name], name .. " of " .. text)
    end
    return direct.body == nil
  end

  local USUAL = {
    '{"type":"message","content":[{"type":"text","text":"a\\u00e9"}],"stop_reason":"end_turn","error":null,"usage":{'
      .. '"input_tokens":24,"cache_creation_input_tokens":5,"cache_read_input_tokens":16,"output_tokens":12,'
      .. '"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":3},"output_tokens_details":{'
      .. '"thinking_tokens":4},"iterations":[{"type":"message","input_tokens":24}]}}',
    '{"type":"message","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking",'
      .. '"data":"x"},{"type":"text","text":""}],"stop_reason":null,"usage":{"input_tokens":0,"output_tokens":7,'
      .. '"cache_read_input_tokens":null,"output_tokens_details":{"thinking_tokens":9}}}',
    '{"type":"message","content":[],"usage":{"cache_creation":null,"output_tokens_details":null,"iterations":null}}',
  }

  it("is not built where it looks as usual and goes on as it came", function()
    for _, text in ipairs(USUAL) do
      assert.is_true(read_both(text), text)
      assert.is_false(read_both(text, 500))
    end
    assert.is_false(read_both(json.encode(REPLY)))
    assert.is_false(read_both '{"input_tokens":14}')
  end)

  it("is read alike both ways, whatever is changed in it", function()
    local PIECES = {
      "null", "0", "3", "-1", "0.5", "1e300", '""', '"a"', "[]", "{}", "true", '"error"', '"compaction"', '"tool_use"',
      '{"message":"m"}', '[{"type":"text","text":"t"}]', '{"cost":1}',
    }
    local seed, usual = 7, 0
    local function random(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
    for _ = 1, 3000 do
      local text, places = USUAL[random(#USUAL)], {}
      for at in text:gmatch '()[:,%[]["%d{%[tn]' do places[#places + 1] = at end
      local at, piece = places[random(#places)], PIECES[random(#PIECES)]
      local rest = text:sub(at + 1)
      local value = rest:match '^"[^"]*"' or rest:match "^[%w.]+" or rest:match "^%b{}" or rest:match "^%b[]"
      if read_both(text:sub(1, at) .. piece .. rest:sub(#value + 1)) then usual = usual + 1 end
    end
    assert.is_true(usual > 300 and usual < 2700, usual)
  end)

  it("becomes neutral", function()
    assert.same({
      id = "msg_1", model = "demo", usage = USAGE,
      choices = { { finish = "tool_calls", blocks = {
        { kind = "thinking", text = "add them", signature = "EqQB", origin = "anthropic" },
        { kind = "text", text = "Adding." }, { kind = "redacted", data = "xx", origin = "anthropic" },
        { kind = "tool_use", id = "toolu_1", name = "add", arguments = '{"x":1}' },
      } } },
    }, anthropic.reply(REPLY))
  end)

  it("ends for a reason that every format has a word for", function()
    for reason, finish in pairs {
      end_turn = "stop", max_tokens = "length", model_context_window_exceeded = "length",
      stop_sequence = "stop_sequence", refusal = "content_filter", pause_turn = "pause", something_new = "stop",
    } do
      local own = anthropic.reply({ content = {}, stop_reason = reason, stop_sequence = "END" })
      assert.equal(finish, own.choices[1].finish)
      assert.equal("END", own.choices[1].stop_sequence)
    end
  end)

  it("says why it was broken off", function()
    local own = anthropic.reply({ content = {}, stop_reason = "refusal", stop_details = { explanation = "no" } })
    assert.same({ { kind = "refusal", text = "no" } }, own.choices[1].blocks)
  end)

  it("is an error where it says so, whatever the status", function()
    for _, status in ipairs { 200, 529 } do
      local read = anthropic.read_reply(status, {},
        '{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}')
      assert.equal("overloaded_error", read.error.type)
      assert.equal("Busy", read.error.message)
    end
    assert.is_table(anthropic.read_reply(200, {}, "<html>").error)
    assert.is_table(anthropic.read_reply(200, {}, "{}").error)
  end)

  it("may be a count", function()
    assert.equal(14, anthropic.read_reply(200, {}, '{"input_tokens":14}').tokens)
  end)

  it("counts all passes of a conversation that was compacted on the way", function()
    local read = anthropic.read_reply(200, {}, json.encode { content = {}, usage = {
      input_tokens = 10, output_tokens = 5, iterations = {
        { type = "compaction", input_tokens = 100, output_tokens = 20 }, { type = "message", input_tokens = 10,
          output_tokens = 5 } } } })
    assert.same({ 110, 25 }, { read.usage.input, read.usage.output })
  end)
end)

describe("a stream of Anthropic's", function()
  local FULL = {
    start { input_tokens = 24, cache_read_input_tokens = 16, output_tokens = 1 },
    block(0, { type = "thinking", thinking = "", signature = "" }), { type = "ping" },
    delta(0, { type = "thinking_delta", thinking = "hm" }), delta(0, { type = "signature_delta", signature = "sig" }),
    stop(0), block(1, { type = "text", text = "" }), delta(1, { type = "text_delta", text = "Add" }),
    delta(1, { type = "text_delta", text = "" }), stop(1),
    block(2, { type = "tool_use", id = "toolu_1", name = "add", input = {} }),
    delta(2, { type = "input_json_delta", partial_json = '{"x"' }),
    delta(2, { type = "input_json_delta", partial_json = ":1}" }), stop(2),
    block(3, { type = "tool_use", id = "toolu_2", name = "now", input = {} }),
    delta(3, { type = "input_json_delta", partial_json = "" }), stop(3),
    ending("tool_use", { output_tokens = 12 }), LAST,
  }

  it("becomes neutral events", function()
    assert.same({
      { kind = "start", id = "msg_1", model = "m" }, { kind = "ping" }, { kind = "thinking", text = "hm" },
      { kind = "signature", signature = "sig", origin = "anthropic" }, { kind = "text", text = "Add" },
      { kind = "tool", call = 0, id = "toolu_1", name = "add" }, { kind = "arguments", call = 0, text = '{"x"' },
      { kind = "arguments", call = 0, text = ":1}" }, { kind = "tool", call = 1, id = "toolu_2", name = "now" },
      { kind = "arguments", call = 1, text = "{}" }, { kind = "finish", finish = "tool_calls" },
    }, (stream(FULL)))
  end)

  it("is read event by event", function()
    local _, usage, kinds = stream(FULL)
    assert.same({
      "lifecycle", "lifecycle", "ping", "content", "content", "lifecycle", "lifecycle", "content", "lifecycle",
      "lifecycle", "content", "content", "content", "lifecycle", "content", "lifecycle", "lifecycle", "finish", "end",
    }, kinds)
    assert.same({ input = 24, cached = 16, cache_write = 0, output = 12, reasoning = 0, total = 52 }, usage)
  end)

  it("tells its usage in parts of which the later one holds", function()
    local _, usage = stream { start { input_tokens = 43, output_tokens = 1 },
      ending("end_turn", { input_tokens = 61, output_tokens = 2 }) }
    assert.same({ 61, 2, 63 }, { usage.input, usage.output, usage.total })
    _, usage = stream { start { input_tokens = 43, output_tokens = 1 },
      ending("end_turn", { input_tokens = 0, output_tokens = 2 }) }
    assert.equal(43, usage.input)
  end)

  it("keeps its usage when C shows its last figures alone", function()
    local before = anthropic.read_event(event(start { input_tokens = 9, output_tokens = 1 })).usage
    local last = anthropic.read_event(event(ending("end_turn", { output_tokens = 7 })), before).usage
    assert.same({ 9, 7 }, { last.input, last.output })
  end)

  it("may begin twice, leave out ends, hold foreign blocks and events nobody knows", function()
    assert.same({
      { kind = "start", id = "msg_1", model = "m" }, { kind = "text", text = "a" }, { kind = "text", text = "b" },
      { kind = "tool", call = 0, id = "t", name = "f" }, { kind = "arguments", call = 0, text = '{"x":2}' },
      { kind = "finish", finish = "stop_sequence", stop_sequence = "END" },
    }, (stream {
      start(), start(), { type = "new_thing", content = "?" }, block(0, { type = "text", text = "a" }),
      delta(7, { type = "text_delta", text = "b" }),
      block(1, { type = "server_tool_use", id = "s", name = "w", input = {} }),
      delta(1, { type = "input_json_delta", partial_json = "{}" }), stop(1),
      delta(9, { type = "input_json_delta", partial_json = "{}" }), block(2, { type = "tool_use", id = "t", name = "f",
        input = { x = 2 } }),
      ending("stop_sequence", {}, { stop_sequence = "END" }), ending("end_turn"), LAST,
    }))
  end)

  it("throws at nothing", function()
    local odd = { "x", 1, true, json.null, json.array {}, {} }
    local read_on = anthropic.reader()
    for _, kind in ipairs { "message_start", "content_block_start", "content_block_delta", "content_block_stop",
      "message_delta", "message_stop", "ping", "error" } do
      for _, name in ipairs { "message", "index", "content_block", "delta", "usage", "error" } do
        for _, value in ipairs(odd) do
          local own = event { type = kind, [name] = value }
          anthropic.read_event(own)
          read_on(own)
        end
      end
    end
  end)

  it("ends with an error at any time", function()
    local read = anthropic.read_event { name = "error",
      data = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}' }
    assert.equal("error", read.kind)
    assert.equal("overloaded_error", read.error.type)
  end)

  it("is not over before it says so", function()
    assert.is_true(anthropic.scan.needs_terminal)
    assert.same({ "message_stop" }, anthropic.scan.terminal)
    assert.equal("anthropic", anthropic.speaks)
  end)
end)
