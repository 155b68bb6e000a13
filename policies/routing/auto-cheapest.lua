-- The cheapest model that can do it; among equally cheap ones the best. Unknown prices come last.
return function(request, candidates)
  return candidates
    :drop("exhausted",      function(c) return c.exhausted end)
    :sort("quality",        function(c) return -c.quality end)
    :sort("estimated cost", function(c) return c.estimated_cost end)
    :prefer("those that answer", function(c) return c.status ~= "failing" end)
end
