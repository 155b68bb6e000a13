-- Those that are good at the task first, the cheaper of equals.
return function(request, candidates)
  return candidates
    :sort("estimated cost", function(c) return c.estimated_cost end)
    :prefer("good at it",   function(c)
      for _, strength in ipairs(c.strengths) do
        if strength == request.task then return true end
      end
    end)
end
