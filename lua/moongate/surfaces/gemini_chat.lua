-- Reads the body of a generateContent call, decoded and checked, into the neutral chat: for providers that speak
-- another format. What none of them could be told is refused here, what can be left out is named in `unread`.
local base64 = require "moongate.base64"
local chat = require "moongate.chat"
local gemini_types = require "moongate.surfaces.gemini_types"
local json = require "moongate.core.json"
local own = require "moongate.surfaces.gemini_fields"
local reading = require "moongate.surfaces.reading"
local seal = require "moongate.surfaces.gemini_seal"

local gemini_chat = {}

local get, object = own.get, own.table
local refuse = reading.refuse

local ONLY_THERE = "this exists at Google alone, and no provider that is left speaks its format"
local MODES = { AUTO = "auto", VALIDATED = "auto", NONE = "none", ANY = "any" }
local AUDIO = { ["x-wav"] = "wav", ["vnd.wave"] = "wav", mpeg = "mp3", ["x-m4a"] = "m4a" }
local IMAGE_ENDINGS = { png = true, jpg = true, jpeg = true, webp = true, gif = true, heic = true, heif = true }
-- In both, under two names.
local NUMBERS = {
  temperature = "temperature", topP = "top_p", topK = "top_k", candidateCount = "n", maxOutputTokens = "max_tokens",
  presencePenalty = "presence_penalty", frequencyPenalty = "frequency_penalty", seed = "seed",
  responseLogprobs = "logprobs", logprobs = "top_logprobs",
}
local READ = { "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model" }
local READ_CONFIG = {
  "stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig",
}

local is_read, is_read_config = {}, {}
for _, name in ipairs(READ) do is_read[name], is_read[own.snake(name)] = true, true end
for _, name in ipairs(READ_CONFIG) do is_read_config[name], is_read_config[own.snake(name)] = true, true end
for name in pairs(NUMBERS) do is_read_config[name], is_read_config[own.snake(name)] = true, true end

-- ---- parts ----

local function media_block(data, kind, path)
  local family, name = string.match(string.lower(kind), "^([^/]+)/([^;]+)")
  if family == "image" then return { kind = "image", data = data, media_type = chat.image_type(data, kind) } end
  if family == "audio" then return { kind = "audio", data = data, format = AUDIO[name] or name } end
  if family == "video" then refuse(path, "a video can't be carried to a provider of another format") end
  if family == "text" then
    return { kind = "document", text = base64.decode((string.gsub(data, "%s", ""))) or "", media_type = kind }
  end
  return { kind = "document", data = data, media_type = kind }
end

local PARTS = {}

function PARTS.inlineData(value, path)
  return media_block(get(value, "data"), get(value, "mimeType"), path)
end

-- Files that Google holds are there alone; addresses anybody can read are not.
function PARTS.fileData(value, path)
  local url, kind = get(value, "fileUri"), string.lower(get(value, "mimeType") or "")
  local is_public = string.find(url, "^https?://") and not string.find(url, "^https?://[%w.]*youtu")
    and not string.find(url, "generativelanguage.googleapis.com", 1, true)
  if not is_public then refuse(path .. ".fileUri", ONLY_THERE) end
  local ending = string.lower(string.match(string.match(url, "^[^?#]*"), "%.(%w+)$") or "")
  if string.find(kind, "^image/") or (kind == "" and IMAGE_ENDINGS[ending]) then
    return { kind = "image", url = url, media_type = kind ~= "" and kind or nil }
  elseif kind == "application/pdf" or (kind == "" and ending == "pdf") then
    return { kind = "document", url = url, media_type = "application/pdf" }
  end
  refuse(path, "only images and PDF files can be carried to a provider of another format by their address")
end

function PARTS.executableCode(value)
  return { kind = "text", text = "```" .. string.lower(get(value, "language") or "") .. "\n" .. get(value, "code")
    .. "\n```" }
end

function PARTS.codeExecutionResult(value)
  local output = get(value, "output")
  return output and { kind = "text", text = "```\n" .. tostring(output) .. "\n```" } or nil
