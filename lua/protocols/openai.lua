-- OpenAI's protocol, and all who speak it: chat completions and embeddings. Builds the upstream request, reads whole
-- replies and stream events as far as the gateway goes by them; what they say is read by protocols.openai_reply. Errors
-- inside a 200 are errors. Never decides what follows from a failure: that is moongate.limits and moongate.failures.
local body = require "protocols.openai_body"
local http = require "protocols.http"
local json = require "moongate.core.json"
local outline = require "protocols.openai_outline"
local reply = require "protocols.openai_reply"
local usage = require "moongate.usage"

local openai = {
  speaks = "openai", reply = reply.read, reader = reply.reader, vectors = reply.vectors,
}

-- What the C relay looks for in stream events before it wakes this file.
openai.scan = {
  terminal = "[DONE]", usage_mark = '"usage"', error_mark = '"error"', finish_mark = '"finish_reason"',
  hollow_mark = '"choices"', -- an empty array in the event that holds usage alone
  text_marks = { '"content"', '"reasoning_content"', '"reasoning"', '"arguments"' },
  count_marks = { '"completion_tokens"' },
}

local PATHS = { chat = "/chat/completions", embeddings = "/embeddings" }

local object, word = http.object, http.word

-- The HTTP request of one attempt; or nil and why it can't be carried.
---@param order table { operation, target, provider, key, stream, and one of document, chat, embedding }
---@return { method: string, url: string, headers: table<string, string>, body: string, dropped: string[]|nil }|nil
---@return { message: string, param: string|nil }|nil unfit
function openai.build(order)
  local path = PATHS[order.operation]
  if not path then return nil, { message = "this provider can't do this: " .. order.operation } end
  local text, told = body.write(order, http.known(order.provider))
  if not text then return nil, told end
  return http.framed(http.frame(order, path), text, told)
end

local NONE = {}

