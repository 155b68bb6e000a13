local near = require "moongate.near"

describe("near.find", function()
  it("finds a name with a letter missing, added, changed or swapped", function()
    for _, typo in ipairs { "base_ur", "base_urll", "base_uri", "base_rul" } do
      assert.same({ "base_url" }, near.find(typo, { "api_key", "base_url", "pool" }))
    end
  end)

  it("finds a name of which the other is a part, the nearest first", function()
    assert.same({ "llama-3.1-8b", "llama-3.3-70b" }, near.find("llama", { "gpt-4o", "llama-3.3-70b", "llama-3.1-8b" }))
  end)

  it("measures like the plain definition does", function()
    -- The distance by recursion, for short words.
    local function edits(a, b)
      if a == "" or b == "" then return #a + #b end
      local same = string.sub(a, 1, 1) == string.sub(b, 1, 1)
      local best = math.min(edits(string.sub(a, 2), b) + 1, edits(a, string.sub(b, 2)) + 1,
        edits(string.sub(a, 2), string.sub(b, 2)) + (same and 0 or 1))
      if #a > 1 and #b > 1 and string.sub(a, 1, 1) == string.sub(b, 2, 2)
        and string.sub(a, 2, 2) == string.sub(b, 1, 1) then
        best = math.min(best, edits(string.sub(a, 3), string.sub(b, 3)) + 1)
      end
      return best
    end
    local random = require("spec.support.routing").random(21)
    local function word(length)
      local letters = {}
      for i = 1, length do letters[i] = string.char(97 + math.floor(random() * 3)) end
      return table.concat(letters)
    end
    for _ = 1, 80 do
      local a, b = word(6), word(4 + math.floor(random() * 4))
      local is_part = string.find(a, b, 1, true) or string.find(b, a, 1, true)
      if a ~= b and not is_part then assert.equal(edits(a, b) <= 2 and 1 or 0, #near.find(a, { b }), a .. " " .. b) end
    end
  end)

  it("pays no heed to case", function()
    assert.same({ "GPT-4o" }, near.find("gpt-4O", { "GPT-4o", "other" }))
  end)

  it("finds nothing where nothing is near", function()
    assert.same({}, near.find("zebra", { "base_url", "pool" }))
    assert.same({}, near.find("", { "pool" }))
    assert.same({}, near.find(nil, { "pool" }))
  end)

  it("spends no time on a name of a megabyte", function()
    assert.same({}, near.find(string.rep("a", 2 ^ 20), { "aaaa" }))
  end)

  it("answers as many as it is told", function()
    assert.equal(2, #near.find("model", { "model1", "model2", "model3" }, 2))
  end)
end)

describe("near.missing", function()
  it("says what there is where nothing is near", function()
    assert.equal('a pool has no "dpeth" (did you mean "depth"?)', near.missing("a pool", "dpeth", { "depth", "name" }))
    assert.equal('a pool has no "water"; it has depth, name', near.missing("a pool", "water", { "name", "depth" }))
    assert.equal('a pool has no "7"; it has name', near.missing("a pool", 7, { "name" }))
    assert.equal(104, #near.missing("a pool", string.rep("x", 2 ^ 20), { string.rep("y", 15) }))
  end)
end)

describe("near.hint", function()
  it("asks in brackets, or says nothing", function()
    assert.equal(' (did you mean "pool"?)', near.hint("pol", { "pool" }))
    assert.equal(' (did you mean "gpt-4" or "gpt-4o"?)', near.hint("gpt-4x", { "gpt-4o", "gpt-4" }, 2))
    assert.equal("", near.hint("x", { "pool" }))
  end)
end)
