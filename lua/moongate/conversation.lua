-- Which conversation a request belongs to: the same caller, and the same messages up to the first of the user's, for
-- these come again with every turn. That is what `request.affinity` and the targets' prompt caches go by.
local affinity = require "moongate.core.affinity"

local conversation = {}

-- What two conversations do not share lies near their beginning.
local MOST_BYTES, MOST_MESSAGES = 2048, 8

-- The digest of a chat's conversation; nil for what has no messages: where all APIs have them but two, Gemini and
-- OpenAI's Responses.
---@param document table
---@param caller moongate.caller
---@return string|nil
function conversation.of(document, caller)
  return document:digest(caller.key_id, "role", "user", MOST_MESSAGES, MOST_BYTES, "messages", "contents", "input")
end

-- The target that served it last, by id; nil when there was none lately.
---@param digest string|nil
---@return string|nil
function conversation.target(digest)
  return digest and affinity.recall(digest) or nil
end

-- Notes who served it.
---@param digest string|nil
---@param target table
function conversation.served(digest, target)
  if digest then affinity.remember(digest, target.id) end
end

return conversation
