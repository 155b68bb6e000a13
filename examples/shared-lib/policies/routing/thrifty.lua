-- The cheapest that is good enough.
local house = require "lib.house"

return function(request, candidates)
  return house.usable(candidates):sort("estimated cost", function(c) return c.estimated_cost end)
end
