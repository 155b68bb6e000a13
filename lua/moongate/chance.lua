-- Chance that can be had again: a generator of our own (xorshift128), which draws the same numbers from the same seed
-- on every worker and in every replay.
local bit = require "bit"

local chance = {}

-- Answers the function that draws, as math.random does, and one that sets the seed anew.
---@param seed any
---@return function
---@return fun(value: any)
function chance.new(seed)
  local x, y, z, w = 123456789, 362436069, 521288629, 88675123

  local function next_word()
    local t = bit.bxor(x, bit.lshift(x, 11))
    x, y, z = y, z, w
    w = bit.bxor(w, bit.rshift(w, 19), t, bit.rshift(t, 8))
    return w % 4294967296
  end

  local function set_seed(value)
    local text = type(value) == "number" and string.format("%.17g", value) or tostring(value)
    local hash = 2166136261
    for i = 1, math.min(#text, 64) do hash = bit.bxor(bit.rol(hash, 5), string.byte(text, i)) * 65599 % 4294967296 end
    x, y, z = bit.tobit(hash), 362436069, bit.tobit(521288629 + hash)
    w = 88675123
    for _ = 1, 16 do next_word() end
  end

  local function fraction()
    return (math.floor(next_word() / 32) * 67108864 + math.floor(next_word() / 64)) / 9007199254740992
  end

  local function random(low, high)
    if low == nil then return fraction() end
    if high == nil then low, high = 1, low end
    if type(low) ~= "number" or type(high) ~= "number" then error("random takes numbers", 2) end
    if low > high then error("random: the interval is empty", 2) end
    return math.floor(low + fraction() * (high - low + 1))
  end

  set_seed(seed)
  return random, set_seed
end

return chance
