-- Reads the body of a Messages call, decoded and checked, into the neutral chat: for providers that speak another
-- format. What exists at Anthropic alone is refused where the answer would not be the one asked for, else named.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local reading = require "moongate.surfaces.reading"

local anthropic_chat = {}

local SPEAKS = "anthropic"
-- What is read here, or says nothing that matters elsewhere.
local READ = reading.set {
  "model", "messages", "max_tokens", "system", "stop_sequences", "stream", "metadata", "temperature", "top_p", "top_k",
  "thinking", "output_config", "output_format", "tools", "tool_choice", "cache_control",
}
local CHOICES = { auto = "auto", none = "none", any = "any", tool = "named" }
local ONLY_THERE = "this exists at Anthropic alone, and no provider that is left speaks its format"
-- Thoughts of others that were never signed are marked so in an answer, see anthropic_answer.
local UNSIGNED = ""

local refuse, present, object = reading.refuse, reading.present, reading.object

local BLOCKS = {}

-- Blocks, or a plain text, as neutral ones. What the provider's own tools said is passed over, and noted.
local function blocks_of(content, path, own)
  if type(content) == "string" then return content ~= "" and { { kind = "text", text = content } } or {} end
  local list = {}
  for index, block in ipairs(object(content)) do
    local read = BLOCKS[block.type]
    local made = read and read(block, path .. "[" .. (index - 1) .. "]", own)
    if made then
      if made.kind ~= "thinking" and made.kind ~= "redacted" then made.cache = present(block.cache_control) end
      list[#list + 1] = made
    elseif not read then
      own.foreign = true
    end
  end
  return list
end

function BLOCKS.text(block)
  return block.text ~= "" and { kind = "text", text = block.text } or nil
end

function BLOCKS.image(block, path)
  local source = block.source
  if source.type == "file" then refuse(path .. ".source.type", ONLY_THERE) end
  if source.type == "url" then return { kind = "image", url = source.url } end
  return { kind = "image", data = source.data, media_type = chat.image_type(source.data, source.media_type) }
end

function BLOCKS.document(block, path, own)
  local source, made = block.source, { kind = "document", name = present(block.title) }
  if source.type == "file" then
    refuse(path .. ".source.type", ONLY_THERE)
  elseif source.type == "url" then
    made.url = source.url
  elseif source.type == "text" then
    made.text = source.data
  elseif source.type == "content" then
    made.text = chat.text(blocks_of(source.content, path .. ".source.content", own), "\n")
  else
    made.data, made.media_type = source.data, source.media_type
  end
  return made
end

function BLOCKS.search_result(block, path, own)
  local text = chat.text(blocks_of(block.content, path .. ".content", own), "\n")
  return { kind = "document", text = text, name = present(block.title) }
end

function BLOCKS.tool_use(block)
  return { kind = "tool_use", id = block.id, name = block.name, arguments = json.encode(block.input) }
end

function BLOCKS.tool_result(block, path, own)
  return {
    kind = "tool_result", id = block.tool_use_id, is_error = block.is_error == true or nil,
    blocks = blocks_of(present(block.content), path .. ".content", own),
  }
end

function BLOCKS.thinking(block)
  local made = { kind = "thinking", text = block.thinking }
  local signature, origin = chat.unseal(block.signature, SPEAKS)
  if signature ~= UNSIGNED then made.signature, made.origin = signature, origin end
  return made
end

function BLOCKS.redacted_thinking(block)
  local data, origin = chat.unseal(block.data, SPEAKS)
  return { kind = "redacted", data = data, origin = origin }
end

-- The signature of a call travels as a thought without text before it: it goes back to its call.
local function rejoin(blocks)
  local list = {}
  for _, block in ipairs(blocks) do
    local before = list[#list]
    local is_carrier = before and before.kind == "thinking" and before.text == "" and before.signature
    if block.kind == "tool_use" and is_carrier and before.origin ~= SPEAKS then
      block.signature, block.origin = before.signature, before.origin
      list[#list] = nil
    end
    list[#list + 1] = block
  end
  return list
end

local function add_messages(own, messages)
  for index, message in ipairs(messages) do
    local blocks = blocks_of(message.content, "messages[" .. (index - 1) .. "].content", own)
    if message.role == "system" then
      for _, block in ipairs(blocks) do own.system[#own.system + 1] = block end
    else
      chat.add(own.turns, message.role, message.role == "assistant" and rejoin(blocks) or blocks)
    end
  end
end

-- A mark for the whole prompt stands for one on its last block.
local function mark_end(own, cache)
  local last = own.turns[#own.turns]
  for i = last and #last.blocks or 0, 1, -1 do
    local block = last.blocks[i]
    if block.kind ~= "thinking" and block.kind ~= "redacted" then
      block.cache = block.cache or cache
      return
    end
  end
end

local function tools_of(body)
  local tools = {}
  for index, tool in ipairs(object(body.tools)) do
    local kind = present(tool.type)
    if kind and kind ~= "custom" then refuse("tools[" .. (index - 1) .. "].type", ONLY_THERE) end
    tools[index] = {
      name = tool.name, description = present(tool.description), schema = tool.input_schema,
      strict = present(tool.strict), cache = present(tool.cache_control),
    }
  end
  return tools
end

local function format_of(body)
  local format = present(object(body.output_config).format) or present(body.output_format)
  if not format then return nil end
  return { kind = "schema", schema = format.schema, name = "answer", strict = true }
end

local function reasoning_of(body)
  local thinking, effort = object(body.thinking), present(object(body.output_config).effort)
  if effort == "max" then effort = "xhigh" end
  if thinking.type == "disabled" then return { effort = "none", budget = 0 } end
  if not thinking.type then return effort and { effort = effort } or nil end
  local budget = thinking.type == "enabled" and thinking.budget_tokens or nil
  return { effort = effort, budget = budget, show = thinking.display ~= "omitted" }
end

local function unread(own, body)
  local names = reading.unread(body, READ)
  if own.foreign then names[#names + 1] = "messages: blocks of the provider's own tools" end
  return names
end

local function filled(list) return type(list) == "table" and #list > 0 and list or nil end

local function read(body)
  local own = { system = {}, turns = {}, foreign = false }
  for _, block in ipairs(blocks_of(present(body.system), "system", own)) do own.system[#own.system + 1] = block end
  add_messages(own, body.messages)
  local cache, choice = present(body.cache_control), object(body.tool_choice)
  local parallel
  if choice.disable_parallel_tool_use == true then parallel = false end
  if cache then mark_end(own, cache) end
  chat.name_results(own.turns)
  return {
    system = own.system, turns = own.turns, tools = tools_of(body),
    tool_choice = choice.type and { kind = CHOICES[choice.type], name = choice.name } or nil,
    parallel = parallel,
    max_tokens = present(body.max_tokens), temperature = present(body.temperature), top_p = present(body.top_p),
    top_k = present(body.top_k), stop = filled(body.stop_sequences), format = format_of(body),
    reasoning = reasoning_of(body), user = present(object(body.metadata).user_id), stream = body.stream == true,
    unread = unread(own, body),
  }
end

---@type fun(body: table): moongate.chat|nil, table|nil
anthropic_chat.read = reading.guarded(read)

return anthropic_chat
