-- Embedding vectors as OpenAI's API packs them: little-endian single floats in base64.
local base64 = require "moongate.base64"

local vector = {}

local LARGEST_EXPONENT = 254

-- What is too small for a single float is zero, what is too large the largest.
local function float(value)
  if type(value) ~= "number" or value ~= value or value == 0 then return "\0\0\0\0" end
  local sign = value < 0 and 128 or 0
  local mantissa, exponent = math.frexp(math.abs(value))
  local exact, biased = (mantissa * 2 - 1) * 2 ^ 23, exponent + 126
  local bits = math.floor(exact + 0.5)
  if bits - exact == 0.5 and bits % 2 == 1 then bits = bits - 1 end -- halves go to the even neighbour
  if bits == 2 ^ 23 then bits, biased = 0, biased + 1 end
  if biased < 1 then return "\0\0\0\0" end
  if biased > LARGEST_EXPONENT then bits, biased = 2 ^ 23 - 1, LARGEST_EXPONENT end
  return string.char(bits % 256, math.floor(bits / 256) % 256,
    math.floor(bits / 65536) + (biased % 2) * 128, sign + math.floor(biased / 2))
end

---@param numbers number[]
---@return string
function vector.pack(numbers)
  local packed = {}
  for index, value in ipairs(numbers) do packed[index] = float(value) end
  return base64.encode(table.concat(packed))
end

---@param text string
---@return number[]|nil
function vector.unpack(text)
  local bytes = base64.decode(text)
  if not bytes or #bytes % 4 ~= 0 then return nil end
  local numbers = {}
  for from = 1, #bytes, 4 do
    local a, b, c, d = string.byte(bytes, from, from + 3)
    local biased, bits = d % 128 * 2 + math.floor(c / 128), c % 128 * 65536 + b * 256 + a
    local value = biased == 0 and bits * 2 ^ -149 or (1 + bits / 2 ^ 23) * 2 ^ (biased - 127)
    numbers[#numbers + 1] = d >= 128 and -value or value
  end
  return numbers
end

return vector
