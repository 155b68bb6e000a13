-- Cost, speed and fitness for the task, weighed against each other; `priority` and `latency_pref` choose the weights.
-- The best is the primary, the second its backup; should both fail, the cheapest of all comes next.
local weights = {
  cheap    = { cost = 0.8, latency = 0.1, task = 0.1 },
  balanced = { cost = 0.4, latency = 0.3, task = 0.3 },
  fast     = { cost = 0.3, latency = 0.4, task = 0.3 },
  best     = { quality = 0.7, task = 0.3 },
}

return function(request, candidates)
  local mode = request.latency_pref == "fast" and "fast" or request.priority
  local ranked = candidates
    :drop("exhausted", function(c) return c.exhausted end)
    :score(weights[mode] or weights.balanced)
    :prefer("whose cache is warm", function(c) return c.id == request.affinity end)
    :prefer("those that answer", function(c) return c.status ~= "failing" end)
  return ranked:take(2):concat(ranked:sort("estimated cost", function(c) return c.estimated_cost end))
end
