-- Windows against a slow reference: what date(1) shows at their edges.
local ffi = require "ffi"
local library = require "spec.support.library"

if not pcall(ffi.typeof, "enum window") then
  local file = assert(io.open("core/base/zone.h"))
  ffi.cdef((file:read("*a"):gsub("/%*.-%*/", ""):gsub("#[^\n]*", "")))
  file:close()
end

local numbers = { second = 0, ["10s"] = 1, minute = 2, hour = 3, ["5h"] = 4, day = 5, week = 6, month = 7, none = 8 }

local function window(zone, name, now)
  local edges = ffi.new("int64_t[2]")
  library.zone_window(zone and assert(library.zone_find(zone)), numbers[name], now, edges, edges + 1)
  return tonumber(edges[0]), tonumber(edges[1])
end

-- What the clocks of a zone show at many times, by one run of date(1).
local function shown(zone, format, times)
  local path, lines = os.tmpname(), {}
  local file = assert(io.open(path, "w"))
  for _, time in ipairs(times) do file:write(("@%d\n"):format(time)) end
  file:close()
  local pipe = assert(io.popen(("TZ='%s' date -f %s '+%s'"):format(zone, path, format)))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  os.remove(path)
  assert.equal(#times, #lines)
  return lines
end

local function utc(text)
  local pipe = assert(io.popen("date -u -d '" .. text .. "' +%s"))
  local time = tonumber(pipe:read("*l"))
  pipe:close()
  return time
end

-- A window is right if the calendar shows the same thing at its first and last second as now, and another beside it.
local function check(zone, name, format, times)
  local asked = {}
  for _, now in ipairs(times) do
    local start, ends = window(zone, name, now)
    assert.is_true(start <= now and now < ends)
    for _, time in ipairs { now, start, ends - 1, start - 1, ends } do asked[#asked + 1] = time end
  end
  local seen = shown(zone, format, asked)
  for i = 1, #seen, 5 do
    local what = ("%s %s around %d"):format(zone, name, asked[i])
    assert.equal(seen[i], seen[i + 1], what)
    assert.equal(seen[i], seen[i + 2], what)
    assert.are_not.equal(seen[i], seen[i + 3], what)
    assert.are_not.equal(seen[i], seen[i + 4], what)
  end
end

describe("zone_window", function()
  it("has days of 23 and 25 hours where clocks change in Los Angeles", function()
    local start, ends = window("America/Los_Angeles", "day", utc("2026-03-08 20:00"))
    assert.equal(utc("2026-03-08 08:00"), start)
    assert.equal(23 * 3600, ends - start)
    start, ends = window("America/Los_Angeles", "day", utc("2026-11-01 08:30"))
    assert.equal(utc("2026-11-01 07:00"), start)
    assert.equal(25 * 3600, ends - start)
  end)

  it("begins Indian days at half past the hour of UTC", function()
    local start, ends = window("Asia/Kolkata", "day", utc("2026-07-01 18:29:59"))
    assert.equal(utc("2026-06-30 18:30"), start)
    assert.equal(utc("2026-07-01 18:30"), ends)
  end)

  it("knows leap years, months and weeks in UTC", function()
    local function both(name, text)
      local start, ends = window(nil, name, utc(text))
      return { os.date("!%Y-%m-%d", start), os.date("!%Y-%m-%d", ends) }
    end
    assert.same({ "2028-02-01", "2028-03-01" }, both("month", "2028-02-29 23:59:59"))
    assert.same({ "2028-02-29", "2028-03-01" }, both("day", "2028-02-29 12:00"))
    assert.same({ "2100-02-28", "2100-03-01" }, both("day", "2100-02-28 12:00"))
    assert.same({ "2026-12-01", "2027-01-01" }, both("month", "2026-12-31 23:59:59"))
    assert.same({ "2026-12-28", "2027-01-04" }, both("week", "2027-01-03 23:59:59"))
    assert.same({ "2027-01-04", "2027-01-11" }, both("week", "2027-01-04 00:00:00"))
  end)

  it("cuts shorter windows by the clock of UTC, in every zone", function()
    for name, length in pairs { second = 1, ["10s"] = 10, minute = 60, hour = 3600, ["5h"] = 18000 } do
      local start, ends = window("Asia/Kolkata", name, 1772366427)
      assert.equal(length, ends - start)
      assert.equal(0, start % length)
      assert.is_true(start <= 1772366427 and 1772366427 < ends)
    end
  end)

  it("never ends a window that is none", function()
    local _, ends = window(nil, "none", 1772366427)
    assert.equal(tonumber(0x7fffffffffffffffLL), ends)
  end)

  local zones = { "UTC", "America/Los_Angeles", "Asia/Kolkata", "Europe/Berlin", "America/Sao_Paulo", "America/Havana",
    "Pacific/Apia", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Chatham" }
  for _, zone in ipairs(zones) do
    it("agrees with date(1) in " .. zone .. " from 1971 to 2099", function()
      local times, seed = {}, 42
      for _ = 1, 300 do
        seed = (seed * 16807) % 2147483647
        times[#times + 1] = 31536000 + math.floor(seed / 2147483647 * 4.04e9)
      end
      check(zone, "day", "%Y-%m-%d", times)
      check(zone, "week", "%G-%V", times)
      check(zone, "month", "%Y-%m", times)
    end)
  end

  it("agrees with date(1) in every hour around both switches of Los Angeles, now and in 2060", function()
    local times = {}
    for _, text in ipairs { "2026-03-07", "2026-10-31", "2060-03-13", "2060-11-06" } do
      for hour = 0, 72 do times[#times + 1] = utc(text) + hour * 3600 + 1799 end
    end
    check("America/Los_Angeles", "day", "%Y-%m-%d", times)
  end)
end)

describe("zone_find", function()
  it("finds the same zone again", function()
    local zone = library.zone_find("Europe/Berlin")
    assert.is_true(zone ~= nil)
    assert.is_true(zone == library.zone_find("Europe/Berlin"))
    assert.equal("Europe/Berlin", ffi.string(library.zone_name(zone)))
    assert.equal("UTC", ffi.string(library.zone_name(nil)))
  end)

  it("knows no zone that is none, nor anything outside the zone folder", function()
    for _, name in ipairs { "", "Mars/Olympus", "../../../etc/passwd", "/etc/localtime", "Europe", "zone.tab",
      "Europe/../UTC", ("x"):rep(500) } do
      assert.is_true(library.zone_find(name) == nil, name)
    end
  end)
end)

describe("window_parse", function()
  it("knows every window by its name, and no other", function()
    local found = ffi.new("enum window[1]")
    for name, number in pairs(numbers) do
      assert.is_true(library.window_parse(name, found))
      assert.equal(number, tonumber(found[0]))
      assert.equal(name, ffi.string(library.window_name(found[0])))
    end
    assert.is_false(library.window_parse("fortnight", found))
  end)
end)
