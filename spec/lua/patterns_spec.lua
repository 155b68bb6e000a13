local patterns = require "moongate.patterns"

describe("patterns.permit", function()
  it("permits what a pattern fits", function()
    for _, case in ipairs {
      { "*", "anything" }, { "gpt-4o", "gpt-4o" }, { "llama-*", "llama-3.3-70b" }, { "*:free", "x/y:free" },
      { "*a*b*", "xxaxxbxx" }, { "a*a", "aa" }, { "a**b", "ab" }, { "a.b", "a.b" }, { "", "" },
    } do
      assert.is_true(patterns.permit({ case[1] }, case[2]), case[1] .. " and " .. case[2])
    end
  end)

  it("permits nothing else", function()
    for _, case in ipairs {
      { "gpt-4o", "gpt-4o-mini" }, { "llama-*", "xllama-3" }, { "*:free", "x:freed" }, { "*a*b*", "xbxa" },
      { "a*a", "a" }, { "a.b", "axb" }, { "ab*bc", "abc" }, { "%a", "x" }, { "*ab*ab", "xab" },
    } do
      assert.is_false(patterns.permit({ case[1] }, case[2]), case[1] .. " and " .. case[2])
    end
  end)

  it("needs one of several, permits all without a list and nothing with an empty one", function()
    assert.is_true(patterns.permit({ "x", "y*" }, "yes"))
    assert.is_true(patterns.permit(nil, "yes"))
    assert.is_false(patterns.permit({}, "yes"))
  end)

  it("stays quick on a pattern full of stars", function()
    assert.is_false(patterns.permit({ string.rep("*a", 200) .. "b" }, string.rep("a", 10000)))
  end)
end)

describe("patterns.everything", function()
  it("knows when there is nothing to ask", function()
    assert.is_true(patterns.everything(nil))
    assert.is_true(patterns.everything { "a", "*" })
    assert.is_false(patterns.everything { "a*" })
  end)
end)
