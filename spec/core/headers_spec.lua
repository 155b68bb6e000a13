-- Names and values of headers, which are looked at by whole words, against patterns that look at each byte.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
bool headers_is_token(const char *name, size_t length);
bool headers_is_clean(const char *value, size_t length);
]]

local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$"

-- Texts of every length up to 40 with each byte at each place, among letters.
local function each_text(on_text)
  for length = 1, 40 do
    local text = string.rep("aZ-q", 10):sub(1, length)
    for place = 1, length do
      for byte = 0, 255 do on_text(text:sub(1, place - 1) .. string.char(byte) .. text:sub(place + 1)) end
    end
  end
end

describe("headers", function()
  it("tells what can be a name, wherever a byte stands that cannot be in one", function()
    assert.is_false(library.headers_is_token("", 0))
    each_text(function(text)
      local expected = not text:find("[\128-\255%z]") and text:find(TOKEN) ~= nil
      if library.headers_is_token(text, #text) ~= expected then error(("%q"):format(text)) end
    end)
  end)

  it("tells what can be a value, wherever a control character stands", function()
    assert.is_true(library.headers_is_clean("", 0))
    each_text(function(text)
      local expected = not text:find("[%z\1-\8\10-\31\127]")
      if library.headers_is_clean(text, #text) ~= expected then error(("%q"):format(text)) end
    end)
  end)
end)