-- Bytes of text in a string, a list of parts (Mistral's thinking chunks nest), or nothing.
local function bytes(value)
  if value == nil then return 0 end
  if type(value) == "string" then return #value end
  if type(value) ~= "table" then return 0 end
  local sum = bytes(value.text) + bytes(value.thinking)
  for _, part in ipairs(value) do sum = sum + bytes(part) end
  return sum
end

local function filled(value)
  if value == nil then return false end
  if type(value) == "string" then return value ~= "" end
  return type(value) == "table" and next(value) ~= nil
end

local function call_bytes(call)
  local inner = type(call) == "table" and (object(call["function"]) or object(call.custom) or call) or {}
  local arguments = inner.arguments
  if object(arguments) then arguments = json.encode(arguments) end
  return bytes(inner.name) + bytes(arguments) + bytes(inner.input)
end

-- What a message or a delta says: whether anything, and how many bytes of text.
local function weigh(message)
  local sum = bytes(message.content) + bytes(message.refusal)
  sum = sum + math.max(bytes(message.reasoning_content), bytes(message.reasoning), bytes(message.reasoning_details))
  local says = sum > 0 or filled(message.reasoning_details) or filled(message.audio)
  for _, call in ipairs(object(message.tool_calls) or NONE) do
    says, sum = true, sum + call_bytes(call)
  end
  if filled(message.function_call) then
    says, sum = true, sum + call_bytes({ ["function"] = message.function_call })
  end
  if object(message.audio) then sum = sum + bytes(message.audio.transcript) end
  return says, sum
end

-- Ends that are failures by another name.
local FAILED_ENDS = {
  error = { "the provider ended the answer with an error", "server_error", "error" },
  insufficient_system_resource = {
    "the provider ran out of capacity", "overloaded_error", "insufficient_system_resource",
  },
}

local function read_choices(choices)
  local says, sum, finish = false, 0, nil
  for _, choice in ipairs(choices) do
    if type(choice) == "table" then
      local message = object(choice.delta) or object(choice.message)
      if message then
        local speaks, more = weigh(message)
        says, sum = says or speaks, sum + more
      end
      if type(choice.text) == "string" and choice.text ~= "" then says, sum = true, sum + #choice.text end
      finish = word(choice.finish_reason) or finish
    end
  end
  return says, sum, finish
end

local function failed_end(finish)
  local failure = FAILED_ENDS[finish]
  return failure and http.error(failure[1], failure[2], failure[3])
end

local LATER = nil -- a member that is to come: room is kept for it; a nil that is written out keeps none

local function is_answer(document) return document.choices end

-- The reading of an answer that looks as usual, without its body; nil where it has to be looked at closely.
local function read_usual(text)
  local is_usual, length, finish, prompt, completion, total, cached, cache_write, reasoning =
    json.fits(text, outline.whole)
  if not is_usual or not prompt or FAILED_ENDS[finish] then return nil end
  local figures = usage.of_counts(prompt, completion, total, cached or 0, cache_write or 0, reasoning or 0)
  return {
    usage = figures, text_length = length, finish = finish,
    -- Room for what the attempt makes of it: a moongate.answer.
    status = LATER, headers = LATER, text = LATER, target = LATER, provider = LATER, protocol = LATER, wire = LATER,
    began = LATER, wanted = LATER, reservation = LATER, settled = false,
  }
end

-- Reads a whole reply. `body` is the decoded reply (or its text), for moongate.limits and whoever writes it anew.
---@param status number
---@param _ table headers
---@param text string
---@param is_direct boolean|nil an answer goes on as it came: its body is not needed
---@return { usage: table|nil, error: table|nil, text_length: number, finish: string|nil, body: any }
function openai.read_reply(status, _, text, is_direct)
  local usual = is_direct and status >= 200 and status < 300 and read_usual(text)
  if usual then return usual end
  local document, whole = http.whole(status, text, is_answer)
  if not document then
    whole.usage = whole.document and usage.of(whole.document)
    return whole
  end
  local choices, data = object(document.choices), object(document.data)
  if data and not choices then return { usage = usage.of(document), text_length = 0, body = whole } end
  if not choices or #choices == 0 then
    return { error = http.error("the reply holds no answer", "malformed"), text_length = 0, body = whole }
  end
  local _, sum, finish = read_choices(choices)
  return {
    usage = usage.of(document), text_length = sum, finish = finish, error = failed_end(finish), body = whole,
  }
end

-- The same of an event.
local function read_usual_event(text, before)
  local is_usual, length, finish, prompt, completion, total, cached, cache_write, reasoning, index =
    json.fits(text, outline.event)
  if not is_usual or FAILED_ENDS[finish] then return nil end
  local figures = prompt
    and usage.over(before, usage.of_counts(prompt, completion, total, cached or 0, cache_write or 0, reasoning or 0))
  if finish then return { kind = "finish", finish = finish, usage = figures, text_length = length } end
  if length > 0 then return { kind = "content", usage = figures, text_length = length } end
  return { kind = figures and not index and "usage" or "lifecycle", usage = figures }
end

-- Reads one stream event. `usage` may come with any kind, `finish` (the reason) and `text_length` with content that
-- ends the answer; `body` is there with errors, for moongate.limits.
---@param event { name: string|nil, data: string }
---@param before moongate.usage|nil
---@param is_direct boolean|nil the event goes on as it came: its document is not needed
---@return table
function openai.read_event(event, before, is_direct)
  local data = event.data
  if data == "[DONE]" or (#data < 16 and string.find(data, "^%s*%[DONE%]%s*$")) then return { kind = "end" } end
  local usual = is_direct and event.name ~= "error" and read_usual_event(data, before)
  if usual then return usual end
  local document, reading = http.event(event)
  if not document then return reading end
  if not document.choices and type(document[1]) == "table" then
    document = document[1]
    event.document = document
  end
  local error = http.error_in(document, event.name == "error")
  if error then return { kind = "error", error = error, usage = usage.of(document, before), body = document } end
  local figures = usage.of(document, before)
  local choices = object(document.choices)
  if not choices then return { kind = figures and "usage" or "other", usage = figures } end
  local says, sum, finish = read_choices(choices)
  error = failed_end(finish)
  if error then
    return { kind = "error", error = error, usage = figures, text_length = sum, body = { error = error } }
  end
  if finish then return { kind = "finish", finish = finish, usage = figures, text_length = sum } end
  if says then return { kind = "content", usage = figures, text_length = sum } end
  if figures and #choices == 0 then return { kind = "usage", usage = figures } end
  return { kind = "lifecycle", usage = figures }
end

return openai
