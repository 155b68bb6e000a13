-- Reads what Gemini answers: whole replies, events of streams, embeddings, counts. Blocked prompts and broken calls of
-- tools are errors by another name. Whatever comes, it raises nothing.
local chat = require "moongate.chat"
local http = require "protocols.http"
local json = require "moongate.core.json"
local logprobs = require "moongate.logprobs"
local partial = require "protocols.gemini_partial"
local usage = require "protocols.gemini_usage"

local gemini_reply = {}

local SPEAKS = "gemini"
local FINISHES = {
  MAX_TOKENS = "length", SAFETY = "content_filter", RECITATION = "content_filter", BLOCKLIST = "content_filter",
  PROHIBITED_CONTENT = "content_filter", SPII = "content_filter", IMAGE_SAFETY = "content_filter",
  IMAGE_PROHIBITED_CONTENT = "content_filter", IMAGE_RECITATION = "content_filter",
}
local BROKEN = { MALFORMED_FUNCTION_CALL = true, UNEXPECTED_TOOL_CALL = true }

local filled, list, object, word = http.filled, http.list, http.object, http.word

-- A stream's events may come wrapped in an array, as its errors do.
local function unwrapped(document)
  if not document.error and not document.candidates and type(document[1]) == "table" then return document[1] end
  return document
end

