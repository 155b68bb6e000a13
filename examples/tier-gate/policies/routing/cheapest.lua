-- Of what the caller may use, the cheapest first.
return function(request, candidates)
  return candidates:sort("estimated cost", function(c) return c.estimated_cost end)
end
