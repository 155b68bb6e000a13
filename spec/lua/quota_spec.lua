local quota = require "moongate.quota"

describe("quota.parse", function()
  it("reads the short names", function()
    assert.same({ "requests", "minute" }, { quota.parse "rpm" })
    assert.same({ "tokens", "month" }, { quota.parse "tpmonth" })
    assert.same({ "requests", "second" }, { quota.parse "rps" })
  end)

  it("reads a provider's own unit and every window", function()
    assert.same({ "neurons", "day" }, { quota.parse "neurons_per_day" })
    assert.same({ "input_tokens", "5h" }, { quota.parse "input_tokens_per_5h" })
    for _, window in ipairs(quota.windows) do
      assert.equal(window, select(2, quota.parse("requests_per_" .. window)))
    end
  end)

  it("knows what is no limit", function()
    for _, name in ipairs { "rmp", "rpx", "rp", "per_day", "_per_day", "neurons_per_year", "RPM", "", "rpm " } do
      assert.is_nil(quota.parse(name), name)
    end
    assert.is_nil(quota.parse(nil))
    assert.is_nil(quota.parse(7))
  end)
end)

describe("quota.name", function()
  it("undoes quota.parse", function()
    for _, name in ipairs(quota.names) do assert.equal(name, quota.name(quota.parse(name))) end
    assert.equal("neurons_per_day", quota.name("neurons", "day"))
    assert.equal("requests_per_5h", quota.name("requests", "5h"))
  end)
end)

describe("what is left and used", function()
  it("is unlimited and nothing where there is no limit", function()
    assert.equal(math.huge, quota.left({ rpm = 3 }).rpd)
    assert.equal(3, quota.left({ rpm = 3 }).rpm)
    assert.equal(0, quota.used({ rpm = 3 }).tpd)
    assert.equal(math.huge, quota.left({}).rpm)
  end)

  it("refuses a name that is no limit", function()
    assert.error_matches(function() return quota.left({}).rdp end,
      'there is no limit called "rdp" %(did you mean "rpd"%?%)')
    assert.error_matches(function() return quota.used({}).requests end, 'there is no limit called "requests"')
    assert.error_matches(function() return quota.left({}).request_per_day end, 'did you mean "requests_per_day"')
    assert.error_matches(function() return quota.left({}).tokns_per_minute end, 'did you mean "tokens_per_minute"')
  end)

  it("goes by the same limit under its long name", function()
    assert.equal(3, quota.left({ rpd = 3 }).requests_per_day)
    assert.equal(7, quota.used({ tpm = 7 }).tokens_per_minute)
  end)

  it("is unlimited in a unit that only some other provider counts in", function()
    for _, name in ipairs { "neurons_per_day", "input_tokens_per_minute", "audio_tokens_per_5h" } do
      assert.equal(math.huge, quota.left({ rpd = 3 })[name], name)
    end
  end)

  it("is the smaller rest where model and provider have the same limit", function()
    local limits = { { name = "rpm", max = 30 }, { name = "rpm", max = 20 }, { name = "rpd", max = 5 } }
    local left = quota.rest(limits, function(limit) return limit.name == "rpd" and 9 or 2 end)
    assert.same({ rpm = 18, rpd = 0 }, left)
  end)
end)
