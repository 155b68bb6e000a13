-- Billed tokens: what the billing policy makes of those that were used, or, before a call, of those expected.
local facts = require "moongate.facts"
local money = require "moongate.money"

local billing = {}

-- How often each token is billed. The second result is a fault: what the policy answered is no multiplier.
---@param policies table|nil see moongate.decider
---@param caller { name: string, org: string, tier: string }
---@param target table
---@param usage moongate.usage
---@return number
---@return "result"|nil
function billing.multiplier(policies, caller, target, usage)
  local policy = policies and policies:billing()
  if not policy then return target.is_local and 0 or 1 end
  local fine, value = policies:call(policy.run, facts.shown("caller", caller), facts.model(target),
    facts.shown("usage", usage))
  if fine and money.is_multiplier(value) then return value end
  return 1, fine and "result" or nil
end

-- The billed tokens of a usage, and the fault.
---@param policies table|nil
---@param caller { name: string, org: string, tier: string }
---@param target table
---@param usage moongate.usage
---@return integer
---@return "result"|nil
function billing.tokens(policies, caller, target, usage)
  local times, fault = billing.multiplier(policies, caller, target, usage)
  return money.billed(usage.total, times), fault
end

return billing
