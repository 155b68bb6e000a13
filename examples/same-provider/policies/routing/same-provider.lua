-- Sorts by a hash of the conversation and the candidate: the same for every turn, spread evenly over conversations, and
-- with one candidate gone the order of the others stays.
local text = require "moongate.text"

local MOST_BYTES = 1000

local function hash(value)
  local sum = 5381
  for i = 1, #value do sum = (sum * 33 + value:byte(i)) % 4294967291 end
  return sum * 7919 % 1000003
end

local function conversation_of(request)
  for _, message in ipairs(request.messages) do
    if message.role == "user" then return text.of({ message }):sub(1, MOST_BYTES) end
  end
  return ""
end

return function(request, candidates)
  local conversation = conversation_of(request)
  return candidates
    :drop("exhausted",    function(c) return c.exhausted end)
    :sort("conversation", function(c) return hash(c.id .. "\n" .. conversation .. "\n" .. c.id) end)
end
