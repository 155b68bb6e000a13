-- The neutral chat as the body of an OpenAI chat completion: what policies and hooks see of a request whoever sent it,
-- and what OpenAI's protocol sends. Says everything a chat holds, with extensions where OpenAI has no words
-- (cache_control, thinking_blocks, top_k, ...); what a provider must not see is left out on demand. Reads nothing.
local chat = require "moongate.chat"
local json = require "moongate.core.json"

local openai_chat = {}

local SPEAKS = "openai"
-- The same in both.
local PLAIN = {
  "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "n",
  "logprobs", "top_logprobs", "user",
}
local CHOICES = { auto = "auto", none = "none", any = "required" }
local DEFAULT_NAME = "document.pdf"

---@class moongate.openai_chat.leave what is left out
---@field cache boolean|nil cache_control
---@field thoughts boolean|nil all of it
---@field signatures boolean|nil thinking_blocks and extra_content: thoughts stay as reasoning_content
---@field marks boolean|nil is_error of a tool's result: said in its text instead

local PARTS = {}

function PARTS.text(block) return { type = "text", text = block.text } end

function PARTS.refusal(block) return { type = "refusal", refusal = block.text } end

function PARTS.image(block)
  return { type = "image_url", image_url = { url = block.url or chat.as_url(block), detail = block.detail } }
end

function PARTS.document(block)
  if block.text then return { type = "text", text = block.text } end
  local file = { filename = block.name or DEFAULT_NAME, file_url = block.url }
  if block.data then file.file_data = chat.as_url(block) end
  return { type = "file", file = file }
end

function PARTS.audio(block)
  return { type = "input_audio", input_audio = { data = block.data, format = block.format } }
end

