-- The fast path of a streamed answer: what goes on to the caller, what is held back, and what is picked out on the way.
local ffi = require "ffi"
local library = require "spec.support.library"
local stage = require "spec.gate.stage"

if not pcall(ffi.typeof, "struct pipe_spec_event") then
  ffi.cdef [[
    struct pipe_spec_event {
      const char *raw; size_t raw_length; const char *name; size_t name_length; const char *data; size_t data_length;
    };
    typedef bool (*pipe_spec_hook)(void *arg, const struct pipe_spec_event *event);
    void *pipe_spec_sse_new(size_t max_bytes) __asm__("sse_new");
    void pipe_spec_sse_free(void *sse) __asm__("sse_free");
    void pipe_spec_sse_lines(void *sse) __asm__("sse_lines");
    bool pipe_spec_sse_push(void *sse, const char *data, size_t length, pipe_spec_hook on_event, void *arg)
      __asm__("sse_push");
    bool pipe_spec_sse_finish(void *sse, pipe_spec_hook on_event, void *arg) __asm__("sse_finish");
    void *pipe_new(struct stage_exchange *exchange, void *marks, const struct stage_bound *bound);
    void pipe_go_on(void *pipe, struct stage_exchange *exchange, const struct stage_bound *bound);
    bool pipe_is_spent(const void *pipe);
    void pipe_free(void *pipe);
    bool pipe_event(void *pipe, const struct pipe_spec_event *event);
    bool pipe_flush(void *pipe, void (*on_drained)(void *), void *arg);
    void pipe_detach(void *pipe);
    bool pipe_is_over(const void *pipe);
    const struct stage_seen *pipe_seen(const void *pipe);
  ]]
end

local on

-- The event reader hands its events straight to the pipe.
local pipe_event = library.pipe_event

local function event(data) return "data: " .. data .. "\n\n" end
local done = event "[DONE]"

