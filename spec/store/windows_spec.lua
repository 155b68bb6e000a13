-- Every window, fixed and sliding, in many zones, over days, months, changes of the clock and restarts: what a store
-- counts is what a slow model counts (reference.lua), step by step. MOONGATE_SEED begins at another seed and
-- MOONGATE_STEPS makes each run longer.
local bench = require "spec.store.workbench"
local reference = require "spec.store.reference"
local library = bench.library

local STEPS = tonumber(os.getenv "MOONGATE_STEPS") or 1500
local FIRST = tonumber(os.getenv "MOONGATE_SEED") or 1
local SECOND, HOUR, DAY = 1000, 3600000, 86400000
local WINDOWS = { "second", "10s", "minute", "hour", "5h", "day", "week", "month", "none" }

local function dice(seed)
  local state = seed * 7919 % 2147483647
  return function(sides)
    state = state * 16807 % 2147483647
    return state % sides + 1
  end
end

-- Just before something happens to the clocks of a zone.
local BEGINS = {
  { "the year begins in UTC", "UTC", "2025-12-31 23:59:30" },
  { "February ends in a leap year in UTC", "UTC", "2028-02-28 23:00" },
  { "clocks go forward in Los Angeles", "America/Los_Angeles", "2026-03-08 07:30" },
  { "clocks go back in Los Angeles", "America/Los_Angeles", "2026-11-01 06:30" },
  { "a month begins in Kolkata, at half past in UTC", "Asia/Kolkata", "2026-03-31 18:00" },
  { "a day is left out in Apia", "Pacific/Apia", "2011-12-29 09:00" },
  { "clocks go back half an hour on Lord Howe", "Australia/Lord_Howe", "2026-04-04 12:30" },
  { "clocks go forward half an hour on Lord Howe", "Australia/Lord_Howe", "2026-10-03 12:30" },
  { "clocks go forward at midnight in Havana", "America/Havana", "2026-03-08 03:30" },
  { "clocks go back to midnight in Havana", "America/Havana", "2026-11-01 03:00" },
  { "clocks go forward at midnight in Cairo", "Africa/Cairo", "2026-04-23 20:30" },
}

local function utc(text)
  local pipe = assert(io.popen("date -u -d '" .. text .. "' +%s"))
  local time = tonumber(pipe:read("*l"))
  pipe:close()
  return time * SECOND
end

local function limits_of(zone, roll)
  local list = {}
  for _, window in ipairs(WINDOWS) do
    for _, sliding in ipairs { false, true } do
      for _, where in ipairs { zone, "UTC" } do
        local fields = { key = "k" .. roll(2), window = window, sliding = sliding, zone = where,
          max = ({ 40, 200, 1000, nil })[roll(4)] }
        local has_zone = not sliding and (window == "day" or window == "week" or window == "month")
        local kind = has_zone and where or sliding and window ~= "none" and "sliding" or ""
        local name = table.concat({ fields.key, window, kind }, " ")
        if not list[name] then
          list[name] = true
          list[#list + 1] = { fields = fields, model = reference.limit(fields) }
        end
      end
    end
  end
  return list
end

-- A jump of time: mostly small, sometimes over weeks; to the edge of a window, or to either side of it, now and then.
local function later(now, list, roll)
  local kind = roll(10)
  if kind <= 4 then return now + roll(1500) - 1 end
  if kind <= 7 then return now + math.floor(10 ^ (roll(95) / 10)) % (40 * DAY) end
  local fields = list[roll(#list)].fields
  local _, ends = reference.window(fields.zone, fields.window, now)
  if ends == math.huge or ends - now > 8 * DAY then return now + roll(12) * HOUR end
  return math.max(now, ends + roll(3) - 2)
end

local function run(address, begin, zone, seed, reopens)
  local roll, now = dice(seed), utc(begin)
  local list, open, newest, floor = limits_of(zone, roll), {}, 0, 0
  local store = assert(bench.open(address))
  local function same(expected, got, what, limit, step)
    if expected == got then return end
    library.store_close(store)
    local fields = limit and limit.fields or {}
    error(("seed %d, step %d, at %.0f: %s of %s %s %s in %s is %s, and %s by the model"):format(seed, step, now, what,
      tostring(fields.key), fields.sliding and "sliding" or "fixed", tostring(fields.window), tostring(fields.zone),
      tostring(got), tostring(expected)), 0)
  end
  local function look(limit, step)
    -- Nothing is claimed, so that the store has a counter that has seen this time: what it never counted it may forget.
    bench.settle(store, bench.reserve(store, { claims = { { key = limit.fields.key, window = limit.fields.window,
      sliding = limit.fields.sliding, zone = limit.fields.zone, amount = 0 } } }, now), { 0 }, now)
    local used, ends = bench.used(store, limit.fields, now)
    limit.model:at(now)
    same(limit.model:sum(), used, "what is used", limit, step)
    local expected = limit.model:window_end(now)
    if expected ~= math.huge then same(expected, ends, "the end", limit, step) end
  end
  local function claim()
    local real, model = {}, {}
    for i = 1, roll(3) do
      local limit, amount = list[roll(#list)], roll(30) - 1
      local copy = { amount = amount }
      for name, value in pairs(limit.fields) do copy[name] = value end
      real[i], model[i] = copy, { limit = limit.model, amount = amount }
    end
    return { claims = real }, model
  end
  for step = 1, STEPS do
    local act = roll(100)
    if act <= 40 then
      local real, model = claim()
      local reservation, _, wait = bench.reserve(store, real, now)
      local held, expected = reference.reserve(model, now)
      same(held ~= nil, reservation ~= nil, "what is granted", nil, step)
      if held then
        open[#open + 1] = { reservation = reservation, held = held }
      else
        same(expected, wait, "the wait", nil, step)
      end
    elseif act <= 45 then
      local real, model = claim()
      local fits, _, wait = bench.fits(store, real, now)
      local held, expected = reference.reserve(model, now, true)
      same(held ~= nil, fits ~= nil, "what would be granted", nil, step)
      if not held then same(expected, wait, "the wait", nil, step) end
    elseif act <= 70 and #open > 0 then
      local each, amounts = table.remove(open, roll(#open)), {}
      local is_cancelled = roll(4) == 1
      for i, hold in ipairs(each.held) do
        amounts[i] = is_cancelled and 0 or roll(3) == 1 and hold.reserved or roll(45) - 1
      end
      bench.settle(store, each.reservation, amounts, now)
      reference.settle(each.held, amounts, now)
    elseif act <= 93 then
      now = later(now, list, roll)
    elseif act <= 96 then
      -- The clock is put back, at most half a day below the newest time, and not below the last start.
      now = math.max(now - math.floor(10 ^ (roll(76) / 10)), newest - 12 * HOUR, floor)
    elseif reopens and act <= 97 then
      now = math.max(now, newest)
      library.store_close(store)
      store, open, floor = assert(bench.open(address)), {}, now
      for _, limit in ipairs(list) do limit.model:restart() end
    end
    newest = math.max(newest, now)
    look(list[roll(#list)], step)
    if step % 100 == 0 then
      for _, limit in ipairs(list) do look(limit, step) end
    end
  end
  library.store_close(store)
end

describe("what a store counts is what a slow model counts", function()
  after_each(bench.clean)

  for number, begin in ipairs(BEGINS) do
    it("where " .. begin[1], function()
      for seed = FIRST, FIRST + 1 do
        run("memory:", begin[3], begin[2], seed * 100 + number)
        run("sqlite:" .. bench.folder() .. "/moongate.db", begin[3], begin[2], seed * 100 + 50 + number, true)
      end
    end)
  end
end)
