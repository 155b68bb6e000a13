-- Failed policies in words: what the logs, the explanations and the refusals say of one.
local faults = {}

---@class moongate.fault as moongate.policies tells it
---@field kind string "error", "time", "memory", "depth", "result"
---@field policy string the label: "routing/mine"
---@field file string|nil
---@field line integer|nil
---@field message string

-- "policies/routing/mine.lua:3: attempt to ...", in one line.
---@param fault moongate.fault
---@return string
function faults.in_words(fault)
  if not fault.file then return fault.message end
  return fault.file .. (fault.line and ":" .. fault.line or "") .. ": " .. fault.message
end

-- The refusal of a request whose policy failed. role: "routing policy", "hook"; name: as callers may see it.
---@param role string
---@param name string
---@param words string
---@return table
function faults.refusal(role, name, words)
  return {
    status = 500, code = "policy_fault", type = "server_error",
    message = string.format('the %s "%s" failed: %s', role, name, words),
  }
end

return faults
