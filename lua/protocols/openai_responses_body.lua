-- Writes the body of a call to OpenAI's Responses API: from the caller's own body, patched, or from the neutral chat.
-- Thoughts go back only to where they came from. Names what could not be carried.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local openai_body = require "protocols.openai_body"
local writing = require "protocols.writing"

local body = {}

local SPEAKS = "openai_responses"
local LEAST_TOKENS = 16
local PLAIN = { "temperature", "top_p", "top_logprobs", "user" }
local UNKNOWN = { "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "stop" }
local CHOICES = { auto = "auto", none = "none", any = "required" }

-- ---- what can't be said at all ----

local function unfit_of(neutral)
  if neutral.n and neutral.n > 1 then
    return { param = "n", message = "this provider gives one answer to a request" }
  end
  for _, turn in ipairs(neutral.turns) do
    for _, block in ipairs(turn.blocks) do
      if block.kind == "audio" then
        return { param = "messages", message = "this provider does not listen to audio" }
      end
    end
  end
  return nil
end

-- ---- input items ----

local PARTS = {}

function PARTS.text(block) return { type = "input_text", text = block.text } end

function PARTS.image(block)
  return { type = "input_image", image_url = block.url or chat.as_url(block), detail = block.detail or "auto" }
end

function PARTS.document(block)
  if block.text then return { type = "input_text", text = block.text } end
  if block.url then return { type = "input_file", file_url = block.url } end
  return { type = "input_file", filename = block.name or "document.pdf", file_data = chat.as_url(block) }
end

local function parts_of(blocks)
  local parts = {}
  for _, block in ipairs(blocks) do
    local make = PARTS[block.kind]
    if make then parts[#parts + 1] = make(block) end
  end
  return parts
end

local function result_of(block)
  local blocks, is_text = block.blocks or {}, true
  for _, inner in ipairs(blocks) do is_text = is_text and inner.kind == "text" end
  if is_text then
    local text = chat.text(blocks, "\n")
    if block.is_error then text = chat.as_error(text) end
    return { type = "function_call_output", call_id = block.id, output = text }
  end
  local parts = parts_of(blocks)
  if block.is_error then table.insert(parts, 1, { type = "input_text", text = "Error:" }) end
  return { type = "function_call_output", call_id = block.id, output = json.array(parts) }
end

local function add_user(input, turn)
  for _, block in ipairs(turn.blocks) do
    if block.kind == "tool_result" then input[#input + 1] = result_of(block) end
  end
  local parts = parts_of(turn.blocks)
  if #parts > 0 then input[#input + 1] = { type = "message", role = "user", content = json.array(parts) } end
end

local ITEMS = {}

function ITEMS.thinking(block)
  if block.origin ~= SPEAKS or not block.signature then return nil end
  local summary = {}
  if (block.text or "") ~= "" then summary[1] = { type = "summary_text", text = block.text } end
  return { type = "reasoning", id = block.id, summary = json.array(summary), encrypted_content = block.signature }
end

function ITEMS.redacted(block)
  if block.origin ~= SPEAKS then return nil end
  return { type = "reasoning", summary = json.array {}, encrypted_content = block.data }
end

function ITEMS.tool_use(block)
  return { type = "function_call", call_id = block.id, name = block.name, arguments = block.arguments }
end

local SAID = {
  text = function(block) return { type = "output_text", text = block.text, annotations = json.array {} } end,
  refusal = function(block) return { type = "refusal", refusal = block.text } end,
}

local function add_assistant(input, turn)
  local message
  for _, block in ipairs(turn.blocks) do
    if SAID[block.kind] then
      if not message then
        message = { type = "message", role = "assistant", content = json.array {} }
        input[#input + 1] = message
      end
      table.insert(message.content, SAID[block.kind](block))
    else
      local item = ITEMS[block.kind] and ITEMS[block.kind](block)
      if item then
        input[#input + 1] = item
        message = nil
      end
    end
  end
end

local function input_of(turns)
  local input = {}
  for _, turn in ipairs(turns) do
    if turn.role == "user" then add_user(input, turn) else add_assistant(input, turn) end
  end
  -- Instructions alone are refused.
  if #input == 0 then input[1] = { type = "message", role = "user", content = "" } end
  return json.array(input)
end

-- ---- the rest ----

-- Strict is what they are there unless told otherwise.
local function tools_of(tools)
  local list = {}
  for index, tool in ipairs(tools) do
    list[index] = {
      type = "function", name = tool.name, description = tool.description, strict = tool.strict == true,
      parameters = tool.schema or { type = "object", properties = {} },
    }
  end
  return #list > 0 and json.array(list) or nil
end

local function choice_of(choice)
  if not choice then return nil end
  if choice.kind == "named" then return { type = "function", name = choice.name } end
  return CHOICES[choice.kind]
end

local function format_of(format)
  if not format then return nil end
  if format.kind == "json" then return { format = { type = "json_object" } } end
  return {
    format = {
      type = "json_schema", name = format.name or "answer", description = format.description,
      schema = format.schema or {}, strict = format.strict,
    },
  }
end

local function most_tokens(neutral, target)
  local most = writing.max_tokens(neutral, target)
  return most and math.max(most, LEAST_TOKENS)
end

-- Thoughts come sealed, for the next turn: nothing is kept at the provider.
local function add_reasoning(document, neutral, target, dropped)
  local effort = chat.effort(neutral.reasoning)
  if not openai_body.thinks(target) then
    if effort then dropped[#dropped + 1] = "reasoning_effort" end
    return
  end
  document.include = { "reasoning.encrypted_content" }
  local show = neutral.reasoning and neutral.reasoning.show
  if effort or show then document.reasoning = { effort = effort, summary = show and "auto" or nil } end
end

local function from_chat(order, dropped)
  local neutral = order.chat
  local document = {
    model = order.target.upstream_id, input = input_of(neutral.turns), store = false,
    stream = order.stream and true or nil, tools = tools_of(neutral.tools or {}),
    tool_choice = choice_of(neutral.tool_choice), parallel_tool_calls = neutral.parallel,
    text = format_of(neutral.format), max_output_tokens = most_tokens(neutral, order.target),
  }
  if #(neutral.system or {}) > 0 then document.instructions = chat.text(neutral.system, "\n\n") end
  for _, name in ipairs(PLAIN) do document[name] = neutral[name] end
  add_reasoning(document, neutral, order.target, dropped)
  if neutral.logprobs then
    document.include = document.include or {}
    table.insert(document.include, "message.output_text.logprobs")
  end
  writing.drop(dropped, neutral, UNKNOWN)
  writing.drop_unread(dropped, neutral)
  return json.encode(document)
end

-- The body to send, and the names of what was left out; or nil and why the call can't be carried.
---@param order table
---@return string|nil
---@return string[]|table
function body.write(order)
  if order.document then
    return order.document:patch { model = json.encode(order.target.upstream_id) }, {}
  end
  local wrong = unfit_of(order.chat)
  if wrong then return nil, wrong end
  local dropped = {}
  return from_chat(order, dropped), dropped
end

return body
