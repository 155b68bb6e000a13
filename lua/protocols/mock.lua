-- A provider without network, for demos and specs: answers a canned completion in OpenAI's shape, whole or streamed,
-- and misbehaves on demand. What it does is told by `mock = { ... }` of the provider's config, and, for one call, by a
-- last user message such as `mock: status=429 retry-after=41` (with `on=<provider>` only one provider obeys).
-- Callers of other formats are answered too: what they say is written in OpenAI's shape first. Pure: the same call
-- plays the same reply.
local json = require "moongate.core.json"
local openai = require "protocols.openai"
local openai_chat = require "moongate.openai_chat"
local sample = require "moongate.sample"
local vector = require "moongate.vector"

local mock = {
  speaks = openai.speaks, read_reply = openai.read_reply, read_event = openai.read_event, scan = openai.scan,
  reply = openai.reply, reader = openai.reader, vectors = openai.vectors,
}

-- The options, by name, with their type: for whoever checks a config. Times are seconds.
mock.options = {
  text = "string", chunks = "number", delay = "number", chunk_delay = "number", status = "number",
  retry_after = "number", message = "string", error_in_body = "boolean", error_after = "number", cut_after = "number",
  silent = "string", tools = "boolean", usage = "table", headers = "table",
}

local FOREVER = 86400
local MOST_CHUNKS = 10000
local MOST_CHOICES = 128
local BYTES_PER_TOKEN = 4
local WORDS_REPEATED = 8

local DEFAULT_HEADERS = {
  ["x-ratelimit-limit-requests"] = "1000", ["x-ratelimit-remaining-requests"] = "999",
  ["x-ratelimit-reset-requests"] = "60ms", ["x-ratelimit-limit-tokens"] = "100000",
  ["x-ratelimit-remaining-tokens"] = "99000", ["x-ratelimit-reset-tokens"] = "600ms",
}

local ERRORS = {
  [400] = { "invalid_request_error", "invalid_value", "the mock was told to refuse this request" },
  [401] = { "invalid_request_error", "invalid_api_key", "Incorrect API key provided." },
  [402] = { "billing_error", "insufficient_balance", "Insufficient balance." },
  [403] = { "permission_error", "forbidden", "This key may not use this model." },
  [404] = { "invalid_request_error", "model_not_found", "The model does not exist." },
  [413] = { "invalid_request_error", "context_length_exceeded", "This model's maximum context length is exceeded." },
  [429] = { "requests", "rate_limit_exceeded", "Rate limit reached." },
  [500] = { "server_error", "internal_error", "The server had an error while processing your request." },
  [503] = { "server_error", "overloaded", "The engine is currently overloaded." },
}

-- The mock is never sent anything, but a request exists, as for any provider.
---@param call table
---@return table|nil
---@return table|nil unfit
function mock.build(call)
  local provider = setmetatable({ base_url = "mock:" }, { __index = call.provider })
  return openai.build(setmetatable({ provider = provider, key = false }, { __index = call }))
end

local function value_of(document, name)
  local node = document:find(0, name)
  return node and document:value(node)
end

-- The text of a message's content: the string, or its text parts.
local function text_of(content)
  if type(content) == "string" then return content end
  local parts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return table.concat(parts, " ")
end

-- The last message of the user; the whole list is not decoded for it.
local function prompt_of(document)
  local messages, last = document:find(0, "messages"), nil
  if not messages then return "" end
  for _, message in document:items(messages) do
    local role, content = document:find(message, "role"), document:find(message, "content")
    if role and content and document:value(role) == "user" then last = content end
  end
  return last and text_of(document:value(last)) or ""
end

local function typed(kind, value)
  if kind == "number" then return tonumber(value) end
  if kind == "boolean" then return value ~= "false" and value ~= "0" end
  return value
end

-- The provider's options, with those of the prompt laid over them.
local function options_of(call, prompt)
  local options = {}
  for name, value in pairs(call.provider.mock or {}) do options[name] = value end
  local words = string.match(prompt, "^%s*mock:(.*)$")
  if not words then return options end
  local told = {}
  for word in string.gmatch(words, "%S+") do
    local name, value = string.match(word, "^([%w_%-]+)=(.*)$")
    if name == "on" then
      if value ~= call.provider.name then return options end
    elseif word == "tool" or word == "tools" then
      told.tools = true
    elseif name then
      name = string.gsub(name, "-", "_")
      local kind = mock.options[name]
      if kind and kind ~= "table" then told[name] = typed(kind, value) end
    end
  end
  for name, value in pairs(told) do options[name] = value end
  return options
end

