local time = require "moongate.time"

-- 2027-03-14 09:00:00 UTC, a Sunday
local NOW = 1805014800

local function each(cases, check)
  for _, case in ipairs(cases) do
    it(case[1], function() check(unpack(case, 2, case.n or 4)) end)
  end
end

describe("time.number", function()
  each({
    { "reads digits", "42", 42 },
    { "reads a fraction", "2.75", 2.75 },
    { "forgives blanks and quotes", ' "17" ', 17 },
    { "reads the largest exact number", "9007199254740991", 9007199254740991 },
    { "refuses what is too large to be exact", "9007199254740992" },
    { "refuses a sign", "-5" },
    { "refuses a plus", "+5" },
    { "refuses an exponent", "2e3" },
    { "refuses hexadecimal", "0x1f" },
    { "refuses nan", "nan" },
    { "refuses inf", "inf" },
    { "refuses a word", "soon" },
    { "refuses nothing", "" },
    { "refuses blanks", "   " },
    { "refuses a point without digits behind it", "3." },
    { "refuses a point without digits before it", ".5" },
    { "refuses two points", "1.2.3" },
    { "refuses a suffix", "5 apples" },
    { "refuses four hundred digits", string.rep("9", 400) },
  }, function(text, expected) assert.equal(expected, time.number(text)) end)

  it("refuses what is not text", function()
    assert.is_nil(time.number(5))
    assert.is_nil(time.number(nil))
  end)
end)

describe("time.duration", function()
  each({
    { "reads minutes and seconds", "7m12s", 432 },
    { "reads zero parts", "6m0s", 360 },
    { "reads fractions", "2m59.56s", 179.56 },
    { "reads milliseconds, not minutes", "120ms", 0.12 },
    { "reads microseconds", "250us", 0.00025 },
    { "reads microseconds with the micro sign", "250\194\181s", 0.00025 },
    { "reads microseconds with the Greek letter", "250\206\188s", 0.00025 },
    { "reads nanoseconds", "1000000ns", 0.001 },
    { "reads days", "1d2h3m4s", 93784 },
    { "reads many nanosecond digits", "44.097740004s", 44.097740004 },
    { "refuses an unknown unit", "12parsecs" },
    { "refuses a number without unit", "12" },
    { "refuses a unit without number", "s" },
    { "refuses a blank inside", "1m 2s" },
    { "refuses a negative one", "-3s" },
    { "refuses a hanging number", "3m5" },
    { "refuses nothing", "" },
  }, function(text, expected)
    local seconds = time.duration(text)
    if expected then assert.near(expected, seconds, 1e-9) else assert.is_nil(seconds) end
  end)
end)

describe("time.rfc3339", function()
  each({
    { "reads UTC", "2027-03-14T09:00:05Z", NOW + 5 },
    { "reads an offset to the east", "2027-03-14T11:00:05+02:00", NOW + 5 },
    { "reads an offset to the west", "2027-03-14T01:30:00-07:30", NOW },
    { "reads a fraction", "2027-03-14T09:00:00.250Z", NOW + 0.25 },
    { "takes a missing zone for UTC", "2027-03-14T09:00:00", NOW },
    { "reads a blank for the T and small letters", "2027-03-14 09:00:00z", NOW },
    { "knows leap years", "2028-02-29T00:00:00Z", 1835395200 },
    { "knows that centuries are no leap years", "2100-02-29T00:00:00Z" },
    { "refuses the thirteenth month", "2027-13-01T00:00:00Z" },
    { "refuses the thirtieth of February", "2027-02-30T00:00:00Z" },
    { "refuses the hour 24", "2027-03-14T24:00:00Z" },
    { "refuses the minute 60", "2027-03-14T09:60:00Z" },
    { "refuses an impossible zone", "2027-03-14T09:00:00+25:00" },
    { "refuses a date without time", "2027-03-14" },
    { "refuses text behind it", "2027-03-14T09:00:00Z or so" },
  }, function(text, expected) assert.equal(expected, time.rfc3339(text)) end)

  it("shifts a date without zone by the provider's own", function()
    assert.equal(NOW, time.rfc3339("2027-03-14 17:00:00", 8 * 3600))
  end)

  it("does not shift a date that bears a zone", function()
    assert.equal(NOW, time.rfc3339("2027-03-14T09:00:00Z", 8 * 3600))
  end)
end)

describe("time.http_date", function()
  each({
    { "reads the form of HTTP", "Sun, 14 Mar 2027 09:01:30 GMT", NOW + 90 },
    { "refuses another zone", "Sun, 14 Mar 2027 09:01:30 CET" },
    { "refuses an impossible day", "Sun, 31 Feb 2027 09:01:30 GMT" },
    { "refuses an unknown month", "Sun, 14 Foo 2027 09:01:30 GMT" },
  }, function(text, expected) assert.equal(expected, time.http_date(text)) end)
end)

describe("time.wait", function()
  each({
    { "takes small numbers for seconds", "41", 41 },
    { "takes numbers from 1e9 for epoch seconds", tostring(NOW + 33), 33 },
    { "takes numbers from 1e11 for epoch milliseconds", tostring(NOW * 1000 + 1500), 1.5 },
    { "turns a past moment into now", tostring(NOW - 500), 0 },
    { "turns a past date into now", "Sun, 14 Mar 2027 08:00:00 GMT", 0 },
    { "clamps to 31 days", "999999999", 2678400 },
    { "clamps long durations too", "90d", 2678400 },
    { "reads a quoted date", '"2027-03-14T09:00:09Z"', 9 },
    { "reads a duration", "1m26.4s", 86.4 },
    { "refuses a negative number", "-1" },
    { "refuses a very long text", string.rep("1s", 5000) },
  }, function(text, expected)
    local seconds = time.wait(text, NOW)
    if expected then assert.near(expected, seconds, 1e-6) else assert.is_nil(seconds) end
  end)
end)
