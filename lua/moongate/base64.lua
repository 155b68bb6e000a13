-- Bytes as base64 and back. Reads the alphabet of addresses ("-", "_") as well as the common one, which it writes.
local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local letters, digits = {}, { [string.byte "-"] = 62, [string.byte "_"] = 63 }
for digit = 0, 63 do
  local letter = string.sub(ALPHABET, digit + 1, digit + 1)
  letters[digit], digits[string.byte(letter)] = letter, digit
end

---@param bytes string
---@return string
function base64.encode(bytes)
  local out = {}
  for from = 1, #bytes, 3 do
    local a, b, c = string.byte(bytes, from, from + 2)
    local word = a * 65536 + (b or 0) * 256 + (c or 0)
    out[#out + 1] = letters[math.floor(word / 262144)]
    out[#out + 1] = letters[math.floor(word / 4096) % 64]
    out[#out + 1] = b and letters[math.floor(word / 64) % 64] or "="
    out[#out + 1] = c and letters[word % 64] or "="
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
