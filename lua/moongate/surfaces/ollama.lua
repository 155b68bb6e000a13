-- The surface of Ollama's API: reads the body of a chat, generate or embed call into the request that policies see, and
-- writes answers, errors and model lists in Ollama's shape. Streams are lines of JSON, and the default. Never talks to
-- a provider; where one speaks the same, the document itself goes on to the protocol unchanged.
local answer = require "moongate.surfaces.ollama_answer"
local bit = require "bit"
local check = require "moongate.surfaces.ollama_check"
local fields = require "moongate.surfaces.fields"
local json = require "moongate.core.json"
local ollama_chat = require "moongate.surfaces.ollama_chat"
local requests = require "moongate.surfaces.requests"

local surface = {
  name = "ollama", speaks = "ollama", reply = answer.reply, writer = answer.writer, vectors = answer.vectors,
  stream_type = "application/x-ndjson",
}

local bytes_of, value_of = requests.bytes, requests.value

local TOKENS_PER_MESSAGE = 4
local IMAGE_TOKENS = 765
-- The version of Ollama whose API this is; clients refuse to talk to older ones.
local VERSION = "0.12.6"
local ARCHITECTURE = "moongate"
local LONG_AGO = "2024-01-01T00:00:00Z"

local function size_of(document, name, node)
  local found = fields.optional(document, node or 0, name)
  return found and document:size(found) or 0
end

-- Bytes of text, tokens of what is no text, whether there are images.
local function weigh(document, is_generate)
  if is_generate then
    local images = size_of(document, "images")
    return bytes_of(document, "prompt") + bytes_of(document, "system") + bytes_of(document, "suffix"),
      images * IMAGE_TOKENS + TOKENS_PER_MESSAGE, images > 0
  end
  local text, tokens, some = 0, 0, false
  local messages = fields.optional(document, 0, "messages")
  if not messages then return text, tokens, some end
  for _, message in document:items(messages) do
    for _, name in ipairs { "content", "thinking", "tool_calls" } do text = text + bytes_of(document, name, message) end
    local images = size_of(document, "images", message)
    tokens, some = tokens + TOKENS_PER_MESSAGE + images * IMAGE_TOKENS, some or images > 0
  end
  return text, tokens, some
end

local function read_chat(document, request, is_generate)
  local text, tokens, images = weigh(document, is_generate)
  local extra = bytes_of(document, "tools") + bytes_of(document, "format")
  local format, options = fields.optional(document, 0, "format"), fields.optional(document, 0, "options")
  local most = options and value_of(document, "num_predict", options)
  -- What a provider answers may be in the other of the two shapes, if the body was written anew for it.
  request.generate, request.framing = is_generate or nil, is_generate and "generate" or nil
  request.stream = value_of(document, "stream") ~= false
  requests.weigh(request, text, tokens, extra)
  request.images = images
  request.surface = surface.name
  request.tools = size_of(document, "tools") > 0
  request.json_schema = format ~= nil and document:kind(format) == "object"
  request.max_tokens = most and most > 0 and most or nil
  -- Clients load a model by a call that says nothing.
  local says = is_generate and bytes_of(document, "prompt") or size_of(document, "messages")
  if says == 0 then request.at_once = answer.loaded end
end

local function read_embeddings(document, request)
  local bytes = bytes_of(document, "input")
  request.single = fields.optional(document, 0, "input") == nil or nil
  if request.single then bytes = bytes_of(document, "prompt") end
  return requests.embeddings(request, bytes)
end

local function neutral(document) return ollama_chat.read(document:value(0)) end
local function generated(document) return ollama_chat.generate(document:value(0)) end

local CHAT, GENERATE = { neutral = neutral }, { neutral = generated }