local function first_words(text)
  local words = {}
  for word in string.gmatch(text, "%S+") do
    words[#words + 1] = word
    if #words == WORDS_REPEATED then break end
  end
  return table.concat(words, " ")
end

local function answer_text(document, options, prompt)
  if options.text then return options.text end
  local format = value_of(document, "response_format")
  if type(format) == "table" and format.type == "json_schema" and type(format.json_schema) == "table" then
    return json.encode(sample.of(format.json_schema.schema))
  elseif type(format) == "table" and format.type == "json_object" then
    return '{"answer":"mock"}'
  end
  local words = first_words(prompt)
  if words == "" then return "This is the mock provider of moongate." end
  return "This is the mock provider of moongate. You said: " .. words
end

-- The first tool offered, called with arguments that fit its schema.
local function tool_call(document, options)
  if not options.tools then return nil end
  local tools = value_of(document, "tools")
  local tool = type(tools) == "table" and tools[1]
  local inner = type(tool) == "table" and tool["function"]
  if type(inner) ~= "table" then return nil end
  return {
    id = "call_mock00001", type = "function",
    ["function"] = { name = inner.name, arguments = json.encode(sample.of(inner.parameters)) },
  }
end

local function tokens(bytes)
  return math.max(1, math.ceil(bytes / BYTES_PER_TOKEN))
end

local function usage_of(document, options, output_bytes)
  local messages = document:find(0, "messages") or document:find(0, "input")
  local prompt = tokens(messages and document:string_bytes(messages) or 0)
  local completion = tokens(output_bytes)
  local usage = { prompt_tokens = prompt, completion_tokens = completion, total_tokens = prompt + completion }
  for name, value in pairs(options.usage or {}) do usage[name] = value end
  return usage
end

local function headers_of(options, kind)
  local headers = { ["content-type"] = kind }
  for name, value in pairs(DEFAULT_HEADERS) do headers[name] = value end
  if options.status == 429 then headers["x-ratelimit-remaining-requests"] = "0" end
  for name, value in pairs(options.headers or {}) do
    headers[string.lower(name)] = value ~= false and tostring(value) or nil
  end
  if options.retry_after then headers["retry-after"] = string.format("%.14g", options.retry_after) end
  return headers
end

local function error_object(options, status)
  local known = ERRORS[status] or { "server_error", "error", "The mock was told to fail with " .. status .. "." }
  local message = options.message or known[3]
  if status == 429 and options.retry_after and not options.message then
    message = message .. string.format(" Please try again in %gs.", options.retry_after)
  end
  return { message = message, type = known[1], code = known[2], param = json.null }
end

local function failure(options, status, told)
  local body = json.encode({ error = error_object(options, told) })
  return {
    status = status, headers = headers_of(options, "application/json"), delay_s = options.delay or 0,
    pieces = { { delay_s = 0, text = body } }, finish = "done",
  }
end

local function event(value)
  return "data: " .. json.encode(value) .. "\n\n"
end

-- Cuts text into that many pieces of about one length, never inside a character.
local function split(text, pieces)
  local parts, length, from = {}, #text, 1
  pieces = math.min(math.max(1, math.floor(pieces)), MOST_CHUNKS)
  for index = 1, pieces do
    local to = index == pieces and length or math.floor(length * index / pieces)
    while to < length and to >= from do
      local byte = string.byte(text, to + 1)
      if byte < 128 or byte >= 192 then break end
      to = to + 1
    end
    parts[index] = string.sub(text, from, to)
    from = math.max(from, to + 1)
  end
  return parts
end

local function count_words(text)
  local _, count = string.gsub(text, "%S+", "")
  return math.max(1, count)
end

local function stream_events(frame, choices, said, call, chunks)
  local events = {}
  local function add(index, delta, finish)
    local chunk = frame("chat.completion.chunk")
    chunk.choices = json.array({ { index = index, delta = delta, finish_reason = finish or json.null } })
    chunk.usage = json.null
    events[#events + 1] = event(chunk)
  end
  for index = 0, choices - 1 do
    add(index, { role = "assistant", content = call and json.null or "" })
    if call then
      local inner = call["function"]
      add(index, { tool_calls = json.array({ { index = 0, id = call.id, type = "function",
        ["function"] = { name = inner.name, arguments = "" } } }) })
      for _, part in ipairs(split(inner.arguments, 2)) do
        add(index, { tool_calls = json.array({ { index = 0, ["function"] = { arguments = part } } }) })
      end
    else
      for _, part in ipairs(split(said, chunks or count_words(said))) do add(index, { content = part }) end
    end
    add(index, {}, call and "tool_calls" or "stop")
  end
  return events
end

local SILENCES = { role = 1, content = 2 }

-- Events become pieces; the ways to break off come in here.
local function stream_pieces(events, options)
  local pieces = {}
  if options.silent == "body" then return { { delay_s = FOREVER, text = "" } }, "cut" end
  for index, text in ipairs(events) do
    if options.error_in_body or (options.error_after and index > options.error_after) then
      local failed = { error = error_object(options, options.status or 500) }
      pieces[index] = { delay_s = 0, text = event(failed) }
      return pieces, "done"
    end
    if options.cut_after and index > options.cut_after then return pieces, "cut" end
    pieces[index] = { delay_s = index > 1 and options.chunk_delay or 0, text = text }
    if SILENCES[options.silent] == index then
      pieces[index + 1] = { delay_s = FOREVER, text = "" }
      return pieces, "cut"
    end
  end
  return pieces, "done"
end

local function play_stream(options, frame, said, tool, usage, choices)
  local events = stream_events(frame, choices, said, tool, options.chunks)
  local last = frame("chat.completion.chunk")
  last.choices, last.usage = json.array({}), usage
  events[#events + 1] = event(last)
  events[#events + 1] = "data: [DONE]\n\n"
  local pieces, finish = stream_pieces(events, options)
  return {
    status = 200, headers = headers_of(options, "text/event-stream"), delay_s = options.delay or 0, pieces = pieces,
    finish = finish,
  }
end

local function play_whole(options, reply)
  local body, finish = json.encode(reply), "done"
  local pieces = { { delay_s = 0, text = body } }
  if options.cut_after or options.silent then
    -- A whole reply breaks off, or falls silent, in its middle.
    pieces[1].text = string.sub(body, 1, math.floor(#body / 2))
    if options.silent == "body" then pieces = {} end
    if options.silent then pieces[#pieces + 1] = { delay_s = FOREVER, text = "" } end
    finish = "cut"
  end
  return {
    status = 200, headers = headers_of(options, "application/json"), delay_s = options.delay or 0, pieces = pieces,
    finish = finish,
  }
end

local function play_embeddings(call, document, options)
  local input = value_of(document, "input")
  if type(input) ~= "table" or type(input[1]) == "number" then input = { input } end
  local size = math.min(math.max(1, value_of(document, "dimensions") or 8), 4096)
  local data, length = {}, 0
  for index, item in ipairs(input) do
    local text = type(item) == "string" and item or json.encode(item)
    length = length + #text
    local numbers = sample.vector(text, size)
    local packed = value_of(document, "encoding_format") == "base64"
    data[index] = {
      object = "embedding", index = index - 1,
      embedding = packed and vector.pack(numbers) or json.array(numbers),
    }
  end
  local prompt = tokens(length)
  local usage = { prompt_tokens = prompt, total_tokens = prompt }
  for name, value in pairs(options.usage or {}) do usage[name] = value end
  return play_whole(options, {
    object = "list", data = json.array(data), model = call.target.upstream_id, usage = usage,
  })
end

-- The call in OpenAI's shape.
local function document_of(call)
  if call.document then return call.document end
  local body = call.chat and openai_chat.document(call.chat)
    or { input = json.array(call.embedding.inputs), dimensions = call.embedding.dimensions }
  return assert(json.scan(json.encode(body), 1000))
end

-- Plays the reply to a call: status, headers, and the pieces of the body with the time to wait before each.
---@param call table as for `build`; `now` dates the reply
---@return { status: number, headers: table<string, string>, delay_s: number, pieces: table[], finish: "done"|"cut" }
function mock.play(call)
  local document = document_of(call)
  local prompt = prompt_of(document)
  local options = options_of(call, prompt)
  if options.silent == "head" then
    return { status = 200, headers = {}, delay_s = FOREVER, pieces = {}, finish = "cut" }
  end
  local status = options.status
  if status and not options.error_in_body and not options.error_after then return failure(options, status, status) end
  if options.error_in_body and not call.stream then return failure(options, 200, status or 500) end
  if call.operation == "embeddings" then return play_embeddings(call, document, options) end

  local tool = tool_call(document, options)
  local said = answer_text(document, options, prompt)
  local choices = math.min(math.max(1, tonumber(value_of(document, "n")) or 1), MOST_CHOICES)
  local usage = usage_of(document, options, (tool and #tool["function"].arguments or #said) * choices)
  local id = "chatcmpl-mock" .. sample.hash(prompt)
  local function frame(object)
    return { id = id, object = object, created = math.floor(call.now or 0), model = call.target.upstream_id }
  end
  if call.stream then return play_stream(options, frame, said, tool, usage, choices) end

  local reply, list = frame("chat.completion"), {}
  for index = 1, choices do
    list[index] = {
      index = index - 1, finish_reason = tool and "tool_calls" or "stop", logprobs = json.null,
      message = {
        role = "assistant", content = tool and json.null or said, refusal = json.null,
        tool_calls = tool and json.array({ tool }) or nil,
      },
    }
  end
  reply.choices, reply.usage = json.array(list), usage
  return play_whole(options, reply)
end

return mock
