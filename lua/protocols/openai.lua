-- OpenAI's protocol, and all who speak it: chat completions and embeddings. Builds the upstream request by patching the
-- caller's own body, reads whole replies and stream events. Errors inside a 200 are errors. Never decides what follows
-- from a failure: that is moongate.limits and moongate.failures.
local json = require "moongate.core.json"
local dialect = require "moongate.dialect"
local providers = require "moongate.providers"
local usage = require "moongate.usage"

local openai = {}

-- What the C relay looks for in stream events before it wakes this file.
openai.scan = {
  terminal = "[DONE]", usage_mark = '"usage"', error_mark = '"error"', finish_mark = '"finish_reason"',
  hollow_mark = '"choices"', -- an empty array in the event that holds usage alone
  text_marks = { '"content"', '"reasoning_content"', '"reasoning"', '"arguments"' },
}

local PATHS = { chat = "/chat/completions", embeddings = "/embeddings" }
local BEARER = { header = "authorization", prefix = "Bearer " }
local LONGEST_MESSAGE = 500

-- What the built-in tables know of the provider, under its own name or that of the one it is like.
local function known(provider)
  return providers.get(provider.like or provider.name) or {}
end

local function address(base_url, path)
  -- Azure's older addresses carry the version as a query.
  local bare, query = string.match(base_url, "^([^?]*)(%??.*)$")
  return string.gsub(bare, "/+$", "") .. path .. query
end

local function headers_for(call, facts)
  local headers = {
    ["content-type"] = "application/json",
    accept = call.stream and "text/event-stream" or "application/json",
  }
  for name, value in pairs(facts.headers or {}) do headers[name] = value end
  local auth = facts.auth or BEARER
  if call.key and call.key ~= "" then headers[auth.header] = auth.prefix .. call.key end
  for name, value in pairs(call.provider.headers or {}) do headers[string.lower(name)] = value end
  return headers
end

-- The body to send: the caller's, with the model's name at the provider, usage asked for, and the provider's quirks.
local function body_for(call, facts)
  local document, quirks = call.document, facts.quirks or {}
  local changes = {}
  dialect.apply(document, quirks, call.operation, call.target.upstream_id, changes)
  changes.model = json.encode(call.target.upstream_id)
  if call.operation == "chat" and call.stream then
    if quirks.stream_options == false then
      if document:find(0, "stream_options") then changes.stream_options = false end
    else
      changes.stream_options = dialect.stream_options(document)
    end
  end
  return document:patch(changes)
end

-- The HTTP request of one attempt.
---@param call table { operation, target, provider, key, document, stream }
---@return { method: string, url: string, headers: table<string, string>, body: string }
function openai.build(call)
  local facts = known(call.provider)
  return {
    method = "POST",
    url = address(call.provider.base_url or facts.base_url, PATHS[call.operation]),
    headers = headers_for(call, facts),
    body = body_for(call, facts),
  }
end

local function word(value)
  local kind = type(value)
  if kind == "string" and value ~= "" then return value end
  if kind == "number" then return string.format("%.14g", value) end
  return nil
end

local function object(value)
  return type(value) == "table" and value or nil
end

local function shorten(text)
  if #text <= LONGEST_MESSAGE then return text end
  return (string.gsub(string.sub(text, 1, LONGEST_MESSAGE), "[\192-\255][\128-\191]*$", "")) .. "..."
end

local function new_error(message, kind, code)
  return { message = shorten(message or "the provider gave no reason"), type = kind, code = code }
end

