-- Reads the body of a Responses call, decoded and checked, into the neutral chat: for providers that speak another
-- format. What none of them could be told is refused here, what can be left out is named in `unread`.
local answer = require "moongate.surfaces.responses_answer"
local chat = require "moongate.chat"
local openai_chat = require "moongate.surfaces.openai_chat"
local reading = require "moongate.surfaces.reading"

local responses_chat = {}

-- What is read here, or says nothing that matters elsewhere.
local is_read = reading.set {
  "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "temperature",
  "top_p", "text", "reasoning", "include", "stream", "stream_options", "store", "user", "safety_identifier",
  "metadata", "truncation", "top_logprobs", "previous_response_id", "conversation", "background", "prompt",
}

local CHOICES = { auto = "auto", none = "none", required = "any" }
local ONLY_THERE = "only a provider that speaks the Responses API itself serves this, and none is left"
-- What a provider did by itself: what came of it stands in the message after it.
local DONE_THERE = {
  web_search_call = true, file_search_call = true, code_interpreter_call = true, image_generation_call = true,
  mcp_list_tools = true, mcp_call = true, compaction = true,
}

local refuse, present, object = reading.refuse, reading.present, reading.object

-- ---- parts ----

local PARTS = {}

function PARTS.input_text(part)
  return part.text ~= "" and { kind = "text", text = part.text } or nil
end

PARTS.output_text, PARTS.text = PARTS.input_text, PARTS.input_text

function PARTS.refusal(part) return { kind = "refusal", text = part.refusal } end

function PARTS.input_image(part, path)
  if type(part.image_url) ~= "string" then refuse(path .. ".file_id", ONLY_THERE) end
  return openai_chat.image(part.image_url, part.detail, path .. ".image_url")
end

function PARTS.input_file(part, path) return openai_chat.file(part, path) end

function PARTS.input_audio(part, path)
  local audio = object(part.input_audio)
  if type(audio.data) ~= "string" then refuse(path .. ".input_audio", "expected data and format") end
  return { kind = "audio", data = audio.data, format = audio.format }
end

local function blocks_of(content, path)
  if type(content) == "string" then return { content ~= "" and { kind = "text", text = content } or nil } end
  local blocks = {}
  for index, part in ipairs(object(content)) do
    local here = path .. "[" .. (index - 1) .. "]"
    local read = PARTS[part.type]
    if not read then refuse(here .. ".type", ONLY_THERE) end
    blocks[#blocks + 1] = read(part, here)
  end
  return blocks
end

-- ---- items ----

local ITEMS = {}

function ITEMS.message(own, item, path)
  local blocks = blocks_of(item.content, path .. ".content")
  if item.role == "system" or item.role == "developer" then
    for _, block in ipairs(blocks) do own.system[#own.system + 1] = block end
  else
    chat.add(own.turns, item.role, blocks)
  end
end

function ITEMS.function_call(own, item)
  chat.add(own.turns, "assistant", { openai_chat.call(item.call_id, item, item.extra_content) })
end

function ITEMS.function_call_output(own, item, path)
  chat.add(own.turns, "user", {
    { kind = "tool_result", id = item.call_id, blocks = blocks_of(item.output, path .. ".output") },
  })
end

local function texts(parts, between)
  local found = {}
  for _, part in ipairs(object(present(parts))) do
    if type(part) == "table" and type(part.text) == "string" then found[#found + 1] = part.text end
  end
  return table.concat(found, between)
end

function ITEMS.reasoning(own, item)
  local text = texts(item.summary, "\n\n")
  if text == "" then text = texts(item.content, "") end
  local sealed, block = present(item.encrypted_content), nil
  if sealed then
    block = answer.unseal(sealed, text)
    if block.kind == "thinking" then block.id = present(item.id) end
  elseif text ~= "" then
    block = { kind = "thinking", text = text }
  end
  chat.add(own.turns, "assistant", { block })
end

local function read_input(own, input)
  if type(input) == "string" then return chat.add(own.turns, "user", blocks_of(input, "input")) end
  for index, item in ipairs(object(present(input))) do
    local path = "input[" .. (index - 1) .. "]"
    local kind = present(item.type) or "message"
    local read = ITEMS[kind]
    if read then
      read(own, item, path)
    elseif not DONE_THERE[kind] then
      refuse(path .. ".type", ONLY_THERE)
    end
  end
end

-- ---- tools ----

local function tools_of(body)
  local tools = {}
  for index, tool in ipairs(object(body.tools)) do
    if tool.type ~= "function" then
      refuse("tools[" .. (index - 1) .. "].type", ONLY_THERE)
    end
    tools[index] = {
      name = tool.name, description = present(tool.description), schema = reading.schema(tool.parameters),
      strict = present(tool.strict),
    }
  end
  return tools
end

local function choice_of(own, body)
  local choice = present(body.tool_choice)
  if type(choice) == "string" then return CHOICES[choice] and { kind = CHOICES[choice] } or nil end
  if not choice then return nil end
  if choice.type == "function" then return { kind = "named", name = choice.name } end
  if choice.type ~= "allowed_tools" then refuse("tool_choice.type", ONLY_THERE) end
  local names = {}
  for _, tool in ipairs(object(choice.tools)) do names[tool.name or ""] = true end
  own.tools = reading.only(own.tools, names)
  return { kind = choice.mode == "required" and "any" or "auto" }
end

-- ---- the rest ----

local function reasoning_of(body)
  local reasoning = object(present(body.reasoning))
  local effort = present(reasoning.effort)
  local show = (present(reasoning.summary) or present(reasoning.generate_summary)) and true or nil
  return (effort or show) and { effort = effort, show = show } or nil
end

local function wants_logprobs(body)
  for _, name in ipairs(object(present(body.include))) do
    if name == "message.output_text.logprobs" then return true end
  end
  return nil
end

local function read(body)
  local own = { system = {}, turns = {}, tools = tools_of(body) }
  if type(body.instructions) == "string" and body.instructions ~= "" then
    own.system[1] = { kind = "text", text = body.instructions }
  end
  read_input(own, body.input)
  local choice = choice_of(own, body)
  local stray = chat.name_results(own.turns)
  if stray then refuse("input", 'the output of the call "' .. stray .. '" has no call before it') end
  return {
    system = own.system, turns = own.turns, tools = own.tools, tool_choice = choice,
    parallel = present(body.parallel_tool_calls), max_tokens = present(body.max_output_tokens),
    temperature = present(body.temperature), top_p = present(body.top_p),
    format = openai_chat.format(present(object(body.text).format), nil, "text.format", ONLY_THERE),
    reasoning = reasoning_of(body), user = present(body.user) or present(body.safety_identifier),
    logprobs = wants_logprobs(body), top_logprobs = present(body.top_logprobs), stream = body.stream == true,
    unread = reading.unread(body, is_read),
  }
end

---@type fun(body: table): moongate.chat|nil, table|nil
responses_chat.read = reading.guarded(read)

-- Why a body that leans on what a provider keeps can't go to another one.
---@param param string
---@return table refusal
function responses_chat.needs_native(param)
  return {
    status = 400, param = param, type = "invalid_request_error", code = "unsupported_value",
    message = param .. ": " .. ONLY_THERE .. "; nothing is kept here: send the whole conversation as input",
  }
end

return responses_chat
