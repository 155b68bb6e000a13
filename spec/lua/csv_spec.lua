local csv = require "moongate.csv"

local function read(text)
  local records, problem = csv.read(text)
  if not records then return nil, problem.line .. ": " .. problem.message end
  return records
end

-- Without their lines.
local function values(text)
  local list = {}
  for i, record in ipairs(assert(read(text))) do list[i] = { unpack(record) } end
  return list
end

describe("csv.read", function()
  it("reads plain values, with LF, CR LF, CR, or nothing at the end", function()
    for _, text in ipairs { "a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r1,2", "a,b\n1,2", "\239\187\191a,b\n1,2\n" } do
      assert.same({ { "a", "b" }, { "1", "2" } }, values(text))
    end
  end)

  it("keeps empty values and blanks, and leaves empty lines out", function()
    assert.same({ { "", " x ", "" } }, values "\n, x ,\n\r\n")
    assert.same({}, values "")
    assert.same({}, values "\n\n")
    assert.same({ { "a", "" } }, values "a,")
  end)

  it("takes quotes, doubled quotes, and commas and line ends inside them", function()
    assert.same({ { "a,b", 'say "hi"', "two\r\nlines", "", '"' } },
      values '"a,b","say ""hi""","two\r\nlines","",""""\n')
  end)

  it("tells the line in which each record begins", function()
    local lines = {}
    for i, record in ipairs(read 'a\r\n"x\ny\r\nz"\n\nb\n') do lines[i] = record.line end
    assert.same({ 1, 2, 6 }, lines)
  end)

  for title, row in pairs {
    ["a quote that never ends"] = { 'a,b\n1,"2\n3\n', "2: a quote is opened here" },
    ["what follows a closing quote"] = { 'a\n"x" y\n', "2: after a closing quote" },
    ["a quote inside an unquoted value"] = { 'a\nb\n5" disk\n', "3: a quote stands inside" },
    ["UTF-16"] = { "\255\254a\0", "1: is UTF-16" },
    ["a NUL byte"] = { "a\nb\nc\0", "3: has a NUL" },
    ["what is not UTF-8"] = { "a\r\n\195\164\r\ncaf\233,1\n", "3: is not UTF-8 (byte 0xE9)" },
  } do
    it("says where it finds " .. title, function()
      local records, problem = read(row[1])
      assert.is_nil(records)
      assert.equal(row[2], problem:sub(1, #row[2]))
    end)
  end

  it("stops at the number of records it is told", function()
    assert.equal(2, #csv.read("a\nb\n", 2))
    local records, problem = csv.read("a\n\nb\nc\n", 2)
    assert.is_nil(records)
    assert.same({ 4, "has more than 2 lines of values" }, { problem.line, problem.message })
  end)

  it("reads any list of values back that a writer quotes", function()
    math.randomseed(7)
    local bits = { "a", ",", '"', "\n", "\r\n", " ", "\195\169", ";", "" }
    for _ = 1, 300 do
      local rows, lines = {}, {}
      for i = 1, math.random(4) do
        local row, quoted = {}, {}
        for j = 1, math.random(2, 4) do
          local value = ""
          for _ = 1, math.random(0, 4) do value = value .. bits[math.random(#bits)] end
          row[j], quoted[j] = value, '"' .. value:gsub('"', '""') .. '"'
        end
        rows[i], lines[i] = row, table.concat(quoted, ",")
      end
      assert.same(rows, values(table.concat(lines, "\r\n")))
    end
  end)
end)

describe("csv.malformed", function()
  it("finds none in any character there is", function()
    local all = "\127\194\128\223\191\224\160\128\237\159\191\238\128\128\240\144\128\128\244\143\191\191"
    assert.is_nil(csv.malformed(all))
  end)

  it("finds the first byte of what is none", function()
    for _, bad in ipairs { "\128", "\192\128", "\193\191", "\194", "\224\159\191", "\237\160\128", "\240\143\191\191",
      "\244\144\128\128", "\245\128\128\128", "\226\130", "\255" } do
      assert.equal(4, csv.malformed("abc" .. bad .. "z"))
    end
  end)
end)