-- Messages come as text, as lists of faults (FastAPI), or inside an object that holds such a list.
local function sentence(value)
  if type(value) ~= "table" then return word(value) end
  if value.detail then return sentence(value.detail) end
  local parts = {}
  for _, item in ipairs(value) do
    parts[#parts + 1] = word(item) or (type(item) == "table" and word(item.msg or item.message)) or nil
  end
  return #parts > 0 and table.concat(parts, "; ") or nil
end

local function error_of_object(error, document)
  return new_error(sentence(error.message) or sentence(document.message), word(error.type) or word(error.status),
    word(error.code) or word(error.status))
end

-- The error that a decoded reply or event holds, or nil: in all the envelopes met. `failed`: the status says that it is
-- one, so bare messages count too.
local function error_in(document, failed)
  local error = document.error
  if type(error) == "string" and error ~= "" then return new_error(error, word(document.type), word(document.code)) end
  if type(error) == "table" and next(error) ~= nil then return error_of_object(error, document) end
  local base = object(document.base_resp)
  if base and type(base.status_code) == "number" and base.status_code ~= 0 then
    return new_error(word(base.status_msg), "base_resp", word(base.status_code))
  end
  local groq = object(document.x_groq)
  if groq and word(groq.error) then return new_error(groq.error, "x_groq") end
  if failed or document.object == "error" or document.type == "error" then
    local first = object(object(document.errors) and document.errors[1])
    return new_error(sentence(document.message) or sentence(document.detail) or word(document.title)
      or (first and sentence(first.message)), word(document.type), word(document.code) or (first and word(first.code)))
  end
  return nil
end

-- Bytes of text in a string, a list of parts (Mistral's thinking chunks nest), or nothing.
local function bytes(value)
  if type(value) == "string" then return #value end
  if type(value) ~= "table" then return 0 end
  local sum = bytes(value.text) + bytes(value.thinking)
  for _, part in ipairs(value) do sum = sum + bytes(part) end
  return sum
end

local function filled(value)
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
  for _, call in ipairs(object(message.tool_calls) or {}) do
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
  return failure and new_error(failure[1], failure[2], failure[3])
end

-- A page instead of JSON: its text without markup.
local function plain(text)
  text = string.gsub(string.sub(text, 1, 4000), "<[^>]*>", " ")
  text = string.match(string.gsub(text, "%s+", " "), "^ ?(.-) ?$")
  return text ~= "" and text or nil
end

-- Reads a whole reply. `body` is the decoded reply (or its text), for moongate.limits.
---@param status number
---@param headers table
---@param text string
---@return { usage: table|nil, error: table|nil, text_length: number, finish: string|nil, body: any }
function openai.read_reply(status, headers, text)
  local failed = status < 200 or status > 299
  local document = json.decode(text)
  if type(document) ~= "table" then
    local message = failed and plain(text) or "the reply is not JSON"
    return { error = new_error(message, not failed and "malformed" or nil), text_length = 0, body = text }
  end
  -- Gemini wraps errors of streams in an array.
  local whole = document
  if not document.error and not document.choices and type(document[1]) == "table" then document = document[1] end
  local error = error_in(document, failed)
  if error then return { error = error, text_length = 0, usage = usage.of(document), body = whole } end
  local choices, data = object(document.choices), object(document.data)
  if data and not choices then return { usage = usage.of(document), text_length = 0, body = whole } end
  if not choices or #choices == 0 then
    return { error = new_error("the reply holds no answer", "malformed"), text_length = 0, body = whole }
  end
  local _, sum, finish = read_choices(choices)
  return {
    usage = usage.of(document), text_length = sum, finish = finish, error = failed_end(finish), body = whole,
  }
end

local LIFECYCLE = { kind = "lifecycle" }

-- Reads one stream event. `usage` may come with any kind, `finish` (the reason) and `text_length` with content that
-- ends the answer; `body` is there with errors, for moongate.limits.
---@param event { name: string|nil, data: string }
---@return table
function openai.read_event(event)
  local data = event.data
  if data == "[DONE]" or (#data < 16 and string.find(data, "^%s*%[DONE%]%s*$")) then return { kind = "end" } end
  if not string.find(data, "%S") then return LIFECYCLE end
  local document = json.decode(data)
  if type(document) ~= "table" then
    if event.name == "error" then return { kind = "error", error = new_error(plain(data)), body = data } end
    -- Half an object is a broken stream; a word is somebody's heartbeat.
    if not string.find(data, "^%s*[{%[]") then return { kind = "other" } end
    return { kind = "error", error = new_error("an event of the stream is not JSON", "malformed"), body = data }
  end
  if not document.choices and type(document[1]) == "table" then document = document[1] end
  local error = error_in(document, event.name == "error")
  if error then return { kind = "error", error = error, usage = usage.of(document), body = document } end
  local figures = usage.of(document)
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
