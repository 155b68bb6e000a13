-- One call of a provider: read whole, event by event or piped, and ended at any moment.
local library = require "spec.support.library"
local stage = require "spec.gate.stage"

local on

local function event(text) return "data: " .. text .. "\n\n" end

local function events_of(count, text)
  local list = {}
  for i = 1, count do list[i] = event(text .. i) end
  return list
end

local function content(text) return event(('{"choices":[{"delta":{"content":"%s"}}]}'):format(text)) end

local finish = event '{"choices":[{"delta":{},"finish_reason":"stop"}]}'
local usage = event '{"choices":[],"usage":{"total_tokens":7}}'
local done = event "[DONE]"

describe("an attempt", function()
  before_each(function() on = stage.open() end)
  after_each(function() on:close() end)

  it("brings its head, and the body that came before it was asked for", function()
    local one = on:play { status = 418, fields = { { "X-Tea", "green" } }, pieces = { "one ", { 0.002, "two" } } }
    assert.equal(418, one:head())
    assert.equal("green", one:header "x-tea")
    on:run_until(function() return one:is_over() end)
    assert.equal("one two", one:body())
    assert.is_nil(one:failure())
    one:close()
  end)

  it("says how a reply broke off", function()
    local one = on:play { pieces = { "half" }, cut = true }
    assert.equal(200, one:head())
    assert.equal("half", one:body())
    assert.same({ "cut", "the script breaks off here" }, { one:failure(), one:message() })
    one:close()
  end)

  it("refuses a body past its bound", function()
    local piece = ("x"):rep(4 * 1024 * 1024)
    local one = on:play { pieces = { piece, piece, piece, piece, piece, piece, piece, piece, "x" } }
    one:head()
    one:body()
    assert.same({ "malformed", "the reply is larger than the gateway accepts" }, { one:failure(), one:message() })
    one:close()
  end)

  it("hands out events one by one, however they were cut, and the last without its blank line", function()
    local one = on:play { pieces = { "data: a\n\ndata: b", { 0.002, "\n\n: note\n\nda" }, { 0.002, "ta: c" } } }
    assert.same({ "a", "b", "c" }, one:events())
    assert.is_nil(one:failure())
    assert.is_nil(one:event(), "behind the last there is none, as often as one asks")
    one:close()
  end)

  it("hands out what came before a stream broke off, and then the failure", function()
    local one = on:play { pieces = { event "a" .. event "b" .. "data: never whole" }, cut = true }
    on:run_until(function() return one:is_over() end)
    assert.same({ "a", "b" }, one:events())
    assert.equal("cut", one:failure())
    one:close()
  end)

  it("refuses an event past its bound, also when the reply had ended well by then", function()
    local large = "data: " .. ("x"):rep(9 * 1024 * 1024) .. "\n\n"
    for _, pieces in ipairs { { event "a", large }, { event "a" .. large } } do
      local one = on:play { pieces = pieces }
      assert.equal("a", one:event().data)
      if #pieces == 1 then on:run_until(function() return one:is_over() end) end
      assert.is_nil(one:event())
      assert.same({ "malformed", "a stream event is larger than the gateway accepts" },
        { one:failure(), one:message() })
      one:close()
    end
  end)

  it("holds the provider back while nobody takes its events", function()
    local one = on:play { pieces = events_of(100, ("x"):rep(10000)) }
    one:head()
    assert.equal(1, #{ one:event().data })
    for _ = 1, 20 do on:turn() end
    assert.is_false(one:is_over())
    assert.equal(99, #one:events())
    assert.is_true(one:is_over())
    one:close()
  end)

  it("has no events once its body was asked for", function()
    local one = on:play { pieces = { event "a" } }
    assert.equal(event "a", one:body())
    assert.is_true(one:ask "event")
    assert.is_nil(one:taken())
    one:close()
  end)

  it("waits no longer than the deadline, nor for content than it may", function()
    local late = on:play { delay_s = 60, deadline_s = 0.005 }
    assert.is_nil(late:head())
    assert.equal("total_timeout", late:failure())
    late:close()
    local silent = on:play { pieces = { event "a", { 60, event "b" } }, content_s = 0.02 }
    assert.equal("a", silent:event().data)
    assert.is_nil(silent:event())
    assert.equal("first_content_timeout", silent:failure())
    silent:close()
    -- Told before the loop runs at all: a busy machine may let all of that time pass before the first event.
    local spoke = on:play { pieces = { event "a", { 0.03, event "b" } }, content_s = 0.015 }
    spoke:content()
    assert.same({ "a", "b" }, spoke:events())
    assert.is_nil(spoke:failure())
    spoke:close()
  end)

  it("tells who waits once, from the loop, and not at all when the wish was taken back", function()
    local one, other = on:play { delay_s = 0.002 }, on:play { delay_s = 0.002 }
    assert.is_false(one:ask "head")
    assert.is_false(other:ask "head")
    other:forget()
    on:run_until(function() return one:is_over() and other:is_over() and one.calls > 0 end)
    on:turn()
    assert.same({ 1, 0 }, { one.calls, other.calls })
    one:close()
    other:close()
  end)

  it("may be closed in any state", function()
    local function never(one) return one end
    local states = {
      never,
      function(one) one:ask "head" return one end,
      function(one) one:head() return one end,
      function(one) one:ask "body" on:turn() return one end,
      function(one) one:event() return one end,
      function(one) one:event() one:event() one:ask "event" on:turn() return one end,
      function(one) on:run_until(function() return one:is_over() end) return one end,
    }
    local replies = {
      { pieces = { event "a", event "b", { 60, event "c" } } },
      { pieces = { event "a", event "b" } },
      { pieces = { event "a", event "b", { 60, "c" } }, deadline_s = 0.004 },
      { pieces = events_of(60, ("x"):rep(10000)) },
    }
    for i, reply in ipairs(replies) do
      for j, state in ipairs(states) do
        for _, nearly_over in ipairs { true, false } do
          local hangs = (i == 1 or i == 4) and j == #states
          if not hangs then state(on:play(reply)):close(nearly_over) end
        end
      end
    end
    for _ = 1, 5 do on:turn() end
  end)

  it("may be closed by who was told, and by a wish that is still posted", function()
    local one = on:play { pieces = { "a" } }
    one.act = one.close
    assert.is_false(one:ask "body")
    on:run_until(function() return one.calls == 1 end)
    -- Both are told in one turn; the first closes the second, whose call is on its way by then.
    local first, second = on:play { pieces = { "a" } }, on:play { pieces = { "a" } }
    first.act = function()
      second:close()
      first:close()
    end
    second.act = first.act
    assert.is_false(first:ask "body")
    assert.is_false(second:ask "body")
    on:run_until(function() return first.calls + second.calls == 1 end)
    on:turn()
    assert.equal(1, first.calls + second.calls)
  end)

  it("reads its last bytes after a close that asked for it, for a while", function()
    local ended = on:play { pieces = { event "a", { 0.01, "end" } } }
    assert.is_false(ended:ask "event") -- the loop has not run, so that it can't have ended by then
    ended:close(true)
    assert.is_true(on.worker.lingering ~= nil)
    on:run_until(function() return on.worker.lingering == nil end, "the end of the reply")
    local flood = on:play { pieces = events_of(60, ("x"):rep(10000)) }
    flood:head()
    for _ = 1, 5 do on:turn() end
    assert.is_false(flood:is_over())
    flood:close(true)
    on:run_until(function() return on.worker.lingering == nil end, "the end of a reply that was held back")
    local endless = on:play { pieces = { event "a", { 3600, "end" } } }
    endless:event()
    endless:close(true)
    on:run_until(function() return on.worker.lingering == nil end, "the end of patience")
  end)

  it("is let go of with its worker while it lingers", function()
    for _ = 1, 3 do
      local one = on:play { pieces = { event "a", { 3600, "end" } } }
      one:event()
      one:close(true)
    end
  end)

  it("copies what it sends, and is cut off at once when it is closed", function()
    on:connect()
    local one = on:send("http://127.0.0.1:1/nobody", ("x"):rep(100000))
    assert.is_nil(one:head())
    assert.equal("unreachable", one:failure())
    one:close()
    local closed = on:send("http://127.0.0.1:1/nobody", "x")
    closed:ask "head"
    closed:close()
    on:send("not a url", "x"):close(true)
    on:turn()
  end)
end)

describe("a piped attempt", function()
  local caller

  before_each(function()
    on = stage.open()
    caller = on:call()
    caller:begin()
  end)
  after_each(function()
    caller:leave()
    on:close()
  end)

  local function received()
    on:turn()
    caller:read()
    return (caller:body())
  end

  it("hands on what comes, and keeps what settling needs", function()
    local one = on:play { pieces = { content "Hel", content "lo", finish, usage, done, "behind the end" } }
    assert.equal('{"choices":[{"delta":{"content":"Hel"}}]}', one:event().data)
    one:pipe(caller)
    local seen = one:piped()
    assert.same({ true, true, false, 2, done }, { seen.terminal, seen.finished, seen.failed, seen.text_bytes,
      seen.terminal_raw })
    assert.equal('{"choices":[],"usage":{"total_tokens":7}}', seen.usage)
    assert.equal(content "lo" .. finish, received())
    one:close(true)
  end)

  it("reads lines, where the stream is one of lines", function()
    local line, last = '{"message":{"content":"a"},"done":false}\n', '{"done":true,"eval_count":1}\n'
    local one = on:play { pieces = { line, line:sub(1, 9), line:sub(10) .. last, line }, lines = true }
    assert.same({ name = "", data = (line:gsub("\n", "")), raw = line }, one:event())
    one:pipe(caller, { last = '"done"', usage = '"done"', text = { '"content"' } })
    local seen = one:piped()
    assert.same({ true, last, (last:gsub("\n", "")), 1 }, { seen.terminal, seen.terminal_raw, seen.usage,
      seen.text_bytes })
    assert.equal(line, received())
    one:close(true)
  end)

  it("ends with the reply, where no terminal event comes", function()
    local one = on:play { pieces = { content "a", (finish:gsub("\n\n$", "")) } }
    one:pipe(caller)
    local seen = one:piped()
    assert.same({ false, true }, { seen.terminal, seen.finished })
    assert.is_true(one:is_over())
    assert.is_nil(one:failure())
    one:close()
  end)

  it("keeps what it saw when the provider breaks off, and when the time is up", function()
    local cut = on:play { pieces = { content "abc" }, cut = true }
    cut:pipe(caller)
    assert.same({ 3, "cut" }, { cut:piped().text_bytes, cut:failure() })
    cut:close()
    local late = on:play { pieces = { content "abc", { 60, done } }, deadline_s = 0.01 }
    late:pipe(caller)
    assert.same({ 3, "total_timeout" }, { late:piped().text_bytes, late:failure() })
    late:close()
  end)

  it("holds the provider back while its caller does not read, and goes on when it does", function()
    local pieces = {}
    for i = 1, 400 do pieces[i] = content(("x"):rep(10000)) end
    pieces[401] = done
    local one = on:play { pieces = pieces }
    one:pipe(caller)
    assert.is_false(one:ask "pipe")
    for _ = 1, 20 do on:turn() end
    local events = one:seen().events
    assert.is_true(events < 300, "nothing holds it back")
    on:run_until(function()
      caller:read()
      return one.calls > 0
    end, "the end of the stream")
    assert.same({ 400, true }, { one:seen().events, one:seen().terminal })
    one:unpipe()
    one:close(true)
  end)

  it("stops at its bound, with its exchange let go, and goes on from there", function()
    local one = on:play { pieces = { content "abc", content "de" .. content "f", finish .. usage, done } }
    one:pipe(caller, nil, 4)
    local seen = one:piped()
    assert.same({ true, false, 3, 2 }, { seen.spent, seen.terminal, seen.text_bytes, seen.held_bytes })
    assert.equal(content "abc", received())
    one:pipe_on(caller, 5)
    assert.same({ true, 5 }, (function(of) return { of.spent, of.text_bytes } end)(one:piped()))
    one:pipe_on(caller, 6)
    seen = one:piped()
    assert.same({ false, true, true, 6, done }, { seen.spent, seen.finished, seen.terminal, seen.text_bytes,
      seen.terminal_raw })
    assert.equal(content "abc" .. content "de" .. content "f" .. finish, received())
    one:close(true)
  end)

  it("keeps what is behind its bound although the provider has ended, or the time is up, and reads it when asked",
    function()
      local last = (finish:gsub("\n\n$", ""))
      local ended = on:play { pieces = { content "abc" .. content "d", content "e" .. last } }
      ended:pipe(caller, nil, 3)
      assert.is_true(ended:piped().spent)
      on:run_until(function() return ended:is_over() end, "the end of the reply")
      ended:pipe_on(caller, 100)
      local seen = ended:piped()
      assert.same({ false, true, 5 }, { seen.spent, seen.finished, seen.text_bytes })
      assert.is_nil(ended:failure())
      ended:close()
      local late = on:play { pieces = { content "abc" .. content "d", { 60, done } }, deadline_s = 0.05 }
      late:pipe(caller, nil, 3)
      assert.is_true(late:piped().spent)
      on:run_until(function() return late:is_over() end, "the deadline")
      late:pipe_on(caller, 100)
      assert.same({ 4, "total_timeout" }, { late:piped().text_bytes, late:failure() })
      late:close()
    end)

  it("asks the provider to wait while it is stopped at its bound", function()
    local pieces = { content "abc" }
    for i = 2, 400 do pieces[i] = content(("x"):rep(10000)) end
    pieces[401] = done
    local one = on:play { pieces = pieces }
    one:pipe(caller, nil, 3)
    assert.is_true(one:piped().spent)
    for _ = 1, 20 do on:turn() end
    assert.is_false(one:is_over())
    one:pipe_on(caller, 1e9)
    assert.is_false(one:ask "pipe")
    on:run_until(function()
      caller:read()
      return one.calls > 1
    end, "the end of the stream")
    assert.same({ 3 + 399 * 10000, true }, { one:seen().text_bytes, one:seen().terminal })
    one:unpipe()
    one:close(true)
  end)

  it("lets its exchange go while it waits for it, and may be closed before the caller leaves or after", function()
    for _, ending in ipairs { "soon", "at once", "behind the caller" } do
      local slow = on:call()
      slow:begin()
      local pieces = {}
      for i = 1, 100 do pieces[i] = content(("x"):rep(10000)) end
      local one = on:play { pieces = pieces }
      one:pipe(slow)
      assert.is_false(one:ask "pipe")
      for _ = 1, 5 do on:turn() end
      assert.is_false(one:is_over())
      -- As the binding does when the task is cancelled: first the wish and the exchange, then the attempt.
      one:forget()
      one:unpipe()
      if ending ~= "behind the caller" then one:close(ending == "soon") end
      slow:leave()
      on:turn()
      if ending == "behind the caller" then one:close() end
    end
    library.stage_cancel_all(on.worker, "shutdown")
    on:run_until(function() return tonumber(on.worker.exchange_count) == 0 end, "the end of all")
  end)
end)

describe("a waiting task", function()
  it("keeps what it waits for from the collector", function()
    on = stage.open()
    local caller = on:call()
    for _ = 1, 3 do on:collect() end
    library.stage_cancel_all(on.worker, "shutdown")
    on:run_until(function() return tonumber(on.worker.exchange_count) == 0 end, "the end of the task")
    caller:leave()
    on:close()
  end)
end)
