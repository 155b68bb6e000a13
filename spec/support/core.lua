-- Lets a pure spec under plain luajit `require "moongate.core.json"` and the
-- other C modules that need no loop: they are opened from the test library,
-- which takes Lua's own functions from the program that loads it.

-- Lua's own string functions: opening the guard puts others in their place, for all specs of the process.
local registry = debug.getregistry()
local own = registry["spec.support.core"] or {}
if not registry["spec.support.core"] then
  registry["spec.support.core"] = own
  for name, fn in pairs(string) do own[name] = fn end
end

local path = os.getenv("MOONGATE_TEST_LIBRARY") or "build/libmoongate-test.so"
if not path:find("/", 1, true) then path = "./" .. path end

for _, name in ipairs({ "json", "guard", "limit_headers", "words" }) do
  local module = "moongate.core." .. name
  package.preload[module] = package.preload[module] or function()
    return assert(package.loadlib(path, "luaopen_moongate_core_" .. name))()
  end
end

return { string = own }
