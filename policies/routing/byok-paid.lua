-- Paid providers only, with the operator's own keys: the best model first, the cheaper of equals.
return function(request, candidates)
  return candidates
    :keep("is paid",         function(c) return not c.free and not c.is_local end)
    :keep("has your key",    function(c) return c.keyed end)
    :drop("exhausted",       function(c) return c.exhausted end)
    :sort("estimated cost",  function(c) return c.estimated_cost end)
    :sort("quality",         function(c) return -c.quality end)
    :prefer("those that answer", function(c) return c.status ~= "failing" end)
end
