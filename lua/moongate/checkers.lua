-- The quota checkers that ship (lua/checkers/<name>.lua): a table { base_url, needs, check }. check(http, options) asks
-- what is left and returns meters, or nil and why not; see moongate.checking and moongate.reading.
local checkers = {}

local NAMES = { "deepseek", "kilo", "minimax", "moonshot", "naga", "nanogpt", "openrouter", "synthetic", "zai" }

local is_known = {}
for _, name in ipairs(NAMES) do is_known[name] = true end

---@param name string
---@return table|nil
function checkers.get(name)
  return is_known[name] and require("checkers." .. name) or nil
end

---@return string[]
function checkers.names()
  return { unpack(NAMES) }
end

return checkers
