-- Properties: what must hold for anything that is made up from a seed. MOONGATE_SEED starts at another one, and makes
-- a failure tell all it knows.
local assert = require "luassert"
local chats = require "spec.support.chats"
local json = require "moongate.core.json"

local FIRST = tonumber(os.getenv "MOONGATE_SEED") or 1

local function told(wrong)
  return debug.traceback(type(wrong) == "table" and wrong.message or tostring(wrong), 2)
end

local property = {}

-- Holds two values against each other.
---@param expected any
---@param got any
---@param about string|nil what it is read from
function property.same(expected, got, about)
  if pcall(assert.same, expected, got) then return end
  about = os.getenv "MOONGATE_SEED" and about or ""
  error(about .. "\nexpected " .. json.encode(expected) .. "\ngot      " .. json.encode(got), 2)
end

-- That the classes of usage are what they should be.
---@param usage moongate.usage
function property.sums_up(usage)
  local sum = 0
  for _, name in ipairs { "input", "cached", "cache_write", "output", "reasoning" } do
    assert(usage[name] >= 0, name)
    sum = sum + usage[name]
  end
  assert(sum == usage.total, "classes add up to " .. sum .. ", not " .. usage.total)
end

-- The body of a test: a check for so many seeds. Says for which it fails.
local function always(_, cases, check)
  return function()
    for seed = FIRST, FIRST + cases - 1 do
      local fine, why = xpcall(check, told, chats.dice(seed))
      if not fine then error("seed " .. seed .. ": " .. why, 0) end
    end
  end
end

return setmetatable(property, { __call = always })
