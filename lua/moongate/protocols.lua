-- The provider protocols by name: lua/protocols/<name>.lua.
local protocols = {}

local KNOWN = { openai = true, mock = true }

---@param name string
---@return table|nil
function protocols.get(name)
  return KNOWN[name] and require("protocols." .. name) or nil
end

return protocols
