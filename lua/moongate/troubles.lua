-- What this worker found wrong as it served, by kind, for /ready: each kind is told anew as a whole.
local gate = require "moongate.core.gate"
local json = require "moongate.core.json"

local troubles = {}

local KINDS = { "policy", "spend" }
local lists = {}

---@param kind "policy"|"spend"
---@param list { what: string, file: string|nil, line: integer|nil, message: string }[]
function troubles.set(kind, list)
  lists[kind] = list
  local all = {}
  for _, each in ipairs(KINDS) do
    for _, problem in ipairs(lists[each] or {}) do all[#all + 1] = problem end
  end
  gate.report(json.encode(json.array(all)))
end

return troubles
