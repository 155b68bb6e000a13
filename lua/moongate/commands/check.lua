-- `moongate check`: says what is wrong with configuration and policies, all at once. The configuration was read before
-- this runs, and its policies tried, by the functions that a reload uses.
local control = require "moongate.control"
local process = require "moongate.core.process"

local check = {}

local USUAL_FILE = "moongate.lua"

-- The policies folder of a configuration that did not load, as far as its text tells; nil: those inside the program.
local function folder_of(path)
  local text = process.read(path)
  local folder = text and string.match(text, "%f[%w_]policies%s*=%s*[\"']([^\"'\n]+)[\"']")
  if not folder then return nil end
  if string.sub(folder, 1, 1) == "/" then return folder end
  return (string.match(path, "^(.*/)[^/]*$") or "") .. folder
end

-- words: the path of a configuration that did not load (control.note has why), so that its policies are still to be
-- tried; none if all was.
---@param words string[]
---@return integer exit code
function check.run(words)
  if words and words[1] then
    local files = process.policies(folder_of(words[1] ~= "" and words[1] or USUAL_FILE))
    if files then control.install(files) end
  end
  local problems = control.mistake_list()
  for _, problem in ipairs(problems) do
    local place = problem.line and string.format("%s:%d", problem.file, problem.line) or problem.file
    process.complain(place and place .. ": " .. problem.message or problem.message)
  end
  if #problems > 0 then return 1 end
  process.print "the configuration and the policies are fine"
  return 0
end

return check
