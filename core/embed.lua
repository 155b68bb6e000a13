-- Writes C source that holds files as text: run by the Makefile as
-- `luajit core/embed.lua OUT FILE...`. lua/a/b.lua becomes "a.b", core/dashboard/x
-- "dashboard/x"; a file below policies/ keeps its path as its name.
local out_path = arg[1]
local files = { unpack(arg, 2) }
table.sort(files)

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function name_of(path)
  local module = path:match("^lua/(.*)%.lua$")
  return module and module:gsub("/", ".") or path:match("^core/(dashboard/.*)$") or path
end

local out = { '#include "script/vm.h"\n\n' }
for i, path in ipairs(files) do
  local bytes = {}
  for byte in read(path):gmatch(".") do bytes[#bytes + 1] = byte:byte() end
  local lines = {}
  for j = 1, #bytes, 24 do
    lines[#lines + 1] = table.concat(bytes, ",", j, math.min(j + 23, #bytes))
  end
  out[#out + 1] = ("static const char text_%d[] = {\n%s,0\n};\n"):format(i, #lines > 0 and table.concat(lines, ",\n") or "0")
end
out[#out + 1] = "\nconst struct vm_source vm_sources[] = {\n"
for i, path in ipairs(files) do
  out[#out + 1] = ('    { "%s", text_%d, sizeof text_%d - 1 },\n'):format(name_of(path), i, i)
end
out[#out + 1] = "    { NULL, NULL, 0 },\n};\n"

local file = assert(io.open(out_path, "wb"))
file:write(table.concat(out))
file:close()
