-- Fuzz target: moongate.lua. It loads, or each problem is a sentence with its file; no value of a variable is in one.
local config = require "moongate.config"
local json = require "moongate.core.json"

-- A config runs under a hook of its own; behind it lines are counted again.
local sethook, count_lines = debug.sethook, _G.fuzz_hook
rawset(debug, "sethook", function(...)
  sethook(...)
  if select("#", ...) == 0 then count_lines() end
end)

local SECRET = "value-of-a-variable"

local function env(name)
  if name ~= "UNSET" then return SECRET end
end

return function(bytes)
  local loaded, problems = config.load(bytes, "moongate.lua", env, {})
  if loaded then return assert(json.encode(loaded)) end
  assert(#problems > 0)
  for _, problem in ipairs(problems) do
    local message = config.message(problem)
    assert(string.find(message, "moongate.lua", 1, true), "a problem names its file")
    assert(#message < 4000, "a problem is a sentence")
    assert(not string.find(message, SECRET, 1, true) or string.find(bytes, SECRET, 1, true), "no variable is shown")
  end
end
