-- Billed tokens are the real ones times this, rounded up: a customer's discount. What runs on this machine is free.
local SHARE = { acme = 0.8, globex = 0.95 }

return function(caller, model, usage)
  if model.is_local then return 0 end
  return SHARE[caller.org] or 1
end
