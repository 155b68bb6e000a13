-- In the order of the config.
return function(request, candidates) return candidates end
