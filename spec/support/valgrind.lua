-- What specs know of `make valgrind`: the words that a program runs below then, and which specs cannot hold there.
local valgrind = { words = {} }

for word in (os.getenv "MOONGATE_UNDER" or ""):gmatch "%S+" do valgrind.words[#valgrind.words + 1] = word end

valgrind.is_on = valgrind.words[1] ~= nil

--- `it` for specs that cannot hold below valgrind, for this reason: they are pending there, and not set up.
---@param reason string
---@return fun(title: string, act: fun())
function valgrind.it(reason)
  local busted = require "busted"
  if not valgrind.is_on then return busted.it end
  return function(title) busted.pending(("%s (not below valgrind: %s)"):format(title, reason)) end
end

return valgrind
