-- Numbers, money and times as people read them: 1.3k, $0.0012, 2.5s, 2h 30m. Pure.

local figures = {}

local function is_number(value)
  return type(value) == "number" and value == value and value ~= math.huge and value ~= -math.huge
end

local function shortened(number, places)
  local text = string.format("%." .. places .. "f", number)
  if string.find(text, ".", 1, true) then text = string.gsub(string.gsub(text, "0+$", ""), "%.$", "") end
  return text
end

-- 999, 1.3k, 15k, 1.2M
---@param number any
---@return string
function figures.count(number)
  if not is_number(number) then return "?" end
  for _, unit in ipairs { { 1e12, "T" }, { 1e9, "B" }, { 1e6, "M" }, { 1e3, "k" } } do
    -- 999,999 is 1M and not 1000k.
    if math.abs(number) >= unit[1] * (unit[1] > 1e3 and 0.9995 or 1) then
      local value = number / unit[1]
      return (math.abs(value) < 99.95 and shortened(value, 1) or shortened(value, 0)) .. unit[2]
    end
  end
  return shortened(number, 1)
end

-- $9.80, $0.0012, $0
---@param usd any
---@return string
function figures.dollars(usd)
  if not is_number(usd) then return "?" end
  local size, sign = math.abs(usd), usd < 0 and "-" or ""
  if size < 5e-7 then return "$0" end
  if size >= 100000 then return sign .. "$" .. figures.count(size) end
  if size >= 0.995 then return string.format("%s$%.2f", sign, size) end
  -- Two digits that say something, down to a micro-dollar.
  local places = math.min(6, math.max(2, 1 - math.floor(math.log10(size))))
  return sign .. "$" .. shortened(size, places)
end

-- 350ms, 2.5s, 41s, 12m 5s, 2h 30m, 3d 4h
---@param seconds any
---@return string
function figures.duration(seconds)
  if not is_number(seconds) then return "?" end
  if seconds < 0.9995 then return string.format("%.0fms", math.max(0, seconds) * 1000) end
  if seconds < 9.95 then return shortened(seconds, 1) .. "s" end
  local whole = math.floor(seconds + 0.5)
  local units = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } }
  for i, unit in ipairs(units) do
    if whole >= unit[1] then
      local text = math.floor(whole / unit[1]) .. unit[2]
      local rest = units[i + 1] and math.floor(whole % unit[1] / units[i + 1][1]) or 0
      return rest > 0 and text .. " " .. rest .. units[i + 1][2] or text
    end
  end
  return "0s"
end

return figures
