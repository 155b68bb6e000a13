-- Server-sent events, cut out of a byte stream however the network cut it.
local ffi = require "ffi"
local library = require "spec.support.library"

jit.off() -- C calls back into Lua

if not pcall(ffi.typeof, "struct sse_spec_event") then
  ffi.cdef [[
    struct sse_spec_event {
      const char *raw; size_t raw_length; const char *name; size_t name_length; const char *data; size_t data_length;
    };
    typedef bool (*sse_spec_hook)(void *arg, const struct sse_spec_event *event);
    void *sse_new(size_t max_bytes);
    void sse_free(void *sse);
    void sse_lines(void *sse);
    void sse_rest(void *sse);
    bool sse_spec_push(void *sse, const char *data, size_t length, sse_spec_hook on_event, void *arg)
      __asm__("sse_push");
    bool sse_spec_finish(void *sse, sse_spec_hook on_event, void *arg) __asm__("sse_finish");
  ]]
end

local events, takes, sse
local hook = ffi.cast("sse_spec_hook", function(_, event)
  events[#events + 1] = {
    raw = ffi.string(event.raw, event.raw_length),
    name = ffi.string(event.name, event.name_length),
    data = event.data ~= nil and ffi.string(event.data, event.data_length) or nil,
  }
  takes = takes - 1
  return takes > 0
end)

local function open(max_bytes, lines)
  if sse then library.sse_free(sse) end
  sse, events, takes = library.sse_new(max_bytes or 1e9), {}, math.huge
  if lines then library.sse_lines(sse) end
end

