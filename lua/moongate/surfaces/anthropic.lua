-- The surface of Anthropic's API: reads the body of a Messages call, or of a count of its tokens, into the request that
-- policies see, and writes answers, errors and model lists in Anthropic's shape. Never talks to a provider.
local answer = require "moongate.surfaces.anthropic_answer"
local anthropic_chat = require "moongate.surfaces.anthropic_chat"
local check = require "moongate.surfaces.anthropic_check"
local json = require "moongate.core.json"
local requests = require "moongate.surfaces.requests"

local surface = {
  name = "messages", speaks = "anthropic", reply = answer.reply, writer = answer.writer,
}

local bytes_of = requests.bytes

local TOKENS_PER_MESSAGE = 4
-- Anthropic counts a pixel in 750; it shrinks what is larger than this makes.
local IMAGE_TOKENS = 1600
local FILE_BYTES_PER_TOKEN = 40

-- ---- the weight of a conversation ----

local weigh_content

local WEIGHTS = {}

function WEIGHTS.text(document, block, own) own.text = own.text + bytes_of(document, "text", block) end

function WEIGHTS.thinking(document, block, own) own.text = own.text + bytes_of(document, "thinking", block) end

function WEIGHTS.redacted_thinking(document, block, own) own.hidden = own.hidden + bytes_of(document, "data", block) end

function WEIGHTS.image(_, _, own)
  own.tokens, own.images = own.tokens + IMAGE_TOKENS, true
end

function WEIGHTS.document(document, block, own)
  local source = document:find(block, "source")
  if document:value(document:find(source, "type")) == "base64" then
    own.tokens = own.tokens + math.ceil(bytes_of(document, "data", source) / FILE_BYTES_PER_TOKEN)
  else
    own.text = own.text + bytes_of(document, "data", source) + bytes_of(document, "content", source)
  end
end

function WEIGHTS.tool_use(document, block, own)
  own.text = own.text + bytes_of(document, "name", block) + bytes_of(document, "input", block)
end

function WEIGHTS.tool_result(document, block, own)
  local content = document:find(block, "content")
  if content then weigh_content(document, content, own) end
end

function weigh_content(document, content, own)
  if document:kind(content) ~= "array" then
    own.text = own.text + document:string_bytes(content)
    return
  end
  for _, block in document:items(content) do
    local weigh = WEIGHTS[document:value(document:find(block, "type"))]
    if weigh then weigh(document, block, own) else own.hidden = own.hidden + document:string_bytes(block) end
  end
end

-- text: where the conversation is of the usual kind, which has neither images nor files, the bytes of its text.
local function weigh(document, messages, text)
  if text then
    return { text = text, hidden = 0, tokens = TOKENS_PER_MESSAGE * document:size(messages), images = false }
  end
  local own = { text = bytes_of(document, "system"), hidden = 0, tokens = 0, images = false }
  local system = document:find(0, "system")
  if system and document:kind(system) == "array" then
    own.text = 0
    weigh_content(document, system, own)
  end
  for _, message in document:items(messages) do
    own.tokens = own.tokens + TOKENS_PER_MESSAGE
    weigh_content(document, document:find(message, "content"), own)
  end
  return own
end

-- ---- the request ----

local function bytes_at(document, node) return node and document:string_bytes(node) or 0 end

-- The value of a member; nil for null too.
local function value_at(document, node)
  if not node or document:kind(node) == "null" then return nil end
  return document:value(node)
end

local function is_list_or_object(document, node)
  local kind = node and document:kind(node)
  return kind == "object" or kind == "array"
end

local function asks_for_schema(document, output, old_format)
  if old_format and document:kind(old_format) ~= "null" then return true end
  return is_list_or_object(document, output) and is_list_or_object(document, document:find(output, "format"))
end

local function read(document, request, operation, usual_text)
  local model, messages, stream, most, tools, output, old_format = document:find(0, "model", "messages", "stream",
    "max_tokens", "tools", "output_config", "output_format")
  local own = weigh(document, messages, usual_text)
  request.model = value_at(document, model)
  request.surface = surface.name
  request.stream = operation ~= "count" and value_at(document, stream) == true
  request.include_usage = true
  requests.weigh(request, own.text, own.tokens, bytes_at(document, tools) + bytes_at(document, output) + own.hidden)
  request.images = own.images
  request.tools = tools ~= nil and document:kind(tools) == "array" and document:size(tools) > 0
  request.json_schema = asks_for_schema(document, output, old_format)
  request.max_tokens = value_at(document, most)
end

local function read_neutral(document) return anthropic_chat.read(document:value(0)) end

