-- The scanner alone, called through FFI: what is JSON, what is refused and where, and what the index says.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
struct json_node { uint32_t start, end, next, size, type : 8, escaped : 1, name : 1, folded : 1, levels : 16; };
struct json_index { struct json_node *nodes; size_t count, capacity; };
struct json_fault { size_t offset, line, column; const char *message; };
struct scan_buf { char *data; size_t length, capacity; };
bool json_scan(const char *text, size_t length, unsigned depth, struct json_index *index, struct json_fault *fault);
bool json_scan_folding(const char *text, size_t length, unsigned depth, struct json_index *index,
  struct json_fault *fault);
size_t json_open(const char *text, struct json_index *index, size_t node);
size_t json_string_bytes(const struct json_node *nodes, size_t from, size_t to);
void json_index_free(struct json_index *index);
size_t json_member(const char *text, const struct json_index *index, size_t node, const char *name, size_t length);
bool json_equals(const char *text, const struct json_index *index, size_t node, const char *value, size_t length);
void json_unescape(const char *text, const struct json_node *node, struct scan_buf *out);
void buf_free(struct scan_buf *buf);
]]

-- The text lies at the very end of its own block, so that a step too far is seen by a memory checker.
local function scan(text, depth, how)
  local bytes = ffi.new("char[?]", #text)
  ffi.copy(bytes, text, #text)
  local index = ffi.gc(ffi.new("struct json_index"), library.json_index_free)
  local fault = ffi.new("struct json_fault")
  if library[how or "json_scan"](bytes, #text, depth or 200, index, fault) then return index, bytes end
  assert.equal(0, tonumber(index.count))
  return nil, { offset = tonumber(fault.offset), line = tonumber(fault.line), column = tonumber(fault.column),
    message = ffi.string(fault.message) }
end

local good = {
  "{}", "[]", "0", "-0", "1", "-12.5", "1e5", "1E+5", "1e-5", "0.10", "123456789012345678901234567890", '""',
  "true", "false", "null", " \t\r\n[ ] \n", '{"a":1}', '{"a":{"a":{"a":[]}}}', '[1,2,3]', '["\\u0001","\\/"]',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"', '"\127"', '"é"', '"€"', '"😀"',
  '{"":0}', '{"a":1,"A":2}', '[{"a":1},{"a":1}]', "[[[[[[[[]]]]]]]]", "1e308", "-1e308", "1e-999", "0e999",
  '{"\\u0061":1,"b":2}', "[" .. ("1,"):rep(1000) .. "1]", '"\u{10ffff}"', '"\u{d7ff}\u{e000}"',
}

local bad = {
  "", " ", "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[1 2]", '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', "{1:2}",
  '{"a":1 "b":2}', '{"a" 1}', "{,}", "[}", "{]", "01", "-01", "1.", ".1", "-", "+1", "1e", "1e+", "1.e1", "0x10", "00",
  "NaN", "Infinity", "-Infinity", "tru", "True", "nul", "nulll", "truefalse", "1 2", "[] []", "{}x", '"', '"a', '"\\',
  '"\\x"', '"\\u12"', '"\\u12g4"', "'a'", '"a\nb"', '"\t"', '"\0"', "\0", "[1]\0", "\239\187\191{}", '"\255"',
  '"\192\128"', '"\237\160\128"', '"\244\144\128\128"', '"\226\130"', '"\128"', "// c\n1", "/**/1", "[1,,2]", "\"\\u\"",
  -- Ours, on top of the standard:
  '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00"', '"\\ud800\\ud800"', '"\\ud800x"', '"\\ud800\\n"',
  '"\\ud83d\\ude0"', '{"a":1,"a":2}', '{"a":1,"b":2,"a":3}', '{"a":1,"\\u0061":2}', '{"\\u00e9":1,"é":2}', "1e309",
  "-1e400", ("9"):rep(400), '[{"x":{"y":1,"y":1}}]',
}

describe("json_scan", function()
  for _, text in ipairs(good) do
    it("accepts " .. text:sub(1, 40), function() assert.truthy(scan(text)) end)
  end

  for _, text in ipairs(bad) do
    it("refuses " .. ("%q"):format(text:sub(1, 40)), function()
      local index, fault = scan(text)
      assert.is_nil(index)
      assert.truthy(fault.offset <= #text and #fault.message > 0)
    end)
  end

  it("says where the fault is, in lines and bytes", function()
    local _, fault = scan('{\n  "a": 1,\n  "b" 2\n}')
    assert.same({ 3, 7, 18 }, { fault.line, fault.column, fault.offset })
    assert.equal("expected a colon after a member's name", fault.message)
    _, fault = scan('{"ab":1,"cd":2,"ab":3}')
    assert.same({ 15, "a member of that name is already in the object" }, { fault.offset, fault.message })
  end)

  it("bounds the nesting, without a stack of its own", function()
    assert.truthy(scan(("["):rep(50) .. ("]"):rep(50), 50))
    local _, fault = scan(("["):rep(51) .. ("]"):rep(51), 50)
    assert.same({ 50, "nested too deeply" }, { fault.offset, fault.message })
    assert.truthy(scan(("["):rep(1e6) .. ("]"):rep(1e6), 2e6))
  end)

  it("finds a repeated name among very many", function()
    local members = {}
    for i = 1, 20000 do members[i] = ('"k%d":1'):format(i) end
    assert.truthy(scan("{" .. table.concat(members, ",") .. "}"))
    members[20000] = '"\\u006b1":1'
    local _, fault = scan("{" .. table.concat(members, ",") .. "}")
    assert.equal("a member of that name is already in the object", fault.message)
  end)

  it("indexes values by place and size", function()
    local text = ' {"a" : [1, "x\\n", {}], "b":null} '
    local index = assert(scan(text))
    local seen = {}
    for i = 0, tonumber(index.count) - 1 do
      local node = index.nodes[i]
      seen[#seen + 1] = { text:sub(node.start + 1, node["end"]), node.next, node.size, node.name }
    end
    assert.same({
      { text:sub(2, -2), 8, 2, 0 }, { '"a"', 2, 1, 1 }, { '[1, "x\\n", {}]', 6, 3, 0 }, { "1", 4, 0, 0 },
      { '"x\\n"', 5, 2, 0 }, { "{}", 6, 0, 0 }, { '"b"', 7, 1, 1 }, { "null", 8, 0, 0 },
    }, seen)
    assert.equal(1, index.nodes[4].escaped)
  end)

  it("knows how long each string is without its escapes", function()
    for raw, length in pairs {
      [""] = 0, ["a"] = 1, ["é"] = 2, ["\\n"] = 1, ["\\u0041"] = 1, ["\\u00e9"] = 2, ["\\u20ac"] = 3,
      ["\\ud83d\\ude00"] = 4, ["x\\\\y\\u0031é"] = 6, ["0123456\\\"89"] = 10,
    } do
      assert.equal(length, assert(scan('"' .. raw .. '"')).nodes[0].size, raw)
    end
  end)

  it("tells how many levels there are", function()
    local index = assert(scan '[1,{"a":[],"b":"x"},[[[2]]]]')
    local levels = {}
    for i = 0, tonumber(index.count) - 1 do levels[#levels + 1] = index.nodes[i].levels end
    assert.same({ 4, 0, 2, 0, 1, 0, 0, 3, 2, 1, 0 }, levels)
    index = assert(scan(("["):rep(70000) .. ("]"):rep(70000), 70000))
    assert.equal(65535, index.nodes[0].levels)
  end)

  it("takes strings of any length alike, whatever stands at their ends", function()
    local pieces = { "", "\\n", '\\"', "\\\\", "\\u00e9", "é", "\\ud83d\\ude00" }
    local lengths = { 0, 1, 0 + 1, 1, 2, 2, 4 }
    for _, fill in ipairs { "x", "é", "\\n", "\\\\" } do
      local each = fill == "x" and 1 or fill == "é" and 2 or 1
      for count = 0, 140 do
        for place, piece in ipairs(pieces) do
          local text = '"' .. fill:rep(count) .. piece .. '"'
          local node = assert(scan(text)).nodes[0]
          assert.equal(count * each + lengths[place], node.size)
          assert.equal(#text, node["end"])
          local whole = scan("[" .. text .. (" "):rep(70) .. "]")
          assert.equal(#text + 1, whole.nodes[1]["end"])
        end
        for _, wrong in ipairs { "\n", "\\x", "\\", "\255", "\\u0000", "\\\1", "\195" } do
          local _, fault = scan('"' .. fill:rep(count) .. wrong .. '"' .. (" "):rep(70))
          assert.equal(1 + count * #fill + (wrong == "\\" and #(wrong .. '"') + 70 or 0), fault.offset, wrong)
        end
      end
    end
  end)

  it("folds what is large and called properties, and opens it again", function()
    local inner = '{"a":{"type":"string","properties":{"x":[1,2,3,4,5,6,7,8,9]}},"b":"é\\n","c":[{"d":1,"e":"f"}]}'
    local text = '{"tools":[{"properties":' .. inner .. ',"z":"last"},{"properties":{"a":1}},{"properties":[1,2]}]}'
    local whole, folded, bytes = assert(scan(text)), scan(text, 200, "json_scan_folding")
    assert.truthy(tonumber(folded.count) < tonumber(whole.count) - 20)
    local function same(here, there)
      local node, other = whole.nodes[here], folded.nodes[there]
      for _, name in ipairs { "start", "end", "size", "type", "name", "levels" } do
        assert.equal(node[name], other[name], name)
      end
      assert.equal(library.json_string_bytes(whole.nodes, here, node.next),
        library.json_string_bytes(folded.nodes, there, other.next))
      if node.type < 5 then return end
      there = tonumber(library.json_open(bytes, folded, there))
      assert.equal(there, tonumber(library.json_open(bytes, folded, there)))
      local child, its = here + 1, there + 1
      while child < node.next do
        same(child, its)
        child, its = whole.nodes[child].next, folded.nodes[its].next
      end
      assert.equal(folded.nodes[there].next, its)
    end
    same(0, 0)
    same(0, 0)
    for _, wrong in ipairs { '"a":1', '"\\u0061":1', '"y":[}' } do
      local text_ = text:gsub('"b":', wrong .. ',"b":')
      local _, fault = scan(text_)
      local _, other = scan(text_, 200, "json_scan_folding")
      assert.same(fault, other)
    end
  end)

  it("never reads past its text, whatever bytes it is given", function()
    local seed = 7
    local function random(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
    local parts = { "{", "}", "[", "]", ",", ":", '"', "\\", "\\u", "\\ud83d", "d800", "true", "1", "-", "e", ".", "é",
      "\240\159", "\0", " ", '"a"', "a", "\255", "null", "0" }
    for _ = 1, 20000 do
      local text = {}
      for i = 1, random(12) do text[i] = parts[random(#parts)] end
      scan(table.concat(text), 5)
    end
    local whole = '{"model":"x","messages":[{"role":"user","content":"a\\u00e9\\ud83d\\ude00é"}],"n":[1.5e3,true,null]}'
    for cut = 0, #whole - 1 do assert.is_nil((scan(whole:sub(1, cut)))) end
    for _ = 1, 5000 do
      local at = random(#whole)
      scan(whole:sub(1, at - 1) .. string.char(random(256) - 1) .. whole:sub(at + 1))
    end
  end)
end)

describe("json_member and json_equals", function()
  local text = '{"a":1,"\\u0062\\n":"x\\ty","c":{"a":2},"ab":3}'
  local index, bytes

  before_each(function() index, bytes = assert(scan(text)) end)

  it("find a member by its exact name, escaped or not", function()
    local function value(name)
      local node = index.nodes[library.json_member(bytes, index, 0, name, #name)]
      return text:sub(node.start + 1, node["end"])
    end
    assert.equal("1", value "a")
    assert.equal('"x\\ty"', value "b\n")
    assert.equal("3", value "ab")
    for _, name in ipairs { "A", "", "b", "abc" } do
      assert.equal(0, tonumber(library.json_member(bytes, index, 0, name, #name)))
    end
    assert.equal(0, tonumber(library.json_member(bytes, index, 2, "a", 1)))
  end)

  it("compare what a string means, not how it is written", function()
    local node = library.json_member(bytes, index, 0, "b\n", 2)
    assert.is_true(library.json_equals(bytes, index, node, "x\ty", 3))
    assert.is_false(library.json_equals(bytes, index, node, "x\\ty", 4))
    assert.is_false(library.json_equals(bytes, index, 2, "1", 1))
  end)

  it("unescape to UTF-8", function()
    local each, at = assert(scan '"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t."')
    local out = ffi.gc(ffi.new("struct scan_buf"), library.buf_free)
    library.json_unescape(at, each.nodes[0], out)
    assert.equal('Aé€😀"\\/\b\f\n\r\t.', ffi.string(out.data, out.length))
  end)
end)
