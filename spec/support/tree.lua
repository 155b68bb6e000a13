-- The project's own files, for specs that read them.
local lfs = require "lfs"

local tree = {}

--- The names in a folder, sorted.
function tree.list(folder)
  local names = {}
  for name in lfs.dir(folder) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- All files below a folder whose path matches; what npm has installed is not ours.
---@return string[]
function tree.files(folder, pattern)
  local found = {}
  local function walk(path)
    for _, name in ipairs(tree.list(path)) do
      local below = path .. "/" .. name
      if lfs.attributes(below, "mode") == "directory" then
        if name ~= "node_modules" then walk(below) end
      elseif below:match(pattern) then
        found[#found + 1] = below
      end
    end
  end
  if tree.exists(folder) then walk(folder) end
  return found
end

function tree.exists(path) return lfs.attributes(path, "mode") ~= nil end

--- A file's text behind a line end, so that every line begins after one.
function tree.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return "\n" .. text
end

--- A Lua file's text without its comments.
function tree.code(path)
  return (tree.read(path):gsub("%-%-%[%[.-%]%]", ""):gsub("%-%-[^\n]*", ""))
end

return tree
