-- A slow and plain model of what a store counts: lists of amounts and when they were made, and a calendar of its own,
-- reckoned from what zdump(8) and date(1) tell of a zone. It shares no line and no idea with core/store/counter.c.
local reference = {}

local SECONDS = { second = 1, ["10s"] = 10, minute = 60, hour = 3600, ["5h"] = 18000, day = 86400, week = 604800,
  month = 31 * 86400 }
local DAY = 86400
local NEVER = math.huge

-- ---- the calendar ----

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11,
  Dec = 12 }

local function is_leap(year) return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) end

local function month_days(year, month)
  if month == 2 then return is_leap(year) and 29 or 28 end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

-- Days since 1970, counted year by year.
local function day_number(year, month, day)
  local days = day - 1
  for y = 1970, year - 1 do days = days + (is_leap(y) and 366 or 365) end
  for m = 1, month - 1 do days = days + month_days(year, m) end
  return days
end

local function month_of(number)
  local year, month = 1970, 1
  while number >= (is_leap(year) and 366 or 365) do
    number = number - (is_leap(year) and 366 or 365)
    year = year + 1
  end
  while number >= month_days(year, month) do
    number = number - month_days(year, month)
    month = month + 1
  end
  return year, month
end

local function lines_of(command)
  local pipe, lines = assert(io.popen(command)), {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local zones = {}

-- The stretches of a zone with one offset each, { from, offset }, between the years 2010 and 2100.
local function stretches(zone)
  if zones[zone] then return zones[zone] end
  local first = day_number(2010, 1, 1) * DAY
  local sign, hours, minutes = lines_of(("TZ='%s' date -d @%d +%%z"):format(zone, first))[1]:match "([+-])(%d%d)(%d%d)"
  local list = { { from = -NEVER, offset = (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60) } }
  for _, line in ipairs(lines_of(("zdump -v -c 2010,2100 '%s'"):format(zone))) do
    local month, day, hour, minute, second, year, offset =
      line:match "%a+ (%a+) +(%d+) (%d+):(%d+):(%d+) (%d+) UTC? = .*gmtoff=(-?%d+)"
    local from = month and day_number(tonumber(year), MONTHS[month], tonumber(day)) * DAY + hour * 3600 + minute * 60
      + second
    offset = tonumber(offset)
    if from and offset ~= list[#list].offset then list[#list + 1] = { from = from, offset = offset } end
  end
  zones[zone] = list
  return list
end

local function date_at(zone, second)
  local offset
  for _, stretch in ipairs(stretches(zone)) do
    if stretch.from <= second then offset = stretch.offset end
  end
  return math.floor((second + offset) / DAY)
end

-- The first second whose date there is that day or a later one.
local function begins(zone, day)
  local list = stretches(zone)
  for i, stretch in ipairs(list) do
    local second = math.max(stretch.from, day * DAY - stretch.offset)
    if second < (list[i + 1] and list[i + 1].from or NEVER) then return second end
  end
end

-- The fixed window around a millisecond: its first one, and the first one behind it.
---@return number start, number ends
function reference.window(zone, window, now)
  if window == "none" then return 0, NEVER end
  local length = SECONDS[window]
  if length < DAY then
    local number = math.floor(now / 1000 / length)
    return number * length * 1000, (number + 1) * length * 1000
  end
  zone = zone or "UTC"
  local first = date_at(zone, math.floor(now / 1000))
  local last = first + 1
  if window == "week" then
    first = first - (first + 3) % 7 -- 1970 began on a Thursday
    last = first + 7
  elseif window == "month" then
    local year, month = month_of(first)
    first = day_number(year, month, 1)
    last = first + month_days(year, month)
  end
  return begins(zone, first) * 1000, begins(zone, last) * 1000
end

-- ---- one limit ----

local limit = {}
limit.__index = limit

-- { key=, window=, sliding=, zone=, max= }
function reference.limit(fields)
  local self = setmetatable({ fields = fields, amounts = {} }, limit)
  self.sliding = fields.sliding and fields.window ~= "none"
  self.max = fields.max or NEVER
  -- A sliding window is cut into 60 parts; an amount counts until its part is 60 parts old.
  if self.sliding then self.part = math.ceil(SECONDS[fields.window] * 1000 / 60) end
  return self
end

-- Where an amount that is made at that time is put: the first millisecond of its window or part, and when it is over.
function limit:place(now)
  if not self.sliding then return reference.window(self.fields.zone, self.fields.window, now) end
  local start = now - now % self.part
  return start, start + 61 * self.part
end

-- The clock says so. It may have been put back: by less than a window, and the newest window stays; by more, and what
-- is counted is of now.
function limit:at(now)
  local start, ends = self:place(now)
  local newest = self.start
  if newest and start < newest then
    local behind, length = newest - now, self.ends - newest
    if self.sliding then behind, length = newest - start, 61 * self.part - 1 end
    if behind <= length then return self end
    local sum = self:sum()
    self.start, self.ends, self.amounts = start, ends, {}
    self:add(sum, false)
    return self
  end
  self.start, self.ends = start, ends
  local kept = {}
  for _, each in ipairs(self.amounts) do
    local counts = each.start == start
    if self.sliding then counts = start - each.start < 61 * self.part end
    if counts then kept[#kept + 1] = each end
  end
  self.amounts = kept
  return self
end

function limit:sum()
  local sum = 0
  for _, each in ipairs(self.amounts) do sum = sum + each.amount end
  return sum
end

function limit:add(amount, reserved)
  local made = { start = self.start, amount = amount, reserved = reserved }
  self.amounts[#self.amounts + 1] = made
  return made
end

function limit:is_counted(made)
  for _, each in ipairs(self.amounts) do
    if each == made then return true end
  end
  return false
end

function limit:settle(made, reserved, actual)
  if self:is_counted(made) then
    made.amount, made.reserved = actual, false
  elseif actual > reserved then
    self:add(actual - reserved, false)
  end
end

function limit:cancel(made) if self:is_counted(made) then made.amount = 0 end end

-- When what is counted first changes by itself.
function limit:window_end(now)
  if not self.sliding then return self.ends end
  local first = NEVER
  for _, each in ipairs(self.amounts) do
    if each.amount > 0 then first = math.min(first, each.start + 61 * self.part) end
  end
  return first == NEVER and now or first
end

-- How long an amount that does not fit has to wait; 0: it never fits.
function limit:wait(amount, now)
  if amount > self.max or self.ends == NEVER then return 0 end
  if not self.sliding then return self.ends - now end
  local least = NEVER
  for _, edge in ipairs(self.amounts) do
    local over, sum = edge.start + 61 * self.part, 0
    for _, each in ipairs(self.amounts) do
      if each.start + 61 * self.part > over then sum = sum + each.amount end
    end
    if sum + amount <= self.max then least = math.min(least, over) end
  end
  return least - now
end

-- The process ends: reservations die with it.
function limit:restart()
  local kept = {}
  for _, each in ipairs(self.amounts) do
    if not each.reserved and each.amount > 0 then kept[#kept + 1] = each end
  end
  self.amounts, self.start, self.ends = kept, nil, nil
  for _, each in ipairs(kept) do self.start = math.max(self.start or 0, each.start) end
  if self.start then self.start, self.ends = self:place(self.start) end
end

-- ---- several at once ----

-- Takes all claims ({ limit=, amount= }) or none: what is held of each, or nil and how long to wait.
function reference.reserve(claims, now, only_asks)
  local held, fits, longest = {}, true, 0
  for i, claim in ipairs(claims) do
    local amount = claim.amount
    claim.limit:at(now)
    if amount > 0 and claim.limit:sum() + amount > claim.limit.max then
      local wait = claim.limit:wait(amount, now)
      longest = (fits or wait == 0 or longest ~= 0 and wait > longest) and wait or longest
      fits, amount = false, 0
    end
    held[i] = { limit = claim.limit, made = claim.limit:add(amount, true), reserved = amount }
  end
  if fits and not only_asks then return held end
  for _, hold in ipairs(held) do hold.limit:cancel(hold.made) end
  if fits then return held end
  return nil, longest
end

function reference.settle(held, amounts, now)
  for i, hold in ipairs(held) do hold.limit:at(now):settle(hold.made, hold.reserved, amounts[i]) end
end

return reference
