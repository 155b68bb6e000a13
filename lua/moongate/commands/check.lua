-- `moongate check`: says what is wrong with the policies; the configuration was read before this runs.
local control = require "moongate.control"
local process = require "moongate.core.process"

local check = {}

---@return integer exit code
function check.run()
  local problems = control.problem_list()
  for _, problem in ipairs(problems) do
    local place = problem.line and string.format("%s:%d", problem.file, problem.line) or problem.file
    process.complain(string.format("%s: %s", place, problem.message))
  end
  if #problems > 0 then return 1 end
  process.print "the configuration and the policies are fine"
  return 0
end

return check