end

-- What a function answered: the text of a result, if there is nothing else in it, or the object as it is.
local function result_blocks(response)
  local is_error, text = false, nil
  local first = next(response)
  if first ~= nil and next(response, first) == nil then
    is_error = first == "error"
    if first == "error" or first == "result" or first == "output" then text = response[first] end
  end
  if type(text) ~= "string" then text = json.encode(text ~= nil and text or response) end
  if first == nil then text = "{}" end
  local blocks = {}
  if text ~= "" then blocks[1] = { kind = "text", text = text } end
  return blocks, is_error or nil
end

-- An id for a call that came without one: its place in the conversation.
local function add_call(turns, value)
  turns.count = turns.count + 1
  local call = { id = get(value, "id") or string.format("call_%d", turns.count), name = get(value, "name") }
  call.given = get(value, "id")
  turns.open[#turns.open + 1] = call
  return call.id
end

-- The call that a result belongs to: by id, else by name and order.
local function take_call(turns, value)
  local id, name = get(value, "id"), get(value, "name")
  for place, call in ipairs(turns.open) do
    if call.given and id and call.given == id or not (call.given and id) and call.name == name then
      return table.remove(turns.open, place).id
    end
  end
  return id or name
end

function PARTS.functionCall(value, _, turns, part)
  local args = object(value, "args")
  local block = {
    kind = "tool_use", id = add_call(turns, value), name = get(value, "name"),
    arguments = next(args) ~= nil and json.encode(args) or "{}",
  }
  local signature, origin, is_redacted = seal.open(get(part, "thoughtSignature"))
  if signature and not is_redacted then block.signature, block.origin = signature, origin end
  return block
end

function PARTS.functionResponse(value, path, turns)
  local blocks, is_error = result_blocks(object(value, "response"))
  for index, inner in ipairs(object(value, "parts")) do
    for _, name in ipairs { "inlineData", "fileData" } do
      local media = type(inner) == "table" and get(inner, name)
      if type(media) == "table" then
        blocks[#blocks + 1] = PARTS[name](media, string.format("%s.parts[%d].%s", path, index - 1, name))
      end
    end
  end
  return {
    kind = "tool_result", id = take_call(turns, value), name = get(value, "name"), blocks = blocks,
    is_error = is_error,
  }
end

local ORDER = { "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult" }

-- A text and what signs it: the thoughts, of which a shown text is one, else those before it.
local function add_text(blocks, part, text)
  local signature, origin, is_redacted = seal.open(get(part, "thoughtSignature"))
  if is_redacted then
    blocks[#blocks + 1] = { kind = "redacted", data = signature, origin = origin }
    return
  end
  local is_thought = get(part, "thought") == true
  if is_thought or signature then
    local said, last = is_thought and text or "", blocks[#blocks]
    -- The pieces of a stream come back as the parts they were: what signs the last signs them all.
    if last and last.kind == "thinking" and not last.signature then
      said = last.text .. said
      blocks[#blocks] = nil
    end
    blocks[#blocks + 1] = { kind = "thinking", text = said, signature = signature, origin = signature and origin }
  end
  if not is_thought and text ~= "" then blocks[#blocks + 1] = { kind = "text", text = text } end
end

local function add_part(blocks, part, path, turns)
  local text = get(part, "text")
  if text then return add_text(blocks, part, text) end
  for _, name in ipairs(ORDER) do
    local value = get(part, name)
    if value then
      blocks[#blocks + 1] = PARTS[name](value, path .. "." .. name, turns, part)
      return
    end
  end
  refuse(path, ONLY_THERE)
end

-- ---- turns ----

local function turns_of(body)
  local turns = { count = 0, open = {}, list = {} }
  local last
  for index, content in ipairs(object(body, "contents")) do
    local role = get(content, "role") == "model" and "assistant" or "user"
    if role == "assistant" and last ~= role then turns.open = {} end
    last = role
    local blocks = {}
    for place, part in ipairs(object(content, "parts")) do
      add_part(blocks, part, string.format("contents[%d].parts[%d]", index - 1, place - 1), turns)
    end
    chat.add(turns.list, role, blocks)
  end
  return turns.list
end

local function system_of(body)
  local blocks = {}
  for _, part in ipairs(object(object(body, "systemInstruction"), "parts")) do
    local text = get(part, "text")
    if text and text ~= "" then blocks[#blocks + 1] = { kind = "text", text = text } end
  end
  return blocks
end

-- ---- tools ----

local function tool_of(declaration)
  local schema = get(declaration, "parametersJsonSchema")
  local parameters = get(declaration, "parameters")
  if schema == nil and type(parameters) == "table" and next(parameters) ~= nil then
    schema = gemini_types.json_schema(parameters)
  end
  return { name = get(declaration, "name"), description = get(declaration, "description"), schema = schema }
end

local function tools_of(body)
  local tools = {}
  for index, tool in ipairs(object(body, "tools")) do
    for name, value in pairs(tool) do
      if value ~= json.null and name ~= "functionDeclarations" and name ~= "function_declarations" then
        refuse(string.format("tools[%d].%s", index - 1, name), ONLY_THERE)
      end
    end
    for _, declaration in ipairs(object(tool, "functionDeclarations")) do tools[#tools + 1] = tool_of(declaration) end
  end
  return tools
end

-- The functions that are allowed, and whether one must be called.
local function choice_of(body, tools)
  local calling = object(object(body, "toolConfig"), "functionCallingConfig")
  local kind = MODES[string.upper(get(calling, "mode") or "")]
  if not kind then return nil, tools end
  local names, count, only = {}, 0, nil
  for _, name in ipairs(object(calling, "allowedFunctionNames")) do
    if not names[name] then names[name], count, only = true, count + 1, name end
  end
  if count == 0 then return { kind = kind }, tools end
  if count == 1 and kind == "any" then return { kind = "named", name = only }, tools end
  return { kind = kind }, reading.only(tools, names)
end

-- ---- the rest ----

local function format_of(config)
  local kind = get(config, "responseMimeType")
  if kind == "text/x.enum" then
    refuse("generationConfig.responseMimeType", "text/x.enum can't be carried to a provider of another format")
  end
  if kind ~= "application/json" then return nil end
  local schema, plain = get(config, "responseJsonSchema"), get(config, "responseSchema")
  if schema == nil and type(plain) == "table" then schema = gemini_types.json_schema(plain) end
  if schema == nil then return { kind = "json" } end
  return { kind = "schema", schema = schema, name = "answer" }
end

local function reasoning_of(config)
  local thinking = object(config, "thinkingConfig")
  local budget, level, show = get(thinking, "thinkingBudget"), get(thinking, "thinkingLevel"),
    get(thinking, "includeThoughts")
  if budget and budget < 0 then budget = nil end
  level = level and level ~= "THINKING_LEVEL_UNSPECIFIED" and string.lower(level) or nil
  if budget == nil and level == nil and show == nil then return nil end
  return { effort = level, budget = budget, show = show }
end

local function unread(body, config)
  local names = reading.unread(body, is_read)
  for _, name in ipairs(reading.unread(config, is_read_config)) do names[#names + 1] = "generationConfig." .. name end
  table.sort(names)
  return names
end

local function read(whole)
  local body = get(whole, "generateContentRequest") or whole
  local config, stop = object(body, "generationConfig"), nil
  local choice, tools = choice_of(body, tools_of(body))
  if #object(config, "stopSequences") > 0 then stop = object(config, "stopSequences") end
  if get(body, "cachedContent") then refuse("cachedContent", ONLY_THERE) end
  local neutral = {
    system = system_of(body), turns = turns_of(body), tools = tools, tool_choice = choice, stop = stop,
    format = format_of(config), reasoning = reasoning_of(config), unread = unread(body, config),
  }
  for name, other in pairs(NUMBERS) do neutral[other] = get(config, name) end
  chat.name_results(neutral.turns)
  return neutral
end

---@type fun(body: table): moongate.chat|nil, table|nil
gemini_chat.read = reading.guarded(read)

return gemini_chat