-- Blocks as content: one plain text as a string, all else as parts; null when there is nothing.
local function content_of(blocks, leave)
  local parts, marked = {}, false
  for _, block in ipairs(blocks) do
    local make = PARTS[block.kind]
    if make then
      local part = make(block)
      if block.cache and not leave.cache then part.cache_control, marked = block.cache, true end
      parts[#parts + 1] = part
    end
  end
  if #parts == 0 then return json.null end
  if #parts == 1 and parts[1].type == "text" and not marked then return parts[1].text end
  return json.array(parts)
end

local function is_marked(blocks, leave)
  for _, block in ipairs(blocks) do
    if block.cache and not leave.cache then return true end
  end
  return false
end

local function system_of(blocks, leave)
  if #blocks == 0 then return nil end
  local content = is_marked(blocks, leave) and content_of(blocks, leave) or chat.text(blocks, "\n\n")
  return { role = "system", content = content }
end

-- A tool's result holds text alone there; its pictures and documents go into the user's next message.
local function result_of(block, leave, rest)
  local texts = {}
  for _, inner in ipairs(block.blocks or {}) do
    if inner.kind == "text" then texts[#texts + 1] = inner else rest[#rest + 1] = inner end
  end
  local message = { role = "tool", tool_call_id = block.id }
  local text = chat.text(texts, "\n")
  if block.is_error and leave.marks then
    text = chat.as_error(text)
  elseif block.is_error then
    message.is_error = true
  end
  message.content = text
  if block.cache and not leave.cache then
    message.content = json.array { { type = "text", text = text, cache_control = block.cache } }
  end
  return message
end

local function add_user(messages, turn, leave)
  local rest = {}
  for _, block in ipairs(turn.blocks) do
    if block.kind == "tool_result" then messages[#messages + 1] = result_of(block, leave, rest) end
  end
  for _, block in ipairs(turn.blocks) do
    if PARTS[block.kind] then rest[#rest + 1] = block end
  end
  local content = content_of(rest, leave)
  if content ~= json.null then messages[#messages + 1] = { role = "user", content = content } end
end

-- A call of a tool. Gemini's signature travels where Gemini's own compatible address has it.
---@param block moongate.block
---@param signed boolean
---@return table
function openai_chat.tool_call(block, signed)
  local call = { id = block.id, type = "function", ["function"] = { name = block.name, arguments = block.arguments } }
  if signed and block.signature then
    call.extra_content = {
      google = { thought_signature = chat.seal(block.signature, block.origin or "gemini", SPEAKS) },
    }
  end
  return call
end

-- A thought that its maker wants back, as an entry of thinking_blocks; nil for any other.
---@param block moongate.block
---@return table|nil
function openai_chat.thinking_block(block)
  local origin = block.origin or SPEAKS
  if block.kind == "redacted" then
    return { type = "redacted_thinking", data = chat.seal(block.data, origin, SPEAKS) }
  end
  if block.kind ~= "thinking" or not block.signature then return nil end
  return { type = "thinking", thinking = block.text or "", signature = chat.seal(block.signature, origin, SPEAKS) }
end

-- What an assistant said, as a message: of a conversation, or of an answer.
---@param blocks moongate.block[]
---@param leave moongate.openai_chat.leave|nil
---@return table
function openai_chat.message(blocks, leave)
  leave = leave or {}
  local message = { role = "assistant" }
  local texts, refusals, thoughts, signed, calls, images = {}, {}, {}, {}, {}, {}
  for _, block in ipairs(blocks) do
    if block.kind == "text" then texts[#texts + 1] = block end
    if block.kind == "refusal" then refusals[#refusals + 1] = block.text end
    if block.kind == "thinking" then thoughts[#thoughts + 1] = block.text end
    if block.kind == "image" then images[#images + 1] = PARTS.image(block) end
    if block.kind == "tool_use" then calls[#calls + 1] = openai_chat.tool_call(block, not leave.signatures) end
    signed[#signed + 1] = openai_chat.thinking_block(block)
  end
  if is_marked(texts, leave) then
    message.content = content_of(texts, leave)
  else
    message.content = #texts > 0 and chat.text(texts) or json.null
  end
  if #refusals > 0 then message.refusal = table.concat(refusals) end
  if #calls > 0 then message.tool_calls = json.array(calls) end
  if #images > 0 then message.images = json.array(images) end
  local thought = table.concat(thoughts, "\n")
  if thought ~= "" and not leave.thoughts then message.reasoning_content = thought end
  if #signed > 0 and not leave.thoughts and not leave.signatures then message.thinking_blocks = json.array(signed) end
  return message
end

local function is_empty(message)
  return message.content == json.null and not message.tool_calls and not message.refusal
    and not message.reasoning_content and not message.thinking_blocks
end

local function add_assistant(messages, turn, leave)
  local message = openai_chat.message(turn.blocks, leave)
  message.images = nil -- only an answer can hold them
  if is_empty(message) then message.content = "" end
  messages[#messages + 1] = message
end

local function tools_of(tools, leave)
  local list = {}
  for index, tool in ipairs(tools) do
    list[index] = {
      type = "function", cache_control = not leave.cache and tool.cache or nil,
      ["function"] = {
        name = tool.name, description = tool.description, strict = tool.strict,
        parameters = tool.schema or { type = "object", properties = {} },
      },
    }
  end
  return #list > 0 and json.array(list) or nil
end

local function choice_of(choice)
  if not choice then return nil end
  if choice.kind == "named" then return { type = "function", ["function"] = { name = choice.name } } end
  return CHOICES[choice.kind]
end

local function format_of(format)
  if not format then return nil end
  if format.kind == "json" then return { type = "json_object" } end
  return {
    type = "json_schema",
    json_schema = {
      name = format.name or "answer", description = format.description, schema = format.schema, strict = format.strict,
    },
  }
end

-- The body, without the model.
---@param neutral moongate.chat
---@param leave moongate.openai_chat.leave|nil
---@return table
function openai_chat.document(neutral, leave)
  leave = leave or {}
  local messages = {}
  messages[1] = system_of(neutral.system or {}, leave)
  for _, turn in ipairs(neutral.turns or {}) do
    if turn.role == "user" then add_user(messages, turn, leave) else add_assistant(messages, turn, leave) end
  end
  local body = {
    messages = json.array(messages), tools = tools_of(neutral.tools or {}, leave),
    tool_choice = choice_of(neutral.tool_choice), parallel_tool_calls = neutral.parallel,
    response_format = format_of(neutral.format), reasoning_effort = chat.effort(neutral.reasoning),
  }
  for _, name in ipairs(PLAIN) do body[name] = neutral[name] end
  if neutral.stop and #neutral.stop > 0 then body.stop = json.array(neutral.stop) end
  if neutral.stream then body.stream = true end
  return body
end

return openai_chat
