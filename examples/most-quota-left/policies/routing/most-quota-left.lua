-- By what is left of the day, most first; those without a limit come before all others.
return function(request, candidates)
  return candidates
    :drop("exhausted",  function(c) return c.exhausted end)
    :keep("has quota",  function(c) return c.left.rpd > 0 and c.left.tpd > request.estimated_tokens end)
    :sort("quota left", function(c) return -c.left.rpd end)
end
