-- What is read of a provider's reply: the cases of reply_cases.lua, each whole, byte by byte and in the pieces that a
-- socket gives, which must fare the same.
local ffi = require "ffi"
local cases = require "spec.net.reply_cases"
local library = require "spec.support.library"

jit.off() -- C calls back into Lua

if not pcall(ffi.typeof, "struct reply_hooks_here") then
  ffi.cdef [[
    struct reply_field { const char *name; const char *value; };
    struct reply_headers { struct reply_field *fields; size_t count, capacity; void *texts; };
    struct reply_hooks_here {
      bool (*on_head)(void *arg, int status, struct reply_headers *headers);
      bool (*on_body)(void *arg, const char *data, size_t length);
    };
    void *reply_new(const struct reply_hooks_here *hooks, void *arg, bool is_head) __asm__("reply_reader_new");
    void reply_free(void *reader) __asm__("reply_reader_free");
    int reply_read(void *reader, const char *data, size_t length, size_t *used) __asm__("reply_reader_read");
    int reply_end(void *reader) __asm__("reply_reader_end");
    bool reply_keeps(const void *reader) __asm__("reply_reader_keeps");
    const char *reply_fault(const void *reader) __asm__("reply_reader_fault");
  ]]
end

local MORE, WHOLE, STOPPED, BROKEN = 0, 1, 2, 3
local seen
local hooks = ffi.new("struct reply_hooks_here", {
  on_head = function(_, status, headers)
    seen.heads = seen.heads + 1
    seen.status = status
    for i = 0, tonumber(headers.count) - 1 do
      seen.fields[ffi.string(headers.fields[i].name):lower()] = ffi.string(headers.fields[i].value)
    end
    return seen.stop ~= "head"
  end,
  on_body = function(_, data, length)
    seen.pieces[#seen.pieces + 1] = ffi.string(data, length)
    return seen.stop ~= "body"
  end,
})

-- Reads the bytes in pieces of that size; what came, how it ended, and what was not used.
local function read(bytes, size, is_head, ends, stop)
  seen = { heads = 0, fields = {}, pieces = {}, stop = stop }
  local reader = library.reply_new(hooks, nil, is_head or false)
  local used, at, outcome = ffi.new("size_t[1]"), 0, MORE
  while at < #bytes and outcome == MORE do
    local piece = bytes:sub(at + 1, at + size)
    outcome = library.reply_read(reader, piece, #piece, used)
    at = at + tonumber(used[0])
  end
  if outcome == MORE and ends then outcome = library.reply_end(reader) end
  local fault = library.reply_fault(reader)
  seen.outcome, seen.rest, seen.body = outcome, bytes:sub(at + 1), table.concat(seen.pieces)
  seen.keeps, seen.fault = library.reply_keeps(reader), fault ~= nil and ffi.string(fault) or nil
  library.reply_free(reader)
  return seen
end

-- A fault begins with what is expected: the parser may say more.
local function check(case, one)
  if case.fault then
    assert.equal(BROKEN, one.outcome)
    assert.equal(case.fault, one.fault:sub(1, #case.fault))
  elseif case.cut then
    assert.equal(BROKEN, one.outcome)
    assert.is_nil(one.fault)
  else
    assert.same({ WHOLE, 1, case.status, case.body, case.keeps or false, case.rest or "" },
      { one.outcome, one.heads, one.status, one.body, one.keeps, one.rest })
    for name, value in pairs(case.fields or {}) do assert.equal(value, one.fields[name]) end
  end
end

describe("reading a reply", function()
  for _, case in ipairs(cases) do
    local title, bytes = case[1], case[2]
    local does = case.fault and "refuses " or case.cut and "takes for a cut " or "reads "
    it(does .. title, function()
      for _, size in ipairs { math.max(1, #bytes), 1, 7, 16384 } do
        check(case, read(bytes, size, case.head, case.ends))
      end
    end)
  end

  it("takes a refused end for nothing but a refusal, whatever came before", function()
    local one = read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz", 1000)
    assert.same({ BROKEN, 200, "abc" }, { one.outcome, one.status, one.body })
  end)

  it("does not count framing that comes apart from what it frames", function()
    local pieces = { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" }
    for _ = 1, 100000 do pieces[#pieces + 1] = "1\r\na\r\n" end
    pieces[#pieces + 1] = "0\r\n\r\n"
    local one = read(table.concat(pieces), 3)
    assert.same({ WHOLE, 100000 }, { one.outcome, #one.body })
  end)

  it("stops where a hook says so", function()
    local bytes = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"
    for _, stop in ipairs { "head", "body" } do
      local one = read(bytes, 1000, false, false, stop)
      assert.equal(STOPPED, one.outcome)
      assert.equal(stop == "head" and "" or "abcdef", one.body)
    end
  end)
end)
