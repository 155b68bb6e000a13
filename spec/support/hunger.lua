-- Allocations that fail in a gateway (hunger.c), its own or only its libraries': the N-th from a moment on.
local hunger = {}
hunger.__index = hunger

local WORDS = 5 -- as in struct hunger
local here = assert(io.popen "pwd"):read "*l"
local clock = os.getenv "MOONGATE_TEST_CLOCK" or "build/spec/clock.so"
local shim = clock:gsub("clock%.so$", "hunger.so")
if shim:sub(1, 1) ~= "/" then shim = here .. "/" .. shim end

local function four_bytes(number)
  return string.char(number % 256, math.floor(number / 256) % 256, math.floor(number / 65536) % 256, 0)
end

--- For a gateway that is prepared and not yet open; nothing fails at first.
function hunger.new(moongate)
  moongate:write("hunger", ("\0"):rep(4 * WORDS))
  local self = setmetatable({ path = moongate.folder .. "/hunger" }, hunger)
  moongate.options.env = { LD_PRELOAD = shim, MOONGATE_HUNGER = self.path }
  return self
end

--- The N-th allocation from now on fails, and `times` - 1 behind it; 0: none, and they are counted from 0 on.
---@param nth integer
---@param options? { times?: integer, libraries?: boolean } libraries: only what libraries ask for counts
function hunger:set(nth, options)
  options = options or {}
  local file = assert(io.open(self.path, "r+b"))
  file:write(four_bytes(nth), four_bytes(options.times or 1), four_bytes(options.libraries and 1 or 0),
    four_bytes(0), four_bytes(0))
  file:close()
end

local function word(self, index)
  local file = assert(io.open(self.path, "rb"))
  file:seek("set", 4 * index)
  local low, high, higher = file:read(4):byte(1, 3)
  file:close()
  return low + 256 * high + 65536 * higher
end

--- How many allocations there were since `set`, and how many of them failed.
---@return integer
function hunger:asked() return word(self, 3) end
---@return integer
function hunger:failed() return word(self, 4) end

return hunger
