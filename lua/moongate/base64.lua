-- Bytes as base64 and back. Reads the alphabet of addresses ("-", "_") as well as the common one, which it writes.
local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- Two letters for each twelve bits, as vectors of thousands of numbers go this way, and the number of each letter.
local pairs_of, digits = {}, { [string.byte "-"] = 62, [string.byte "_"] = 63 }
for high = 0, 63 do
  local letter = string.sub(ALPHABET, high + 1, high + 1)
  digits[string.byte(letter)] = high
  for low = 0, 63 do pairs_of[high * 64 + low] = letter .. string.sub(ALPHABET, low + 1, low + 1) end
end

---@param bytes string
---@return string
function base64.encode(bytes)
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

-- The bytes; nil where the text is no base64.
---@param text string
---@return string|nil
function base64.decode(text)
  text = string.gsub(text, "=+$", "")
  if #text % 4 == 1 then return nil end
  local out, word, bits = {}, 0, 0
  for place = 1, #text do
    local digit = digits[string.byte(text, place)]
    if not digit then return nil end
    word, bits = word * 64 + digit, bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(math.floor(word / 2 ^ bits))
      word = word % 2 ^ bits
    end
  end
  return table.concat(out)
end

return base64
