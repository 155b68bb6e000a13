-- The surface of OpenAI's API: reads the body of a chat or embeddings call into the request that policies see, and
-- writes answers, errors and model lists in OpenAI's shape. Works on the scanned document; the tree is built only if a
-- policy looks at the messages, or if the provider speaks another format. Never talks to a provider; where it speaks
-- the same, the document itself goes on to the protocol unchanged.
local answer = require "moongate.surfaces.openai_answer"
local chat = require "moongate.surfaces.openai_chat"
local check = require "moongate.surfaces.openai_check"
local json = require "moongate.core.json"
local outline = require "moongate.surfaces.openai_outline"
local requests = require "moongate.surfaces.requests"

local surface = {
  speaks = "openai", reply = answer.reply, writer = answer.writer, vectors = answer.vectors,
}

local value_of = requests.value

local TOKENS_PER_MESSAGE = 4
local IMAGE_TOKENS = { low = 85, high = 765 }
-- Base64 bytes of sound and of documents that make about one token.
local AUDIO_BYTES_PER_TOKEN = 400
local FILE_BYTES_PER_TOKEN = 40

-- Tokens of a part that is not text, the bytes of it that are not text, and whether it is an image.
local function part_tokens(document, part)
  local kind = document:value(document:find(part, "type"))
  local bytes = document:string_bytes(part)
  if kind == "image_url" then
    local image = document:find(part, "image_url")
    local detail = image and document:kind(image) == "object" and document:find(image, "detail")
    return IMAGE_TOKENS[detail and document:value(detail)] or IMAGE_TOKENS.high, bytes, true
  elseif kind == "input_audio" then
    return math.ceil(bytes / AUDIO_BYTES_PER_TOKEN), bytes
  elseif kind == "file" then
    return math.ceil(bytes / FILE_BYTES_PER_TOKEN), bytes
  end
  return 0, #kind
end

-- Weighs the messages: bytes of text, tokens of what is no text, how many messages, whether there are images. words:
-- where they are of the usual kind, which has no images, the bytes of their strings that are no text.
local function weigh(document, messages, words)
  local text, tokens, images = document:string_bytes(messages), 0, false
  if words then return text - words, TOKENS_PER_MESSAGE * document:size(messages), images end
  for _, message in document:items(messages) do
    tokens = tokens + TOKENS_PER_MESSAGE
    text = text - document:string_bytes(document:find(message, "role"))
    local content = document:find(message, "content")
    if content and document:kind(content) == "array" then
      for _, part in document:items(content) do
        local part_weight, bytes, is_image = part_tokens(document, part)
        tokens, text, images = tokens + part_weight, text - bytes, images or is_image or false
      end
    end
  end
  return text, tokens, images
end

local function bytes_at(document, node) return node and document:string_bytes(node) or 0 end

-- The value of a member; nil for null too.
local function value_at(document, node)
  if not node or document:kind(node) == "null" then return nil end
  return document:value(node)
end

-- What a usual body is read by, of any body; see openai_outline.
local function members_of(document)
  local model, stream, options, newer_most, most, messages, tools, format = document:find(0, "model", "stream",
    "stream_options", "max_completion_tokens", "max_tokens", "messages", "tools", "response_format")
  options = value_at(document, options)
  return value_at(document, model), value_at(document, stream), options and options.include_usage,
    value_at(document, newer_most), value_at(document, most), messages, tools, format
end

local function read_chat(document, headers)
  local is_usual, words, model, stream, include_usage, newer_most, most, messages, tools, format, role, content =
    document:fits(0, outline.body)
  local request, refusal = requests.begin(headers, not is_usual and check.closely(document) or nil)
  if not request then return nil, refusal end
  local functions, extra
  if not is_usual then
    model, stream, include_usage, newer_most, most, messages, tools, format = members_of(document)
    functions = document:find(0, "functions")
  elseif type(content) == "string" then
    request.asked = { role = role, content = content } -- as asked_of says it
  end
  local text, tokens, images = weigh(document, messages, words)
  request.model = model
  request.surface = "chat"
  request.stream = stream == true
  request.include_usage = include_usage == true
  request.images = images
  request.max_tokens = newer_most or most
  request.old_functions = false
  if tools or format or functions then
    extra = bytes_at(document, tools) + bytes_at(document, functions) + bytes_at(document, format)
    request.json_schema = format ~= nil and value_of(document, "type", format) == "json_schema"
    request.old_functions = check.filled(document, functions) and not check.filled(document, tools)
    request.tools = request.old_functions or check.filled(document, tools)
  end
  requests.weigh(request, text, tokens, extra)
  return request
