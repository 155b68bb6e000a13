-- Reads the body of an OpenAI chat completion, decoded and checked, into the neutral chat: for providers that speak
-- another format. What none of them could be told is refused here, what can be left out is named in `unread`.
local chat = require "moongate.chat"
local reading = require "moongate.surfaces.reading"

local openai_chat = {}

local SPEAKS = "openai"

-- The same in both.
local PLAIN = {
  "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "n", "logprobs",
  "top_logprobs",
}
-- What is read here, or says nothing that matters elsewhere.
local is_read = reading.set(PLAIN, {
  "model", "messages", "stream", "stream_options", "tools", "tool_choice", "functions", "function_call",
  "parallel_tool_calls", "max_tokens", "max_completion_tokens", "stop", "response_format", "reasoning_effort",
  "reasoning", "thinking", "user", "safety_identifier",
})

local CHOICES = { auto = "auto", none = "none", required = "any", any = "any" }
local ONLY_THERE = "this exists at OpenAI alone, and no provider that is left speaks its format"

local refuse, present, object = reading.refuse, reading.present, reading.object

local function text_block(text, cache)
  return type(text) == "string" and text ~= "" and { kind = "text", text = text, cache = present(cache) } or nil
end

-- ---- parts ----

local PARTS = {}

function PARTS.text(part) return text_block(part.text, part.cache_control) end

PARTS.input_text, PARTS.output_text = PARTS.text, PARTS.text

function PARTS.refusal(part) return { kind = "refusal", text = part.refusal } end

-- An image at an address or within it.
---@param url string
---@param detail string|nil
---@param path string
---@return moongate.block
function openai_chat.image(url, detail, path)
  local media_type, data = chat.data_url(url)
  detail = present(detail)
  if data then
    return { kind = "image", data = data, media_type = chat.image_type(data, media_type), detail = detail }
  end
  if not string.find(string.lower(url), "^https?://") then
    refuse(path, "expected an http address or a base64 data URL")
  end
  return { kind = "image", url = url, detail = detail }
end

function PARTS.image_url(part, path)
  local image = part.image_url
  if type(image) == "string" then return openai_chat.image(image, nil, path .. ".image_url") end
  return openai_chat.image(image.url, image.detail, path .. ".image_url.url")
end

function PARTS.input_audio(part)
  return { kind = "audio", data = part.input_audio.data, format = part.input_audio.format }
end

-- A file in any of the ways it can be given.
---@param file table { filename, file_data, file_url, file_id }
---@param path string
---@return moongate.block
function openai_chat.file(file, path)
  local data, url = present(file.file_data), present(file.file_url)
  local block = { kind = "document", name = present(file.filename) }
  if type(data) == "string" then
    block.media_type, block.data = chat.data_url(data)
    if not block.data then block.media_type, block.data = "application/pdf", data end
  elseif type(url) == "string" then
    block.url = url
  elseif present(file.file_id) then
    refuse(path .. ".file_id", ONLY_THERE)
  else
    refuse(path, "expected a file with file_data")
  end
  return block
end

function PARTS.file(part, path) return openai_chat.file(part.file, path .. ".file") end

