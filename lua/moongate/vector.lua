-- Embedding vectors as OpenAI's API packs them: little-endian single floats in base64.
local vector = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local LARGEST_EXPONENT = 254

-- Two letters for each twelve bits, and the number of each letter.
local pairs_of, digits = {}, {}
for high = 0, 63 do
  local letter = string.sub(ALPHABET, high + 1, high + 1)
  digits[string.byte(letter)] = high
  for low = 0, 63 do pairs_of[high * 64 + low] = letter .. string.sub(ALPHABET, low + 1, low + 1) end
end

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

---@param bytes string
---@return string
function vector.base64(bytes)
  local out = {}
  for from = 1, #bytes - 2, 3 do
    local a, b, c = string.byte(bytes, from, from + 2)
    out[#out + 1] = pairs_of[a * 16 + math.floor(b / 16)]
    out[#out + 1] = pairs_of[b % 16 * 256 + c]
  end
  local left = #bytes % 3
  if left == 1 then
    out[#out + 1] = pairs_of[string.byte(bytes, -1) * 16] .. "=="
  elseif left == 2 then
    local a, b = string.byte(bytes, -2, -1)
    out[#out + 1] = pairs_of[a * 16 + math.floor(b / 16)] .. string.sub(pairs_of[b % 16 * 256], 1, 1) .. "="
  end
  return table.concat(out)
end

-- The bytes of base64; nil when it is none.
local function bytes_of(text)
  local out, word, bits = {}, 0, 0
  for place = 1, #text do
    local byte = string.byte(text, place)
    if byte == 61 then break end
    local digit = digits[byte]
    if not digit then return nil end
    word, bits = word * 64 + digit, bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = math.floor(word / 2 ^ bits)
      word = word % 2 ^ bits
    end
  end
  return out
end

---@param numbers number[]
---@return string base64
function vector.pack(numbers)
  local packed = {}
  for index, value in ipairs(numbers) do packed[index] = float(value) end
  return vector.base64(table.concat(packed))
end

---@param base64 string
---@return number[]|nil
function vector.unpack(base64)
  local bytes = bytes_of(base64)
  if not bytes or #bytes % 4 ~= 0 then return nil end
  local numbers = {}
  for from = 1, #bytes, 4 do
    local a, b, c, d = bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]
    local biased, bits = d % 128 * 2 + math.floor(c / 128), c % 128 * 65536 + b * 256 + a
    local value = biased == 0 and bits * 2 ^ -149 or (1 + bits / 2 ^ 23) * 2 ^ (biased - 127)
    numbers[#numbers + 1] = d >= 128 and -value or value
  end
  return numbers
end

return vector
