-- What specs know of `make valgrind`: the words that a program runs below then, and which specs cannot hold there.
local valgrind = { words = {} }

for word in (os.getenv "MOONGATE_UNDER" or ""):gmatch "%S+" do valgrind.words[#valgrind.words + 1] = word end

valgrind.is_on = valgrind.words[1] ~= nil

--- The spec that calls it is pending below valgrind, for this reason: what it needs is not to be had there.
---@param reason string
function valgrind.pending(reason)
  if valgrind.is_on then require("busted").pending(reason) end
end

return valgrind