-- Content, text or parts, as blocks.
local function blocks_of(content, path)
  if type(content) == "string" then return { text_block(content) } end
  local blocks = {}
  for index, part in ipairs(object(content)) do
    local here = path .. "[" .. (index - 1) .. "]"
    local read = PARTS[part.type]
    if not read then refuse(here .. ".type", "a part of this type can't be carried to a provider of another format") end
    local block = read(part, here)
    if block then
      block.cache = block.cache or present(part.cache_control)
      blocks[#blocks + 1] = block
    end
  end
  return blocks
end

-- ---- messages ----

local ROLES = {}

function ROLES.system(own, message, path)
  for _, block in ipairs(blocks_of(message.content, path .. ".content")) do own.system[#own.system + 1] = block end
end

ROLES.developer = ROLES.system

function ROLES.user(own, message, path)
  chat.add(own.turns, "user", blocks_of(message.content, path .. ".content"))
end

local function add_thoughts(blocks, message)
  local signed = object(present(message.thinking_blocks))
  for _, thought in ipairs(signed) do
    if type(thought) == "table" and type(thought.data) == "string" then
      local data, origin = chat.unseal(thought.data, SPEAKS)
      blocks[#blocks + 1] = { kind = "redacted", data = data, origin = origin }
    elseif type(thought) == "table" and type(thought.thinking) == "string" then
      local block = { kind = "thinking", text = thought.thinking }
      if type(thought.signature) == "string" then
        block.signature, block.origin = chat.unseal(thought.signature, SPEAKS)
      end
      blocks[#blocks + 1] = block
    end
  end
  local text = present(message.reasoning_content) or present(message.reasoning)
  if #signed == 0 and type(text) == "string" and text ~= "" then
    blocks[#blocks + 1] = { kind = "thinking", text = text }
  end
end

-- A call of a tool, and its signature, which travels where Gemini's own compatible address has it.
---@param id string
---@param inner table { name, arguments }
---@param extra any
---@return moongate.block
function openai_chat.call(id, inner, extra)
  local block = { kind = "tool_use", id = id, name = inner.name, arguments = inner.arguments }
  local google = object(object(extra).google)
  if type(google.thought_signature) == "string" then
    block.signature, block.origin = chat.unseal(google.thought_signature, "gemini")
  end
  return block
end

local function call_block(call, path)
  local inner = call["function"]
  if type(inner) ~= "table" then refuse(path .. ".type", ONLY_THERE) end
  return openai_chat.call(call.id, inner, call.extra_content)
end

function ROLES.assistant(own, message, path)
  local blocks = {}
  add_thoughts(blocks, message)
  for _, block in ipairs(blocks_of(present(message.content), path .. ".content")) do blocks[#blocks + 1] = block end
  if type(message.refusal) == "string" and message.refusal ~= "" then
    blocks[#blocks + 1] = { kind = "refusal", text = message.refusal }
  end
  for index, call in ipairs(object(message.tool_calls)) do
    blocks[#blocks + 1] = call_block(call, path .. ".tool_calls[" .. (index - 1) .. "]")
  end
  local old = present(message.function_call)
  if old then
    own.old_calls = own.old_calls + 1
    blocks[#blocks + 1] = {
      kind = "tool_use", id = "call_old_" .. own.old_calls, name = old.name, arguments = old.arguments or "",
    }
  end
  chat.add(own.turns, "assistant", blocks)
end

local function add_result(own, id, message, path)
  chat.add(own.turns, "user", { {
    kind = "tool_result", id = id, blocks = blocks_of(present(message.content), path .. ".content"),
    is_error = message.is_error == true or nil,
  } })
end

function ROLES.tool(own, message, path) add_result(own, message.tool_call_id, message, path) end

-- The deprecated form: results belong to the last call.
ROLES["function"] = function(own, message, path)
  if own.old_calls == 0 then refuse(path .. ".name", "this is the result of a call that was not made before it") end
  add_result(own, "call_old_" .. own.old_calls, message, path)
end

-- ---- tools ----

local function tool_of(inner, cache)
  return {
    name = inner.name, description = present(inner.description), schema = reading.schema(inner.parameters),
    strict = present(inner.strict), cache = present(cache),
  }
end

local function tools_of(body)
  local tools = {}
  for index, tool in ipairs(object(body.tools)) do
    local inner = tool["function"]
    if tool.type ~= "function" or type(inner) ~= "table" then
      refuse("tools[" .. (index - 1) .. "].type", ONLY_THERE)
    end
    tools[#tools + 1] = tool_of(inner, tool.cache_control or inner.cache_control)
  end
  for _, inner in ipairs(object(body.functions)) do tools[#tools + 1] = tool_of(inner) end
  return tools
end

-- The tools that the caller allows at this turn, and whether one must be called.
local function allowed(own, choice)
  local names, inner = {}, object(choice.allowed_tools)
  for _, tool in ipairs(object(inner.tools)) do names[object(tool["function"]).name or ""] = true end
  own.tools = reading.only(own.tools, names)
  return { kind = inner.mode == "required" and "any" or "auto" }
end

local function choice_of(own, body)
  local choice = present(body.tool_choice)
  if choice == nil then choice = present(body.function_call) end
  if type(choice) == "string" then return CHOICES[choice] and { kind = CHOICES[choice] } or nil end
  if type(choice) ~= "table" then return nil end
  if choice.type == "allowed_tools" then return allowed(own, choice) end
  if choice.type and choice.type ~= "function" then refuse("tool_choice.type", ONLY_THERE) end
  local name = object(choice["function"]).name or choice.name
  return type(name) == "string" and { kind = "named", name = name } or nil
end

-- ---- the rest ----

-- A format of the answer.
---@param format table|nil
---@param inner string|nil the member in which the schema stands; nil: it stands beside the type
---@param path string
---@param why string what is said of a format that exists there alone
---@return moongate.chat_format|nil
function openai_chat.format(format, inner, path, why)
  if not format or format.type == "text" then return nil end
  if format.type == "json_object" then return { kind = "json" } end
  if format.type ~= "json_schema" then refuse(path .. ".type", why) end
  local told = inner and format[inner] or format
  return {
    kind = "schema", schema = present(told.schema), name = told.name, description = present(told.description),
    strict = present(told.strict),
  }
end

local function number(value) return type(value) == "number" and value or nil end

-- In OpenAI's words, OpenRouter's (reasoning) or those of Anthropic that others took over (thinking).
local function reasoning_of(body)
  local effort, own, thinking = present(body.reasoning_effort), object(body.reasoning), object(body.thinking)
  effort = effort or present(own.effort)
  local budget = number(own.max_tokens) or number(thinking.budget_tokens)
  if thinking.type == "disabled" or own.enabled == false then effort, budget = nil, 0 end
  if type(effort) ~= "string" then effort = nil end
  local show
  if own.exclude == true then show = false end
  if effort or budget or show ~= nil then return { effort = effort, budget = budget, show = show } end
  return nil
end

local function stop_of(body)
  local stop = present(body.stop)
  if type(stop) == "string" then return { stop } end
  return type(stop) == "table" and #stop > 0 and stop or nil
end

local function read(body)
  local own = { system = {}, turns = {}, tools = tools_of(body), old_calls = 0 }
  for index, message in ipairs(body.messages) do
    ROLES[message.role](own, message, "messages[" .. (index - 1) .. "]")
  end
  local choice = choice_of(own, body)
  local neutral = {
    system = own.system, turns = own.turns, tools = own.tools, tool_choice = choice,
    parallel = present(body.parallel_tool_calls), stop = stop_of(body), reasoning = reasoning_of(body),
    format = openai_chat.format(present(body.response_format), "json_schema", "response_format", ONLY_THERE),
    max_tokens = present(body.max_completion_tokens) or present(body.max_tokens),
    user = present(body.user) or present(body.safety_identifier), stream = body.stream == true,
    unread = reading.unread(body, is_read),
  }
  for _, name in ipairs(PLAIN) do neutral[name] = present(body[name]) end
  local stray = chat.name_results(neutral.turns)
  if stray then refuse("messages", 'the result of the call "' .. stray .. '" has no call before it') end
  return neutral
end

---@type fun(body: table): moongate.chat|nil, table|nil
openai_chat.read = reading.guarded(read)

return openai_chat
