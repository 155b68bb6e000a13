-- Makes up neutral requests (moongate.chat) from a seed, limited to what a format can say, and tells what is left of
-- one that has gone through a format: as lua/protocols/README.md has it.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local schemas = require "protocols.anthropic_schema"

local requests = {}

local NUMBERS = {
  max_tokens = function(own) return 2000 + own:upto(3000) end,
  temperature = function(own) return own:upto(8) / 8 end,
  top_p = function(own) return own:upto(8) / 8 end,
  top_k = function(own) return own:upto(90) end,
  min_p = function(own) return own:upto(8) / 8 end,
  seed = function(own) return own:upto(99999) end,
  presence_penalty = function(own) return own:upto(16) / 8 - 1 end,
  frequency_penalty = function(own) return own:upto(16) / 8 - 1 end,
  user = function(own) return own:word() end,
}

-- model: one that can do all that the format has; blocks: what a user may say; effort: words for how much to think.
local SAYS = {
  openai = {
    model = "gpt-5", blocks = { "text", "image", "image_url", "document", "note", "audio" },
    numbers = { "max_tokens", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "user" },
    efforts = { "minimal", "low", "high" }, stop = true, json = true, prefill = true,
  },
  openai_responses = {
    model = "gpt-5", blocks = { "text", "image", "image_url", "document", "document_url", "note" },
    numbers = { "max_tokens", "temperature", "top_p", "user" }, efforts = { "minimal", "low", "high" }, json = true,
    prefill = true,
  },
  anthropic = {
    model = "claude-sonnet-4-5", blocks = { "text", "image", "image_url", "document", "document_url", "note" },
    numbers = { "temperature", "top_k", "user" }, stop = true, prefill = true,
  },
  gemini = {
    model = "gemini-3-flash", blocks = { "text", "image", "image_url", "document", "document_url", "note", "audio" },
    numbers = { "max_tokens", "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty" },
    efforts = { "low", "medium", "high" }, stop = true, json = true, prefill = true,
  },
  ollama = {
    model = "gpt-oss", blocks = { "text", "image", "note" },
    numbers = { "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty" },
    efforts = { "low", "medium", "high" }, stop = true, json = true, prefill = true,
  },
}

local PNG = "iVBORw0KGgoA"

local MAKE = {}

function MAKE.text(own) return { kind = "text", text = own:text() } end

function MAKE.image(own) return { kind = "image", data = PNG .. own:base64(), media_type = "image/png" } end

function MAKE.image_url(own) return { kind = "image", url = "https://example.com/" .. own:word() .. ".png" } end

function MAKE.document(own)
  return {
    kind = "document", data = own:base64(), media_type = "application/pdf",
    name = own:chance(50) and own:word() .. ".pdf" or nil,
  }
end

function MAKE.document_url(own) return { kind = "document", url = "https://example.com/" .. own:word() .. ".pdf" } end

function MAKE.note(own) return { kind = "document", text = own:text() } end

function MAKE.audio(own) return { kind = "audio", data = own:base64(), format = own:pick { "wav", "mp3" } } end

