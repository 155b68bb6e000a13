-- Reads what Ollama answered: whole replies and the lines of a stream, of /api/chat and of /api/generate, as far as the
-- gateway goes by them and into the neutral answer; embeddings. Whatever comes, it raises nothing.
local http = require "protocols.http"
local json = require "moongate.core.json"
local usage = require "moongate.usage"

local reply = {}

-- Ends that are no answers: the model was only loaded, or unloaded.
local NO_ANSWER = { load = true, unload = true }

local filled, list, object, word = http.filled, http.list, http.object, http.word

-- ---- what a line or a reply says ----

-- The message: of /api/chat, or what stands for it in /api/generate; nil: neither.
local function message_of(document)
  local message = object(document.message)
  if message then return message end
  if document.response == nil and document.done == nil then return nil end
  return { content = document.response, thinking = document.thinking, tool_calls = document.tool_calls }
end

local function arguments_of(value)
  if type(value) == "string" then return value end
  return type(value) == "table" and json.encode(value) or "{}"
end

-- An id for a call that came without one: always the same for the same answer, and another in every answer.
local function made_id(document, number)
  local moment = string.match(word(document.created_at) or "", "^[%dT:%.%-]*") or ""
  return string.format("call_%s_%d", string.sub(string.gsub(moment, "%D", ""), -20), number)
end

-- The calls in a message; told: how many came before.
local function calls_in(document, message, told)
  local calls = {}
  for _, call in ipairs(list(message.tool_calls)) do
    local inner = object(call) and (object(call["function"]) or call)
    if inner and filled(inner.name) then
      calls[#calls + 1] = {
        id = filled(call.id) or made_id(document, told + #calls), name = inner.name,
        arguments = arguments_of(inner.arguments),
      }
    end
  end
  return calls
end

local function finish_of(document, has_calls)
  if document.done_reason == "length" then return "length" end
  return has_calls and "tool_calls" or "stop"
end

local function logprobs_of(document)
  local entries = object(document.logprobs)
  return entries and entries[1] and { content = entries } or nil
end

local function length_of(message)
  local sum = 0
  for _, name in ipairs { "content", "thinking" } do sum = sum + #(filled(message[name]) or "") end
  for _, call in ipairs(list(message.tool_calls)) do
    local inner = object(call) and (object(call["function"]) or call) or {}
    sum = sum + #(filled(inner.name) or "") + #arguments_of(inner.arguments)
  end
  return sum
end

-- Counts that are nothing are left out there; where neither is told in the end, nobody knows.
local function usage_of(document)
  return usage.read { prompt_tokens = document.prompt_eval_count, completion_tokens = document.eval_count }
end

local function empty_end(document)
  if document.done ~= true or not NO_ANSWER[document.done_reason] then return nil end
  return http.error("the provider loaded the model and gave no answer", "server_error", document.done_reason)
end

-- ---- as far as the gateway goes by it ----

local function is_vectors(document) return document.embeddings or document.embedding end

-- Reads a whole reply. `body` is the decoded reply (or its text), for moongate.limits.
---@param status number
---@param _ table
---@param text string
---@return { usage: table|nil, error: table|nil, text_length: number, finish: string|nil, body: any }
function reply.read_reply(status, _, text)
  local document, whole = http.whole(status, text)
  if not document then return whole end
  if is_vectors(document) then return { usage = usage_of(document), text_length = 0, body = document } end
  local message = message_of(document)
  if not message or document.done == false then
    local why = message and "the reply is not finished" or "the reply holds no answer"
    return { error = http.error(why, "malformed"), text_length = 0, body = document }
  end
  local error = empty_end(document)
  return {
    usage = usage_of(document), text_length = length_of(message), finish = word(document.done_reason) or "stop",
    error = error, body = error and { error = error } or document,
  }
end

-- Reads one line of a stream. The last one is a finish, with `last` set; it tells the usage, and may still say
-- something.
---@param event { data: string, document: table|nil }
---@return table
function reply.read_event(event)
  local document, reading = http.event(event)
  if not document then return reading end
  local error = http.error_in(document, false)
  if error then return { kind = "error", error = error, body = document } end
  local message = message_of(document)
  if not message then return { kind = "other" } end
  local length = length_of(message)
  if document.done == true then
    error = empty_end(document)
    if error then return { kind = "error", error = error, body = { error = error } } end
    return {
      kind = "finish", finish = word(document.done_reason) or "stop", usage = usage_of(document), text_length = length,
      last = true,
    }
  end
  return { kind = length > 0 and "content" or "lifecycle", text_length = length }
end

-- ---- into the neutral answer ----

local function images_of(message)
  local images = {}
  for _, data in ipairs(list(message.images)) do
    if filled(data) then images[#images + 1] = { kind = "image", data = data, media_type = "image/png" } end
  end
  return images
end

-- The neutral answer of a whole reply.
---@param body table
---@return moongate.chat_reply
function reply.reply(body)
  local message, blocks = message_of(body) or {}, {}
  if filled(message.thinking) then blocks[1] = { kind = "thinking", text = message.thinking } end
  if filled(message.content) then blocks[#blocks + 1] = { kind = "text", text = message.content } end
  for _, image in ipairs(images_of(message)) do blocks[#blocks + 1] = image end
  local calls = calls_in(body, message, 0)
  for _, call in ipairs(calls) do
    call.kind = "tool_use"
    blocks[#blocks + 1] = call
  end
  return {
    model = word(body.model), usage = usage_of(body),
    choices = { { blocks = blocks, finish = finish_of(body, #calls > 0), logprobs = logprobs_of(body) } },
  }
end

-- Reads the lines of one stream, in the order they come.
---@return fun(event: table): moongate.chat_event[]
function reply.reader()
  local begun, finished, told = false, false, 0
  return function(event)
    local events, document = {}, object(event.document)
    local message = document and message_of(document)
    if not message then return events end
    local function add(kind, fields)
      fields.kind = kind
      events[#events + 1] = fields
    end
    if not begun then
      begun = true
      add("start", { model = word(document.model) })
    end
    if filled(message.thinking) then add("thinking", { text = message.thinking }) end
    if filled(message.content) then add("text", { text = message.content, logprobs = logprobs_of(document) }) end
    for _, image in ipairs(images_of(message)) do events[#events + 1] = image end
    for _, call in ipairs(calls_in(document, message, told)) do
      add("tool", { call = told, id = call.id, name = call.name })
      add("arguments", { call = told, text = call.arguments })
      told = told + 1
    end
    if document.done == true and not finished then
      finished = true
      add("finish", { finish = finish_of(document, told > 0) })
    end
    return events
  end
end

-- The vectors of an embeddings reply, in the order of the inputs.
---@param body table
---@return moongate.embedding_reply
function reply.vectors(body)
  local vectors = {}
  for index, numbers in ipairs(list(body.embeddings or { body.embedding })) do vectors[index] = list(numbers) end
  return { vectors = vectors, usage = usage_of(body) }
end

return reply
