-- What a million tokens of the answer may cost, by tier.
local MOST = { free = 0, pro = 20, max = math.huge }

return function(caller, model)
  local most = MOST[caller.tier]
  if not most then return false, "a key needs the tier free, pro or max" end
  local price = model.cost and model.cost.output or math.huge
  if price <= most then return true end
  return false, ("%s costs %g USD per million tokens, and %s ends at %g"):format(model.id, price, caller.tier, most)
end