local function result_of(own, call, says)
  local block = {
    kind = "tool_result", id = call.id, name = call.name, blocks = {}, is_error = own:chance(25) or nil,
  }
  for i = 1, own:upto(3) - (block.is_error and 0 or 1) do
    local kind = "text"
    if not block.is_error and i > 1 and own:chance(40) then kind = own:pick(says.blocks) end
    if kind ~= "audio" then block.blocks[#block.blocks + 1] = MAKE[kind](own) end
  end
  return block
end

-- What the assistant said, and the calls in it.
local function said(own, format, context)
  local blocks, calls = {}, {}
  if own:chance(40) then
    blocks[1] = { kind = "thinking", text = own:text(true) }
    if own:chance(70) then blocks[1].signature, blocks[1].origin = own:base64(), format end
    if blocks[1].signature and format == "openai_responses" then blocks[1].id = "rs_" .. own:word() end
  elseif own:chance(10) and format ~= "gemini" then
    blocks[1] = { kind = "redacted", data = own:base64(), origin = format }
  end
  for _ = 1, own:upto(2) - (#blocks == 0 and own:chance(30) and 1 or 0) do blocks[#blocks + 1] = MAKE.text(own) end
  if #context.tools > 0 and own:chance(60) then
    for _ = 1, own:upto(3) do
      context.calls = context.calls + 1
      local call = {
        kind = "tool_use", id = "call_" .. context.calls, name = own:pick(context.tools).name,
        arguments = own:arguments(),
      }
      if format == "gemini" and own:chance(40) then call.signature, call.origin = own:base64(), format end
      calls[#calls + 1], blocks[#blocks + 1] = call, call
    end
  end
  if #calls == 0 then blocks[#blocks + 1] = MAKE.text(own) end
  return blocks, calls
end

local function turns_of(own, format, says, context)
  local turns, calls = {}, {}
  for _ = 1, own:upto(4) do
    local blocks = {}
    for i, call in ipairs(calls) do blocks[i] = result_of(own, call, says) end
    for _ = 1, own:upto(3) - (#blocks > 0 and 1 or 0) do blocks[#blocks + 1] = MAKE[own:pick(says.blocks)](own) end
    turns[#turns + 1] = { role = "user", blocks = blocks }
    turns[#turns + 1] = { role = "assistant" }
    turns[#turns].blocks, calls = said(own, format, context)
  end
  if #calls > 0 or own:chance(70) then turns[#turns] = nil end
  return turns
end

local function schema_of(own)
  local schema = { type = "object", properties = {}, required = json.array {} }
  for i = 1, own:upto(3) do
    local name = own:word()
    schema.properties[name] = own:pick { { type = "string" }, { type = "integer", description = "How many" },
      { type = "array", items = { type = "string" } } }
    schema.required[i] = name
  end
  return schema
end

local function tools_of(own)
  local tools = {}
  for i = 1, own:chance(60) and own:upto(3) or 0 do
    tools[i] = {
      name = own:word() .. i, description = own:chance(60) and own:text() or nil, schema = schema_of(own),
      strict = own:chance(20) or nil,
    }
  end
  return tools
end

---@param own spec.dice
---@param format string
---@return moongate.chat
---@return string model
function requests.make(own, format)
  local says = SAYS[format]
  local tools = tools_of(own)
  local neutral = { system = {}, tools = tools, stream = own:chance(50), unread = {} }
  for i = 1, own:upto(3) - 1 do neutral.system[i] = MAKE.text(own) end
  neutral.turns = turns_of(own, format, says, { tools = tools, calls = 0 })
  for _, name in ipairs(says.numbers) do
    if own:chance(40) then neutral[name] = NUMBERS[name](own) end
  end
  if format == "anthropic" then neutral.max_tokens = NUMBERS.max_tokens(own) end
  if #tools > 0 and own:chance(50) then
    neutral.tool_choice = { kind = own:pick { "auto", "none", "any", "named" } }
    if neutral.tool_choice.kind == "named" then neutral.tool_choice.name = own:pick(tools).name end
  end
  if #tools > 0 and own:chance(20) then neutral.parallel = false end
  if says.stop and own:chance(30) then neutral.stop = { "END", own:word() } end
  if own:chance(30) then
    neutral.format = {
      kind = "schema", schema = schema_of(own), name = own:word(), description = own:chance(30) and own:text() or nil,
      strict = own:chance(50) or nil,
    }
    if says.json and own:chance(40) then neutral.format = { kind = "json" } end
  end
  if says.efforts and own:chance(40) then neutral.reasoning = { effort = own:pick(says.efforts) } end
  return neutral, says.model
end

-- ---- what is left ----

local function joined(blocks, kind, between)
  local parts = {}
  for _, block in ipairs(blocks) do
    if block.kind == kind then parts[#parts + 1] = block.text end
  end
  return #parts > 0 and { kind = kind, text = table.concat(parts, between) } or nil
end

local function in_words(text) return string.find(string.lower(text), "^%s*error") and text or "Error: " .. text end

local function filled(text) return text ~= "" and { kind = "text", text = text } or nil end

local function add(list, ...)
  for i = 1, select("#", ...) do list[#list + 1] = (select(i, ...)) end
end

local function note_as_text(block)
  return block.kind == "document" and block.text and { kind = "text", text = block.text } or block
end

local function named(block)
  if block.kind == "document" and block.data then block.name = block.name or "document.pdf" end
  return block
end

-- Per format: what of a user's block is left; what of a result; what of an assistant's turn.
local LEFT = {}

LEFT.openai = {
  user = function(block) return named(note_as_text(block)) end,
  result = function(block, rest)
    local texts = {}
    for _, inner in ipairs(block.blocks) do
      local into = inner.kind == "text" and texts or rest
      into[#into + 1] = inner
    end
    local text = chat.text(texts, "\n")
    return { kind = "tool_result", id = block.id, name = block.name,
      blocks = { filled(block.is_error and in_words(text) or text) } }
  end,
  assistant = function(blocks)
    local left = { joined(blocks, "text", "") }
    for _, block in ipairs(blocks) do
      if block.kind == "tool_use" then left[#left + 1] = block end
    end
    return left
  end,
}

LEFT.openai_responses = {
  user = function(block)
    block = named(note_as_text(block))
    if block.kind == "image" then block.detail = "auto" end
    return block
  end,
  result = function(block)
    local is_text, blocks = true, {}
    for i, inner in ipairs(block.blocks) do
      is_text = is_text and inner.kind == "text"
      blocks[i] = LEFT.openai_responses.user(inner)
    end
    if is_text then return LEFT.openai.result(block, {}) end
    return { kind = "tool_result", id = block.id, name = block.name, blocks = blocks }
  end,
  assistant = function(blocks)
    local left = {}
    for _, block in ipairs(blocks) do
      if block.kind ~= "thinking" or block.signature then left[#left + 1] = block end
    end
    return left
  end,
}

LEFT.anthropic = {
  user = function(block) return block end,
  result = function(block) return block end,
  assistant = LEFT.openai_responses.assistant,
}

LEFT.gemini = {
  user = function(block)
    block = note_as_text(block)
    block.name = nil
    if block.url then block.media_type = block.kind == "image" and "image/png" or "application/pdf" end
    return block
  end,
  result = function(block)
    local own = { kind = "tool_result", id = block.id, name = block.name, is_error = block.is_error, blocks = {} }
    local texts = {}
    for i, inner in ipairs(block.blocks) do texts[i] = note_as_text(inner) end
    own.blocks[1] = filled(chat.text(texts, "\n"))
    for _, inner in ipairs(block.blocks) do
      if not inner.text then own.blocks[#own.blocks + 1] = LEFT.gemini.user(inner) end
    end
    return own
  end,
  -- A signature goes with what is said next.
  assistant = function(blocks)
    local left, signature = {}, nil
    for _, block in ipairs(blocks) do
      if block.kind == "thinking" then
        signature = block.signature
      elseif block.kind == "tool_use" then
        block.signature = block.signature or signature
        block.origin = block.signature and "gemini"
        left[#left + 1], signature = block, nil
      else
        if signature then add(left, { kind = "thinking", text = "", signature = signature, origin = "gemini" }) end
        left[#left + 1], signature = block, nil
      end
    end
    return left
  end,
}

local function text_and_images(blocks)
  local texts, left = {}, {}
  for i, block in ipairs(blocks) do texts[i] = note_as_text(block) end
  left[1] = joined(texts, "text", "\n")
  for _, block in ipairs(blocks) do
    if block.kind == "image" then left[#left + 1] = block end
  end
  return left
end

LEFT.ollama = {
  all = text_and_images,
  result = function(block)
    local blocks = text_and_images(block.blocks)
    if block.is_error then blocks[1].text = in_words(blocks[1].text) end
    return { kind = "tool_result", id = block.id, name = block.name, blocks = blocks }
  end,
  assistant = function(blocks)
    local left = { joined(blocks, "thinking", "\n") }
    for _, block in ipairs(LEFT.openai.assistant(blocks)) do left[#left + 1] = block end
    return left
  end,
}

local function turn_left(turn, left)
  if turn.role == "assistant" then return left.assistant(turn.blocks) end
  local results, rest = {}, {}
  for _, block in ipairs(turn.blocks) do
    if block.kind == "tool_result" then results[#results + 1] = left.result(block, rest) end
  end
  for _, block in ipairs(turn.blocks) do
    if block.kind ~= "tool_result" then rest[#rest + 1] = block end
  end
  if left.all then rest = left.all(rest) else
    for i, block in ipairs(rest) do rest[i] = left.user(block) end
  end
  for _, block in ipairs(rest) do results[#results + 1] = block end
  return results
end

-- What else a format can't say, or says in other words.
local REST = {}

function REST.openai() end

function REST.openai_responses(own)
  for _, tool in ipairs(own.tools) do tool.strict = tool.strict == true end
end

function REST.anthropic(own)
  for _, tool in ipairs(own.tools) do
    if tool.strict then tool.schema = schemas.closed(schemas.arguments(tool.schema)) end
  end
  if own.parallel == false then
    own.tool_choice = own.tool_choice or { kind = "auto" }
    if own.tool_choice.kind == "none" then own.parallel = nil end
  end
  local format = own.format
  if not format then return end
  own.format = { kind = "schema", schema = schemas.closed(format.schema), name = "answer", strict = true }
end

function REST.gemini(own)
  own.parallel = nil
  for _, tool in ipairs(own.tools) do
    if tool.strict then own.tool_choice = own.tool_choice or { kind = "auto" } end
    tool.strict = nil
  end
  if own.format and own.format.schema then
    own.format = { kind = "schema", schema = own.format.schema, name = "answer" }
  end
  if own.reasoning then own.reasoning.show = true end
end

function REST.ollama(own)
  local choice, kept = own.tool_choice or {}, {}
  for _, tool in ipairs(own.tools) do
    tool.strict = nil
    if choice.kind ~= "none" and (choice.kind ~= "named" or tool.name == choice.name) then kept[#kept + 1] = tool end
  end
  own.tools, own.tool_choice, own.parallel = kept, nil, nil
  if own.format and own.format.schema then own.format = { kind = "schema", schema = own.format.schema } end
  if own.reasoning then own.reasoning.show = true end
end

local function arguments_alike(turns)
  for _, turn in ipairs(turns) do
    for _, block in ipairs(turn.blocks) do
      if block.kind == "tool_use" then block.arguments = json.encode(chat.arguments(block.arguments)) end
    end
  end
end

-- What is left of a request after that format. The request given is used up.
---@param own moongate.chat
---@param format string
---@return moongate.chat
function requests.left(own, format)
  own.system = { joined(own.system, "text", "\n\n") }
  local turns = {}
  for _, turn in ipairs(own.turns) do chat.add(turns, turn.role, turn_left(turn, LEFT[format])) end
  own.turns = turns
  arguments_alike(turns)
  REST[format](own)
  return own
end

-- The same of what was read, so that both can be held against each other.
---@param own moongate.chat
---@return moongate.chat
function requests.plain(own)
  arguments_alike(own.turns)
  return own
end

return requests
