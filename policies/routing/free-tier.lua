-- Free providers with quota left, best rank first. When there is none, or the request is private: as `balanced` scores.
return function(request, candidates)
  if request.privacy then return {}, "balanced" end
  local free = candidates
    :keep("has a free tier", function(c) return c.free end)
    :drop("exhausted",       function(c) return c.exhausted end)
    :keep("has quota left",  function(c) return c.left.rpd > 0 and c.left.rpm > 0 end)
    :sort("quality",         function(c) return -c.quality end)
    :sort("rank",            function(c) return -c.rank end)
    :prefer("those that answer", function(c) return c.status ~= "failing" end)
  return free, "balanced"
end
