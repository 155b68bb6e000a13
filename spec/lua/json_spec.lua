-- moongate.core.json: texts to values and back, and documents that are looked into and patched.
require "spec.support.core"
local json = require "moongate.core.json"

local seed
local function random(most)
  seed = (seed * 16807) % 2147483647
  return seed % most + 1
end

local strings = { "", "a", "é", "😀", "\n\t\"\\/", "\1\127", ("long "):rep(50), "null", "0" }
local numbers = { 0, 1, -1, 0.1, -2.5, 1e21, 1e-7, 2 ^ 53, -2 ^ 53, 1 / 3, 1.7976931348623157e308, 5e-324, 123456.789 }

local function any(depth)
  local kind = random(depth > 4 and 4 or 6)
  if kind == 1 then return strings[random(#strings)] end
  if kind == 2 then return numbers[random(#numbers)] end
  if kind == 3 then return random(2) == 1 end
  if kind == 4 then return json.null end
  local t = {}
  for i = 1, random(5) - 1 do t[kind == 5 and i or strings[random(#strings)] .. i] = any(depth + 1) end
  return kind == 5 and json.array(t) or t
end

describe("json.decode and json.encode", function()
  it("give back what they were given", function()
    seed = 11
    for _ = 1, 800 do
      local value = any(1)
      local text = json.encode(value)
      assert.same(value, (json.decode(text)))
      assert.equal(text, json.encode((json.decode(text))))
    end
  end)

  it("tell arrays from objects, also empty ones", function()
    assert.equal('{"a":[],"b":{},"c":[1]}', json.encode(json.decode '{"c":[1], "a":[], "b":{}}'))
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array {}))
    assert.equal('["x"]', json.encode { "x" })
    assert.is_true(json.is_array(json.decode "[]"))
    assert.is_true(json.is_array { 1 })
    assert.is_false(json.is_array(json.decode "{}"))
    assert.is_false(json.is_array "x")
  end)

  it("write members sorted by name", function()
    local value = { b = 4, a = 2, ["é"] = 5, A = 1, aa = 3, [""] = 0 }
    assert.equal('{"":0,"A":1,"a":2,"aa":3,"b":4,"é":5}', json.encode(value))
  end)

  it("write whole numbers up to 2^53 plainly and others so that they read back", function()
    assert.equal("[9007199254740992,-1,0,1e+20,0.1,1.5]", json.encode { 2 ^ 53, -1, 0, 1e20, 0.1, 1.5 })
    assert.equal("0.30000000000000004", json.encode(0.1 + 0.2))
  end)

  it("write other numbers in as few digits as read back", function()
    seed = 5
    local function shortest(number)
      for digits = 14, 17 do
        local text = ("%." .. digits .. "g"):format(number)
        if tonumber(text) == number then return text end
      end
    end
    for i = 1, 5000 do
      local number = (random(2 ^ 31) - 1) / 10 ^ (random(16) - 1) * (i % 2 == 0 and 1 or -1)
      if i % 5 == 0 then number = number / random(1000) end
      local text = json.encode(number)
      if number % 1 ~= 0 and text ~= shortest(number) then assert.equal(shortest(number), text) end
    end
    assert.equal("[0.00053,1.5e-05,1e-09,-0.0001,1796039722.639,99999999999.5]",
      json.encode { 0.00053, 0.000015, 1e-9, -0.0001, 1796039722.639, 99999999999.5 })
  end)

  it("read decimals as Lua does, to the last bit", function()
    for _, text in ipairs { "0.1", "0.7", "-2.50", "1234567.890123", "0.000001", "-0.0", "99999999999999.9",
      "123456789.12345678", "1e-7", "3.0e2", "0.30000000000000004" } do
      assert.equal(("%.17g"):format(tonumber(text)), ("%.17g"):format((json.decode(text))), text)
    end
  end)

  it("keep null apart from absence", function()
    local value = json.decode '{"a":null}'
    assert.equal(json.null, value.a)
    assert.equal('{"a":null}', json.encode(value))
  end)

  it("replace bytes that are no UTF-8", function()
    assert.equal('"a\u{fffd}b"', json.encode "a\255b")
  end)

  it("answer nil and the place of a fault", function()
    local value, message = json.decode '{\n "a": tru }'
    assert.is_nil(value)
    assert.equal("line 2, column 7: expected a value", message)
    assert.is_nil((json.decode '{"a":1,"a":2}'))
    assert.is_nil((json.decode(("["):rep(201) .. ("]"):rep(201))))
    assert.is_false((json.decode "false"))
  end)

  it("refuse what JSON cannot say", function()
    local circle = {}
    circle.circle = circle
    local deep = {}
    for _ = 1, 201 do deep = { deep } end
    for wanted, value in pairs {
      ["not%-a%-number"] = 0 / 0, ["infinite"] = math.huge, ["in a circle"] = circle, ["nested more than 200"] = deep,
      ["a function cannot"] = { print }, ["a table with number keys"] = { [5] = 1 }, ["with holes"] = { 1, nil, 3, 4 },
      ["list with holes"] = { 1, nil, 3, [7] = 4 },
      ["a list with a string key"] = { 1, a = 2 }, ["boolean keys"] = { [true] = 1 },
    } do
      assert.error_matches(function() json.encode(value) end, wanted)
    end
    assert.equal("1", json.encode(1))
  end)

  it("refuse to write without end", function()
    local value = { "x" }
    for _ = 1, 60 do value = { value, value } end
    assert.error_matches(function() json.encode(value) end, "larger than 64 MiB")
  end)
end)

describe("json.write", function()
  it("writes each value behind the text before it, and leaves out both where there is none", function()
    assert.equal('{"b":"x\\"y","c":[1,2],"d":false}', json.write("{", ',"a":', nil, ',"b":', 'x"y', ',"c":', { 1, 2 },
      ',"d":', false, ',"e":', nil, "}"))
    assert.equal("{}", json.write("{", ',"a":', nil, "}"))
    assert.equal('[7,{"n":1}]', json.write("[", ",", 7, ",", { n = 1 }, "]"))
    assert.equal('{"a":1,"rest":[]}', json.write("{", ',"a":', 1, ',"rest":[]}'))
    assert.equal('{"rest":[]}', json.write("{", ',"rest":[]}'))
    assert.same({ "", "{}", '"x"' }, { json.write "", json.write("{", "}"), json.write("", "", "x") })
  end)

  it("refuses what encode refuses, and a value without a text", function()
    assert.error_matches(function() json.write("{", ',"a":', print, "}") end, "a function cannot")
    assert.error_matches(function() json.write("{", {}, 1, "}") end, "string expected, got table")
    assert.error_matches(function() json.write() end, "string expected")
  end)

  it("may be done piece by piece, whatever else is written meanwhile", function()
    for _ = 1, 2 do
      json.begin()
      json.add('{"list":[')
      for i = 1, 3 do json.add("", ",", i, ",", nil) end
      assert.equal('{"a":"b"}', json.encode { a = json.decode '"b"' })
      json.add("]", ',"no":', nil, ',"yes":', true, "}")
      assert.equal('{"list":[1,2,3],"yes":true}', json.finish())
    end
    json.begin()
    assert.equal("", json.finish())
  end)
end)

describe("json.form", function()
  it("is json.add with its texts known beforehand", function()
    local add = json.form('"x":{', { ',"a":', ',"b":', ',"c":' }, "}")
    local values = { 1.5, 0, -3, 1e300, "q\"\n", "", true, false, json.null, { 1, { z = "y" } }, json.array {} }
    local function written(write)
      json.begin()
      json.add "{"
      for i = 1, #values do write(values[i], values[i % 3 + 1], values[i * 2]) end
      write()
      write(nil, nil, "last")
      json.add "}"
      return json.finish()
    end
    assert.equal(written(function(a, b, c) json.add(',"x":{', ',"a":', a, ',"b":', b, ',"c":', c, "}") end),
      (written(function(...)
        json.add ","
        add(...)
      end)))
  end)

  it("parts nothing behind an opening bracket, and takes more raw texts", function()
    json.begin()
    json.form(",{", { ",", "," }, "")(nil, 1, ",2", "}")
    json.form("", {}, "[")(",3")
    assert.equal(",{1,2}[3", json.finish())
    json.begin("[", ",", "a")
    json.form(",{", {}, "}")()
    assert.equal('["a",{}', json.finish())
    json.begin "["
    json.form(",{", {}, "}")()
    assert.equal("[{}", json.finish())
  end)

  it("writes the first of two texts in any case", function()
    local add = json.form("[", { { ',{"a":1', ',"b":' }, { "", ',"c":' }, { "},{", '"a":' } }, "}]")
    local function written(...)
      json.begin()
      add(...)
      return json.finish()
    end
    assert.equal('[{"a":1},{}]', written())
    assert.equal('[{"a":1,"b":2,"c":3},{}]', written(2, 3))
    assert.equal('[{"a":1,"c":3},{"a":4}]', written(nil, 3, 4))
  end)

  it("may be told long texts, and outlives them", function()
    local texts = {}
    for i = 1, 200 do texts[i] = "," .. string.rep(string.char(96 + i % 26), i) end
    local add = json.form("[", texts, "]")
    texts = table.concat(texts, "0")
    collectgarbage()
    collectgarbage()
    json.begin()
    local zeros = {}
    for i = 1, 200 do zeros[i] = 0 end
    add(unpack(zeros))
    assert.equal("[" .. string.sub(texts, 2) .. "0]", json.finish())
  end)

  it("refuses what is no text, and what encode refuses", function()
    assert.error_matches(function() json.form("", { "a", 1 }, "") end, "a text is a string or two")
    assert.error_matches(function() json.form("", { "a", { "b" } }, "") end, "a text is a string or two")
    assert.error_matches(function() json.form("", "a", "") end, "table expected")
    assert.error_matches(function() json.form("", {}) end, "string expected")
    local many = {}
    for i = 1, 201 do many[i] = "," end
    assert.error_matches(function() json.form("", many, "") end, "too many texts")
    assert.error_matches(function() json.form("", { "," }, "")(print) end, "a function cannot")
    assert.error_matches(function() json.form("", { "," }, "")(1, {}) end, "string expected")
  end)
end)

describe("a scanned document", function()
  local text = ' {"model":"m", "messages" : [{"role":"user","content":"a\\nb"},{"x":[true,null,1.5]}],"empty":{}}\n'
  local document

  before_each(function() document = assert(json.scan(text, 10)) end)

  it("is looked into without being built", function()
    local messages = document:find(0, "messages")
    assert.same({ "object", 3, "array", 2 },
      { document:kind(0), document:size(0), document:kind(messages), document:size(messages) })
    local names, kinds = {}, {}
    for name, node in document:items(0) do names[#names + 1] = name .. "=" .. document:kind(node) end
    assert.same({ "model=string", "messages=array", "empty=object" }, names)
    for i, node in document:items(messages) do kinds[i] = document:text(node) end
    assert.same({ '{"role":"user","content":"a\\nb"}', '{"x":[true,null,1.5]}' }, kinds)
    assert.equal("a\nb", document:value(document:find(messages + 1, "content")))
    assert.is_nil(document:find(0, "Model"))
    assert.is_nil(document:find(messages, "role"))
    assert.same(json.decode(text), document:value(0))
    for _ in document:items(document:find(0, "model")) do error "a string has no items" end
  end)

  it("finds several members at once", function()
    local model, none, messages = document:find(0, "model", "none", "messages")
    assert.same({ document:find(0, "model"), document:find(0, "messages") }, { model, messages })
    assert.is_nil(none)
  end)

  it("tells an item by its place, from either end, and the last of its kind", function()
    local messages = document:find(0, "messages")
    assert.equal(messages + 1, document:item(messages, -2))
    assert.equal(document:item(messages, 2), document:item(messages, -1))
    for _, place in ipairs { 0, 3, -3 } do assert.is_nil(document:item(messages, place)) end
    assert.is_nil(document:item(0, 1))
    assert.equal(messages + 1, document:last(messages, "role", "user"))
    for _, text_ in ipairs { "User", "", "a\nb" } do assert.is_nil(document:last(messages, "role", text_)) end
    assert.is_nil(document:last(0, "role", "user"))
  end)

  it("tells the beginning of a value's bytes, and whether any string begins with a text", function()
    assert.equal('{"rol', document:text(document:item(document:find(0, "messages"), 1), 5))
    assert.equal(text:sub(2, -2), document:text(0, 1000))
    assert.is_true(document:begins "use")
    assert.is_true(document:begins("nothing", "m"))
    assert.is_false(document:begins "ser")
    assert.is_false(document:begins("users", "modelx"))
  end)

  it("counts the bytes of its strings, names left out", function()
    assert.equal(#"m" + #"user" + #"a\nb", document:string_bytes(0))
    assert.equal(1, document:string_bytes(document:find(0, "model")))
  end)

  it("is patched into a body that only goes out, whose text can be told", function()
    local outgoing = document:outgoing { model = '"other"', z = "[]" }
    assert.equal("userdata", type(outgoing))
    assert.equal(document:patch { model = '"other"', z = "[]" }, tostring(outgoing))
    assert.is_false(getmetatable(outgoing))
    assert.has_error(function() document:outgoing { model = "no JSON" } end)
  end)

  it("is patched member by member, every other byte staying", function()
    assert.equal(text, document:patch {})
    assert.equal((text:gsub('"m"', '"other"')), document:patch { model = '"other"' })
    assert.equal((text:gsub('"model":"m", ', ' ')), document:patch { model = false })
    assert.equal((text:gsub(',"empty":{}', "")), document:patch { empty = false })
    assert.equal((text:gsub("{}}", '{},"a":1,"z":[]}')), document:patch { z = "[]", a = "1", gone = false })
    assert.equal(' {}\n', document:patch { model = false, messages = false, empty = false })
    assert.equal(' {"new":true}\n', document:patch { model = false, messages = false, empty = false, new = "true" })
    assert.equal('{"a":1}', json.scan("{}", 2):patch { a = "1" })
    assert.equal('{"b":3}', json.scan('{"\\u0061":1,"b":2}', 2):patch { a = false, b = "3" })
  end)

  it("always patches to JSON that says the same as a change of the value", function()
    seed = 5
    local names = { "a", "b", "c", "d", "e" }
    for _ = 1, 800 do
      local value, parts, changes = {}, {}, {}
      for _, name in ipairs(names) do
        if random(2) == 1 then
          value[name] = random(9)
          local space = (" "):rep(random(2) - 1)
          parts[#parts + 1] = space .. '"' .. name .. '" :' .. value[name] .. space
        end
        local change = random(3)
        if change == 1 then changes[name] = false elseif change == 2 then changes[name] = tostring(random(9)) end
      end
      local patched = json.scan("{" .. table.concat(parts, ",") .. "}", 2):patch(changes)
      for name, change in pairs(changes) do value[name] = change and tonumber(change) or nil end
      assert.same(value, (json.decode(patched)))
    end
  end)

  it("refuses changes that are no JSON and texts that are no object", function()
    assert.error_matches(function() document:patch { model = "m" } end, 'the change of "model" is no JSON text')
    assert.error_matches(function() document:patch { model = 1 } end, "must be a JSON text or false")
    assert.error_matches(function() document:patch { "x" } end, "number keys")
    assert.error_matches(function() json.scan("[]", 2):patch {} end, "only an object")
  end)

  it("answers a bad node or a foreign object with an error", function()
    for _, node in ipairs { -1, 1e9, 0.5 } do
      assert.error_matches(function() document:kind(node) end, "no such node")
    end
    assert.error_matches(function() document.kind(io.stdout, 0) end, "a document was expected")
    assert.error_matches(function() document.kind({}, 0) end, "a document was expected")
    assert.equal("document", getmetatable(document))
  end)

  it("tells where a fault is", function()
    local nothing, fault = json.scan('{"a":[1,}', 10)
    assert.is_nil(nothing)
    assert.same({ message = "expected a value", offset = 8, line = 1, column = 9 }, fault)
    assert.is_nil((json.scan("[[[]]]", 2)))
  end)

  it("keeps its text alive", function()
    local own = json.scan('{"a":"' .. ("x"):rep(100000) .. '"}', 2)
    collectgarbage()
    collectgarbage()
    assert.equal(100000, own:string_bytes(0))
    assert.equal(("x"):rep(100000), own:value(own:find(0, "a")))
  end)
end)

describe("a document of bytes that are no string", function()
  local inner = '{"x":{"type":"string"},"y":{"enum":["moon","sun"],"properties":{"deep":[[1],{"b":"c"}]}},"é":"a\\nb"}'
  local text = '{"tools":[{"name":"one","schema":{"properties":' .. inner .. '}}],"n":1}'
  local document

  before_each(function() document = assert(json.scan(json.scan(text):outgoing {})) end)

  local function properties()
    local schema = document:find(document:item(document:find(0, "tools"), 1), "schema")
    return (document:find(schema, "properties"))
  end

  it("is looked into as any other, inside of what is folded too", function()
    local other = json.scan(text)
    assert.equal(json.encode(other:value(0)), json.encode(document:value(0)))
    assert.equal(other:string_bytes(0), document:string_bytes(0))
    assert.equal(3, document:size(properties()))
    assert.equal("object", document:kind(properties()))
    assert.equal(inner, document:text(properties()))
    local names = {}
    for name, node in document:items(properties()) do names[#names + 1] = name .. document:size(node) end
    assert.same({ "x1", "y2", "é0" }, names)
    local y, none = document:find(properties(), "y", "z")
    assert.is_nil(none)
    assert.equal("sun", document:value(document:item(document:find(y, "enum"), -1)))
    assert.equal("c", document:value(0).tools[1].schema.properties.y.properties.deep[2].b)
    assert.equal(other:patch { n = "2" }, document:patch { n = "2" })
  end)

  it("is searched for how its strings begin, inside of what is folded too", function()
    for _ = 1, 2 do
      for _, start in ipairs { "mo", "sun", "de", "c", "one", "string" } do assert.is_true(document:begins(start)) end
      for _, start in ipairs { "oon", "moons", "d1", "numb" } do assert.is_false(document:begins(start)) end
      properties()
      document:find(properties(), "y")
    end
    assert.is_false(json.scan(json.scan((text:gsub("moon", '\\\\\\"mo'))):outgoing {}):begins "mo")
  end)

  it("is searched for long starts, too, in schemas that have such strings and in others", function()
    local schema = '{"a":{"description":"%s","type":"string"},"%s":{"type":"number","enum":[1,2.5,null,true,false]}}'
    for _, case in ipairs {
      { "moongate.is it", "b", true }, { "Moongate.is it", "b", false }, { "a", "moongate.is it", true },
      { "is it moongate.", "another name", false }, { "\\n moongate. it is", "b", false }, { "moongate", "b", false },
    } do
      local body = '{"properties":' .. schema:format(case[1], case[2]) .. "}"
      local found = json.scan(json.scan(body):outgoing {}):begins("moongate.", "bW9vbmdhdGUu")
      assert.equal(case[3], found, body)
    end
  end)

  it("is the same with schemas that are too long, too deep or too unusual to be folded", function()
    local many, deep = {}, ("["):rep(40) .. ("]"):rep(40)
    for number = 1, 300 do many[number] = ('"name_%d":{"type":"string"}'):format(number) end
    for _, schema in ipairs {
      "{" .. table.concat(many, ",") .. "}", '{"a":' .. deep .. ',"b":"' .. ("x"):rep(200) .. '"}',
      '{"na\\u006de":"' .. ("y\\n"):rep(50) .. '"}', "{ " .. table.concat(many, " ,\n", 1, 9) .. " }",
    } do
      local whole = json.scan('{"tools":[{"properties":' .. schema .. "}]}")
      local folded = json.scan(whole:outgoing {})
      assert.equal(json.encode(whole:value(0)), json.encode(folded:value(0)))
      assert.equal(whole:string_bytes(0), folded:string_bytes(0))
    end
  end)

  it("is held against outlines, inside of what is folded too", function()
    local function fits(what)
      local schema = { kind = "object", needs = { properties = what } }
      local tools = { kind = "array", items = { kind = "object", needs = { schema = schema } } }
      return document:fits(0, json.outline { kind = "object", needs = { tools = tools } })
    end
    local y = { kind = "object", needs = { enum = "array" } }
    assert.is_true(fits { kind = "object", needs = { x = "object", y = y } })
    assert.is_false(fits { kind = "object", needs = { z = "object" } })
    assert.is_true(fits { kind = "object", deepest = 5 })
    assert.is_false(fits { kind = "object", deepest = 4 })
    assert.same({ true, #"stringmoonsunc" + 3 }, { fits { kind = "object", tally = true } })
  end)

  it("is closed once, and then has nothing to look into", function()
    local step = document:items(0)
    document:close()
    document:close()
    for _, look in ipairs {
      function() document:value(0) end, function() document:find(0, "n") end, step, function() document:patch {} end,
    } do
      local fine, message = pcall(look)
      assert.is_false(fine)
      assert.matches("closed", message, 1, true)
    end
  end)

  it("takes the bytes over, and tells where they are no JSON", function()
    local bytes = json.scan(text):outgoing {}
    json.scan(bytes)
    assert.equal("", tostring(bytes))
    local _, fault = json.scan(bytes)
    assert.equal("the text ends where a value is expected", fault.message)
  end)
end)

describe("an outline", function()
  local function fits(description, text)
    local document = assert(json.scan(text, 50))
    return document:fits(0, json.outline(description))
  end

  local cases = {
    { "any", { "1", "null", "{}" }, {} },
    { "null", { "null" }, { "0", "{}" } },
    { "boolean", { "true", "false" }, { "null", "1" } },
    { { kind = "string", null = true }, { '""', "null" }, { "1", "[]" } },
    { { kind = "string", least = 1, most = 2 }, { '"a"', '"\\u00e9"' }, { '""', '"abc"' } },
    { { kind = "string", values = { "a", "bc" } }, { '"a"', '"\\u0062c"' }, { '"b"', '"bcd"', "1" } },
    { { kind = "number", least = 0, most = 2 }, { "0", "0.7", "2.0", "1e-3" }, { "-0.1", "2.1", "3e0", '"1"' } },
    { { kind = "number", whole = true }, { "-5", "1e3", "3.0" }, { "0.5" } },
    { { kind = "array", items = "number", least = 1 }, { "[1]", "[1,2]" }, { "[]", "[1,{}]", "{}" } },
    { { kind = "object", needs = { a = "number" }, may = { b = "string" } },
      { '{"a":1}', '{"b":"","c":[],"a":1}', '{"\\u0061":1}' }, { "{}", '{"a":""}', '{"a":1,"b":2}', '{"b":""}' } },
    { { kind = "string", letters = "_-" }, { '""', '"aZ09_-"' }, { '"a b"', '"\\u0061"', '"é"', '"a."', '"[@{`/:"' } },
    { { kind = "array", items = { kind = "string", note = true, new = true } }, { '["a","b","A"]' },
      { '["a","b","a"]' } },
    { { either = { "number", { kind = "array", items = "string" } } }, { "1", '["a"]' }, { '"a"', "[1]" } },
    { { kind = "array", items = { either = {
        { kind = "object", needs = { id = { kind = "string", note = true }, x = "null" } },
        { kind = "object", needs = { of = { kind = "string", noted = true } } } } } },
      { '[{"id":"a","x":null},{"id":"b","x":null},{"of":"a"},{"of":"b"}]' },
      { '[{"of":"a"},{"id":"a","x":null}]', '[{"id":"a","x":null},{"of":"b"}]', '[{"id":"a"},{"of":"a"}]' } },
  }

  it("says which values look like it", function()
    for _, case in ipairs(cases) do
      for _, text in ipairs(case[2]) do assert.is_true(fits(case[1], text), text) end
      for _, text in ipairs(case[3]) do assert.is_false(fits(case[1], text), text) end
    end
  end)

  it("tallies the bytes of what it is told to, of the alternative that fits alone", function()
    local word = { kind = "string", tally = true }
    local _, bytes = fits({ kind = "array", items = { either = {
      { kind = "object", needs = { a = word, b = "null" } }, { kind = "object", needs = { a = word, b = "string" } },
    } } }, '[{"a":"xy","b":"no"},{"a":"\\u00e9\\n","b":null}]')
    assert.equal(5, bytes)
  end)

  it("takes values out of a text that fits, each at its place", function()
    local own = json.outline { kind = "object", needs = { a = { either = {
      { kind = "object", needs = { x = { kind = "string", take = 1 }, y = "null" } },
      { kind = "object", needs = { y = { kind = "number", null = true, take = 4 } } },
    } } }, may = { b = { kind = "array", items = "any", take = 2 }, c = { kind = "boolean", take = 3 } } }
    local function taken(text) return { n = select("#", json.fits(text, own)), json.fits(text, own) } end
    assert.same({ n = 6, true, 0, "h\n", { 1, "é" }, false },
      taken '{"a":{"x":"h\\n","y":null},"b":[1,"\\u00e9"],"c":false}')
    assert.same({ n = 6, true, 0, nil, nil, nil, 5 }, taken '{"a":{"x":"lost","y":5}}')
    assert.same({ n = 6, true, 0 }, taken '{"a":{"y":null}}')
    for _, text in ipairs { '{"a":1}', '{"a":{"y":1}', "", "[" } do assert.same({ n = 1, false }, taken(text)) end
    assert.same({ n = 2, true, 0 }, { n = 2, json.fits("5", json.outline "number") })
    assert.is_false(pcall(json.outline, { kind = "string", take = 17 }))
    assert.is_false(pcall(json.fits, "5", "number"))
  end)

  it("takes values out of a document, and nodes of what holds others; of many the last", function()
    local document = json.scan '{"a":[{"x":"one"},{"x":"two"},{"y":5}],"b":{"c":null},"d":[],"e":false}'
    local own = json.outline { kind = "object", needs = {
      a = {
        kind = "array", take = 2, items = { kind = "object", count = 1, may = { x = { kind = "string", take = 1 } } },
      },
      b = { kind = "object", take = 3, needs = { c = { kind = "string", null = true, take = 4 } } },
    }, may = { e = { kind = "boolean", take = 6 }, f = { kind = "number", take = 7 } } }
    local a, b = document:find(0, "a", "b")
    local found = { n = select("#", document:fits(0, own)), document:fits(0, own) }
    assert.same({ n = 10, true, 0, 3, "two", a, b, nil, nil, false }, found)
  end)

  it("counts what it is told to, of the alternative that fits alone", function()
    local item = { either = {
      { kind = "object", needs = { a = { kind = "number", null = true, count = 2 }, b = "null" } },
      { kind = "object", needs = { a = "number" }, may = { c = { kind = "object", count = 1 } } },
    } }
    assert.same({ true, 0, 1, 2 }, { fits({ kind = "array", items = item },
      '[{"a":1,"b":null},{"a":1,"b":1,"c":{}},{"a":null,"b":null},{"a":5,"b":null}]') })
    assert.same({ false }, { fits({ kind = "array", items = item }, "[1]") })
    assert.is_false(pcall(json.outline, { kind = "string", count = 5 }))
  end)

  it("tallies the strings in arrays and objects, and not the names", function()
    local all = { kind = "object", tally = true }
    assert.same({ true, 5 }, { fits(all, '{"name":["ab",{"c":"d"},1],"b":"\\u00e9"}') })
    assert.same({ true, 4 }, { fits({ kind = "object", may = { a = all } }, '{"a":{"n":["ab","cd"]},"b":"else"}') })
  end)

  it("knows levels as they are counted one after another", function()
    local two = { kind = "object", deepest = 2 }
    for _, text in ipairs { "{}", '{"a":{}}', '{"a":[1,2,3],"b":{"c":1},"d":[]}' } do
      assert.is_true(fits(two, text), text)
    end
    for _, text in ipairs { '{"a":[{}]}', '{"x":1,"a":{"b":{}}}', '{"a":[],"b":{"c":[1]},"d":1}' } do
      assert.is_false(fits(two, text), text)
    end
    assert.is_false(pcall(json.outline, { kind = "object", deepest = 129 }))
  end)

  it("may lie in itself, in any member that has no name of its own", function()
    local again = { again = true }
    local tree = json.outline {
      kind = "object", needs = { n = "number" }, may = { list = { kind = "array", items = again } }, others = again,
    }
    local function is_tree(text) return (json.scan(text, 1000):fits(0, tree)) end
    assert.is_true(is_tree '{"n":1}')
    assert.is_true(is_tree '{"n":1,"a":{"n":2,"list":[{"n":3,"b":{"n":4}}]}}')
    for _, wrong in ipairs { '{"n":1,"a":{}}', '{"n":1,"a":5}', '{"n":1,"list":[{"n":"x"}]}', '{"n":1,"list":[1]}' } do
      assert.is_false(is_tree(wrong))
    end
    local function deep(levels) return ('{"n":1,"a":'):rep(levels) .. '{"n":1}' .. ("}"):rep(levels) end
    assert.is_true(is_tree(deep(128)))
    assert.is_false(is_tree(deep(129)))
    assert.is_false(is_tree(deep(900)))
  end)

  it("gives up on more notes than it can hold", function()
    local list = { kind = "array", items = { kind = "string", note = true } }
    assert.is_true(fits(list, "[" .. ('"a",'):rep(255) .. '"a"]'))
    assert.is_false(fits(list, "[" .. ('"a",'):rep(256) .. '"a"]'))
  end)

  it("is refused where it makes no sense", function()
    for _, description in ipairs { "text", { kind = 1 }, {}, { kind = "array", items = 5 }, { either = { "no" } },
      { kind = "object", needs = { a = { kind = "b" } } }, { kind = "string", values = { {} } } } do
      assert.is_false(pcall(json.outline, description))
    end
    local circle = { kind = "array" }
    circle.items = circle
    assert.is_false(pcall(json.outline, circle))
    local document = json.scan("1", 2)
    for _, other in ipairs { document, "string", {}, newproxy(true) } do
      assert.is_false(pcall(document.fits, document, 0, other))
    end
  end)
end)
