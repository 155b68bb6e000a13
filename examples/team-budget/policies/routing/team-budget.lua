-- The team's own account while its allowance covers the request, then what is there for everybody.
return function(request, candidates)
  local team = request.caller.org
  local needed = request.estimated_tokens + (request.max_tokens or 500)
  local own = candidates
    :keep("the team's account",   function(c) return c.provider == team end)
    :keep("allowance covers it",  function(c) return c.left.tpd >= needed end)
  local shared = candidates
    :keep("for everybody",        function(c) return c.provider == "shared" end)
  return own:concat(shared)
end