end

local function messages_of(document) return value_of(document, "messages") or {} end

-- Who spoke last, and what the user said last.
local function asked_of(document)
  local messages = document:find(0, "messages")
  local users = document:last(messages, "role", "user")
  return {
    role = value_of(document, "role", document:item(messages, -1)),
    content = users and value_of(document, "content", users),
  }
end

local READERS = { messages = messages_of, asked = asked_of }

-- Token lists are counted, texts are estimated.
local function read_embeddings(document, headers)
  local request, refusal = requests.begin(headers, check.embeddings(document))
  if not request then return nil, refusal end
  request.model = value_of(document, "model")
  local input = document:find(0, "input")
  local bytes, tokens = document:string_bytes(input), 0
  if document:kind(input) == "array" then
    for _, item in document:items(input) do
      local kind = document:kind(item)
      if kind == "number" then tokens = tokens + 1 end
      if kind == "array" then tokens = tokens + document:size(item) end
    end
  end
  request.packed = value_of(document, "encoding_format") == "base64"
  return requests.embeddings(request, bytes, tokens)
end

-- Reads a call. The document is the scanned body (`json.scan`), headers have lower-case names.
---@param document table
---@param headers table<string, string>
---@param operation "chat"|"embeddings"
---@return table|nil request
---@return { status: number, message: string, type: string, param: string|nil, code: string|nil }|nil fault
function surface.parse(document, headers, operation)
  if operation == "embeddings" then return read_embeddings(document, headers) end
  local request, refusal = read_chat(document, headers)
  if not request then return nil, refusal end
  return requests.with_messages(request, document, READERS)
end

-- The neutral chat, for providers that speak another format.
---@param document table
---@param request table
---@return moongate.chat|nil
---@return table|nil refusal
function surface.chat(document, request)
  local neutral, refusal = chat.read(document:value(0))
  if neutral then neutral.stream = request.stream end
  return neutral, refusal
end

---@param document table
---@return moongate.embedding_call
function surface.embedding(document)
  local input = value_of(document, "input")
  if type(input) ~= "table" or type(input[1]) == "number" then input = { input } end
  return { inputs = input, dimensions = value_of(document, "dimensions") }
end

local TYPES = {
  [401] = "authentication_error", [403] = "permission_error", [404] = "not_found_error", [429] = "rate_limit_error",
  [503] = "api_error",
}
local CODES = { [401] = "invalid_api_key", [404] = "model_not_found", [429] = "rate_limit_exceeded" }

local function error_object(status, message, kind, code, param)
  local default = TYPES[status] or (status >= 500 and "server_error") or "invalid_request_error"
  return {
    error = {
      message = message,
      type = kind or default,
      param = param or json.null,
      code = code or (kind == nil and CODES[status]) or json.null,
    },
  }
end

-- The body of an error answer; type and code follow from the status unless told.
---@param status number
---@param message string
---@param kind string|nil
---@param code string|number|nil
---@param param string|nil
---@return string
function surface.error(status, message, kind, code, param)
  return json.encode(error_object(status, message, kind, code, param))
end

-- The same as the last event of a stream that has failed.
---@param status number
---@param message string
---@param kind string|nil
---@param code string|number|nil
---@return string
function surface.error_event(status, message, kind, code)
  return "data: " .. surface.error(status, message, kind, code) .. "\n\n"
end

local function model_of(entry)
  local model = { object = "model", created = 0, owned_by = entry.provider or "moongate" }
  for name, value in pairs(entry) do model[name] = value end
  return model
end

-- The answer of GET /v1/models/<id>.
---@param entry table
---@return string
function surface.model(entry) return json.encode(model_of(entry)) end

-- The answer of GET /v1/models. Entries need an id; other fields (provider, prices, context) are shown as they are.
---@param list table[]
---@return string
function surface.models(list)
  local data = {}
  for index, entry in ipairs(list) do data[index] = model_of(entry) end
  return json.encode({ object = "list", data = json.array(data) })
end

return surface
