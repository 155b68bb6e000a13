-- Whole numbers as text. LuaJIT takes 500 instructions for each, whatever its size; most have few digits, and are put
-- together of what was written once. Pure.

local digits = {}

local EXACT = 1e14 -- from there on tostring writes an exponent

-- The numbers below 1000, and those with noughts before them, when first asked for.
local function written(form)
  return setmetatable({}, {
    __index = function(known, number)
      local text = string.format(form, number)
      known[number] = text
      return text
    end,
  })
end
local plain, padded = written "%d", written "%03d"

---@param number number
---@return string
function digits.whole(number)
  local low = number % 1000
  if number == low and low % 1 == 0 then return plain[low] end
  if number > 0 and number < 1000000 and low % 1 == 0 then return plain[(number - low) / 1000] .. padded[low] end
  return number < EXACT and tostring(number) or string.format("%d", number)
end

-- Micro-dollars as dollars.
---@param microusd integer
---@return string
function digits.dollars(microusd)
  local fraction = microusd % 1000000
  local low = fraction % 1000
  return digits.whole((microusd - fraction) / 1000000) .. "." .. padded[(fraction - low) / 1000] .. padded[low]
end

return digits
