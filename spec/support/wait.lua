-- The only place where a spec lets time pass: a condition is asked again and again, up to a bound.
local socket = require "socket"
local valgrind = require "spec.support.valgrind"

local wait = {}

-- How many times as long as usual what is bounded for good measure may take.
wait.slowness = valgrind.is_on and 8 or 1
-- Generous, because it is only ever reached by a spec that fails; sanitizers and full machines are slow.
wait.seconds = 15 * wait.slowness

--- Polls until `condition` answers something true, and returns that; raises after `seconds`.
---@generic T
---@param condition fun(): T
---@param what string what is waited for, for the error
---@param seconds? number
---@return T
function wait.until_(condition, what, seconds)
  local deadline = socket.gettime() + (seconds and seconds * wait.slowness or wait.seconds)
  local pause = 0.001
  while true do
    local result = condition()
    if result then return result end
    if socket.gettime() > deadline then error("waited in vain for " .. what, 2) end
    socket.sleep(pause)
    pause = math.min(pause * 1.5, 0.02)
  end
end

return wait
