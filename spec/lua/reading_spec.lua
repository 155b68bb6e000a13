-- What quota checkers found, in one shape; and the run of one, whatever its function does.
require "spec.support.core"
local checking = require "moongate.checking"
local reading = require "moongate.reading"

local NOW = 1796000000

describe("a reading", function()
  -- what is written, what it means
  for _, case in ipairs {
    { 12, 12 }, { -3.5, -3.5 }, { "12.50", 12.5 }, { "$50.00", 50 }, { "-$1.5", -1.5 }, { "1,234.50", 1234.5 },
    { " 154.3 ", 154.3 }, { "1,2", nil }, { "0x10", nil }, { "1e3", nil }, { "nan", nil }, { 0 / 0, nil },
    { 1 / 0, nil }, { 1e300, nil }, { "", nil }, { "12 USD", nil }, { true, nil }, { {}, nil },
    { string.rep("9", 30), nil }, { "--1", nil },
  } do
    it("takes " .. tostring(case[1]) .. " for " .. tostring(case[2]), function()
      assert.equal(case[2], reading.figure(case[1]))
    end)
  end

  -- share left, status
  for _, case in ipairs {
    { nil, "ok" }, { 1, "ok" }, { 0.25, "ok" }, { 0.2499, "warning" }, { 0.1, "warning" }, { 0.0999, "critical" },
    { 0, "exhausted" }, { -1, "exhausted" },
  } do
    it("with a share of " .. tostring(case[1]) .. " left is " .. case[2], function()
      assert.equal(case[2], reading.status(case[1]))
    end)
  end

  it("works out what is not told", function()
    local function one(meter) return reading.of(meter, NOW).meters[1] end
    assert.same({ metric = "requests", window = "5h", limit = 500, used = 400, remaining = 100, status = "warning" },
      one { unit = "requests", window = "five_hour", limit = 500, used = 400 })
    assert.same({ metric = "tokens", window = "day", limit = 30, used = 10, remaining = 20, status = "ok" },
      one { unit = "tokens", window = "daily", used = "10", remaining = "20" })
    assert.same({ 95, 5, "critical" }, { one { unit = "percentage", window = "weekly", used = 95 }.used,
      one { unit = "percentage", window = "weekly", used = 95 }.remaining,
      one { unit = "percentage", window = "monthly", used = 95 }.status })
    assert.same({ 0, "exhausted" }, { one { unit = "requests", window = "daily", limit = 5, used = 9 }.remaining,
      one { unit = "requests", window = "daily", limit = 5, used = 9 }.status })
  end)

  it("measures a balance by what the operator calls full", function()
    local meter = { unit = "dollars", remaining = 1.5 }
    assert.equal("ok", reading.of(meter, NOW).status)
    assert.equal("critical", reading.of(meter, NOW, 20).status)
    assert.equal("warning", reading.of(meter, NOW, 10).status)
    assert.equal(1.5, reading.of(meter, NOW, 10).credits)
  end)

  it("reads resets in every way they are written; one that is missing is unknown", function()
    local function reset(value)
      return reading.of({ unit = "requests", window = "daily", limit = 2, used = 1, resets = value }, NOW)
        .meters[1].resets_at
    end
    assert.equal(1796083200, reset(1796083200))
    assert.equal(1796083200, reset(1796083200000))
    assert.equal(NOW + 60, reset "60")
    assert.equal(NOW, reset "2020-01-01T00:00:00Z")
    assert.is_nil(reset(nil))
    assert.is_nil(reset "soon")
    assert.is_nil(reset {})
  end)

  it("is none without a figure, or with names that nobody knows", function()
    assert.same({ nil, "it returned no reading" }, { reading.of("12", NOW) })
    assert.same({ nil, "its answer has no figure that can be read" }, { reading.of({}, NOW) })
    assert.same({ nil, "the unit bananas is not known" }, { reading.of({ unit = "bananas" }, NOW) })
    assert.same({ nil, "the window yearly is not known" },
      { reading.of({ { unit = "tokens", window = "yearly", remaining = 1 } }, NOW) })
  end)

  it("is as bad as its worst meter", function()
    local found = reading.of({ { unit = "dollars", remaining = 5 },
      { unit = "requests", window = "daily", limit = 10, remaining = 2 } }, NOW)
    assert.same({ "warning", 5 }, { found.status, found.credits })
  end)
end)

describe("a check", function()
  local function run(check, more)
    local order = { check = check, options = { base_url = "http://x", cookie = "crumbs" }, key = "sk-secret", now = NOW,
      ask = function(asked) return { status = 200, headers = {}, body = '{"left":7}', asked = asked } end }
    for name, value in pairs(more or {}) do order[name] = value end
    return checking.run(order)
  end

  it("waits for what it asks, and makes a reading of it", function()
    local result = run(function(http, options)
      local answer = http.get(options.base_url)
      assert(answer.status == 200 and answer.body == '{"left":7}')
      return { unit = "dollars", remaining = http.json(options.base_url).left }
    end)
    assert.equal(7, result.credits)
  end)

  it("never sees the provider's key, which stands in headers as {key}", function()
    local seen
    local _, why = run(function(http, options)
      assert(options.api_key == nil)
      http.post("http://x", { headers = { ["X-API-Key"] = "{key}", other = "a%1" }, body = "b" })
      return nil, "the key sk-secret and crumbs"
    end, { options = { api_key = "sk-secret", cookie = "crumbs" }, ask = function(asked)
      seen = asked
      return nil, "gone"
    end })
    assert.same({ method = "POST", url = "http://x", body = "b",
      headers = { accept = "application/json", ["x-api-key"] = "sk-secret", other = "a%1" } }, seen)
    assert.equal("the key *** and ***", why)
  end)

  -- title, check, why
  for _, case in ipairs {
    { "raises", function() error "sk-secret is bad" end, "*** is bad" },
    { "returns nothing", function() end, "it returned no reading" },
    { "returns a text", function() return "fine" end, "it returned no reading" },
    { "gives a reason that is no text", function() return nil, {} end, "table" },
    { "yields by itself", function() coroutine.yield "x" end, "a checker may wait by http alone" },
    { "asks without end", function(http) while true do http.get "http://x" end end, "more than 8 times" },
    { "asks for nothing", function(http) return http.json(nil) end, "http needs an address" },
    { "asks with words", function(http) return http.json("http://x", "y") end, "http takes a table" },
    { "asks in odd ways", function(http) return http.json("http://x", { method = "PUT" }) end, "GET and POST" },
    { "has odd headers", function(http) return http.json("http://x", { headers = { a = {} } }) end,
      "headers are texts" },
    { "has a huge body", function(http) return http.json("http://x", { method = "POST", body = string.rep("x", 1e5) })
    end, "up to 64 KiB" },
    { "has long reasons", function() return nil, string.rep("x", 1000) end, string.rep("x", 200) .. "..." },
  } do
    it("that " .. case[1] .. " is no reading", function()
      local result, why = run(case[2])
      assert.is_nil(result)
      assert.matches(case[3], why, 1, true)
    end)
  end

  it("runs each slice in the budget that it is given", function()
    local slices = 0
    local result, why = run(function(http)
      http.get "http://x"
      return { unit = "dollars", remaining = 1 }
    end, { within = function(work, ...)
      slices = slices + 1
      if slices == 2 then return false, { file = "policies/checkers/a.lua", line = 3, message = "took long" } end
      return true, work(...)
    end })
    assert.is_nil(result)
    assert.equal("its checker failed: policies/checkers/a.lua:3: took long", why)
  end)
end)
