-- The quickest that is good enough.
local house = require "lib.house"

return function(request, candidates)
  return house.usable(candidates):sort("latency", function(c) return c.latency_ms end)
end
