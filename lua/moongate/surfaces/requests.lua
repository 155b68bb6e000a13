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

-- What is dear to make and rarely read: it is made of request.source when somebody reads it, and then kept.
local late = {}

function late.messages(source)
  if source.messages then return source.messages(source.document) end
  local neutral = source.neutral and source.neutral(source.document)
  return neutral and openai_chat.document(neutral).messages or {}
end

-- Of the conversation, what tells the kind of a task: { role = who spoke last, content = what the user said last }; nil
-- where that takes the messages.
function late.asked(source) return source.asked and source.asked(source.document) end

function late.headers(source) return wishes.shown(source.headers) end

local request_meta = {
  __index = function(request, name)
    local make = late[name]
    if not make then return nil end
    local value = make(request.source)
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
    privacy = false, source = { headers = headers, document = LATER, messages = LATER, asked = LATER },
    surface = false, stream = false, include_usage = false, text_length = 0, estimated_tokens = 0, images = false,
    tools = false, json_schema = false, model = LATER, old_functions = LATER, max_tokens = LATER, asked = LATER,
    now = LATER, seed = LATER, caller = LATER, operation = LATER, affinity = LATER,
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
  local source = request.source
  if names == true or not source or rawget(request, "headers") then return request.headers end
  local found = {}
  for _, name in ipairs(names) do
    local value = source.headers[name]
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
---@param messages fun(document: table): table[]
---@param asked nil|fun(document: table): table
---@return table request
function requests.with_messages(request, document, messages, asked)
  local source = request.source
  source.document, source.messages, source.asked = document, messages, asked
  return request
end

-- The same for another format than OpenAI's; empty where what was sent exists in that format alone.
---@param request table
---@param document table
---@param neutral fun(document: table): moongate.chat|nil
---@param asked nil|fun(document: table): table|nil
---@return table request
function requests.with_neutral(request, document, neutral, asked)
  local source = request.source
  source.document, source.neutral, source.asked = document, neutral, asked
  return request
end

-- Lets go of the body that a request was read from, and of what was made of it: there are no messages from here on.
---@param request table
function requests.forget_body(request)
  local source = request.source
  request.messages, request.asked = nil, nil
  if source then request.source = { headers = source.headers } end
end

-- Gives a request the conversation of another. What was made of its own source stays, but the messages.
---@param request table
---@param other table
function requests.take_messages(request, other)
  request.messages, request.asked, request.source = nil, nil, other.source
  setmetatable(request, request_meta)
end

return requests
