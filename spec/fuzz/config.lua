-- Fuzz target: moongate.lua. It loads, or each problem is a sentence with its file; no value of a variable is in one.
local config = require "moongate.config"
local json = require "moongate.core.json"

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
