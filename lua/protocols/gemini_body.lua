-- The bodies of calls to Gemini, from the neutral shapes: of generateContent, of countTokens and of batchEmbedContents.
-- Gemini is strict about the order of turns and about signatures of calls: what would be refused is put right here, and
-- what has no place is named, so that it can be told. Fetches nothing and sends nothing.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local schemas = require "protocols.gemini_schema"
local thinking = require "protocols.gemini_thinking"
local writing = require "protocols.writing"

local gemini_body = {}

local SPEAKS = "gemini"
-- What Google takes in the place of the signature of a call that another's model has made.
local FOREIGN_CALL = "skip_thought_signature_validator"
local FIRST = "(start)" -- stands in for a user's turn that must be there and is not
local MOST_STOPS = 5
local IMAGES = {
  ["image/png"] = true, ["image/jpeg"] = true, ["image/webp"] = true, ["image/heic"] = true, ["image/heif"] = true,
}
local AUDIO = { wav = "audio/wav", mp3 = "audio/mp3", m4a = "audio/aac", ogg = "audio/ogg", opus = "audio/ogg" }
local ENDINGS = {
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", webp = "image/webp", heic = "image/heic",
  heif = "image/heif", pdf = "application/pdf",
}
local PLAIN = {
  temperature = "temperature", top_p = "topP", top_k = "topK", n = "candidateCount", seed = "seed",
  presence_penalty = "presencePenalty", frequency_penalty = "frequencyPenalty", logprobs = "responseLogprobs",
  top_logprobs = "logprobs",
}
local MODES = { auto = "AUTO", none = "NONE", any = "ANY", named = "ANY" }

local is_blank, unfit = writing.is_blank, writing.unfit

-- ---- blocks ----

-- Google's servers fetch what lies at an address, if the model is one of those that take it; the gateway never does.
local function file_at(block, quirks, what)
  local url = block.url
  if not quirks.file_urls then
    unfit("this Gemini model takes " .. what .. " as data, not by their address")
  elseif not string.find(string.lower(url), "^https://") then
    unfit("Gemini fetches " .. what .. " from https addresses only")
  end
  local bare = string.match(url, "^[^?#]*")
  local kind = block.media_type or ENDINGS[string.lower(string.match(bare, "%.(%w+)$") or "")]
  return { fileData = { mimeType = kind, fileUri = url } }
end

local BLOCKS = {}

function BLOCKS.text(block)
  return not is_blank(block.text) and { text = block.text } or nil
end

BLOCKS.refusal = BLOCKS.text

function BLOCKS.image(block, quirks)
  if not block.data then return file_at(block, quirks, "images") end
  local media_type = chat.image_type(block.data, block.media_type)
  if not IMAGES[media_type or ""] then
    unfit(string.format("Gemini takes images as png, jpeg, webp, heic or heif, not as %s",
      media_type or "they come here"))
  end
  return { inlineData = { mimeType = media_type, data = block.data } }
end

function BLOCKS.document(block, quirks)
  if block.text then return BLOCKS.text(block) end
  if not block.data then return file_at(block, quirks, "documents") end
  return { inlineData = { mimeType = block.media_type or "application/pdf", data = block.data } }
end

function BLOCKS.audio(block)
  local format = string.lower(block.format or "wav")
  return { inlineData = { mimeType = AUDIO[format] or "audio/" .. format, data = block.data } }
end

function BLOCKS.tool_use(block, quirks)
  return {
    functionCall = {
      id = quirks.call_ids ~= false and block.id or nil, name = block.name,
      args = chat.arguments(block.arguments or ""),
    },
    thoughtSignature = block.origin == SPEAKS and block.signature or nil,
  }
end

