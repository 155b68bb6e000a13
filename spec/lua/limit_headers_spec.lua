-- The rate-limit headers that C reads where they are: what it answers is what Lua reads off a table of them.
require "spec.support.core"
local core = require "moongate.core.limit_headers"
local dkjson = require "dkjson"
local limit_headers = require "moongate.limit_headers"

-- 2027-03-14 09:00:00 UTC
local NOW = 1805014800

local function grammar_of(family) return core.grammar(limit_headers.lines(family), limit_headers.has_blanks(family)) end

local function lines(list)
  local found = {}
  for i, limit in ipairs(list) do
    found[i] = string.format("%s/%s %s %s %s", limit.metric, limit.window, limit.limit or "-", limit.remaining or "-",
      limit.reset_s and string.format("%.3f", limit.reset_s) or "-")
  end
  table.sort(found)
  return found
end

local function read(headers, family) return grammar_of(family or "generic"):read(headers, NOW) end

local function same(headers, family, now)
  local found = grammar_of(family):read(headers, now)
  if found then assert.same(lines(limit_headers.read(headers, family, now)), lines(found)) end
  return found ~= nil
end

describe("rate-limit headers in C", function()
  it("are read as in Lua, or not at all", function()
    local count = 0
    for text in io.lines "spec/support/limits_cases.jsonl" do
      local case, headers, is_plain = assert(dkjson.decode(text)), {}, true
      for name, value in pairs(case.headers or {}) do
        headers[string.lower(name)], is_plain = value, is_plain and type(value) == "string"
      end
      if is_plain and next(headers) and same(headers, limit_headers.family(case.provider), case.now) then
        count = count + 1
      end
    end
    assert.is_true(count >= 30, count)
  end)

  local told = {
    ["12"] = 12, ["0"] = 0, ["1.5"] = 1.5, ["6m0s"] = 360, ["120ms"] = 0.12, ["1d2h3m4s"] = 93784,
    ["2m59.56s"] = 179.56, [tostring(NOW + 40)] = 40, [tostring(NOW - 40)] = 0, [(NOW + 40) * 1000 .. ""] = 40,
    ["2027-03-14T09:00:30Z"] = 30, ["2027-03-14T08:00:30Z"] = 0, ["2027-03-31T09:00:00Z"] = 17 * 86400,
    ["999999999"] = 31 * 86400, ["99d"] = 31 * 86400,
  }
  for value, seconds in pairs(told) do
    it("tell a reset as " .. value, function()
      local headers = { ["X-RateLimit-Reset-Requests"] = value }
      assert.near(seconds, read(headers)[1].reset_s, 1e-6)
      assert.near(seconds, limit_headers.read({ ["x-ratelimit-reset-requests"] = value }, "generic", NOW)[1].reset_s,
        1e-6)
    end)
  end

  local odd = {
    "", " 12", "-1", "+1", "1e3", "0x10", "12.", ".5", "nan", "1.2.3", "1m2", "1x", "5 s", "12s ",
    "2027-02-29T09:00:00Z",
    "2027-04-31T09:00:00Z", "2027-13-01T09:00:00Z", "2027-03-14T24:00:00Z", "2027-03-14T09:00:30", "2027-03-14",
    "2027-03-14T09:00:30+01:00", "Sun, 14 Mar 2027 09:01:30 GMT", "9007199254740992", string.rep("9", 99),
    string.rep("1", 500),
  }
  for _, value in ipairs(odd) do
    it("leave a reset to Lua that is " .. string.format("%.40q", value), function()
      assert.is_nil(read { ["x-ratelimit-reset-requests"] = value })
    end)
  end

  it("end a figure at a comma or semicolon", function()
    local headers = { ["x-ratelimit-limit-requests"] = "100, 100;w=60", ["x-ratelimit-remaining-requests"] = "7;x" }
    assert.same({ "requests/minute 100 7 -" }, lines(read(headers)))
    assert.is_nil(read { ["x-ratelimit-limit-requests"] = "100 or so" })
  end)

  it("take the first line of a grammar that tells the same", function()
    local headers = { ["x-rate-limit-limit-requests"] = "5", ["x-ratelimit-limit-requests"] = "6" }
    assert.same({ "requests/minute 6 - -" }, lines(read(headers)))
    assert.is_true(same(headers, "generic", NOW))
  end)

  it("leave to Lua what names its window itself, and shares of plans", function()
    assert.is_nil(read { ["x-ratelimit-limit"] = "100" })
    assert.is_nil(read { ["x-codex-primary-used-percent"] = "12" })
    assert.is_nil(read({ ["anthropic-ratelimit-unified-5h-reset"] = "12" }, "anthropic"))
  end)

  it("are none where an answer has none", function()
    assert.same({}, read { ["content-type"] = "application/json", date = "Sun, 14 Mar 2027 09:01:30 GMT" })
  end)

  it("tell nothing by two noughts where they mean that", function()
    local headers = { ["x-ratelimit-limit-requests"] = "0", ["x-ratelimit-remaining-requests"] = "0" }
    assert.same({ "requests/minute - - -" }, lines(read(headers, "azure")))
    assert.same({ "requests/minute 0 0 -" }, lines(read(headers)))
  end)

  it("are left to Lua where they tell of more limits than fit", function()
    local own, headers = {}, {}
    for i = 1, 17 do own[i] = { "x-limit-" .. i, "limit", "requests", i .. "s" } end
    for i = 1, 16 do headers["x-limit-" .. i] = "1" end
    assert.equal(16, #core.grammar(own):read(headers, NOW))
    headers["x-limit-17"] = "1"
    assert.is_nil(core.grammar(own):read(headers, NOW))
  end)
end)
