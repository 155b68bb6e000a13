-- What all surfaces do alike when they make the request that policies see of a scanned body: members of it, what the
-- headers wish, the estimate, and the messages, which policies rarely look at and which are dear to build.
local fields = require "moongate.surfaces.fields"
local openai_chat = require "moongate.openai_chat"
local wishes = require "moongate.surfaces.wishes"

local requests = {}

local BYTES_PER_TOKEN = 4

-- The value of a member of the body; nil for null too.
---@param document table
---@param name string
---@param node integer|nil another object than the body
---@return any
function requests.value(document, name, node)
  local member = fields.optional(document, node or 0, name)
  return member and document:value(member)
end

-- The bytes of text in a member.
---@param document table
---@param name string
---@param node integer|nil another object than the body
---@return integer
function requests.bytes(document, name, node)
  local member = document:find(node or 0, name)
  return member and document:string_bytes(member) or 0
end

-- A request with the wishes of the headers; or nil and why the body or one of them can't be.
---@param headers table<string, string>
---@param wrong { param: string|nil, message: string }|nil what the surface's check says
---@return table|nil
---@return table|nil refusal
function requests.begin(headers, wrong)
  if wrong then
    return nil, {
      status = 400, message = wrong.message, param = wrong.param, type = "invalid_request_error",
      code = "invalid_value",
    }
  end
  local request = { privacy = false }
  local refusal = wishes.read(request, headers)
  if refusal then return nil, refusal end
  return request
end

-- Notes the size of what is asked.
---@param request table
---@param text integer bytes of the conversation's text
---@param tokens integer of what is no text
---@param extra integer|nil bytes of what is sent beside the conversation
function requests.weigh(request, text, tokens, extra)
  request.text_length = text
  request.estimated_tokens = math.ceil((text + (extra or 0)) / BYTES_PER_TOKEN) + tokens
end

-- The rest of a call for embeddings: there is no conversation.
---@param request table
---@param text integer
---@param tokens integer|nil
---@return table request
function requests.embeddings(request, text, tokens)
  request.surface = "embeddings"
  request.stream, request.tools, request.images, request.json_schema = false, false, false, false
  requests.weigh(request, text, tokens or 0)
  return requests.with_messages(request, function() return {} end)
end

-- Gives a request its `messages`, always in the shape of OpenAI's chat completions: made when somebody reads them, and
-- then kept.
---@param request table
---@param make fun(): table[]
---@return table request
function requests.with_messages(request, make)
  local messages
  return setmetatable(request, {
    __index = function(_, name)
      if name ~= "messages" then return nil end
      messages = messages or make()
      return messages
    end,
  })
end

-- The same for another format than OpenAI's; empty where what was sent exists in that format alone.
---@param request table
---@param read fun(): moongate.chat|nil
---@return table request
function requests.with_neutral(request, read)
  return requests.with_messages(request, function()
    local neutral = read()
    return neutral and openai_chat.document(neutral).messages or {}
  end)
end

return requests
