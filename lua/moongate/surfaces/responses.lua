-- The surface of OpenAI's Responses API: reads a body into the request that policies see, and writes answers whole and
-- as events. Keeps nothing between calls: what leans on an earlier response goes to a provider of the same API or is
-- refused. Errors have the shape that all of OpenAI's have.
local answer = require "moongate.surfaces.responses_answer"
local check = require "moongate.surfaces.responses_check"
local json = require "moongate.core.json"
local openai = require "moongate.surfaces.openai"
local requests = require "moongate.surfaces.requests"
local responses_chat = require "moongate.surfaces.responses_chat"
local responses_stream = require "moongate.surfaces.responses_stream"

local surface = {
  name = "responses", speaks = "openai_responses", reply = answer.reply, writer = responses_stream.new,
  error = openai.error, models = openai.models, model = openai.model,
}

local bytes_of, value_of = requests.bytes, requests.value

local TOKENS_PER_ITEM, IMAGE_TOKENS, FILE_BYTES_PER_TOKEN = 4, 765, 40
-- What leans on something that the provider keeps.
local NATIVE = { "previous_response_id", "conversation", "prompt" }

local function type_of(document, node)
  local member = document:find(node, "type")
  return member and document:kind(member) == "string" and document:value(member) or nil
end

-- Adds what a list of parts weighs besides its text.
local function weigh_parts(document, parts, weight)
  if not parts or document:kind(parts) ~= "array" then return end
  for _, part in document:items(parts) do
    local kind, bytes = type_of(document, part), document:string_bytes(part)
    if kind == "input_image" then
      weight.tokens, weight.images = weight.tokens + IMAGE_TOKENS, true
      weight.text = weight.text - bytes
    elseif kind == "input_file" or kind == "input_audio" then
      weight.tokens = weight.tokens + math.ceil(bytes / FILE_BYTES_PER_TOKEN)
      weight.text = weight.text - bytes
    else
      weight.text = weight.text - #(kind or "")
    end
  end
end

-- What the input weighs: bytes of text, tokens of what is none, whether there are images, whether it refers to items
-- that are elsewhere.
local function weigh(document)
  local input = document:find(0, "input")
  local weight = { text = input and document:string_bytes(input) or 0, tokens = 0, images = false }
  weight.text = weight.text + bytes_of(document, "instructions")
  if not input or document:kind(input) ~= "array" then
    weight.tokens = TOKENS_PER_ITEM
    return weight
  end
  for index, item in document:items(input) do
    weight.tokens = weight.tokens + TOKENS_PER_ITEM
    for _, name in ipairs { "type", "role", "id", "status", "call_id", "encrypted_content" } do
      weight.text = weight.text - bytes_of(document, name, item)
    end
    weigh_parts(document, document:find(item, "content"), weight)
    weigh_parts(document, document:find(item, "output"), weight)
    if type_of(document, item) == "item_reference" then
      weight.reference = weight.reference or "input[" .. (index - 1) .. "]"
    end
  end
  return weight
end

-- The first field that only a provider which keeps things can serve.
local function native_field(document, weight)
  for _, name in ipairs(NATIVE) do
    if value_of(document, name) ~= nil then return name end
  end
  if value_of(document, "background") == true then return "background" end
  return weight.reference
end

local function read_neutral(document) return responses_chat.read(document:value(0)) end

local READERS = { neutral = read_neutral }

-- Reads a call. The document is the scanned body (`json.scan`), headers have lower-case names.
---@param document table
---@param headers table<string, string>
---@return table|nil request
---@return table|nil refusal
function surface.parse(document, headers)
  local request, refusal = requests.begin(headers, check.request(document))
  if not request then return nil, refusal end
  request.model, request.surface = value_of(document, "model"), surface.name
  local weight, tools = weigh(document), document:find(0, "tools")
  local text, format = value_of(document, "text"), nil
  if text and type(text.format) == "table" then format = text.format end
  local extra = bytes_of(document, "tools") + bytes_of(document, "text")
  request.stream, request.include_usage = value_of(document, "stream") == true, true
  requests.weigh(request, math.max(0, weight.text), weight.tokens, extra)
  request.images = weight.images
  request.tools = tools ~= nil and document:size(tools) > 0
  request.json_schema = format ~= nil and format.type == "json_schema"
  request.max_tokens = value_of(document, "max_output_tokens")
  request.needs_native, request.original = native_field(document, weight), document
  return requests.with_messages(request, document, READERS)
end

-- The neutral chat, for providers that speak another format.
---@param document table
---@param request table
---@return moongate.chat|nil
---@return table|nil refusal
function surface.chat(document, request)
  if request.needs_native then return nil, responses_chat.needs_native(request.needs_native) end
  local neutral, refusal = responses_chat.read(document:value(0))
  if neutral then neutral.stream = request.stream end
  return neutral, refusal
end

-- The same as far as it came with the call, for those who only look.
---@param document table
---@return moongate.chat|nil
---@return table|nil refusal
function surface.visible(document)
  return responses_chat.read(document:value(0))
end

-- The last event of a stream that has failed; with the stream's writer the last two, numbered as its next.
---@param status number
---@param message string
---@param _ string|nil
---@param code string|number|nil
---@param writer moongate.responses_writer|nil
---@return string
function surface.error_event(status, message, _, code, writer)
  local fault = json.decode(openai.error(status, message, nil, code)).error
  code = tostring(fault.code ~= json.null and fault.code or fault.type)
  if writer and writer.fail then return writer:fail(code, message) end
  return "event: error\ndata: " .. json.encode {
    type = "error", code = code, message = message, param = json.null,
  } .. "\n\n"
end

return surface
