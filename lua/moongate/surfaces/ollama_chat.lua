-- Reads the body of a call in Ollama's format, decoded and checked, into the neutral chat: for providers that speak
-- another format. What none of them could be told is refused here, what can be left out is named in `unread`.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local reading = require "moongate.surfaces.reading"

local ollama_chat = {}

-- The same in both.
local OPTIONS = { "temperature", "top_p", "min_p", "seed", "presence_penalty", "frequency_penalty" }
local READ_OPTIONS = reading.set(OPTIONS, { "num_predict", "top_k", "stop" })
-- What is read here, or says nothing to anybody else: how long Ollama keeps a model loaded, how it cuts prompts.
local READ = reading.set {
  "model", "messages", "stream", "tools", "format", "options", "think", "keep_alive", "truncate", "shift", "logprobs",
  "top_logprobs", "prompt", "system", "images", "raw", "suffix",
}
local EFFORTS = { low = "low", medium = "medium", high = "high", max = "xhigh" }
local ONLY_THERE = "this exists at Ollama alone, and no provider that is left speaks its format"

local refuse, present, object = reading.refuse, reading.present, reading.object

-- ---- messages ----

local function add_text(blocks, kind, text)
  if type(text) == "string" and text ~= "" then blocks[#blocks + 1] = { kind = kind, text = text } end
end

local function content_of(text, images)
  local blocks = {}
  add_text(blocks, "text", text)
  for _, data in ipairs(object(images)) do
    data = string.gsub(data, "[\r\n]", "")
    blocks[#blocks + 1] = { kind = "image", data = data, media_type = chat.image_type(data, "image/png") }
  end
  return blocks
end

local ROLES = {}

function ROLES.system(own, message)
  add_text(own.system, "text", message.content)
end

function ROLES.user(own, message)
  chat.add(own.turns, "user", content_of(message.content, message.images))
end

-- Calls have no ids in older versions of the format: the place in the conversation makes one.
function ROLES.assistant(own, message)
  local blocks = {}
  add_text(blocks, "thinking", message.thinking)
  add_text(blocks, "text", message.content)
  for _, call in ipairs(object(message.tool_calls)) do
    local inner, id = call["function"], present(call.id)
    own.calls = own.calls + 1
    if not id or id == "" then id = "call_" .. own.calls end
    blocks[#blocks + 1] = {
      kind = "tool_use", id = id, name = inner.name, arguments = json.encode(object(inner.arguments)),
    }
    own.open[#own.open + 1] = { id = id, name = inner.name }
  end
  chat.add(own.turns, "assistant", blocks)
end

-- The call that a result belongs to: told by its id, else by the tool's name, else the first that has no result yet.
local function call_of(own, message)
  local name = present(message.tool_name) or present(message.name)
  local place
  for index, call in ipairs(own.open) do
    if call.id == message.tool_call_id then return table.remove(own.open, index) end
    if name and call.name == name then place = place or index end
  end
  return table.remove(own.open, place or 1)
end

function ROLES.tool(own, message, path)
  local call = call_of(own, message)
  if not call then refuse(path, "expected a call of a tool before its result") end
  chat.add(own.turns, "user", { {
    kind = "tool_result", id = call.id, name = call.name, blocks = content_of(message.content, message.images),
  } })
end

-- ---- the rest ----

local function tools_of(body)
  local tools = {}
  for index, tool in ipairs(object(body.tools)) do
    local inner = tool["function"]
    tools[index] = {
      name = inner.name, description = present(inner.description), schema = reading.schema(inner.parameters),
    }
  end
  return tools
end

local function format_of(body)
  local format = present(body.format)
  if format == "json" then return { kind = "json" } end
  return type(format) == "table" and { kind = "schema", schema = format } or nil
end

local function reasoning_of(body)
  local think = present(body.think)
  if think == nil then return nil end
  if think == false then return { effort = "none" } end
  return { effort = EFFORTS[think] or "medium", show = true }
end

local function above_zero(value)
  return type(value) == "number" and value > 0 and value or nil
end

-- Names of what is not carried over.
local function unread_of(body, options)
  local names = reading.unread(body, READ)
  for _, name in ipairs(reading.unread(options, READ_OPTIONS)) do names[#names + 1] = "options." .. name end
  return names
end

local function neutral_of(body, own)
  local options = object(body.options)
  local stop = object(options.stop)
  local neutral = {
    system = own.system, turns = own.turns, tools = tools_of(body), format = format_of(body),
    reasoning = reasoning_of(body), stop = #stop > 0 and stop or nil, max_tokens = above_zero(options.num_predict),
    top_k = above_zero(options.top_k), logprobs = present(body.logprobs), top_logprobs = present(body.top_logprobs),
    stream = body.stream ~= false, unread = unread_of(body, options),
  }
  for _, name in ipairs(OPTIONS) do neutral[name] = present(options[name]) end
  return neutral
end

local function new() return { system = {}, turns = {}, calls = 0, open = {} } end

-- The body of /api/chat.
---@type fun(body: table): moongate.chat|nil, table|nil
ollama_chat.read = reading.guarded(function(body)
  local own = new()
  for index, message in ipairs(object(body.messages)) do
    ROLES[string.lower(message.role)](own, message, "messages[" .. (index - 1) .. "]")
  end
  return neutral_of(body, own)
end)

-- The body of /api/generate. What fills in the middle of a text, or passes the model's template by, stays at Ollama.
---@type fun(body: table): moongate.chat|nil, table|nil
ollama_chat.generate = reading.guarded(function(body)
  if present(body.suffix) and body.suffix ~= "" then refuse("suffix", ONLY_THERE) end
  if body.raw == true then refuse("raw", ONLY_THERE) end
  local own = new()
  add_text(own.system, "text", body.system)
  ROLES.user(own, { content = body.prompt, images = body.images })
  return neutral_of(body, own)
end)

return ollama_chat
