-- Writes C source that holds Redis' own scripts: run by the Makefile as
-- `luajit core/embed_scripts.lua OUT FILE...`. core/store/redis_scripts/reserve.lua becomes redis_script_reserve.
local out = { '#include "store/redis_scripts.h"\n' }
for i = 2, #arg do
  local file = assert(io.open(arg[i], "rb"))
  local bytes = {}
  for byte in file:read("*a"):gmatch(".") do bytes[#bytes + 1] = byte:byte() end
  file:close()
  local name = arg[i]:match("([^/]+)%.lua$")
  out[#out + 1] = ("static const char text_of_%s[] = { %s,0 };"):format(name, table.concat(bytes, ","))
  out[#out + 1] = ("struct redis_script redis_script_%s = { .name = %q, .source = text_of_%s };\n"):format(name, name, name)
end

local file = assert(io.open(arg[1], "wb"))
file:write(table.concat(out, "\n"))
file:close()
