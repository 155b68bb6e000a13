-- The surface of Google's Gemini API: reads the bodies of generateContent and its like into the request that policies
-- see, the model from the address, and writes answers, errors and model lists in Gemini's shape. Never talks to a
-- provider.
local answer = require "moongate.surfaces.gemini_answer"
local check = require "moongate.surfaces.gemini_check"
local gemini_chat = require "moongate.surfaces.gemini_chat"
local json = require "moongate.core.json"
local own = require "moongate.surfaces.gemini_fields"
local requests = require "moongate.surfaces.requests"

local surface = {
  name = "gemini", speaks = "gemini", reply = answer.reply, writer = answer.writer, vectors = answer.vectors,
}

local TOKENS_PER_TURN = 4
-- A picture of usual size is one tile.
local IMAGE_TOKENS = 258
-- Base64 bytes of other media that make about one token.
local MEDIA_BYTES_PER_TOKEN = { audio = 400, video = 1000, application = 40, text = 5.4 }

-- ---- the weight of a conversation ----

local function bytes_of(document, node, name)
  local member = own.find(document, node, name)
  return member and document:string_bytes(member) or 0
end

local function weigh_media(document, media, weight)
  local kind = own.find(document, media, "mimeType")
  local family = kind and string.match(string.lower(document:value(kind)), "^%a+") or "image"
  if family == "image" then
    weight.tokens, weight.images = weight.tokens + IMAGE_TOKENS, true
  else
    local bytes = bytes_of(document, media, "data")
    weight.tokens = weight.tokens + math.ceil(bytes / (MEDIA_BYTES_PER_TOKEN[family] or 40))
  end
end

local function weigh_part(document, part, weight)
  local media = own.find(document, part, "inlineData") or own.find(document, part, "fileData")
  if media then return weigh_media(document, media, weight) end
  weight.text = weight.text + bytes_of(document, part, "text")
  for _, name in ipairs { "functionCall", "functionResponse", "executableCode", "codeExecutionResult" } do
    weight.text = weight.text + bytes_of(document, part, name)
  end
end

local function weigh(document, root)
  local weight = { text = 0, tokens = 0, images = false }
  local system = own.find(document, root, "systemInstruction")
  if system then weight.text = bytes_of(document, system, "parts") end
  for _, content in document:items((own.find(document, root, "contents"))) do
    weight.tokens = weight.tokens + TOKENS_PER_TURN
    for _, part in document:items((own.find(document, content, "parts"))) do weigh_part(document, part, weight) end
  end
  return weight
end

-- ---- the request ----

local function value_of(document, node, name)
  local member = node and own.find(document, node, name)
  return member and document:value(member) or nil
end

local function read_chat(document, request, path)
  local root = own.find(document, 0, "generateContentRequest") or 0
  local weight = weigh(document, root)
  local config, tools = own.find(document, root, "generationConfig"), own.find(document, root, "tools")
  local extra = bytes_of(document, root, "tools")
  if config then extra = extra + bytes_of(document, config, "responseSchema") end
  request.stream = path.stream == true
  -- Without server-sent events, a stream is one array in pieces.
  if request.stream and not path.sse then request.framing = "json" end
  request.images = weight.images
  requests.weigh(request, weight.text, weight.tokens, extra)
  request.tools = tools ~= nil and document:size(tools) > 0
  request.json_schema = config ~= nil and (own.find(document, config, "responseSchema")
    or own.find(document, config, "responseJsonSchema")) ~= nil
  request.max_tokens = value_of(document, config, "maxOutputTokens")
end

local function read_embeddings(document, request, is_batch)
  local bytes = 0
  for _, each in document:items(is_batch and document:find(0, "requests") or 0) do
    local content = is_batch and document:find(each, "content") or nil
    if content then bytes = bytes + document:string_bytes(content) end
  end
  if not is_batch then bytes = document:string_bytes(document:find(0, "content")) end
  request.batch = is_batch
  return requests.embeddings(request, bytes)
end

local function bare(model)
  return type(model) == "string" and string.gsub(model, "^models/", "", 1) or nil
end

local function read_neutral(document) return gemini_chat.read(document:value(0)) end

local READERS = { neutral = read_neutral }

-- Reads a call. The document is the scanned body (`json.scan`), headers have lower-case names; path is what the address
-- says.
---@param document table
---@param headers table<string, string>
---@param operation "chat"|"count"|"embeddings"
---@param path { model: string, verb: string|nil, stream: boolean|nil, sse: boolean|nil }|nil
---@return table|nil request
---@return { status: number, message: string, param: string|nil }|nil refusal
function surface.parse(document, headers, operation, path)
  path = path or {}
  local is_batch = operation == "embeddings"
    and (path.verb == "batchEmbedContents" or (path.verb == nil and document:find(0, "requests") ~= nil))
  local request, refusal = requests.begin(headers, check[operation](document, is_batch))
  if not request then return nil, refusal end
  request.model = bare(path.model) or bare(value_of(document, 0, "model"))
  request.surface, request.include_usage = surface.name, true
  if operation == "embeddings" then return read_embeddings(document, request, is_batch) end
  read_chat(document, request, path)
  if operation == "count" then request.stream, request.framing = false, nil end
  return requests.with_messages(request, document, READERS)
end

-- The neutral chat; or nil and a refusal.
---@param document table
---@param request table
---@return moongate.chat|nil
---@return table|nil refusal
function surface.chat(document, request)
  local neutral, refusal = gemini_chat.read(document:value(0))
  if neutral then neutral.stream = request.stream end
  return neutral, refusal
