-- Which conversation a request belongs to: the same caller, and the same messages up to the first of the user's, for
-- these come again with every turn. That is what `request.affinity` and the targets' prompt caches go by.
local affinity = require "moongate.core.affinity"
local keys = require "moongate.core.keys"

local conversation = {}

-- What two conversations do not share lies near their beginning.
-- Where bodies have them: all but two APIs, Gemini, OpenAI's Responses.
local TURNS = { "messages", "contents", "input" }
local MOST_BYTES, MOST_MESSAGES = 2048, 8

-- The digest of a chat's conversation; nil for what has no messages.
---@param document table
---@param caller moongate.caller
---@return string|nil
function conversation.of(document, caller)
  local messages
  for _, name in ipairs(TURNS) do messages = messages or document:find(0, name) end
  if not messages or document:kind(messages) ~= "array" then return nil end
  local parts = { caller.key_id }
  for i, message in document:items(messages) do
    parts[#parts + 1] = string.sub(document:text(message), 1, MOST_BYTES)
    local role = document:kind(message) == "object" and document:find(message, "role")
    if i == MOST_MESSAGES or (role and document:value(role) == "user") then break end
  end
  return keys.hash(table.concat(parts, "\0"))
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
