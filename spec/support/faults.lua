-- Faults in the gateway's system calls, thrown by dice (faults.c): which kinds, how often, and how many there were.
local faults = {}
faults.__index = faults

local KINDS = { "socket", "connect", "accept", "send", "receive", "write", "sync" }
local here = assert(io.popen "pwd"):read "*l"
local clock = os.getenv "MOONGATE_TEST_CLOCK" or "build/spec/clock.so"
local shim = clock:gsub("clock%.so$", "faults.so")
if shim:sub(1, 1) ~= "/" then shim = here .. "/" .. shim end

local function four_bytes(number)
  return string.char(number % 256, math.floor(number / 256) % 256, 0, 0)
end

--- For a gateway that is prepared and not yet open; none happen at first.
function faults.new(moongate)
  moongate:write("faults", ("\0"):rep(8 * #KINDS))
  local self = setmetatable({ path = moongate.folder .. "/faults" }, faults)
  moongate.options.env = { LD_PRELOAD = shim, MOONGATE_FAULTS = self.path }
  return self
end

--- So many of 1000 calls of each kind fail from now on; kinds that are not named: none.
---@param of_1000 table<string, integer>
function faults:set(of_1000)
  for name in pairs(of_1000) do assert((" " .. table.concat(KINDS, " ") .. " "):find(" " .. name .. " ", 1, true)) end
  local file = assert(io.open(self.path, "r+b"))
  for index, name in ipairs(KINDS) do
    file:seek("set", 8 * (index - 1))
    file:write(four_bytes(of_1000[name] or 0))
  end
  file:close()
end

--- How many calls have failed.
---@return integer
function faults:count()
  local file = assert(io.open(self.path, "rb"))
  local text, sum = file:read "*a", 0
  file:close()
  for index = 1, #KINDS do
    local low, high, higher = text:byte(8 * index - 3, 8 * index - 1)
    sum = sum + low + 256 * high + 65536 * higher
  end
  return sum
end

return faults