-- What a tool answered is always an object, and all text is in it: a document that is text, too.
local function response_of(block)
  local texts = {}
  for _, each in ipairs(block.blocks or {}) do
    if each.kind == "text" or each.kind == "document" then texts[#texts + 1] = each.text end
  end
  local text = table.concat(texts, "\n")
  if block.is_error then return { error = text } end
  local value = string.find(text, "^%s*{") and json.decode(text)
  if type(value) == "table" and not json.is_array(value) then return value end
  return { result = text }
end

-- The results of tools, and what of them is no text: in the result itself where the model looks there, else behind.
local function add_result(parts, after, block, quirks)
  local inner = {}
  for _, each in ipairs(block.blocks or {}) do
    if not each.text and BLOCKS[each.kind] then inner[#inner + 1] = BLOCKS[each.kind](each, quirks) end
  end
  local response = {
    id = quirks.call_ids ~= false and block.id or nil, name = block.name or block.id, response = response_of(block),
  }
  if #inner > 0 and quirks.result_parts then
    response.parts = json.array(inner)
  else
    for _, part in ipairs(inner) do after[#after + 1] = part end
  end
  parts[#parts + 1] = { functionResponse = response }
end

-- ---- turns ----

-- A signature of thoughts belongs to the next thing said; where nothing follows, to an empty text.
local function add_signed(parts, signature, part)
  if part and not part.thoughtSignature then part.thoughtSignature = signature end
  if not part then parts[#parts + 1] = { text = "", thoughtSignature = signature } end
end

local function model_parts(blocks, quirks)
  local parts, signature = {}, nil
  for _, block in ipairs(blocks) do
    if block.kind == "thinking" then
      if block.origin == SPEAKS and not is_blank(block.signature) then signature = block.signature end
    else
      local write = BLOCKS[block.kind]
      local part = write and write(block, quirks)
      if part and signature then
        add_signed(parts, signature, part)
        signature = nil
      end
      parts[#parts + 1] = part
    end
  end
  if signature then add_signed(parts, signature) end
  if not quirks.signatures then return parts end
  for _, part in ipairs(parts) do
    if part.functionCall then -- only the first of a turn must be signed
      part.thoughtSignature = part.thoughtSignature or FOREIGN_CALL
      break
    end
  end
  return parts
end

-- Results in the order of their calls, before all else.
local function user_parts(blocks, quirks, places)
  local results, rest, after, parts = {}, {}, {}, {}
  for i, block in ipairs(blocks) do
    if block.kind == "tool_result" then
      results[#results + 1] = { block = block, place = (places[block.id] or math.huge), order = i }
    else
      local write = BLOCKS[block.kind]
      rest[#rest + 1] = write and write(block, quirks)
    end
  end
  table.sort(results, function(a, b)
    if a.place ~= b.place then return a.place < b.place end
    return a.order < b.order
  end)
  for _, each in ipairs(results) do add_result(parts, after, each.block, quirks) end
  for _, list in ipairs { after, rest } do
    for _, part in ipairs(list) do parts[#parts + 1] = part end
  end
  return parts
end

local function places_of(blocks)
  local places, count = {}, 0
  for _, block in ipairs(blocks) do
    if block.kind == "tool_use" then
      count = count + 1
      places[block.id] = count
    end
  end
  return places
end

local function add(contents, role, parts)
  if #parts == 0 then return end
  local last = contents[#contents]
  if not last or last.role ~= role then
    last = { role = role, parts = json.array {} }
    contents[#contents + 1] = last
  end
  for _, part in ipairs(parts) do table.insert(last.parts, part) end
end

local function contents_of(neutral, quirks)
  local contents, places = json.array {}, {}
  for _, turn in ipairs(neutral.turns or {}) do
    if turn.role == "assistant" then
      places = places_of(turn.blocks)
      add(contents, "model", model_parts(turn.blocks, quirks))
    else
      add(contents, "user", user_parts(turn.blocks, quirks, places))
    end
  end
  if not contents[1] or contents[1].role ~= "user" then
    table.insert(contents, 1, { role = "user", parts = json.array { { text = FIRST } } })
  end
  return contents
end

-- The instruction; for models that know none, before the user's first words.
local function put_system(body, neutral, quirks, more)
  local texts = {}
  for _, block in ipairs(neutral.system or {}) do
    if block.kind == "text" and not is_blank(block.text) then texts[#texts + 1] = block.text end
  end
  texts[#texts + 1] = more
  if #texts == 0 then return end
  local part = { text = table.concat(texts, "\n\n") }
  if quirks.system == false then
    table.insert(body.contents[1].parts, 1, part)
  else
    body.systemInstruction = { parts = json.array { part } }
  end
end

-- ---- tools ----

local function tell(dropped, prefix, names)
  for _, name in ipairs(names) do dropped[#dropped + 1] = prefix .. name end
end

local function declaration_of(tool, quirks, dropped)
  local own = { name = tool.name, description = not is_blank(tool.description) and tool.description or nil }
  if schemas.is_empty(tool.schema) then return own end
  if quirks.json_schema then
    own.parametersJsonSchema = tool.schema
  else
    local names
    own.parameters, names = schemas.convert(tool.schema)
    tell(dropped, "tools." .. tool.name .. ".", names)
  end
  return own
end

local function put_tools(body, neutral, quirks, dropped)
  local declarations, is_strict = {}, false
  for i, tool in ipairs(neutral.tools or {}) do
    declarations[i] = declaration_of(tool, quirks, dropped)
    is_strict = is_strict or tool.strict == true
  end
  if #declarations == 0 then return false end
  body.tools = json.array { { functionDeclarations = json.array(declarations) } }
  local choice = neutral.tool_choice
  local mode = choice and MODES[choice.kind]
  if is_strict and quirks.json_schema and (not mode or mode == "AUTO") then mode = "VALIDATED" end
  if mode then
    local names = choice and choice.kind == "named" and json.array { choice.name } or nil
    body.toolConfig = { functionCallingConfig = { mode = mode, allowedFunctionNames = names } }
  end
  return true
end

-- ---- the rest ----

-- How the answer is to be formed; words for it, where the model takes no such order.
local function put_format(config, neutral, quirks, has_tools, dropped)
  local format = neutral.format
  if not format then return nil end
  local is_schema = format.kind == "schema" and not schemas.is_empty(format.schema)
  if quirks.json == false or (has_tools and not quirks.json_with_tools) then
    return writing.json_only(is_schema and format.schema or nil)
  end
  config.responseMimeType = "application/json"
  if is_schema and quirks.json_schema then
    config.responseJsonSchema = format.schema
  elseif is_schema then
    local names
    config.responseSchema, names = schemas.convert(format.schema)
    tell(dropped, "response_format.", names)
  end
  return nil
end

local function put_stop(config, neutral, dropped)
  local words = {}
  for _, word in ipairs(neutral.stop or {}) do
    if word ~= "" and #words < MOST_STOPS then words[#words + 1] = word end
  end
  if #words < #(neutral.stop or {}) then dropped[#dropped + 1] = "stop" end
  if #words > 0 then config.stopSequences = json.array(words) end
end

local function config_of(order, quirks, dropped)
  local neutral, config = order.chat, {}
  for name, own in pairs(PLAIN) do config[own] = neutral[name] end
  if config.logprobs and not config.responseLogprobs then config.logprobs = nil end
  config.maxOutputTokens = writing.max_tokens(neutral, order.target)
  put_stop(config, neutral, dropped)
  if thinking.put(config, neutral, quirks) then dropped[#dropped + 1] = "reasoning_effort" end
  writing.drop(dropped, neutral, { "min_p", "user" })
  if neutral.parallel == false then dropped[#dropped + 1] = "parallel_tool_calls" end
  return config
end

local function write_chat(order, quirks)
  local neutral, dropped = order.chat, {}
  local body = { contents = contents_of(neutral, quirks) }
  local config = config_of(order, quirks, dropped)
  local has_tools = put_tools(body, neutral, quirks, dropped)
  put_system(body, neutral, quirks, put_format(config, neutral, quirks, has_tools, dropped))
  if next(config) then body.generationConfig = config end
  writing.drop_unread(dropped, neutral)
  return body, dropped
end

-- The body of generateContent; or nil and why there can be none.
---@type fun(order: table, quirks: table): table|nil, table
gemini_body.chat = writing.guarded(write_chat)

-- The body of countTokens.
---@type fun(order: table, quirks: table, model: string): table|nil, table
gemini_body.count = writing.guarded(function(order, quirks, model)
  local body = write_chat(order, quirks)
  body.model = model
  return { generateContentRequest = body }, {}
end)

-- The body of batchEmbedContents.
---@type fun(order: table, model: string): table|nil, table
gemini_body.embeddings = writing.guarded(function(order, model)
  local call, requests = order.embedding, json.array {}
  for i, input in ipairs(call.inputs) do
    if type(input) ~= "string" then unfit("Gemini embeds texts, not lists of token numbers", "input") end
    requests[i] = {
      model = model, content = { parts = json.array { { text = input } } }, taskType = call.task, title = call.title,
      outputDimensionality = call.dimensions,
    }
  end
  return { requests = requests }, {}
end)

return gemini_body
