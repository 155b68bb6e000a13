-- Writes the body of a call to Ollama from the neutral chat. Names what could not be carried. Never touches a body that
-- a caller wrote in Ollama's own format.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local writing = require "protocols.writing"

local body = {}

-- The same in both.
local OPTIONS = { "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty" }
local LEVELS = { minimal = "low", low = "low", medium = "medium", high = "high", xhigh = "high" }
-- Models that think, by name, where the configuration tells no strengths: others refuse to be asked to. Only the first
-- knows levels.
local LEVELED = "gpt%-oss"
local THINKERS = {
  LEVELED, "deepseek%-r1", "deepseek%-v3%.[1-9]", "qwen3", "qwq", "magistral", "think", "reason", "glm",
}

local function unfit(param, what)
  writing.unfit("this provider takes no " .. what, param)
end

-- ---- messages ----

local ADD = {}

function ADD.text(parts, block) parts.texts[#parts.texts + 1] = block.text end

ADD.refusal = ADD.text

function ADD.thinking(parts, block) parts.thoughts[#parts.thoughts + 1] = block.text end

function ADD.image(parts, block)
  if not block.data then unfit("messages", "images by their address, only as data") end
  parts.images[#parts.images + 1] = block.data
end

function ADD.document(parts, block)
  if not block.text then unfit("messages", "documents, only texts and images") end
  parts.texts[#parts.texts + 1] = block.text
end

function ADD.audio() unfit("messages", "sound") end

function ADD.tool_use(parts, block)
  parts.calls[#parts.calls + 1] = {
    id = block.id,
    ["function"] = { index = #parts.calls, name = block.name, arguments = chat.arguments(block.arguments) },
  }
end

local function list_or_nil(list)
  return #list > 0 and json.array(list) or nil
end

local function message_of(role, blocks, between)
  local parts = { texts = {}, thoughts = {}, images = {}, calls = {} }
  for _, block in ipairs(blocks) do
    local add = ADD[block.kind]
    if add then add(parts, block) end
  end
  return {
    role = role, content = table.concat(parts.texts, between), images = list_or_nil(parts.images),
    thinking = #parts.thoughts > 0 and table.concat(parts.thoughts, "\n") or nil, tool_calls = list_or_nil(parts.calls),
  }
end

local function add_user(messages, turn)
  local rest = {}
  for _, block in ipairs(turn.blocks) do
    if block.kind == "tool_result" then
      local message = message_of("tool", block.blocks or {}, "\n")
      if block.is_error then message.content = chat.as_error(message.content) end
      message.tool_name, message.tool_call_id = block.name, block.id
      messages[#messages + 1] = message
    else
      rest[#rest + 1] = block
    end
  end
  if #rest > 0 then messages[#messages + 1] = message_of("user", rest, "\n") end
end

local function messages_of(neutral)
  local messages = {}
  if #neutral.system > 0 then
    messages[1] = { role = "system", content = chat.text(neutral.system, "\n\n") }
  end
  for _, turn in ipairs(neutral.turns) do
    if turn.role == "user" then
      add_user(messages, turn)
    else
      messages[#messages + 1] = message_of("assistant", turn.blocks, "")
    end
  end
  return json.array(messages)
end

-- ---- tools ----

-- No call can be demanded there. Where one tool alone may be called, only that one is shown.
local function tools_of(neutral, dropped)
  local choice, tools = neutral.tool_choice or { kind = "auto" }, {}
  if neutral.parallel == false and #neutral.tools > 0 then dropped[#dropped + 1] = "parallel_tool_calls" end
  if choice.kind == "none" then return nil end
  if choice.kind ~= "auto" then dropped[#dropped + 1] = "tool_choice" end
  for _, tool in ipairs(neutral.tools) do
    if choice.kind ~= "named" or tool.name == choice.name then
      tools[#tools + 1] = {
        type = "function",
        ["function"] = {
          name = tool.name, description = tool.description,
          parameters = tool.schema or { type = "object", properties = {} },
        },
      }
    end
  end
  return list_or_nil(tools)
end

-- ---- the rest ----

local function options_of(neutral, target)
  local options = {
    num_predict = writing.max_tokens(neutral, target), stop = neutral.stop and list_or_nil(neutral.stop),
  }
  for _, name in ipairs(OPTIONS) do options[name] = neutral[name] end
  -- Else a prompt longer than a context of few thousand tokens is cut, and nobody told.
  options.num_ctx = target.context_length
  return next(options) and options or nil
end

local function format_of(format)
  if not format then return nil end
  return format.kind == "json" and "json" or format.schema
end

local function think_of(reasoning, target, dropped)
  if not reasoning or not (reasoning.effort or reasoning.budget) then return nil end
  if reasoning.effort == "none" or reasoning.budget == 0 then return false end
  if not writing.thinks(target, THINKERS) then
    dropped[#dropped + 1] = "reasoning"
    return nil
  end
  return string.find(target.upstream_id, LEVELED) and (LEVELS[chat.effort(reasoning)] or "medium") or true
end

local function write_chat(order, dropped)
  local neutral, target = order.chat, order.target
  if neutral.n and neutral.n > 1 then unfit("n", "more than one answer to a call") end
  writing.drop_unread(dropped, neutral)
  if neutral.user then dropped[#dropped + 1] = "user" end
  return {
    model = target.upstream_id, messages = messages_of(neutral), tools = tools_of(neutral, dropped),
    options = options_of(neutral, target), format = format_of(neutral.format), stream = order.stream == true,
    think = think_of(neutral.reasoning, target, dropped), logprobs = neutral.logprobs,
    top_logprobs = neutral.top_logprobs,
  }
end

local function write_embedding(order, dropped)
  local call = order.embedding
  for _, input in ipairs(call.inputs) do
    if type(input) ~= "string" then unfit("input", "lists of tokens, only texts") end
  end
  writing.drop(dropped, call, { "task", "title" })
  return { model = order.target.upstream_id, input = json.array(call.inputs), dimensions = call.dimensions }
end

-- The body as a table, and the names of what was left out; or nil and why the call can't be carried.
---@type fun(order: table): table|nil, string[]|{ message: string, param: string }
body.write = writing.guarded(function(order)
  local dropped = {}
  return (order.embedding and write_embedding or write_chat)(order, dropped), dropped
end)

return body
