-- What the rules of this house have in common.
local house = {}

local GOOD_ENOUGH = 60

function house.usable(candidates)
  return candidates
    :drop("exhausted",   function(c) return c.exhausted end)
    :keep("good enough", function(c) return c.quality >= GOOD_ENOUGH end)
end

return house