local function parts_of(candidate)
  local parts = {}
  for _, part in ipairs(list(list(candidate.content).parts)) do
    if type(part) == "table" then parts[#parts + 1] = part end
  end
  return parts
end

local function reason_of(candidate)
  local reason = filled(candidate.finishReason)
  return reason ~= "FINISH_REASON_UNSPECIFIED" and reason or nil
end

-- ---- what the gateway goes by ----

-- A prompt that was blocked has no answer; the refusal is for the request's own sake.
local function blocked(document)
  local feedback = object(document.promptFeedback)
  local reason = feedback and filled(feedback.blockReason)
  if not reason or #list(document.candidates) > 0 then return nil end
  local message = "the provider blocked the prompt (" .. reason .. ")"
  if filled(feedback.blockReasonMessage) then message = message .. ": " .. feedback.blockReasonMessage end
  local error = http.error(message, "content_filter", "content_filter")
  return error, { error = { code = 400, status = "INVALID_ARGUMENT", message = error.message } }
end

local function broken(reason, detail)
  local error = http.error("the model wrote a broken tool call (" .. reason .. ")"
    .. (filled(detail) and ": " .. detail or ""), "tool_use_failed", "tool_use_failed")
  return error, { error = { code = 400, status = "INVALID_ARGUMENT", message = error.message } }
end

local function call_bytes(call)
  local args = object(call.args) and next(call.args) ~= nil and json.encode(call.args) or ""
  return #(filled(call.name) or "") + #args
end

-- Whether the parts say anything, and the bytes of text in them.
local function weigh(parts)
  local says, sum = false, 0
  for _, part in ipairs(parts) do
    if filled(part.text) then says, sum = true, sum + #part.text end
    if object(part.functionCall) then says, sum = true, sum + call_bytes(part.functionCall) end
    if object(part.inlineData) or object(part.executableCode) or object(part.codeExecutionResult) then says = true end
  end
  return says, sum
end

-- What all candidates say: whether anything, bytes of text, why the first of them ended, and what went wrong.
local function read_candidates(candidates)
  local says, sum, finish, error, body = false, 0, nil, nil, nil
  for _, candidate in ipairs(candidates) do
    if type(candidate) == "table" then
      local speaks, more = weigh(parts_of(candidate))
      says, sum = says or speaks, sum + more
      local reason = reason_of(candidate)
      finish = finish or reason
      if BROKEN[reason] and not speaks then error, body = broken(reason, candidate.finishMessage) end
    end
  end
  return says, sum, finish, error, body
end

local function is_answer(document) return document.candidates end

-- Reads a whole reply.
---@param status number
---@param _ table
---@param text string
---@return table { usage, error, text_length, finish, body, tokens }
function gemini_reply.read_reply(status, _, text)
  local document, whole = http.whole(status, text, is_answer)
  if not document then return whole end
  local figures = usage.read(document.usageMetadata)
  if type(document.totalTokens) == "number" and not document.candidates then
    return { tokens = math.floor(document.totalTokens), text_length = 0, body = document }
  end
  if object(document.embeddings) or object(document.embedding) then
    return { usage = figures, text_length = 0, body = document }
  end
  local error, body = blocked(document)
  if error then return { error = error, usage = figures, text_length = 0, body = body } end
  local candidates = list(document.candidates)
  if #candidates == 0 then
    return { error = http.error("the reply holds no answer", "malformed"), text_length = 0, body = whole }
  end
  local says, sum, finish, wrong, its_body = read_candidates(candidates)
  if wrong and says then wrong = nil end
  return { usage = figures, text_length = sum, finish = finish, error = wrong, body = wrong and its_body or document }
end

-- Reads one stream event.
---@param event { name: string|nil, data: string, document: table|nil }
---@param before moongate.usage|nil what the stream has told so far
---@return table
function gemini_reply.read_event(event, before)
  local document, reading = http.event(event)
  if not document then return reading end
  document = unwrapped(document)
  event.document = document
  local figures = usage.read(document.usageMetadata, before)
  local error = http.error_in(document, event.name == "error")
  if error then return { kind = "error", error = error, usage = figures, body = document } end
  local body
  error, body = blocked(document)
  if error then return { kind = "error", error = error, usage = figures, body = body } end
  local candidates = list(document.candidates)
  if #candidates == 0 then return { kind = figures and "usage" or "lifecycle", usage = figures } end
  local says, sum, finish
  says, sum, finish, error, body = read_candidates(candidates)
  if error then return { kind = "error", error = error, usage = figures, text_length = sum, body = body } end
  if finish then return { kind = "finish", finish = finish, usage = figures, text_length = sum } end
  return { kind = says and "content" or "lifecycle", usage = figures, text_length = sum }
end

-- ---- what it says ----

-- Calls that come without an id get one: always the same for the same answer, another in each answer.
local function made_id(response_id, index, number)
  local base = string.sub(string.gsub(word(response_id) or "", "[^%w]", ""), -12)
  if base == "" then base = string.format("%08x", math.random(0, 2 ^ 31 - 1)) end
  return string.format("call_%s_%d_%d", base, index, number)
end

local function code_text(part)
  local code, result = object(part.executableCode), object(part.codeExecutionResult)
  if code and filled(code.code) then
    return "\n```" .. string.lower(filled(code.language) or "") .. "\n" .. code.code .. "\n```\n"
  end
  return result and filled(result.output) and "\n```\n" .. result.output .. "\n```\n" or nil
end

local function image_of(part)
  local data = object(part.inlineData)
  local kind = data and filled(data.mimeType)
  if not kind or not filled(data.data) or not string.find(kind, "^image/") then return nil end
  return { data = data.data, media_type = kind }
end

---@class moongate.gemini_reader.choice
---@field calls integer
---@field thought boolean whether thoughts were shown that nothing has signed yet
---@field partial table|nil a call whose arguments come in pieces
---@field finished boolean

local function add_call(choice, index, document, call, signature, events)
  local number = choice.calls
  choice.calls, choice.thought = number + 1, false
  events[#events + 1] = {
    kind = "tool", call = number, id = filled(call.id) or made_id(document.responseId, index, number),
    name = call.name, index = index, signature = signature, origin = signature and SPEAKS,
  }
  return number
end

local function add_arguments(number, args, index, events)
  local text = object(args) and json.encode(args) or "{}"
  events[#events + 1] = { kind = "arguments", call = number, text = text == "[]" and "{}" or text, index = index }
end

local function end_partial(choice, index, events)
  local open = choice.partial
  if not open then return end
  choice.partial = nil
  add_arguments(open.number, open.args:value(), index, events)
end

-- A call, whole; or one whose arguments come piece by piece, the last of which says no more that it goes on.
local function read_call(choice, index, document, call, signature, events)
  if filled(call.name) then
    end_partial(choice, index, events)
    local number = add_call(choice, index, document, call, signature, events)
    if not call.willContinue and not object(call.partialArgs) then
      return add_arguments(number, call.args, index, events)
    end
    choice.partial = { number = number, args = partial.new(object(call.args)) }
  end
  local open = choice.partial
  if not open then return end
  open.args:add(list(call.partialArgs))
  if not call.willContinue then end_partial(choice, index, events) end
end

local function read_part(choice, index, document, part, events)
  local signature = filled(part.thoughtSignature)
  if object(part.functionCall) then
    return read_call(choice, index, document, part.functionCall, signature, events)
  end
  local text, image = filled(part.text), image_of(part)
  if part.thought == true then
    if text then
      choice.thought = true
      events[#events + 1] = { kind = "thinking", text = text, index = index }
    end
  elseif text then
    events[#events + 1] = { kind = "text", text = text, index = index }
  elseif image then
    events[#events + 1] = { kind = "image", data = image.data, media_type = image.media_type, index = index }
  elseif code_text(part) then
    events[#events + 1] = { kind = "text", text = code_text(part), index = index }
  end
  -- Of use only to those who are shown the thoughts.
  if signature and choice.thought then
    choice.thought = false
    local place = #events + 1
    if text and part.thought ~= true then place = #events end
    table.insert(events, place, { kind = "signature", signature = signature, origin = SPEAKS, index = index })
  end
end

local function finish_of(reason, calls)
  local finish = FINISHES[reason] or "stop"
  return finish == "stop" and calls > 0 and "tool_calls" or finish
end

local function new_choice() return { calls = 0, thought = false, finished = false } end

local function read_candidate(choice, index, document, candidate, events)
  local before = #events
  for _, part in ipairs(parts_of(candidate)) do read_part(choice, index, document, part, events) end
  local told = logprobs.from_gemini(candidate.logprobsResult)
  for i = before + 1, told and #events or 0 do
    if events[i].kind == "text" then
      events[i].logprobs = told
      break
    end
  end
  local reason = reason_of(candidate)
  if not reason or choice.finished then return end
  end_partial(choice, index, events)
  choice.finished = true
  events[#events + 1] = { kind = "finish", finish = finish_of(reason, choice.calls), index = index }
end

local function index_of(candidate, place)
  return type(candidate.index) == "number" and candidate.index or place - 1
end

-- Reads the events of one stream, in the order they come.
---@return fun(event: table): moongate.chat_event[]
function gemini_reply.reader()
  local choices, begun = {}, false
  return function(event)
    local events, document = {}, object(event.document)
    if not document then return events end
    document = unwrapped(document)
    if not begun and (document.candidates or document.responseId) then
      begun = true
      events[1] = { kind = "start", id = word(document.responseId), model = word(document.modelVersion) }
    end
    for place, candidate in ipairs(list(document.candidates)) do
      if type(candidate) == "table" then
        local index = index_of(candidate, place)
        choices[index] = choices[index] or new_choice()
        read_candidate(choices[index], index, document, candidate, events)
      end
    end
    return events
  end
end

-- Events as the blocks they make up.
local function gather(events)
  local blocks, calls, finish = {}, {}, "stop"
  for _, event in ipairs(events) do
    local last = blocks[#blocks]
    if event.kind == "text" or event.kind == "thinking" then
      if last and last.kind == event.kind and not last.signature then
        last.text = last.text .. event.text
      else
        blocks[#blocks + 1] = { kind = event.kind, text = event.text }
      end
    elseif event.kind == "signature" then
      if not last or last.kind ~= "thinking" or last.signature then
        last = { kind = "thinking", text = "" }
        blocks[#blocks + 1] = last
      end
      last.signature, last.origin = event.signature, event.origin
    elseif event.kind == "tool" then
      local block = {
        kind = "tool_use", id = event.id, name = event.name, arguments = "{}", signature = event.signature,
        origin = event.origin,
      }
      blocks[#blocks + 1], calls[event.call] = block, block
    elseif event.kind == "arguments" then
      local block = calls[event.call]
      if block then block.arguments = event.text end
    elseif event.kind == "image" then
      blocks[#blocks + 1] = { kind = "image", data = event.data, media_type = chat.image_type(event.data,
        event.media_type) }
    elseif event.kind == "finish" then
      finish = event.finish
    end
  end
  return blocks, finish
end

-- The neutral answer of a whole reply.
---@param body table
---@return moongate.chat_reply
function gemini_reply.reply(body)
  local document, choices = unwrapped(body), {}
  for place, candidate in ipairs(list(document.candidates)) do
    local events = {}
    if type(candidate) == "table" then read_candidate(new_choice(), place - 1, document, candidate, events) end
    local blocks, finish = gather(events)
    choices[place] = {
      blocks = blocks, finish = finish,
      logprobs = type(candidate) == "table" and logprobs.from_gemini(candidate.logprobsResult) or nil,
    }
  end
  return {
    id = word(document.responseId), model = word(document.modelVersion), choices = choices,
    usage = usage.read(document.usageMetadata),
  }
end

-- ---- embeddings ----

---@param body table
---@return moongate.embedding_reply
function gemini_reply.vectors(body)
  local entries, vectors = list(body.embeddings), {}
  if #entries == 0 and object(body.embedding) then entries = { body.embedding } end
  for i, entry in ipairs(entries) do vectors[i] = list(object(entry) and entry.values) end
  return { vectors = vectors, usage = usage.read(body.usageMetadata) }
end

return gemini_reply
