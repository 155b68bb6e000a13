-- The search for phrases against the one without C, in texts made of pieces.
require "spec.support.core"
local words = require "moongate.core.words"
local plain = require "moongate.testing.words"

local kinds = { { "ab", "a", "b c", "übersetze" }, { "tl dr", "code9", "x", "\1y" }, { "in french", "zz top", "9" } }
local pieces = {
  "ab", "AB", "a", "b", "c", "B  C", "code9", "Code9", "tl", "TL", "dr", "über", "setze", "übersetze", "in", "french",
  "zz", "top", "9", "\1y", "\0", "\8", "\14", "\31", "\127", "\200", "hello", "another", " ", "\n", "\t", "\11", "\13",
  ".", "-", "/", ":", "@", "[", "`", "{", "~",
}

describe("words", function()
  it("finds the phrases that are found without C, wherever in a text they stand", function()
    local find, find_plainly, seed, found = words.finder(kinds), plain.finder(kinds), 5, 0
    local function next_number(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
    for _ = 1, 30000 do
      local list = {}
      for i = 1, next_number(15) - 1 do list[i] = pieces[next_number(#pieces)] end
      local text = table.concat(list)
      local kind = find(text)
      if kind ~= find_plainly(text) then error(("%q"):format(text)) end
      found = found + (kind and 1 or 0)
    end
    assert.is_true(found > 1000 and found < 29000, found)
  end)
end)
