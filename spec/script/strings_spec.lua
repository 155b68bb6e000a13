-- The string functions that can be stopped mean the same as Lua's own.
local lua = require("spec.support.core").string
require "moongate.core.guard"

local function outcome(fn, ...)
  local results = { pcall(fn, ...) }
  if not results[1] then results = { false, (tostring(results[2]):gsub("^.*bad argument", "bad argument")) } end
  return results
end

local function all_matches(gmatch, subject, pattern)
  local found = {}
  for a, b in gmatch(subject, pattern) do
    found[#found + 1] = { a, b }
    if #found > 100 then break end
  end
  return found
end

describe("string functions", function()
  it("are not Lua's own", function()
    for _, name in ipairs { "find", "match", "gmatch", "gsub", "format" } do
      assert.not_equal(lua[name], string[name])
      assert.equal(string[name], (""):len() == 0 and ("x")[name])
    end
  end)

  local cases = {
    { "hello world", "o" }, { "hello world", "o", 6 }, { "hello", "", 10 }, { "hello", "", -2 }, { "hello", "l+" },
    { "hello", "(l)(l)" }, { "hello", "()ll()" }, { "hello.", ".", 1, true }, { "hello", "^h" }, { "hello", "^e" },
    { "hello", "o$" }, { "a$b", "$b" }, { "key = value", "^(%w+)%s*=%s*(%w+)$" }, { "  trim  ", "^%s*(.-)%s*$" },
    { "THE (quick) fox", "%((%a+)%)" }, { "f(a(b)c)d", "%b()" }, { "THE (quick) fox", "%f[%a]%a+" }, { "x^y", "x^y" },
    { "a,b,,c", "([^,]*)" }, { "abcabc", "(abc)%1" }, { "[]]", "[]]+" }, { "a-z", "[a%-z]+" }, { "a-z", "[a-]+" },
    { "\0a\0", "%z" }, { "\0a\0", "[%z]a" }, { "été", "[\128-\255]+" }, { "0x1F", "^0x(%x+)$" }, { "AbC", "%u%l%u" },
    { "a.b", "%." }, { "a%b", "%%" }, { "", ".*" }, { "", "^$" }, { "aaa", "a-" }, { "aaa", "a-$" },
    { "aaa", "a?a?a?a?" },
    { "abc", "(((b)))" }, { "abc", "%" }, { "abc", "[a" }, { "abc", "[%" }, { "abc", "(a" }, { "abc", "a)" },
    { "abc", "%1" }, { "abc", "(a)%2" }, { "abc", "%b" }, { "abc", "%f" }, { "abc", ("(a?)"):rep(33) },
    { ("a"):rep(300), ("a?"):rep(250) }, { "a\nb", "%c" }, { "a b", "%S+" }, { "[x]", "[[x]+" }, { "^", "[%^]" },
    { "^", "[^%^]" }, { "ab12", "%w*%d" }, { 12345, 3 }, { "x" }, { {}, "x" },
  }

  for _, case in ipairs(cases) do
    it(("agree with Lua on %s and %s"):format(tostring(case[1]):sub(1, 20), tostring(case[2]):sub(1, 30)), function()
      for _, name in ipairs { "find", "match" } do
        assert.same(outcome(lua[name], unpack(case, 1, 4)), outcome(string[name], unpack(case, 1, 4)))
      end
      local subject, pattern = case[1], case[2]
      assert.same(outcome(all_matches, lua.gmatch, subject, pattern),
        outcome(all_matches, string.gmatch, subject, pattern))
      local function some(a) return a == "l" and 1 end
      for _, replacement in ipairs { "<%0>", "%1%%", "", { a = "A", abc = false }, some } do
        assert.same(outcome(lua.gsub, subject, pattern, replacement),
          outcome(string.gsub, subject, pattern, replacement))
      end
    end)
  end

  it("agree with Lua on gsub's limits and replacements", function()
    for _, case in ipairs {
      { "aaa", "a", "b", 2 }, { "aaa", "a", "b", 0 }, { "aaa", "a", "b", -1 }, { "abc", "%w*", "x" },
      { "abc", "", "-" },
      { "abc", "^a", "x" }, { "aaa", "^a", "x" }, { "abc", "b", "%2" }, { "abc", "b", {} }, { "abc", "b", 5 },
      { "abc", "b", function() return {} end }, { "abc", "b", function() return nil end }, { "abc", "b", true },
      { "abc", "(b)()", "%2%1" }, { "abc", "b", "a%zc" },
    } do
      assert.same(outcome(lua.gsub, unpack(case, 1, 4)), outcome(string.gsub, unpack(case, 1, 4)))
    end
  end)

  it("agree with Lua on whatever patterns and subjects", function()
    local seed = 3
    local function random(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
    local parts = { "a", "b", ".", "%a", "%d", "[ab]", "[^a]", "*", "+", "-", "?", "(", ")", "()", "^", "$", "%1",
      "%b()", "%f[a]", "%", "[", "]", "%s", "%w-" }
    local letters = { "a", "b", "(", ")", "1", " ", "ab", "\0" }
    for _ = 1, 20000 do
      local pattern, subject = {}, {}
      for i = 1, random(7) do pattern[i] = parts[random(#parts)] end
      for i = 1, random(9) do subject[i] = letters[random(#letters)] end
      pattern, subject = table.concat(pattern), table.concat(subject)
      local wanted, got = outcome(lua.find, subject, pattern), outcome(string.find, subject, pattern)
      local same = wanted[1] == got[1]
      for i = 2, wanted[1] and 4 or 1 do same = same and wanted[i] == got[i] end
      if not same then assert.same(wanted, got, ("%q and %q"):format(subject, pattern)) end
      if wanted[1] then
        wanted = outcome(lua.gsub, subject, pattern, "<%0>")
        got = outcome(string.gsub, subject, pattern, "<%0>")
        if wanted[2] ~= got[2] or wanted[3] ~= got[3] then assert.same(wanted, got, pattern) end
      end
    end
  end)

  it("format and sort and insert as Lua does", function()
    assert.equal("x 1 1.50 \"q\" ok", ("%s %d %.2f %q %s"):format("x", 1, 1.5, "q",
      setmetatable({}, { __tostring = function() return "ok" end })))
    local t = { 3, 1, 2 }
    table.sort(t)
    assert.same({ 1, 2, 3 }, t)
    table.sort(t, function(a, b) return a > b end)
    assert.same({ 3, 2, 1 }, t)
    table.insert(t, 0)
    table.insert(t, 1, 4)
    table.insert(t, 6, -1)
    assert.same({ 4, 3, 2, 1, 0, -1 }, t)
    assert.error_matches(function() table.insert(t, 8, 1) end, "out of bounds")
    assert.error_matches(function() table.sort({ 1, "x" }) end, "attempt to compare")
  end)
end)
