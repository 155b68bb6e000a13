-- Whole replies of providers, one a line in spec/support/limits_cases.jsonl, and what is to be read off each: limits,
-- the wait, and what kind of failure it is.
local json = require "dkjson"
local limits = require "moongate.limits"

local function line(limit)
  return string.format("%s/%s %s %s %s", limit.metric, limit.window, limit.limit or "-", limit.remaining or "-",
    limit.reset_s and string.format("%.2f", limit.reset_s) or "-")
end

local function lines(list)
  local found = {}
  for i, limit in ipairs(list or {}) do found[i] = line(limit) end
  table.sort(found)
  return found
end

describe("limits.read of a whole reply", function()
  local count = 0
  for text in io.lines "spec/support/limits_cases.jsonl" do
    local case = assert(json.decode(text))
    count = count + 1
    it(string.format("reads %s (%s)", case.id, case.note), function()
      local headers = {}
      for name, value in pairs(case.headers or {}) do headers[string.lower(name)] = value end
      local found = limits.read {
        provider = case.provider, status = case.status, headers = headers, body = case.body, now = case.now,
      }
      local expected = case.expect
      assert.equal(expected.class, found.class)
      assert.same(lines(expected.limits), lines(found.limits))
      if expected.retry_after_s then
        assert.near(expected.retry_after_s, found.retry_after_s, 0.01)
      else
        assert.is_nil(found.retry_after_s)
      end
    end)
  end

  it("is tried with a hundred of them", function() assert.is_true(count >= 100) end)
end)
