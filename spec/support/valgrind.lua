-- What specs know of `make valgrind`: the words that a program runs below then, and which specs cannot hold there.
local valgrind = { words = {} }

for word in (os.getenv "MOONGATE_UNDER" or ""):gmatch "%S+" do valgrind.words[#valgrind.words + 1] = word end

valgrind.is_on = valgrind.words[1] ~= nil

--- The tag of specs that cannot hold below valgrind: spec/run.lua leaves them out there.
valgrind.tag = "native"

--- `it` for such a spec.
---@param title string
---@param act fun()
function valgrind.native(title, act) require "busted".it(title .. " #" .. valgrind.tag, act) end

return valgrind
