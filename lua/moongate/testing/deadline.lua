-- What moongate.testing bounds policies with where the gateway's guard, which is C, is not there: a second is a second,
-- but what runs long inside one C function, or eats memory, is not stopped.
local deadline = {}

local INSTRUCTIONS = 1000
local HERE = debug.getinfo(1, "S").source
local OVER = {}

-- Once over, every instruction but those of this file raises: what catches errors gets no further.
local function watch(milliseconds)
  local stop = os.clock() + milliseconds / 1000
  debug.sethook(function()
    if os.clock() < stop then return end
    debug.sethook(function()
      if debug.getinfo(2, "S").source ~= HERE then error(OVER, 0) end
    end, "", 1)
  end, "", INSTRUCTIONS)
end

local function finish(hook, mask, count, compiles, milliseconds, fine, ...)
  debug.sethook(hook, mask, count)
  if compiles then jit.on() end
  if fine then return true, ... end
  local message = ...
  if message == OVER then return false, "time", string.format("ran for more than %g ms", milliseconds) end
  return false, "error", type(message) == "string" and message or "an error that is " .. type(message)
end

-- As moongate.core.guard: true and the results; or false, the kind, a text.
---@param milliseconds number
---@param _ number
---@param fn function
---@return boolean
function deadline.call(milliseconds, _, fn, ...)
  local hook, mask, count = debug.gethook()
  local compiles = jit.status() -- compiled loops look at no hook
  jit.off()
  watch(milliseconds)
  return finish(hook, mask, count, compiles, milliseconds, pcall(fn, ...))
end

-- As moongate.core.guard: compiles a text, never bytecode.
---@param text string
---@param name string
---@param env table
---@return function|nil
---@return string|nil message
function deadline.load(text, name, env)
  return load(text, name, "t", env)
end

return deadline
