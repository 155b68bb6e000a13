-- Fuzz target: files of the policies folder. Each loads or is told of with its path; the canary beside them is as it
-- was.
local policies = require "moongate.policies"

local CANARY = "return function() return ('x'):rep(3) .. #tostring(1) .. math.floor(1.5) .. type(next) end"

local PLACES = {
  "routing/a.lua", "access.lua", "billing.lua", "task.lua", "hooks/10_a.lua", "lib/a.lua", "protocols/a.lua",
  "checkers/a.lua",
}

local set = policies.new { milliseconds = 20, bytes = 8 * 1024 * 1024, seed = 1, log = function() end }
local count = 0

return function(bytes)
  -- A first line of "-- place" says where the file lies; else it is a routing policy.
  local place = PLACES[tonumber(string.match(bytes, "^%-%- (%d)")) or 1] or PLACES[1]
  count = count + 1
  local report = set:install {
    { path = place, text = bytes, version = tostring(count) },
    { path = "routing/canary.lua", text = CANARY, version = "1" },
  }
  for _, problem in ipairs(report.problems) do
    assert(type(problem.file) == "string" and type(problem.message) == "string" and #problem.message > 0)
  end
  local canary = assert(set:routing("canary"))
  local fine, said = set:call(canary)
  assert(fine and said == "xxx11function", tostring(said))
end
