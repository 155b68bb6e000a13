-- What to add to Lua's own words where a policy's author is likely to be new to Lua, or to what a policy may do: what
-- there is instead, or the name that is nearest.
local near = require "moongate.near"
local sandbox = require "moongate.sandbox"

local advice = {}

local LIBRARIES = { "string", "table", "math", "os", "coroutine", "bit" }
-- Habits from other languages, by what the compiler says of them.
local HABITS = {
  { "^'then' expected near '!'", "not equal is ~=" },
  { "^unexpected symbol near '!'", "not is written not" },
  { "^'=' expected near '[-+*/]'", "write x = x + 1" },
  { "^'=' expected near 'end'", "a word alone does nothing; there is no `continue`, but `goto`" },
}

local known -- names of globals, and of functions in libraries; worked out when first asked for

local function names()
  if known then return known end
  local env = sandbox.environment(sandbox.host(0), error)
  known = { globals = {}, functions = {} }
  for name in pairs(env) do table.insert(known.globals, name) end
  for _, library in ipairs(LIBRARIES) do
    for name in pairs(env[library]) do table.insert(known.functions, name) end
  end
  return known
end

local function on_global(name)
  if name == "print" then return ": a policy writes to the log by log(...)" end
  if rawget(_G, name) ~= nil or name == "ffi" then return ": a policy has no " .. name end
  return near.hint(name, names().globals)
end

local function on_function(name)
  for _, library in ipairs { "os", "string" } do
    if _G[library][name] then return ": a policy has no " .. library .. "." .. name end
  end
  return near.hint(name, names().functions)
end

-- The words to add to a message; "" where there is nothing to say.
---@param message string without file and line
---@return string
function advice.on(message)
  local global = string.match(message, "^attempt to %a+ global '([%w_]+)' %(a nil value%)$")
  if global then return on_global(global) end
  local name = string.match(message, "^attempt to call field '([%w_]+)' %(a nil value%)$")
    or string.match(message, "^attempt to call method '([%w_]+)' %(a nil value%)$")
  if name then return on_function(name) end
  for _, habit in ipairs(HABITS) do
    if string.find(message, habit[1]) then return ": " .. habit[2] end
  end
  return ""
end

return advice
