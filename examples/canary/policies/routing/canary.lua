-- One request in twenty begins with the new model.
local SHARE = 0.05

return function(request, candidates)
  local is_canary = math.random() < SHARE
  return candidates:prefer(is_canary and "the canary" or "the proven one", function(c)
    return (c.model == "new") == is_canary
  end)
end
