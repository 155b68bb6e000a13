-- Reads what an OpenAI-shaped provider answered into the neutral answer: whole replies, streams, embeddings. Takes what
-- others made of the shape too: parts instead of text, thoughts under three names, calls without index or id. Whatever
-- comes, it raises nothing.
local chat = require "moongate.chat"
local http = require "protocols.http"
local json = require "moongate.core.json"
local usage = require "moongate.usage"
local vector = require "moongate.vector"

local reply = {}

local SPEAKS = "openai"
local FINISHES = {
  length = "length", model_length = "length", max_tokens = "length", tool_calls = "tool_calls",
  function_call = "tool_calls", tool_use = "tool_calls", content_filter = "content_filter",
}

local filled, list, object, word = http.filled, http.list, http.object, http.word

-- ---- what a message or a delta says, as a list of pieces { kind, ... } in neutral words ----

local function add(pieces, kind, fields)
  fields.kind = kind
  pieces[#pieces + 1] = fields
end

-- The text in a thinking chunk (Mistral): text, or a list of text chunks.
local function nested_text(value)
  if type(value) == "string" then return value end
  local parts = {}
  for _, part in ipairs(list(value)) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return table.concat(parts)
end

local function add_image(pieces, image)
  local url = type(image) == "table" and (object(image.image_url) and image.image_url.url or image.image_url)
  if type(url) ~= "string" then return end
  local media_type, data = chat.data_url(url)
  if data then
    add(pieces, "image", { data = data, media_type = chat.image_type(data, media_type) })
  else
    add(pieces, "text", { text = "![](" .. url .. ")" })
  end
end

local function add_content(pieces, content)
  if filled(content) then return add(pieces, "text", { text = content }) end
  for _, part in ipairs(list(content)) do
    if filled(part) then
      add(pieces, "text", { text = part })
    elseif type(part) == "table" then
      local thought = nested_text(part.thinking)
      if part.type == "refusal" and filled(part.refusal) then
        add(pieces, "refusal", { text = part.refusal })
      elseif part.type == "image_url" then
        add_image(pieces, part)
      elseif thought ~= "" then
        add(pieces, "thinking", { text = thought })
      elseif filled(part.text) then
        add(pieces, "text", { text = part.text })
      end
    end
  end
end

local function details_text(details)
  local parts = {}
  for _, entry in ipairs(list(details)) do
    if type(entry) == "table" then parts[#parts + 1] = filled(entry.text) or filled(entry.summary) end
  end
  return table.concat(parts)
end

-- Signed thoughts of a gateway like this one. Their text is a piece of a kind of its own: in a stream it has been told
-- before.
local function add_signed(pieces, blocks, with_text)
  for _, block in ipairs(list(blocks)) do
    if type(block) == "table" and filled(block.data) then
      local data, origin = chat.unseal(block.data, SPEAKS)
      add(pieces, "redacted", { data = data, origin = origin })
    elseif type(block) == "table" then
      if with_text and filled(block.thinking) then add(pieces, "signed", { text = block.thinking }) end
      if filled(block.signature) then
        local signature, origin = chat.unseal(block.signature, SPEAKS)
        add(pieces, "signature", { signature = signature, origin = origin })
      end
    end
  end
end

-- The same thoughts may come under several names: the first that holds some.
local function add_thoughts(pieces, message)
  local text = filled(message.reasoning_content) or filled(message.reasoning)
    or filled(details_text(message.reasoning_details))
  local signed = list(message.thinking_blocks)
  -- One block alone may lean on the text beside it; several each bring their own.
  if text and #signed < 2 then
    add(pieces, "thinking", { text = text })
    return add_signed(pieces, signed, false)
  end
  add_signed(pieces, signed, true)
end

local function arguments_of(value)
  if type(value) == "string" then return value end
  if type(value) == "table" then return json.encode(value) end
  return nil
end

local function add_call(pieces, place, call)
  if type(call) ~= "table" then return end
  local inner = object(call["function"]) or object(call.custom) or call
  local google = object(object(call.extra_content) and call.extra_content.google) or {}
  local piece = {
    index = type(call.index) == "number" and call.index or nil, place = place, id = word(call.id),
    name = filled(inner.name), arguments = arguments_of(inner.arguments) or arguments_of(inner.input),
  }
  if filled(google.thought_signature) then
    piece.signature, piece.origin = chat.unseal(google.thought_signature, "gemini")
  end
  add(pieces, "call", piece)
end

local function pieces_of(message)
  local pieces = {}
  add_thoughts(pieces, message)
  add_content(pieces, message.content)
  if filled(message.refusal) then add(pieces, "refusal", { text = message.refusal }) end
  for _, image in ipairs(list(message.images)) do add_image(pieces, image) end
  for place, call in ipairs(list(message.tool_calls)) do add_call(pieces, place, call) end
  if object(message.function_call) then add_call(pieces, 1, { ["function"] = message.function_call, index = 0 }) end
  return pieces
end

-- What a choice says, whole or in part; text completions have bare text.
local function message_of(choice)
  return object(choice.delta) or object(choice.message) or { content = choice.text }
end

local function finish_of(value, calls)
  local reason = word(value)
  if not reason then return nil end
  local finish = FINISHES[string.lower(reason)] or "stop"
  return finish == "stop" and calls and "tool_calls" or finish
end

-- An id for a call that came without one: always the same for the same answer.
local function made_id(document_id, index, number)
  local base = string.sub(string.gsub(word(document_id) or "", "[^%w]", ""), -16)
  return string.format("call_%s_%d_%d", base, index, number)
end

-- ---- whole replies ----

local function add_thought(blocks, piece)
  local last = blocks[#blocks]
  if piece.kind == "signature" then
    if not last or last.kind ~= "thinking" or last.signature then
      last = { kind = "thinking", text = "" }
      blocks[#blocks + 1] = last
    end
    last.signature, last.origin = piece.signature, piece.origin
  else
    if piece.kind == "signed" then piece.kind = "thinking" end
    blocks[#blocks + 1] = piece
  end
end

-- No arguments are an empty object; Cohere says null.
local function whole_arguments(text)
  return text and string.find(text, "%S") and text ~= "null" and text or "{}"
end

local function blocks_of(choice, index, id)
  local blocks, calls = {}, 0
  for _, piece in ipairs(pieces_of(message_of(choice))) do
    if piece.kind == "call" then
      if piece.name then
        blocks[#blocks + 1] = {
          kind = "tool_use", id = piece.id or made_id(id, index, calls), name = piece.name,
          arguments = whole_arguments(piece.arguments), signature = piece.signature, origin = piece.origin,
        }
        calls = calls + 1
      end
    else
      add_thought(blocks, piece)
    end
  end
  return blocks, calls > 0
end

-- The neutral answer of a whole reply.
---@param body table
---@return moongate.chat_reply
function reply.read(body)
  local document = body
  if not document.choices and type(document[1]) == "table" then document = document[1] end
  local choices = {}
  for index, choice in ipairs(list(document.choices)) do
    choice = object(choice) or {}
    local blocks, calls = blocks_of(choice, index - 1, document.id)
    choices[index] = {
      blocks = blocks, finish = finish_of(choice.finish_reason, calls) or "stop", logprobs = object(choice.logprobs),
    }
  end
  return { id = word(document.id), model = word(document.model), choices = choices, usage = usage.of(document) }
end

-- ---- streams ----

---@class moongate.openai_reader.choice
---@field calls table[] in the order they began: { call, id, name, index, open, waiting }
---@field by_index table<number, table>
---@field thought boolean|nil whether there were thoughts since the last signature
---@field finished boolean|nil

local function new_choice() return { calls = {}, by_index = {} } end

-- Some number all calls 0; some give every fragment a new id, but only a new call has a name too.
local function is_another(known, piece)
  return piece.id and known.id and piece.id ~= known.id and piece.name and known.name
end

-- The call that a fragment belongs to: the index joins, without one the id, without both the place.
local function call_of(choice, piece)
  local known = piece.index and choice.by_index[piece.index]
  if known and not is_another(known, piece) then return known end
  if piece.id then
    for _, call in ipairs(choice.calls) do
      if call.id == piece.id then return call end
    end
  elseif not piece.index and not piece.name then
    return choice.calls[#choice.calls == 1 and 1 or piece.place] or choice.calls[#choice.calls]
  end
  local call = { call = #choice.calls, index = piece.index, waiting = "" }
  choice.calls[#choice.calls + 1] = call
  if piece.index then choice.by_index[piece.index] = call end
  return call
end

local function read_call(events, choice, piece, index, id)
  local call = call_of(choice, piece)
  if not call then return end
  call.id, call.name = call.id or piece.id, call.name or piece.name
  call.signature, call.origin = call.signature or piece.signature, call.origin or piece.origin
  local text = piece.arguments or ""
  if not call.open and call.name then
    call.open, call.id = true, call.id or made_id(id, index, call.call)
    add(events, "tool", {
      call = call.call, id = call.id, name = call.name, index = index, signature = call.signature,
      origin = call.origin,
    })
    text = call.waiting .. text
  elseif not call.open then
    call.waiting, text = call.waiting .. text, ""
  end
  if text ~= "" then add(events, "arguments", { call = call.call, text = text, index = index }) end
end

local function read_choice(events, choice, entry, index, id)
  local logprobs = object(entry.logprobs)
  for _, piece in ipairs(pieces_of(message_of(entry))) do
    if piece.kind == "call" then
      read_call(events, choice, piece, index, id)
    elseif piece.kind ~= "signed" or not choice.thought then
      if piece.kind == "signed" then piece.kind = "thinking" end
      if piece.kind == "thinking" then choice.thought = true end
      if piece.kind == "signature" then choice.thought = nil end
      piece.index = index
      if piece.kind == "text" and logprobs then piece.logprobs, logprobs = logprobs, nil end
      events[#events + 1] = piece
    end
  end
  local finish = finish_of(entry.finish_reason, #choice.calls > 0)
  if finish and not choice.finished then
    choice.finished = true
    add(events, "finish", { finish = finish, index = index })
  end
end

-- Reads the events of one stream, in the order they come.
---@return fun(event: table): moongate.chat_event[]
function reply.reader()
  local choices, begun = {}, false
  return function(event)
    local events, document = {}, event.document
    if type(document) ~= "table" then return events end
    if not begun and (word(document.id) or document.choices) then
      begun = true
      add(events, "start", { id = word(document.id), model = word(document.model) })
    end
    for place, entry in ipairs(list(document.choices)) do
      if type(entry) == "table" then
        local index = type(entry.index) == "number" and entry.index or place - 1
        choices[index] = choices[index] or new_choice()
        read_choice(events, choices[index], entry, index, document.id)
      end
    end
    return events
  end
end

-- ---- embeddings ----

-- The vectors of an embeddings reply, in the order of the inputs.
---@param body table
---@return moongate.embedding_reply
function reply.vectors(body)
  local entries, vectors = {}, {}
  for place, entry in ipairs(list(body.data)) do
    if type(entry) == "table" then
      entries[#entries + 1] = { place = type(entry.index) == "number" and entry.index or place, entry = entry }
    end
  end
  table.sort(entries, function(left, right) return left.place < right.place end)
  for index, each in ipairs(entries) do
    local value = each.entry.embedding
    vectors[index] = type(value) == "string" and vector.unpack(value) or list(value)
  end
  return { vectors = vectors, usage = usage.of(body) }
end

return reply