-- Of a message: its texts that say something, and whether there are other blocks.
local function said_in(document, message)
  local content, texts, has_others = document:find(message, "content"), {}, false
  if document:kind(content) == "string" then
    if document:string_bytes(content) > 0 then texts[1] = { text = document:value(content) } end
    return texts, false
  end
  for _, block in document:items(content) do
    local kind, text = document:find(block, "type", "text")
    if document:value(kind) ~= "text" then
      has_others = true
    elseif document:string_bytes(text) > 0 then
      texts[#texts + 1] = { text = document:value(text) }
    end
  end
  return texts, has_others
end

local function is_assistant_turn(document, message)
  if document:value(document:find(message, "role")) ~= "assistant" then return false end
  local texts, has_others = said_in(document, message)
  return has_others or #texts > 0
end

-- Who spoke last, and what the user said last, in a usual conversation: where that is one message, of text or of
-- results; others are read as a whole.
local function asked_of(document)
  local messages = document:find(0, "messages")
  local last, before = document:item(messages, -1), document:item(messages, -2)
  if document:value(document:find(last, "role")) ~= "user" then return nil end
  if before and not is_assistant_turn(document, before) then return nil end
  local texts, has_results = said_in(document, last)
  if #texts > 0 then return { role = "user", content = texts } end
  return has_results and { role = "tool" } or nil
end

local READERS = { neutral = read_neutral }
local USUAL = { neutral = read_neutral, asked = asked_of }

-- Reads a call. The document is the scanned body (`json.scan`), headers have lower-case names.
---@param document table
---@param headers table<string, string>
---@param operation "chat"|"count"
---@return table|nil request
---@return { status: number, message: string, type: string, param: string|nil }|nil refusal
function surface.parse(document, headers, operation)
  local wrong, text = check[operation](document, headers)
  local request, refusal = requests.begin(headers, wrong)
  if not request then return nil, refusal end
  read(document, request, operation, text)
  return requests.with_messages(request, document, text and USUAL or READERS)
end

-- The neutral chat; or nil and a refusal.
---@param document table
---@return moongate.chat|nil
---@return table|nil refusal
function surface.chat(document)
  return anthropic_chat.read(document:value(0))
end

-- The answer to a count of tokens.
---@param _ moongate.call
---@param tokens integer
---@return string
function surface.counted(_, tokens)
  return json.encode { input_tokens = tokens }
end

-- ---- errors ----

local TYPES = {
  [400] = "invalid_request_error", [401] = "authentication_error", [402] = "billing_error",
  [403] = "permission_error", [404] = "not_found_error", [413] = "request_too_large", [429] = "rate_limit_error",
  [503] = "overloaded_error", [504] = "timeout_error", [529] = "overloaded_error",
}
-- What a provider's failure is called, where that says more than the status does: in the words of any format.
local SAID = {
  overloaded_error = "overloaded_error", rate_limit_error = "rate_limit_error", timeout_error = "timeout_error",
  overloaded = "overloaded_error", rate_limit_exceeded = "rate_limit_error", insufficient_quota = "rate_limit_error",
  RESOURCE_EXHAUSTED = "rate_limit_error", UNAVAILABLE = "overloaded_error",
}

local function error_type(status, kind, code)
  if status >= 500 then
    return SAID[kind] or SAID[code] or TYPES[status] or "api_error"
  end
  return TYPES[status] or "invalid_request_error"
end

local function error_body(status, message, kind, code, id)
  return json.encode {
    type = "error", error = { type = error_type(status, kind, code), message = message }, request_id = id or json.null,
  }
end

-- The body of an error answer. The type follows from the status; a failure upstream may tell it better.
---@param status number
---@param message string
---@param kind string|nil
---@param code string|number|nil
---@param _ string|nil the field: the message names it
---@param id string|nil the request's
---@return string
function surface.error(status, message, kind, code, _, id)
  return error_body(status, message, kind, code, id)
end

-- The same as the last event of a stream that has failed.
---@param status number
---@param message string
---@param kind string|nil
---@param code string|number|nil
---@return string
function surface.error_event(status, message, kind, code)
  return "event: error\ndata: " .. error_body(status, message, kind, code) .. "\n\n"
end

-- ---- models ----

-- Nobody knows when; the date must be one.
local LONG_AGO = "1970-01-01T00:00:00Z"

local function model_of(entry)
  return {
    type = "model", id = entry.id, display_name = entry.display_name or entry.id, created_at = LONG_AGO,
    max_input_tokens = entry.context_length, max_tokens = entry.max_output,
  }
end

-- The answer of GET /v1/models to whoever speaks this format.
---@param list table[] entries with at least an id
---@return string
function surface.models(list)
  local data = {}
  for index, entry in ipairs(list) do data[index] = model_of(entry) end
  return json.encode {
    data = json.array(data), has_more = false, first_id = data[1] and data[1].id or json.null,
    last_id = data[1] and data[#data].id or json.null,
  }
end

-- One of them.
---@param entry table
---@return string
function surface.model(entry)
  return json.encode(model_of(entry))
end

return surface
