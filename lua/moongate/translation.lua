-- Where the caller's format meets the provider's: what goes to a protocol, and what comes back from one. Same format on
-- both sides: the caller's own document, the provider's own bytes. Else the neutral chat (moongate.chat), made once a
-- request and only then. Never talks to anybody.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local openai = require "moongate.surfaces.openai"
local openai_chat = require "moongate.openai_chat"

local translation = {}

local function reader_of(call) return call.reader or call.surface end

-- What the document that goes to a provider is written in.
---@param call moongate.call
---@return string
function translation.format(call)
  local reader = reader_of(call)
  return reader.reads or reader.speaks
end

-- Whether the caller's own body can go to the protocol: nothing in it was sealed for somebody else.
local function goes_as_it_is(call, protocol)
  if protocol.speaks ~= translation.format(call) then return false end
  local request = call.request
  if request.is_sealed == nil then request.is_sealed = chat.has_seal(call.document) end
  return not request.is_sealed
end

local READERS = { chat = "chat", count = "chat", embeddings = "embedding" }

-- The request in its neutral shape; or nil and a refusal.
---@param call moongate.call
---@return table|nil
---@return table|nil refusal
function translation.neutral(call)
  if call.neutral == nil then
    local read = reader_of(call)[READERS[call.operation]]
    if read then
      call.neutral, call.unread = read(call.document, call.request)
    else
      call.unread = { status = 400, message = "only a provider of the same API serves this" }
    end
    call.neutral = call.neutral or false
    for name, value in pairs(call.neutral and call.kept or {}) do call.neutral[name] = value end
  end
  return call.neutral or nil, call.unread
end

-- Puts what the protocol builds its body from into the order: document, chat or embedding. Answers why it can't.
---@param order table see the protocols' build
---@param call moongate.call
---@param protocol table
---@return { message: string, param: string|nil }|nil unfit
function translation.fill(order, call, protocol)
  if goes_as_it_is(call, protocol) then
    order.document = call.document
    return nil
  end
  local neutral, refusal = translation.neutral(call)
  if not neutral then return refusal end
  order[call.operation == "embeddings" and "embedding" or "chat"] = neutral
  return nil
end

-- Whether the provider's bytes are what the caller understands.
---@param call moongate.call
---@param protocol table
---@return boolean
function translation.is_direct(call, protocol)
  return protocol.speaks ~= nil and protocol.speaks == call.surface.speaks and not call.request.framing
end

-- The body of a whole answer, for the caller.
---@param call moongate.call
---@param answer table see moongate.attempt
---@param row table
---@return string
function translation.body(call, answer, row)
  local protocol, surface = answer.protocol, call.surface
  if not answer.reply and translation.is_direct(call, protocol) then return answer.text end
  if call.operation == "embeddings" then return surface.vectors(call, protocol.vectors(answer.body), row) end
  return surface.reply(call, translation.reply(answer), row)
end

-- The whole answer in its neutral shape.
---@param answer table
---@return moongate.chat_reply
function translation.reply(answer)
  if not answer.reply then
    answer.reply = answer.protocol.reply(answer.body)
    answer.reply.usage = answer.usage or answer.reply.usage
  end
  return answer.reply
end

-- What of the request can be shown: all of it, or, where it leans on what its own provider keeps, what came with it.
local function visible(call)
  local neutral, refusal = translation.neutral(call)
  local reader = reader_of(call)
  if neutral or not reader.visible then return neutral, refusal end
  return reader.visible(call.document)
end

-- The request as hooks see it, in OpenAI's shape, as call.shown. Answers a refusal where it cannot be read.
---@param call moongate.call
---@return table|nil refusal
function translation.show(call)
  if translation.format(call) == "openai" then
    call.shown = call.document
    return nil
  end
  local neutral, refusal = visible(call)
  if not neutral then return refusal end
  local document
  if call.operation == "embeddings" then
    document = { input = json.array(neutral.inputs), dimensions = neutral.dimensions }
    if #neutral.inputs == 1 then document.input = neutral.inputs[1] end
  else
    document = openai_chat.document(neutral)
  end
  document.model, document.stream = call.request.model, call.request.stream or nil
  call.shown = assert(json.scan(json.encode(document)))
  return nil
end

-- Why no other document can take the place of the caller's; nil where one can.
---@param call moongate.call
---@return table|nil refusal
function translation.unread(call)
  if translation.format(call) == "openai" then return nil end
  local _, refusal = translation.neutral(call)
  return refusal
end

-- Puts another document, in OpenAI's shape, in the place of the caller's.
---@param call moongate.call
---@param document table
function translation.replace(call, document)
  call.document, call.shown = document, document
  local is_openai = translation.format(call) == "openai"
  if call.operation == "embeddings" and not is_openai then -- what OpenAI's shape has no place for
    call.kept = { task = call.neutral.task, title = call.neutral.title }
  end
  if not is_openai then call.reader = openai end
  call.neutral, call.request.is_sealed = nil, nil
end

return translation
