-- What a quota checker found, in one shape: figures as numbers, windows by the names that limits have, what remains
-- worked out, a status. Pure. Providers write figures as they like; what cannot be read is unknown, never nothing left.
local time = require "moongate.time"

local reading = {}

-- The shares of a limit below which it is so; at nothing it is "exhausted".
reading.WARNING, reading.CRITICAL = 0.25, 0.1

local RANK = { ok = 0, warning = 1, critical = 2, exhausted = 3 }
local METRICS = {
  requests = "requests", tokens = "tokens", input_tokens = "input_tokens", percentage = "percent", dollars = "dollars",
  yuan = "yuan",
}
local WINDOWS = {
  minute = "minute", hourly = "hour", five_hour = "5h", daily = "day", weekly = "week", monthly = "month",
  subscription = "subscription",
}
local IS_MONEY = { dollars = true, yuan = true }
local METERS, LABEL = 32, 40

-- "$1,234.50", "-3.2", 12: a number, or nil.
---@param value any
---@return number|nil
function reading.figure(value)
  if type(value) == "number" then
    local size = time.figure(math.abs(value))
    return size and (value < 0 and -size or size)
  end
  if type(value) ~= "string" or #value > 40 then return nil end
  local sign, digits = string.match(value, "^%s*(-?)%s*[$\194\165]*%s*([%d.,]+)%s*$")
  if not digits then return nil end
  if string.find(digits, ",", 1, true) then
    if not string.find(digits, "^%d%d?%d?,%d%d%d[%d,]*%.?%d*$") then return nil end
    digits = string.gsub(digits, ",", "")
  end
  local size = time.number(digits)
  return size and (sign == "-" and -size or size)
end

-- How it stands with this share left; nil: unknown.
---@param share number|nil
---@return string
function reading.status(share)
  if not share or share >= reading.WARNING then return "ok" end
  if share <= 0 then return "exhausted" end
  return share < reading.CRITICAL and "critical" or "warning"
end

---@param a string
---@param b string
---@return string
function reading.worse(a, b)
  return RANK[b] > RANK[a] and b or a
end

local function resets_at(value, now)
  if type(value) == "number" then value = string.format("%.16g", value) end
  local wait = type(value) == "string" and time.wait(value, now) or nil
  return wait and now + wait
end

-- A difference, without the dust of binary fractions.
local function minus(a, b) return tonumber(string.format("%.15g", a - b)) end

local function status_of(meter)
  if meter.remaining and meter.remaining <= 0 then return "exhausted" end
  local full = meter.limit and meter.limit > 0 and meter.remaining
  return reading.status(full and meter.remaining / meter.limit or nil)
end

-- One meter as a checker writes it: { unit, window, limit, used, remaining, resets }, money's window being the
-- subscription unless told. full: what the operator calls a full account.
local function meter_of(given, now, full)
  if type(given) ~= "table" then return nil end
  local function get(name) return rawget(given, name) end
  local unit, window = get "unit", get "window"
  local metric = METRICS[unit]
  if not metric then return nil, "the unit " .. string.sub(tostring(unit), 1, LABEL) .. " is not known" end
  if type(window) ~= "string" and IS_MONEY[unit] then window = "subscription" end
  if not WINDOWS[window] then return nil, "the window " .. string.sub(tostring(window), 1, LABEL) .. " is not known" end
  local limit, used = reading.figure(get "limit"), reading.figure(get "used")
  local remaining = reading.figure(get "remaining")
  if unit == "percentage" then limit = 100 end
  if limit and limit < 0 then limit = nil end
  if not remaining and limit and used then remaining = minus(limit, used) end
  if not limit and remaining and used then limit = remaining + used end
  if not limit and remaining and window == "subscription" then limit = full end
  if not IS_MONEY[unit] then
    remaining = remaining and math.max(0, remaining)
    if used and used < 0 then used = nil end
  end
  if not remaining and not used then return nil end
  local meter = {
    metric = metric, window = WINDOWS[window], limit = limit, remaining = remaining,
    used = used or (limit and remaining and math.max(0, minus(limit, remaining))) or nil,
    resets_at = resets_at(get "resets", now),
  }
  meter.status = status_of(meter)
  return meter
end

-- What a check returned: { meters, credits (USD, where it told), status }; or nil and why that is none.
---@param given any
---@param now number unix seconds
---@param full number|nil
---@return table|nil
---@return string|nil
function reading.of(given, now, full)
  if type(given) ~= "table" then return nil, "it returned no reading" end
  if rawget(given, "unit") ~= nil then given = { given } end
  local result, by_name, why = { meters = {}, status = "ok" }, {}, nil
  for i = 1, METERS do
    local meter, fault = meter_of(rawget(given, i), now, reading.figure(full))
    why = why or fault
    local name = meter and meter.metric .. "/" .. meter.window
    local other = name and by_name[name]
    -- Two words on one thing: the tighter one counts.
    if meter and not other then
      result.meters[#result.meters + 1], by_name[name] = meter, meter
    elseif meter and meter.remaining and (not other.remaining or meter.remaining < other.remaining) then
      for _, field in ipairs { "limit", "remaining", "used", "resets_at", "status" } do other[field] = meter[field] end
    end
  end
  if #result.meters == 0 then return nil, why or "its answer has no figure that can be read" end
  for _, meter in ipairs(result.meters) do
    result.status = reading.worse(result.status, meter.status)
    if meter.metric == "dollars" and meter.window == "subscription" then result.credits = meter.remaining end
  end
  return result
end

return reading
