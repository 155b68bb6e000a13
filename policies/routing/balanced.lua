-- Cost, speed and fitness for the task, weighed against each other; `priority` and `latency_pref` choose the weights.
local weights = {
  cheap    = { cost = 0.8, latency = 0.1, task = 0.1 },
  balanced = { cost = 0.4, latency = 0.3, task = 0.3 },
  fast     = { cost = 0.3, latency = 0.4, task = 0.3 },
  best     = { quality = 0.7, task = 0.3 },
}

return function(request, candidates)
  local mode = request.latency_pref == "fast" and "fast" or request.priority
  return candidates
    :drop("exhausted", function(c) return c.exhausted end)
    :score(weights[mode] or weights.balanced)
    :prefer("those that answer", function(c) return c.status ~= "failing" end)
end
