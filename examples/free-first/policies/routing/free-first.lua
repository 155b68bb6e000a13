-- Free ones that have quota left, best first; behind them what costs money, cheapest first.
return function(request, candidates)
  local usable = candidates:drop("exhausted", function(c) return c.exhausted end)
  local free = usable
    :keep("has a free tier", function(c) return c.free end)
    :keep("has quota left",  function(c) return c.left.rpm > 0 and c.left.rpd > 0 end)
    :sort("quality",         function(c) return -c.quality end)
  local paid = usable
    :drop("has a free tier", function(c) return c.free end)
    :sort("estimated cost",  function(c) return c.estimated_cost end)
  return free:concat(paid)
end
