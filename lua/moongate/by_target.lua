-- What is worked out of a target once and kept. It is found by the target's place in its configuration: by the target
-- itself it would take the longer the more there are, since the addresses of tables hash badly (30 of them are compared
-- among 1,000).

-- Makes a function that answers what `make` made of a target when it was first asked. Targets of one configuration are
-- known at a time: with another one's, all is forgotten.
---@generic T
---@param make fun(target: table): T
---@return fun(target: table): T
return function(make)
  local targets, made = {}, {}
  return function(target)
    local index = target.index
    local known = targets[index]
    if known == target then return made[index] end
    if known then targets, made = {}, {} end
    local own = make(target)
    targets[index], made[index] = target, own
    return own
  end
end
