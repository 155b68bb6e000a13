-- What speaks of private things stays on this machine.
local text = require "moongate.text"

local WORDS = { "salary", "password", "diagnosis", "confidential", "social security" }

return function(request, candidates)
  if text.contains(text.of(request.messages), WORDS) then
    local here = candidates:keep("private words, and on this machine", function(c) return c.is_local end)
    return here, "this speaks of private things, and no local model is there"
  end
  return candidates:sort("quality", function(c) return -c.quality end)
end