-- Pipes a stream that comes in these pieces: what is seen, what the caller gets, and whether it is over. bounds: how
-- much text may go out, and again each time it is spent; or { bytes, tokens }.
local function pipe(pieces, options)
  local marks = {}
  for name, value in pairs(stage.openai) do marks[name] = value end
  for name, value in pairs(options or {}) do marks[name] = name ~= "lines" and name ~= "bounds" and value or nil end
  local seen, over
  local caller = on:call(function(exchange)
    stage.begin(exchange)
    local bounds = {}
    for i, bound in ipairs((options or {}).bounds or {}) do
      bounds[i] = type(bound) == "table" and stage.bound(bound[1], bound[2]) or stage.bound(bound)
    end
    local one, times = library.pipe_new(exchange, stage.marks(marks), bounds[1]), 1
    local sse = library.pipe_spec_sse_new(1e6)
    if (options or {}).lines then library.pipe_spec_sse_lines(sse) end
    -- The reader keeps what is behind the event that waits.
    local function go_on()
      while library.pipe_is_spent(one) and bounds[times + 1] do
        times = times + 1
        library.pipe_go_on(one, exchange, bounds[times])
        library.pipe_spec_sse_push(sse, "", 0, pipe_event, one)
      end
    end
    for _, piece in ipairs(pieces) do
      library.pipe_spec_sse_push(sse, piece, #piece, pipe_event, one)
      go_on()
      library.pipe_flush(one, nil, nil)
    end
    library.pipe_spec_sse_finish(sse, pipe_event, one)
    go_on()
    library.pipe_flush(one, nil, nil)
    seen, over = stage.seen(library.pipe_seen(one)), library.pipe_is_over(one)
    library.pipe_detach(one)
    library.pipe_free(one)
    library.pipe_spec_sse_free(sse)
    library.stage_finish(exchange)
  end)
  on:run_until(function()
    caller:read()
    return select(2, caller:body())
  end, "the end of the answer")
  seen.out = caller:body()
  seen.over = over
  caller:leave()
  return seen
end

local function delta(text)
  return ('{"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}'):format(text)
end

describe("the pipe", function()
  setup(function() on = stage.open() end)
  teardown(function() on:close() end)

  it("hands events on byte for byte, comments and names included", function()
    local stream = ": note\r\n\r\nevent: x\r\ndata:" .. delta "a" .. "\r\n\r\n\n" .. "id: 1\ndata: \n\n"
    local seen = pipe { stream }
    assert.equal(stream, seen.out)
    assert.same({ false, false, false, false }, { seen.over, seen.terminal, seen.finished, seen.failed })
  end)

  it("holds the terminal event back, and all behind it", function()
    local seen = pipe { event(delta "a") .. "data:[DONE]\r\n\r\n" .. event "more" }
    assert.equal(event(delta "a"), seen.out)
    assert.same({ true, true, "data:[DONE]\r\n\r\n" }, { seen.over, seen.terminal, seen.terminal_raw })
    assert.equal(1, seen.events)
  end)

  it("takes only the very words for the terminal event", function()
    for _, data in ipairs { "[DONE] ", "[DONE", '"[DONE]"', "[done]" } do
      assert.is_false(pipe { event(data) }.terminal, data)
    end
    assert.is_false(pipe({ done }, { terminal = "" }).terminal)
  end)

  it("notes the finish, in whichever choice it stands", function()
    assert.is_false(pipe { event(delta "a") }.finished)
    assert.is_true(pipe { event '{"choices":[{"delta":{},"finish_reason" : "stop"}]}' }.finished)
    assert.is_true(pipe { event '{"choices":[{"finish_reason":null},{"finish_reason":"stop"}]}' }.finished)
  end)

  it("keeps the last usage figures, not a null, and hides the event of usage alone", function()
    local with = event '{"choices":[{"delta":{}}],"usage":{"total_tokens":1}}'
    local alone = event '{"choices": [ ],"usage" : {"total_tokens":2}}'
    local empty = event '{"choices":[],"usage":null}'
    local seen = pipe { with .. alone .. empty .. done }
    assert.equal('{"choices": [ ],"usage" : {"total_tokens":2}}', seen.usage)
    assert.equal(with .. empty, seen.out)
    assert.equal(with .. alone .. empty, pipe({ with .. alone .. empty .. done }, { hide_usage = false }).out)
  end)

  it("finds usage figures behind a null of the same name", function()
    local data = '{"usage":null,"choices":[],"x_groq":{"usage":{"total_tokens":3}}}'
    assert.equal(data, pipe { event(data) }.usage)
  end)

  it("takes an error at the top for the end, and does not hand it on", function()
    local failure = '{"error":{"message":"broken"}}'
    local seen = pipe { event(delta "a") .. event(failure) .. event(delta "b") .. done }
    assert.same({ true, true, false, failure, event(delta "a") },
      { seen.over, seen.failed, seen.terminal, seen.error, seen.out })
    for _, data in ipairs {
      '{"choices":[{"delta":{"error":{"message":"broken"}}}]}', '{"error":null,"choices":[]}', '["error"]', '"error"',
      '{"choices":[{"delta":{"content":"\\"error\\": {}"}}]}', '{"error":{"message":"cut',
    } do
      assert.is_false(pipe { event(data) }.failed, data)
    end
  end)

  it("counts the bytes of what the model wrote, escapes as they stand", function()
    assert.equal(3, pipe { event(delta "abc") }.text_bytes)
    assert.equal(12, pipe { event(delta [[a\"b\\\u00e9]]) }.text_bytes)
    assert.equal(6, pipe { event(delta [[\\\"\\]]) }.text_bytes)
    assert.equal(0, pipe { event '{"choices":[{"delta":{"content":null}}]}' }.text_bytes)
    assert.equal(5, pipe { event '{"tool_calls":[{"arguments":"ab"},{"arguments" : "cde"}]}' }.text_bytes)
    assert.equal(3, pipe { event '{"content":"abc' }.text_bytes)
    assert.equal(4, pipe { event '{"content":"abc\\' }.text_bytes)
  end)

  it("does not take what the model writes for members", function()
    local text = [[\"finish_reason\":\"stop\",\"usage\":{\"a\":1},\"content\":\"xyz\"]]
    local seen = pipe { event(delta(text)) }
    assert.same({ false, "" }, { seen.finished, seen.usage })
    assert.equal(#text, seen.text_bytes)
    local hidden = '{"choices":[{"delta":{"content":"\\"choices\\":[]"}}],"usage":{"total_tokens":1}}'
    assert.equal(event(hidden), pipe { event(hidden) }.out)
  end)

  it("finds members behind strings that read the same", function()
    local data = '{"choices":[{"delta":{"role":"content","content":"usage"},"a":"finish_reason","b":["usage",'
      .. '"\\"usage"],"finish_reason":"stop"}],"usage":{"total_tokens":1}}'
    local seen = pipe { event(data) }
    assert.same({ true, data, 5 }, { seen.finished, seen.usage, seen.text_bytes })
  end)

  it("finds a member wherever it stands", function()
    local stream, begins, behind = {}, '{"' .. ("x"):rep(29) .. '":1,', '{"' .. ("x"):rep(90) .. 'content":"no",'
    for pad = 0, 140 do
      local room = (" "):rep(pad)
      stream[#stream + 1] = event(begins .. room .. '"content"' .. (" "):rep(pad % 3 * 60) .. ': "abc"}')
      stream[#stream + 1] = event(behind .. room .. '"a":"' .. ("y"):rep(pad) .. '\\"content\\":", "content":"d"}')
    end
    local seen = pipe { table.concat(stream) }
    assert.equal(141 * 4, seen.text_bytes)
    assert.equal(table.concat(stream), seen.out)
  end)

  it("looks for nothing where the protocol names nothing", function()
    local none = { terminal = "", usage = "", error = "", finish = "", hollow = "", text = {} }
    local stream = event(delta "a") .. event '{"error":{},"usage":{},"finish_reason":"stop"}' .. done
    local seen = pipe({ stream }, none)
    assert.same({ stream, false, 0, "" }, { seen.out, seen.over, seen.text_bytes, seen.usage })
  end)

  describe("of a stream with typed events", function()
    local typed = {
      terminal = { "message_stop", "response.completed" }, failed = { "error", "response.failed" }, finish = "",
      hollow = "", error = "", text = { '"text"' }, hide_usage = false,
    }
    local content = 'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"abc"}}\n\n'

    it("holds the event back that is named as the last, and all behind it", function()
      local last = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
      local seen = pipe({ content .. last .. content }, typed)
      assert.same({ content, last, true, true, false, 3, 2 }, { seen.out, seen.terminal_raw, seen.over, seen.terminal,
        seen.failed, seen.text_bytes, seen.events })
      assert.is_true(pipe({ "event: message_stop\n\n" }, typed).terminal)
    end)

    it("knows it by its type too, wherever that stands at the top", function()
      for _, data in ipairs { '{"type":"message_stop"}', '{"delta":{"type":"text"}, "type" : "message_stop"}' } do
        assert.equal(event(data), pipe({ event(data) }, typed).terminal_raw)
      end
      for _, data in ipairs {
        '{"delta":{"type":"message_stop"},"type":"x"}', '{"type":"ping","text":"\\"type\\":\\"message_stop\\""}',
        '["message_stop"]', '{"message_stop":"type"}', '{"type":"message_stop', '{"type":"message_stop "}',
      } do
        assert.is_false(pipe({ event(data) }, typed).terminal, data)
      end
      assert.is_false(pipe({ "event: message_stopped\ndata: {}\n\n" }, typed).terminal)
    end)

    it("notes what the last event itself tells", function()
      local data = '{"type":"response.completed","response":{"text":"four","usage":{"input_tokens":1}}}'
      local seen = pipe({ content .. event(data) }, typed)
      assert.same({ data, content, 7 }, { seen.usage, seen.out, seen.text_bytes })
    end)

    it("takes the events that are errors for the end, and does not hand them on", function()
      local data = '{"type":"error","error":{"type":"overloaded_error"}}'
      for _, failure in ipairs { "event: error\ndata: " .. data .. "\n\n", event(data) } do
        local seen = pipe({ content .. failure .. content }, typed)
        assert.same({ content, data, true, true, false },
          { seen.out, seen.error, seen.over, seen.failed, seen.terminal })
      end
      local seen = pipe({ "event: response.failed\n\n" }, typed)
      assert.same({ true, "" }, { seen.failed, seen.error })
    end)
  end)

  describe("of lines", function()
    local lines = {
      lines = true, terminal = "", last = '"done"', usage = '"done"', finish = "", hollow = "", hide_usage = false,
    }
    local function say(text)
      return ('{"model":"m","message":{"role":"assistant","content":"%s"},"done":false}\n'):format(text)
    end
    local last = '{"model":"m","message":{"content":"xy"},"done" : true,"done_reason":"stop","eval_count":2}\r\n'

    it("hands them on, and holds back the one that says it is the last", function()
      local seen = pipe({ say "abc" .. "\n" .. last .. say "more" }, lines)
      assert.same({ say "abc" .. "\n", last, true, true }, { seen.out, seen.terminal_raw, seen.terminal, seen.over })
      assert.same({ (last:gsub("%s+$", "")), 5 }, { seen.usage, seen.text_bytes })
    end)

    it("takes no other member of that name for it", function()
      for _, text in ipairs {
        '{"message":{"tool_calls":[{"function":{"arguments":{"done":true}}}]},"done":false}', '{"done":"true"}',
        '{"message":{"content":"\\"done\\":true"},"done":false}', '{"done":null}', '[{"done":true}]', '{"done":true',
      } do
        assert.is_false(pipe({ text .. "\n" }, lines).terminal, text)
      end
    end)

    it("takes a line with an error for the end", function()
      local seen = pipe({ say "abc" .. '{"error":"broken"}\n' .. say "more" }, lines)
      assert.same({ say "abc", '{"error":"broken"}', true }, { seen.out, seen.error, seen.failed })
    end)

    it("sees the same however the network cuts them", function()
      for _, ending in ipairs { last, last:gsub("%s+$", ""), '{"error":"m"}', '{"cut":', "" } do
        local stream = say "abc" .. "\r\n" .. say [[\"done\":true]] .. ending
        local whole, bytes = pipe({ stream }, lines), {}
        for i = 1, #stream do bytes[i] = stream:sub(i, i) end
        assert.same(whole, pipe(bytes, lines))
      end
    end)
  end)

  describe("with a bound", function()
    local said = event(delta "abc") .. event(delta "defg") .. event(delta "h")

    it("hands on what is within it, and lets the first event beyond wait, and all behind that", function()
      for bytes, out in pairs { [0] = "", [2] = "", [3] = event(delta "abc"), [6] = event(delta "abc"),
        [7] = event(delta "abc") .. event(delta "defg") } do
        local seen = pipe({ said .. done }, { bounds = { bytes } })
        assert.same({ out, true, false, false }, { seen.out, seen.spent, seen.over, seen.terminal })
        assert.equal(({ [0] = 0, [2] = 0, [3] = 3, [6] = 3, [7] = 7 })[bytes], seen.text_bytes)
      end
      local seen = pipe({ said .. done }, { bounds = { 3 } })
      assert.same({ delta "defg", 4 }, { seen.held, seen.held_bytes })
    end)

    it("never stops at what the bound covers", function()
      local seen = pipe({ said .. done }, { bounds = { 8 } })
      assert.same({ said, false, true, 8, "" }, { seen.out, seen.spent, seen.over, seen.text_bytes, seen.held })
    end)

    it("goes on where it waited, byte for byte, once the bound is wider", function()
      for _, bounds in ipairs { { 0, 3, 7, 8 }, { 3, 9 }, { 0, 0, 0, 0, 0 }, { 7, 100 } } do
        local seen = pipe({ ": note\n\n" .. said .. done }, { bounds = bounds })
        assert.same({ ": note\n\n" .. said, true, false, 8, 0 },
          { seen.out, seen.over, seen.spent, seen.text_bytes, seen.held_bytes })
      end
    end)

    it("lets events without text through at any time", function()
      local bare = event '{"choices":[{"delta":{},"finish_reason":"stop"}]}' .. ": ping\n\n"
      local seen = pipe({ event(delta "abc") .. bare .. done }, { bounds = { 3 } })
      assert.same({ event(delta "abc") .. bare, true, true }, { seen.out, seen.finished, seen.terminal })
    end)

    it("holds a last event back that says too much", function()
      local last = '{"content":"' .. ("x"):rep(50) .. '","done":true}'
      local options = { lines = true, terminal = "", last = '"done"', finish = "", hollow = "", bounds = { 49 } }
      local seen = pipe({ last .. "\n" }, options)
      assert.same({ "", true, false, last, 50 }, { seen.out, seen.spent, seen.terminal, seen.held, seen.held_bytes })
      options.bounds = { 49, 50 }
      assert.same({ true, last .. "\n" }, (function(of) return { of.terminal, of.terminal_raw } end)(pipe(
        { last .. "\n" }, options)))
    end)

    it("takes an error for one, however much it says", function()
      local failure = '{"error":{"content":"abcdef"}}'
      assert.same({ true, false, failure }, (function(of) return { of.failed, of.spent, of.error } end)(pipe(
        { event(failure) }, { bounds = { 1 } })))
    end)

    describe("in tokens, of a provider that counts on the way", function()
      local counts = { '"candidatesTokenCount"', '"thoughtsTokenCount"' }
      local function chunk(text, told, thoughts, finish)
        return ('{"content":"%s","finish_reason":%s,"usage":{"candidatesTokenCount" : %d,"thoughtsTokenCount":%d}}')
          :format(text, finish or "null", told, thoughts)
      end
      local function bounded(stream, bounds) return pipe({ stream }, { counts = counts, bounds = bounds }) end

      it("waits at the event whose figures are beyond it, whatever it says", function()
        local stream = event(chunk("a", 6, 4)) .. event(chunk("", 6, 5)) .. event(chunk("b", 7, 5))
        local seen = bounded(stream, { { 1000, 10 } })
        assert.same({ event(chunk("a", 6, 4)), true, chunk("", 6, 5), 0 },
          { seen.out, seen.spent, seen.held, seen.held_bytes })
        assert.equal(stream, bounded(stream, { { 1000, 10 }, { 1000, 12 } }).out)
      end)

      it("does not hold the figures of its end against the answer", function()
        local stream = event(chunk("a", 6, 4)) .. event(chunk("b", 60, 40, '"stop"')) .. event(chunk("", 99, 99))
        local seen = bounded(stream, { { 1000, 10 } })
        assert.same({ stream, false }, { seen.out, seen.spent })
      end)

      it("takes no other values for figures", function()
        for _, value in ipairs { "null", '"99"', "-5", "[99]", "1e9" } do
          local stream = event('{"content":"a","candidatesTokenCount":' .. value .. "}")
          assert.is_false(bounded(stream, { { 1000, 10 } }).spent, value)
        end
        local huge = event('{"candidatesTokenCount":' .. ("9"):rep(400) .. "}")
        assert.is_true(bounded(huge, { { 1000, 10 } }).spent)
      end)
    end)

    it("keeps what went out, texts joined, where that is asked for", function()
      local bare = '{"choices":[{"delta":{"role":"assistant"}}]}'
      local stream = event(bare) .. event(delta "ab") .. event(delta [[c\"]]) .. event(bare) .. event(delta "d") .. done
      local seen = pipe({ stream }, { keep = true, bounds = { 5 } })
      assert.same({ bare .. '\n"abc\\""\n' .. bare .. "\n", delta "d" }, { seen.kept, seen.held })
      seen = pipe({ stream .. event(delta "e") }, { keep = true, bounds = { 5, 6 }, terminal = "" })
      assert.equal(bare .. '\n"abc\\""\n' .. bare .. '\n"d"\n[DONE]\n', seen.kept)
      assert.equal("", pipe({ stream }, { bounds = { 4 } }).kept)
    end)

    it("keeps nothing at all of a stream that is longer than one event may be, and hands it on", function()
      local piece, stream = ("x"):rep(999000), {}
      for i = 1, 9 do stream[i] = event(delta(piece)) end
      local seen = pipe(stream, { keep = true, bounds = { 9e6 } })
      assert.same({ "", true, 9 * #piece }, { seen.kept, seen.overfull, seen.text_bytes })
      assert.equal(table.concat(stream), seen.out)
      local bare = event('{"choices":[{"delta":{"image":"' .. piece .. '"}}]}')
      seen = pipe({ bare:rep(9), event(delta "abc") }, { keep = true, bounds = { 2 } })
      assert.same({ "", true, true }, { seen.kept, seen.overfull, seen.spent })
      seen = pipe({ bare:rep(8), event(delta "abc") }, { keep = true, bounds = { 2 } })
      assert.same({ 8 * #bare - 8 * #event "" + 8, false }, { #seen.kept, seen.overfull })
    end)

    it("sees the same however the network cuts the stream", function()
      local stream = ": hello\n\n" .. said .. event '{"usage":{"total_tokens":1}}' .. done .. event "behind"
      for _, bounds in ipairs { { 0 }, { 3 }, { 3, 7 }, { 0, 3, 7, 8 }, { 100 } } do
        local whole, bytes = pipe({ stream }, { bounds = bounds, keep = true }), {}
        for i = 1, #stream do bytes[i] = stream:sub(i, i) end
        assert.same(whole, pipe(bytes, { bounds = bounds, keep = true }))
      end
    end)
  end)

  it("sees the same however the network cuts the stream", function()
    local parts = { ": hello\n\n", event(delta "Hel"), event(delta [[l\"o \\]]), "event: ping\r\ndata: {}\r\n\r\n",
      event '{"choices":[{"delta":{"role":"usage"},"finish_reason":"stop"}],"usage":null}',
      event '{"choices":[],"usage":{"total_tokens":7}}' }
    for _, ending in ipairs { done .. event "behind", event '{"error":{"message":"m"}}', "data: cut off", "" } do
      local stream = table.concat(parts) .. ending
      local whole = pipe { stream }
      local bytes = {}
      for i = 1, #stream do bytes[i] = stream:sub(i, i) end
      assert.same(whole, pipe(bytes))
      for seed = 1, 25 do
        math.randomseed(seed)
        local pieces, at = {}, 1
        while at <= #stream do
          local length = math.random(1, math.random(1, 120))
          pieces[#pieces + 1] = stream:sub(at, at + length - 1)
          at = at + length
        end
        assert.same(whole, pipe(pieces), "with the seed " .. seed)
      end
    end
  end)
end)