-- Reads a call of /api/chat, of /api/generate (path.verb says so), or of /api/embed and /api/embeddings. The document
-- is the scanned body (`json.scan`), headers have lower-case names. `request.at_once`: a function of the call whose
-- text is the answer, for a call that asks for none of a model.
---@param document table
---@param headers table<string, string>
---@param operation "chat"|"embeddings"
---@param path { verb: "chat"|"generate" }|nil
---@return table|nil request
---@return { status: number, message: string, type: string, param: string|nil }|nil refusal
function surface.parse(document, headers, operation, path)
  local is_generate = operation == "chat" and path ~= nil and path.verb == "generate"
  local request, refusal = requests.begin(headers, check[is_generate and "generate" or operation](document))
  if not request then return nil, refusal end
  request.model, request.include_usage = value_of(document, "model"), true
  if operation == "embeddings" then return read_embeddings(document, request) end
  read_chat(document, request, is_generate)
  return requests.with_messages(request, document, is_generate and GENERATE or CHAT)
end

-- The neutral chat; or nil and a refusal.
---@param document table
---@param request table
---@return moongate.chat|nil
---@return table|nil refusal
function surface.chat(document, request)
  return (request.generate and generated or neutral)(document)
end

---@param document table
---@return moongate.embedding_call
function surface.embedding(document)
  local input = value_of(document, "input") or value_of(document, "prompt")
  return { inputs = type(input) == "table" and input or { input }, dimensions = value_of(document, "dimensions") }
end

-- ---- errors ----

-- The body of an error answer: Ollama has a sentence alone.
---@param _ number
---@param message string
---@return string
function surface.error(_, message)
  return json.encode { error = message }
end

-- The same as the last line of a stream that has failed.
---@param status number
---@param message string
---@return string
function surface.error_event(status, message)
  return surface.error(status, message) .. "\n"
end

-- ---- models ----

-- 64 hexadecimal digits, always the same for the same name: clients show the first of them.
local function digest_of(name)
  local parts = {}
  for part = 1, 8 do
    local hash = bit.tobit(0x811c9dc5 + part)
    for index = 1, #name do
      hash = bit.bxor(hash, string.byte(name, index))
      hash = bit.tobit(hash + bit.lshift(hash, 1) + bit.lshift(hash, 4) + bit.lshift(hash, 7) + bit.lshift(hash, 8)
        + bit.lshift(hash, 24))
    end
    parts[part] = bit.tohex(hash)
  end
  return table.concat(parts)
end

local function details_of(entry)
  local family = entry.provider or entry.owned_by or ARCHITECTURE
  return {
    parent_model = "", format = "", family = family, families = json.array { family }, parameter_size = "",
    quantization_level = "",
  }
end

local function has(list, wanted)
  for _, word in ipairs(list or {}) do
    if word == wanted then return true end
  end
  return false
end

local function capabilities_of(entry)
  if has(entry.strengths, "embedding") then return json.array { "embedding" } end
  local list = { "completion" }
  if entry.tools then list[#list + 1] = "tools" end
  if entry.vision then list[#list + 1] = "vision" end
  if has(entry.strengths, "reasoning") then list[#list + 1] = "thinking" end
  return json.array(list)
end

-- The answer of GET /api/tags. Entries need an id; the rest is shown where Ollama has a place for it.
---@param list table[]
---@return string
function surface.models(list)
  local models = {}
  for index, entry in ipairs(list) do
    models[index] = {
      name = entry.id, model = entry.id, modified_at = LONG_AGO, size = 0, digest = digest_of(entry.id),
      details = details_of(entry), capabilities = capabilities_of(entry),
    }
  end
  return json.encode { models = json.array(models) }
end

-- The answer of POST /api/show.
---@param entry table
---@return string
function surface.model(entry)
  return json.encode {
    modelfile = "", parameters = "", template = "", license = "", modified_at = LONG_AGO,
    details = details_of(entry), capabilities = capabilities_of(entry),
    model_info = {
      ["general.architecture"] = ARCHITECTURE, ["general.basename"] = entry.id,
      [ARCHITECTURE .. ".context_length"] = entry.context_length,
    },
  }
end

-- The answer of GET /api/version.
---@return string
function surface.version()
  return json.encode { version = VERSION }
end

return surface