end

local function text_of(content)
  local texts = {}
  for i, part in ipairs(own.table(content, "parts")) do texts[i] = own.get(part, "text") end
  return table.concat(texts, "\n")
end

-- The neutral embedding; or nil and a refusal. All texts of a batch must be asked for alike.
---@param document table
---@return moongate.embedding_call|nil
---@return table|nil refusal
function surface.embedding(document)
  local body = document:value(0)
  local list, inputs = own.get(body, "requests") or { body }, {}
  local first = list[1]
  for i, each in ipairs(list) do
    for _, name in ipairs { "outputDimensionality", "taskType" } do
      if own.get(each, name) ~= own.get(first, name) then
        local param = string.format("requests[%d].%s", i - 1, name)
        return nil, { status = 400, param = param, message = param .. ": expected the same in all requests of a batch" }
      end
    end
    inputs[i] = text_of(own.table(each, "content"))
  end
  return {
    inputs = inputs, dimensions = own.get(first, "outputDimensionality"), task = own.get(first, "taskType"),
    title = #list == 1 and own.get(first, "title") or nil,
  }
end

-- The answer to a count of tokens.
---@param _ moongate.call
---@param tokens integer
---@return string
function surface.counted(_, tokens)
  return json.encode { totalTokens = tokens }
end

-- What a stream calls itself.
---@param call moongate.call
---@return string
function surface.stream_type(call)
  return call.request.framing == "json" and "application/json; charset=utf-8" or "text/event-stream; charset=utf-8"
end

-- ---- errors ----

local WORDS = {
  [400] = "INVALID_ARGUMENT", [401] = "UNAUTHENTICATED", [403] = "PERMISSION_DENIED", [404] = "NOT_FOUND",
  [405] = "UNIMPLEMENTED", [408] = "DEADLINE_EXCEEDED", [409] = "ABORTED", [429] = "RESOURCE_EXHAUSTED",
  [499] = "CANCELLED", [500] = "INTERNAL", [501] = "UNIMPLEMENTED", [502] = "UNAVAILABLE", [503] = "UNAVAILABLE",
  [504] = "DEADLINE_EXCEEDED", [529] = "UNAVAILABLE",
}
-- The status of each word, and the words of other formats for the same.
local CODES = {
  INVALID_ARGUMENT = 400, FAILED_PRECONDITION = 400, OUT_OF_RANGE = 400, UNAUTHENTICATED = 401,
  PERMISSION_DENIED = 403, NOT_FOUND = 404, RESOURCE_EXHAUSTED = 429, CANCELLED = 499, INTERNAL = 500,
  UNIMPLEMENTED = 501, UNAVAILABLE = 503, DEADLINE_EXCEEDED = 504,
}
local FOREIGN = {
  rate_limit_error = "RESOURCE_EXHAUSTED", rate_limit_exceeded = "RESOURCE_EXHAUSTED",
  insufficient_quota = "RESOURCE_EXHAUSTED", overloaded_error = "UNAVAILABLE", timeout_error = "DEADLINE_EXCEEDED",
  api_error = "INTERNAL", server_error = "INTERNAL",
}

local function word_of(status, kind, code)
  local told = CODES[kind] and kind or CODES[code] and code
  if told and (CODES[told] == status or status >= 500) then return told end
  return WORDS[status] or (status >= 500 and "INTERNAL") or "INVALID_ARGUMENT"
end

local function error_body(code, message, word)
  return json.encode { error = { code = code, message = message, status = word } }
end

-- The body of an error answer; the word follows from the status, unless the provider had one of Google's.
---@param status number
---@param message string
---@param kind string|nil
---@param code string|number|nil
---@return string
function surface.error(status, message, kind, code)
  return error_body(status, message, word_of(status, kind, code))
end

-- The same as the last event of a stream that has failed; of an array, as its last item.
---@param status number
---@param message string
---@param kind string|nil
---@param code string|number|nil
---@param writer moongate.gemini_writer|nil
---@return string
function surface.error_event(status, message, kind, code, writer)
  local word = CODES[kind] and kind or CODES[code] and code or FOREIGN[kind] or FOREIGN[code] or word_of(status)
  local body = error_body(CODES[word] or status, message, word)
  if writer and writer.is_array then return ",\r\n" .. body .. "]" end
  return "data: " .. body .. "\r\n\r\n"
end

-- ---- models ----

local CHAT_METHODS = { "generateContent", "streamGenerateContent", "countTokens" }
local EMBEDDING_METHODS = { "embedContent", "batchEmbedContents" }

local function model_of(entry)
  local is_embedding = entry.mode == "embedding" or string.find(entry.id, "embed", 1, true) ~= nil
  return {
    name = "models/" .. entry.id, version = "001", displayName = entry.display_name or entry.id,
    description = entry.owned_by and "served by " .. entry.owned_by or nil, inputTokenLimit = entry.context_length,
    outputTokenLimit = entry.max_output,
    supportedGenerationMethods = json.array(is_embedding and EMBEDDING_METHODS or CHAT_METHODS),
  }
end

-- The answer of GET /v1beta/models.
---@param list table[] entries with at least an id
---@return string
function surface.models(list)
  local models = {}
  for i, entry in ipairs(list) do models[i] = model_of(entry) end
  return json.encode { models = json.array(models) }
end

-- One of them.
---@param entry table
---@return string
function surface.model(entry)
  return json.encode(model_of(entry))
end

return surface
