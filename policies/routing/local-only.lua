-- Nothing leaves this machine. Without a local model a request is refused, before this is asked.
return function(request, candidates)
  return candidates
    :keep("on this machine", function(c) return c.is_local end)
    :drop("exhausted",       function(c) return c.exhausted end)
    :sort("quality",         function(c) return -c.quality end)
    :prefer("those that answer", function(c) return c.status ~= "failing" end)
end
