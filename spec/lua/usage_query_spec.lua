local usage_query = require "moongate.usage_query"

local NOW = 1796083200
local DAY = 86400

describe("usage_query.read", function()
  it("without a word is the last thirty days by model, without an end", function()
    assert.same({ by = "model", from = NOW - 30 * DAY }, usage_query.read({}, NOW))
  end)

  it("takes every dimension there is", function()
    for _, by in ipairs { "model", "provider", "task", "key", "label", "org", "tier", "day", "request" } do
      assert.equal(by, usage_query.read({ by = by }, NOW).by)
    end
  end)

  it("takes both ends in whatever way each is written", function()
    assert.same({ by = "day", from = NOW - 7 * DAY, to = NOW - DAY },
      usage_query.read({ by = "day", from = "7d", to = "2026-11-30" }, NOW))
  end)

  -- what is given, the name of the wrong one, words of the sentence
  for _, case in ipairs {
    { { by = "mdel" }, "by", { '"mdel"', 'did you mean "model"', "model, provider, task, key, label, org, tier" } },
    { { by = "" }, "by", { '""', "expected one of" } },
    { { from = "yesterday" }, "from", { '"yesterday"', "2026-11-30", "unix seconds", "7d" } },
    { { to = "" }, "to", { '""', "expected a day" } },
    { { to = ("\1x"):rep(500) }, "to", { "?x?x" } },
    { { from = "1d", to = "2d" }, "from", { '"1d" is not before to, "2d"', "from < to" } },
    { { from = "1d", to = "1d" }, "from", { "from < to" } },
    { { to = "60d" }, "to", { '"60d" is more than 30 days ago' } },
  } do
    local given, name, words = unpack(case)
    it(("refuses %s, and says so: %s"):format(name, words[1]), function()
      local query, wrong, message = usage_query.read(given, NOW)
      assert.is_nil(query)
      assert.equal(name, wrong)
      assert.is_true(#message < 300)
      for _, word in ipairs(words) do assert.matches(word, message, 1, true) end
    end)
  end
end)
