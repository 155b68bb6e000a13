require "spec.support.core"
local csv = require "moongate.csv"
local json = require "moongate.core.json"
local usage_told = require "moongate.usage_told"

local function group(fields)
  local made = { requests = "3", input_tokens = "10", output_tokens = "20", billed_tokens = "30",
    cost_microusd = "1234567", savings_microusd = "-5" }
  for name, value in pairs(fields) do made[name] = value end
  return made
end

-- As moongate.core.usage answers.
local function each(list)
  local at = 0
  return function()
    at = at + 1
    return list[at]
  end
end

local ROW = {
  request_id = 'q"1', time = 1796083200.125, org = "acme, inc", key = "=1+1", label = "", tier = "pro",
  surface = "chat", task = "chat", policy = "auto-cheapest@1", provider = "one", model = "small", outcome = "ok",
  status = 200, attempts = 2, input_tokens = 1, cached_tokens = 2, cache_write_tokens = 3, output_tokens = 4,
  reasoning_tokens = 5, billed_tokens = 6, cost_microusd = 1500000, savings_microusd = -7, estimated = true,
  latency_ms = 8, detail = "{}",
}

describe("usage told as JSON", function()
  it("has the dimension first, then the sums, to the last digit", function()
    assert.equal('{"model":"a\\"b","requests":3,"input_tokens":9223372036854775807,"output_tokens":20,'
      .. '"billed_tokens":30,"cost_microusd":1234567,"savings_microusd":-5}',
      usage_told.group_json(group { model = 'a"b', input_tokens = "9223372036854775807" }, "model"))
  end)

  it("of a row has the ledger's names, and neither its detail nor its status", function()
    local text = usage_told.row_json(ROW)
    local row = assert(json.decode(text))
    for _, name in ipairs { "request_id", "time", "key", "attempts", "estimated", "latency_ms", "savings_microusd" } do
      assert.equal(ROW[name], row[name], name)
    end
    assert.same({}, { row.detail, row.status })
    assert.matches('^{"request_id":"q\\"1","time":1796083200.125,"org"', text)
  end)

  it("is whole: totals, and groups or a page of rows with what asks for the next one", function()
    local totals = group {}
    local function never() error "a pause after so little" end
    local days = { each = each { group { day = "2026-12-01" } } }
    local answer = assert(json.decode(usage_told.json(totals, days, "day", never)))
    assert.same({ 3, "2026-12-01", 3 }, { answer.totals.requests, answer.groups[1].day, answer.groups[1].requests })
    assert.is_nil(answer.next)
    answer = assert(json.decode(usage_told.json(totals, { each = each {} }, "day", never)))
    assert.same({}, answer.groups)
    local page = { each = each { ROW }, is_over = true, next = "17-1" }
    answer = assert(json.decode(usage_told.json(totals, page, "request", never)))
    assert.same({ 'q"1', 1, "17-1" }, { answer.groups[1].request, answer.groups[1].requests, answer.next })
    page.each, page.is_over = each { ROW }, false
    assert.is_nil(assert(json.decode(usage_told.json(totals, page, "request", never))).next)
  end)
end)

describe("a long answer", function()
  it("lets others go on now and then", function()
    local groups, pauses = {}, 0
    for i = 1, 1000 do groups[i] = group { label = "l" .. i } end
    local text = usage_told.json(group {}, { each = each(groups) }, "label", function() pauses = pauses + 1 end)
    assert.equal(1000, #assert(json.decode(text)).groups)
    assert.is_true(pauses >= 10)
  end)
end)

describe("usage told as CSV", function()
  it("reads back as it was, quotes, commas, line ends and formulas too", function()
    for _, name in ipairs { "plain", 'with "quotes"', "a,b", "two\nlines", "=1+1", "", "\195\164" } do
      local text = usage_told.csv_header "key" .. "\n" .. usage_told.group_csv(group { key = name }, "key") .. "\n"
      local records = assert(csv.read(text))
      assert.equal("key,requests,input_tokens,output_tokens,billed_tokens,cost_microusd,savings_microusd",
        table.concat(records[1], ","))
      assert.same({ name, "3", "10", "20", "30", "1234567", "-5" }, { unpack(records[2], 1, 7) })
    end
  end)

  it("of a row has a column for each name of the head", function()
    local records = assert(csv.read(usage_told.csv_header "request" .. "\n" .. usage_told.row_csv(ROW)))
    assert.equal(#records[1], #records[2])
    for i, name in ipairs(records[1]) do
      local value = ROW[name]
      assert.equal(type(value) == "string" and value or json.encode(value), records[2][i], name)
    end
  end)
end)

describe("usage told to people", function()
  it("tells dollars to the last micro-dollar", function()
    for digits, text in pairs {
      ["0"] = "$0.000000", ["1"] = "$0.000001", ["1234567"] = "$1.234567", ["-5"] = "-$0.000005",
      ["-1000000"] = "-$1.000000", ["9223372036854775807"] = "$9223372036854.775807",
    } do assert.equal(text, usage_told.usd(digits)) end
  end)

  local function lines(columns, ...)
    local groups = {}
    for i, name in ipairs { ... } do groups[i] = group { model = name } end
    return usage_told.table({ each = each(groups), totals = group { requests = "1000006" } }, "model", columns)
  end

  it("is a table with its columns in line and the totals last", function()
    assert.same({
      "MODEL   REQUESTS  INPUT  OUTPUT  BILLED       COST     SAVINGS",
      "small          3     10      20      30  $1.234567  -$0.000005",
      "(none)         3     10      20      30  $1.234567  -$0.000005",
      "total    1000006     10      20      30  $1.234567  -$0.000005",
    }, lines(nil, "small", ""))
  end)

  it("fits into a terminal by what it cuts off names, between characters", function()
    local name = ("m\195\164"):rep(60)
    for _, columns in ipairs { 80, 100, 132 } do
      for _, line in ipairs(lines(columns, name, "small")) do
        local _, continued = line:gsub("[\128-\191]", "")
        assert.is_true(#line - continued <= columns, line)
        assert.is_nil(csv.malformed(line))
      end
    end
    assert.matches("m...  ", lines(80, name)[2], 1, true)
    assert.matches(name, lines(nil, name)[2], 1, true)
  end)

  it("shows no control character that a caller has put into a name", function()
    assert.matches("^a%?b%?c ", lines(nil, "a\27b\nc")[2])
  end)

  it("has a line a row, cut to the terminal too", function()
    local head, line = usage_told.row_head(nil), usage_told.row_line(ROW, nil)
    assert.equal(head:find("MODEL", 1, true), line:find("one/small", 1, true))
    assert.matches("^12%-01 00:00:00 q\"1 .* ok +%$1%.500000$", line)
    assert.is_true(#usage_told.row_line(ROW, 80) <= 80)
  end)
end)
