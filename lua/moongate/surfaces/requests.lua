-- What all surfaces do alike when they make the request that policies see of a scanned body: members of it, what the
-- headers wish, the estimate, and the messages, which policies rarely look at and which are dear to build.
local fields = require "moongate.surfaces.fields"
local openai_chat = require "moongate.openai_chat"
local wishes = require "moongate.surfaces.wishes"

local requests = {}

local BYTES_PER_TOKEN = 4
local LATER = nil -- a member that is to come: room is kept for it; a nil that is written out keeps none

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

---@class moongate.readers what a surface makes of a scanned body when somebody asks for it
---@field messages nil|fun(document: table): table[] the messages in the shape of OpenAI's chat completions
---@field neutral nil|fun(document: table): moongate.chat|nil where the body is in another one: they are made of this
---@field asked nil|fun(document: table): table|nil what tells the kind of a task: { role = who spoke last, content =
---  what the user said last }; nil where that takes the messages

-- What is dear to make and rarely read: it is made of what was sent when somebody reads it, and then kept.
local late = {}

-- None where what was sent exists in its own format alone.
function late.messages(request)
  local readers, document = request.readers, request.sent
  if not readers then return {} end
  if readers.messages then return readers.messages(document) end
  local neutral = readers.neutral and readers.neutral(document)
  return neutral and openai_chat.document(neutral).messages or {}
end

function late.asked(request)
  local readers = request.readers
  return readers and readers.asked and readers.asked(request.sent)
end

function late.headers(request) return wishes.shown(request.sent_headers) end

local request_meta = {
  __index = function(request, name)
    local make = late[name]
    if not make then return nil end
    local value = make(request)
    request[name] = value
    return value
  end,
}

-- A request with the wishes of the headers; or nil and why the body or one of them can't be.
---@param headers table<string, string> or as requests.headers has them
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
  -- With a place for what readers of a body and the exchange put there, it need not grow.
  local request = {
    privacy = false, sent_headers = headers, sent = LATER, readers = LATER,
    surface = false, stream = false, include_usage = false, text_length = 0, estimated_tokens = 0, images = false,
    tools = false, json_schema = false, model = LATER, old_functions = LATER, max_tokens = LATER, asked = LATER,
    now = LATER, seed = LATER, caller = LATER, operation = LATER, affinity = LATER,
    conversation = LATER, is_sealed = LATER,
    -- What most requests lack, and every one is asked for.
    timeout_s = false, document = false,
  }
  setmetatable(request, request_meta)
  local refusal = wishes.read(request, headers)
  if refusal then return nil, refusal end
  return request
end

-- The caller's headers that a protocol reads.
---@param request table
---@param names string[]|true|nil true: all
---@return table<string, string>|nil
function requests.headers(request, names)
  if not names then return nil end
  local sent = request.sent_headers
  if names == true or not sent or rawget(request, "headers") then return request.headers end
  local found = {}
  for _, name in ipairs(names) do
    local value = sent[name]
    found[name] = type(value) == "table" and table.concat(value, ", ") or value
  end
  return found
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
  return request
end

-- Gives a request its `messages`, always in the shape of OpenAI's chat completions, and what is `asked`.
---@param request table
---@param document table
---@param readers moongate.readers
---@return table request
function requests.with_messages(request, document, readers)
  request.sent, request.readers = document, readers
  return request
end

-- Lets go of the body that a request was read from, and of what was made of it: there are no messages from here on.
---@param request table
function requests.forget_body(request)
  request.messages, request.asked, request.sent, request.readers = nil, nil, nil, nil
end

-- Gives a request the conversation of another. What was made of its own source stays, but the messages.
---@param request table
---@param other table
function requests.take_messages(request, other)
  request.messages, request.asked = nil, nil
  request.sent, request.readers, request.sent_headers = other.sent, other.readers, other.sent_headers
  setmetatable(request, request_meta)
end

return requests