local function push(text) return library.sse_spec_push(sse, text, #text, hook, nil) end
local function finish() return library.sse_spec_finish(sse, hook, nil) end

-- All events of pieces of a stream. rests: memory is given back after each.
local function read(pieces, lines, rests)
  open(nil, lines)
  for _, piece in ipairs(pieces) do
    assert.is_true(push(piece))
    if rests then library.sse_rest(sse) end
  end
  assert.is_true(finish())
  return events
end

local function pick(list, field)
  local picked = {}
  for i, event in ipairs(list) do picked[i] = event[field] or false end
  return picked
end

local bom = "\239\187\191"

-- Gives the same events of text in one piece, in every two, byte by byte, and in pieces of random(9); with and without
-- rests between them.
local function agree(text, random, lines)
  local whole = read({ text }, lines)
  assert.equal(text, table.concat(pick(whole, "raw")))
  for i = 0, #text do assert.same(whole, read({ text:sub(1, i), text:sub(i + 1) }, lines, i % 2 == 0)) end
  local bytes, some, at = {}, {}, 1
  for byte in text:gmatch(".") do bytes[#bytes + 1] = byte end
  for _, rests in ipairs { false, true } do assert.same(whole, read(bytes, lines, rests)) end
  while at <= #text do
    local length = random(9)
    some[#some + 1] = text:sub(at, at + length - 1)
    at = at + length
  end
  for _, rests in ipairs { false, true } do assert.same(whole, read(some, lines, rests)) end
end

local function dice(seed)
  return function(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
end

describe("the event reader", function()

  it("reads name and data", function()
    local text = "event: delta\ndata: {}\n\n"
    assert.same({ { raw = text, name = "delta", data = "{}" } }, read { text })
  end)

  it("takes one blank after the colon away, and no more", function()
    local text = "data:a\n\ndata: a\n\ndata:  a\n\ndata: a:b\n\ndata\n\n"
    assert.same({ "a", "a", " a", "a:b", "" }, pick(read { text }, "data"))
  end)

  it("joins data lines by LF", function()
    assert.same({ "a\nb", "\n", "\n\na", "a\n" },
      pick(read { "data: a\ndata: b\n\ndata\ndata\n\ndata:\ndata:\ndata:a\n\ndata: a\ndata:\n\n" }, "data"))
  end)

  it("keeps other fields and comments in the raw bytes alone", function()
    local text = "id: 7\nretry: 5\n: note\ndatum: x\ndata : y\nData: z\ndata: a\n\n"
    assert.same({ { raw = text, name = "", data = "a" } }, read { text })
  end)

  it("hands comments and blank lines out as events without data", function()
    assert.same({
      { raw = ": ping\n\n", name = "" }, { raw = "\n", name = "" }, { raw = "data:\n\n", name = "", data = "" },
    }, read { ": ping\n\n\ndata:\n\n" })
  end)

  it("ends lines at LF, CR LF and CR", function()
    local text = "data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\rdata: e\r\n\r"
    assert.same({ "a\nb\nc", "d", "e" }, pick(read { text }, "data"))
    assert.same({ "data: a\r\ndata: b\rdata: c\n\r\n", "data: d\r\r", "data: e\r\n\r" }, pick(events, "raw"))
  end)

  it("hands an event out as soon as its blank line is there", function()
    open()
    push "data: a\r\n\r"
    assert.same({}, events)
    push "\n"
    assert.same({ "data: a\r\n\r\n" }, pick(events, "raw"))
    push "data: b\n\ndata: c"
    assert.same({ "a", "b" }, pick(events, "data"))
  end)

  it("passes a byte order mark over, and keeps it in the raw bytes", function()
    assert.same({ { raw = bom .. "data: a\n\n", name = "", data = "a" } }, read { bom .. "data: a\n\n" })
    assert.same({ bom .. "\n", "data: a\n\n" }, pick(read { bom .. "\ndata: a\n\n" }, "raw"))
    assert.same({ false, "b" }, pick(read { "\239\187data: a\n\ndata: b\n\n" }, "data"))
    assert.same({ "b", false }, pick(read { "data: b\n\n" .. bom .. "data: c\n\n" }, "data"))
  end)

  it("counts a last event without its blank line", function()
    assert.same({ "a", "[DONE]" }, pick(read { "data: a\n\ndata: [DONE]" }, "data"))
    assert.same({ "a" }, pick(read { "data: a\n" }, "data"))
    assert.same({ "a" }, pick(read { "data: a\n\n" }, "data"))
    assert.same({ "\239\187" }, pick(read { "\239\187" }, "raw"))
    assert.same({}, read { "" })
  end)

  it("stops when it is told to, and brings the rest with the next push", function()
    open()
    takes = 2
    assert.is_true(push "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\ndata: 5")
    assert.same({ "1", "2" }, pick(events, "data"))
    takes = 1
    assert.is_true(push "")
    assert.same({ "1", "2", "3" }, pick(events, "data"))
    takes = 1
    assert.is_true(finish())
    takes = math.huge
    assert.is_true(finish())
    assert.same({ "1", "2", "3", "4", "5" }, pick(events, "data"))
  end)

  it("leaves an event where it came, until the next call", function()
    local places, text = {}, "data: 1\n\ndata: 2\n\ndata: 3"
    local note = ffi.cast("sse_spec_hook", function(_, event)
      places[#places + 1] = event.raw
      return true
    end)
    open()
    local bytes = ffi.cast("const char *", text)
    assert.is_true(library.sse_spec_push(sse, bytes, #text, note, nil))
    assert.same({ 0, 9 }, { tonumber(places[1] - bytes), tonumber(places[2] - bytes) })
    assert.is_true(library.sse_spec_finish(sse, note, nil))
    assert.equal("data: 3", ffi.string(places[3], 7))
    note:free()
  end)

  it("bounds an event, whole or not", function()
    open(12)
    assert.is_true(push "data: 4567\n\ndata: 4567\n\n")
    assert.is_false(push "data: 45678\n\ndata: a\n\n")
    assert.equal(2, #events)
    assert.is_false(push "data: a\n\n")
    assert.is_false(finish())
    open(12)
    assert.is_true(push "data: 456789")
    assert.is_false(push "0")
    assert.equal(0, #events)
  end)

  it("gives the same events however the bytes are cut", function()
    local random = dice(20240229)
    local parts = {
      "data: a", "data:b", "event: x", ": c", "data", "id", "\n", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", bom, "\239",
    }
    for _ = 1, 300 do
      local text = random(4) == 1 and bom or ""
      for _ = 1, random(14) do text = text .. parts[random(#parts)] end
      agree(text, random)
    end
  end)

  it("reads events of several megabytes, also byte by byte, in linear time", function()
    open()
    assert.is_true(push(("\r"):rep(4 * 1024 * 1024)))
    open()
    local text = "data: " .. ("x"):rep(4 * 1024 * 1024) .. "\n\n"
    local bytes = ffi.cast("const char *", text)
    for i = 0, #text - 1 do library.sse_spec_push(sse, bytes + i, 1, hook, nil) end
    assert.equal(1, #events)
    assert.equal(text, events[1].raw)
  end)
end)

describe("the event reader of lines", function()
  teardown(function()
    library.sse_free(sse)
    hook:free()
  end)

  it("makes each line an event, its end a part of the raw bytes alone", function()
    assert.same({
      { raw = '{"a":1}\n', name = "", data = '{"a":1}' }, { raw = '{"b":2}\r\n', name = "", data = '{"b":2}' },
    }, read({ '{"a":1}\n{"b":2}\r\n' }, true))
  end)

  it("knows no fields and no comments", function()
    assert.same({ "data: a", "event: b", ": c" }, pick(read({ "data: a\nevent: b\n: c\n" }, true), "data"))
  end)

  it("ends no line at a CR alone", function()
    assert.same({ "a\rb", "c\r" }, pick(read({ "a\rb\r\nc\r\r\n" }, true), "data"))
  end)

  it("hands empty lines out as events without data", function()
    assert.same({ { raw = "\n", name = "" }, { raw = "\r\n", name = "" }, { raw = "a\n", name = "", data = "a" } },
      read({ "\n\r\na\n" }, true))
  end)

  it("hands a line out as soon as its end is there, and counts a last one without", function()
    open(nil, true)
    push "{}"
    assert.same({}, events)
    push "\n{"
    assert.same({ "{}" }, pick(events, "data"))
    push "]"
    finish()
    assert.same({ "{}", "{]" }, pick(events, "data"))
    assert.same({ "a" }, pick(read({ "a\r" }, true), "data"))
  end)

  it("stops when it is told to, and brings the rest with the next push", function()
    open(nil, true)
    takes = 1
    assert.is_true(push "1\n2\n3")
    assert.same({ "1" }, pick(events, "data"))
    takes = math.huge
    assert.is_true(finish())
    assert.same({ "1", "2", "3" }, pick(events, "data"))
  end)

  it("passes a byte order mark over, and keeps it in the raw bytes", function()
    assert.same({ { raw = bom .. "{}\n", name = "", data = "{}" } }, read({ bom .. "{}\n" }, true))
  end)

  it("bounds a line, whole or not", function()
    open(8, true)
    assert.is_true(push "1234567\n")
    assert.is_false(push "12345678\n")
    assert.equal(1, #events)
    open(8, true)
    assert.is_true(push "12345678")
    assert.is_false(push "9")
  end)

  it("gives the same events however the bytes are cut", function()
    local random = dice(20241103)
    local parts = { '{"a":1}', "data: b", "\n", "\n", "\r", "\r\n", "\n\n", bom, "\239" }
    for _ = 1, 200 do
      local text = random(4) == 1 and bom or ""
      for _ = 1, random(12) do text = text .. parts[random(#parts)] end
      agree(text, random, true)
    end
  end)
end)
