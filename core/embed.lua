-- Writes C source that holds files as text: run by the Makefile as
-- `luajit core/embed.lua OUT FILE...`. lua/a/b.lua becomes "a.b", core/dashboard/x
-- "dashboard/x"; a file below policies/ keeps its path as its name. With `redis`
-- before OUT the files are scripts for Redis: name.lua becomes redis_script_name,
-- with the file before it that its first line needs (`-- needs: other.lua`).
local is_redis = arg[1] == "redis"
if is_redis then table.remove(arg, 1) end
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

local function bytes_of(text)
  local bytes, lines = {}, {}
  for byte in text:gmatch(".") do bytes[#bytes + 1] = byte:byte() end
  for j = 1, #bytes, 24 do
    lines[#lines + 1] = table.concat(bytes, ",", j, math.min(j + 23, #bytes))
  end
  return #lines > 0 and table.concat(lines, ",\n") or "0"
end

local function as_sources()
  local out = { '#include "script/vm.h"\n\n' }
  for i, path in ipairs(files) do
    out[#out + 1] = ("static const char text_%d[] = {\n%s,0\n};\n"):format(i, bytes_of(read(path)))
  end
  out[#out + 1] = "\nconst struct vm_source vm_sources[] = {\n"
  for i, path in ipairs(files) do
    out[#out + 1] = ('    { "%s", text_%d, sizeof text_%d - 1 },\n'):format(name_of(path), i, i)
  end
  out[#out + 1] = "    { NULL, NULL, 0 },\n};\n"
  return table.concat(out)
end

local function as_scripts()
  local out = { '#include "store/redis_scripts.h"\n\n' }
  for i, path in ipairs(files) do
    local text, name = read(path), path:match("([%w_]+)%.lua$")
    local needed = text:match("^%-%- needs: ([%w_]+%.lua)\n")
    if needed then text = read(path:gsub("[%w_]+%.lua$", needed)) .. text end
    out[#out + 1] = ("static const char text_%d[] = {\n%s,0\n};\n"):format(i, bytes_of(text))
    out[#out + 1] = ('struct redis_script redis_script_%s = { .name = "%s", .source = text_%d };\n'):format(name, name, i)
  end
  return table.concat(out)
end

local file = assert(io.open(out_path, "wb"))
file:write(is_redis and as_scripts() or as_sources())
file:close()
