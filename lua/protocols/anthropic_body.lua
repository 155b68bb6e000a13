-- The body of a Messages call, from the neutral chat. Anthropic is strict about the order of turns and blocks: what
-- would be refused is put right here, and what has no place is named, so that it can be told. Sends nothing.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local schemas = require "protocols.anthropic_schema"
local thinking = require "protocols.anthropic_thinking"
local writing = require "protocols.writing"

local anthropic_body = {}

local SPEAKS = "anthropic"
local DEFAULT_MAX_TOKENS = 4096
local MOST_BREAKPOINTS = 4
local IMAGES = { ["image/jpeg"] = true, ["image/png"] = true, ["image/gif"] = true, ["image/webp"] = true }
-- What stands in for a user's turn that must be there and is not.
local FIRST, LAST = "(start)", "Continue."
local NO_PLACE = { "min_p", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs" }
local CHOICES = { auto = "auto", none = "none", any = "any", named = "tool" }

local is_blank, unfit = writing.is_blank, writing.unfit

local function clean_id(id)
  local clean = chat.clean_id(id)
  return clean ~= "" and clean or "_"
end

-- ---- blocks ----

local write_blocks

local BLOCKS = {}

function BLOCKS.text(block)
  return not is_blank(block.text) and { type = "text", text = block.text } or nil
end

BLOCKS.refusal = BLOCKS.text

function BLOCKS.image(block)
  if not block.data then return { type = "image", source = { type = "url", url = block.url } } end
  local media_type = chat.image_type(block.data, block.media_type)
  if not IMAGES[media_type or ""] then
    unfit(string.format("Anthropic takes images as jpeg, png, gif or webp, not as %s", media_type or "they come here"))
  end
  return { type = "image", source = { type = "base64", media_type = media_type, data = block.data } }
end

function BLOCKS.document(block)
  local source
  if block.text then
    source = { type = "text", media_type = "text/plain", data = block.text }
  elseif block.url then
    source = { type = "url", url = block.url }
  elseif block.media_type == "application/pdf" then
    source = { type = "base64", media_type = block.media_type, data = block.data }
  else
    unfit("Anthropic takes documents as PDF or as text, not as " .. tostring(block.media_type))
  end
  return { type = "document", source = source, title = block.name }
end

function BLOCKS.audio()
  unfit("Anthropic takes no audio")
end

function BLOCKS.tool_use(block)
  return {
    type = "tool_use", id = clean_id(block.id), name = block.name, input = chat.arguments(block.arguments or ""),
  }
end

function BLOCKS.tool_result(block)
  local content = write_blocks(block.blocks or {})
  local only = #content == 1 and content[1]
  if only and only.type == "text" and not only.cache_control then content = only.text end
  return {
    type = "tool_result", tool_use_id = clean_id(block.id), is_error = block.is_error or nil,
    content = #content > 0 and (type(content) == "table" and json.array(content) or content) or nil,
  }
end

-- Thoughts only their maker can vouch for: without its signature they are not sent.
function BLOCKS.thinking(block)
  if block.origin ~= SPEAKS or is_blank(block.signature) then return nil end
  return { type = "thinking", thinking = block.text or "", signature = block.signature }
end

function BLOCKS.redacted(block)
  return block.origin == SPEAKS and { type = "redacted_thinking", data = block.data } or nil
end

function write_blocks(blocks)
  local list = {}
  for _, block in ipairs(blocks) do
    local write = BLOCKS[block.kind]
    local written = write and write(block)
    if written then
      if block.cache and block.kind ~= "thinking" and block.kind ~= "redacted" then
        written.cache_control = block.cache
      end
      list[#list + 1] = written
    end
  end
  return list
end

-- ---- turns ----

local IS_THOUGHT = { thinking = true, redacted_thinking = true }

-- Adds to the last message, if it is of that role, else as a new one; results of tools come first in it.
local function add(messages, role, blocks)
  local last = messages[#messages]
  if not last or last.role ~= role then
    last = { role = role, content = json.array {} }
    messages[#messages + 1] = last
  end
  local results = 0
  while last.content[results + 1] and last.content[results + 1].type == "tool_result" do results = results + 1 end
  for _, block in ipairs(blocks) do
    if block.type == "tool_result" then
      results = results + 1
      table.insert(last.content, results, block)
    else
      table.insert(last.content, block)
    end
  end
end

-- The text that an answer is to go on from must not end in a blank, nor may there be only thoughts.
local function trim_end(messages)
  local last = messages[#messages]
  if not last or last.role ~= "assistant" then return end
  local content = last.content
  local final = content[#content]
  if final and final.type == "text" then final.text = string.gsub(final.text, "%s+$", "") end
  while #content > 0 and IS_THOUGHT[content[#content].type] do table.remove(content) end
  if #content == 0 then table.remove(messages) end
end

local function messages_of(neutral, quirks)
  local messages = {}
  for _, turn in ipairs(neutral.turns or {}) do
    local blocks = write_blocks(turn.blocks)
    if #blocks > 0 then add(messages, turn.role, blocks) end
  end
  trim_end(messages)
  if not messages[1] or messages[1].role ~= "user" then
    table.insert(messages, 1, { role = "user", content = json.array { { type = "text", text = FIRST } } })
  end
  if messages[#messages].role == "assistant" and quirks.prefill == false then
    add(messages, "user", { { type = "text", text = LAST } })
  end
  return messages
end

-- One plain text as a string.
local function simplify(messages)
  for _, message in ipairs(messages) do
    local only = #message.content == 1 and message.content[1]
    if only and only.type == "text" and not only.cache_control then message.content = only.text end
  end
end

local function system_of(neutral, instruction)
  local blocks = write_blocks(neutral.system or {})
  if instruction then blocks[#blocks + 1] = { type = "text", text = instruction } end
  if #blocks == 0 then return nil end
  local texts = {}
  for i, block in ipairs(blocks) do
    if block.cache_control then return json.array(blocks) end
    texts[i] = block.text
  end
  return table.concat(texts, "\n\n")
end

-- ---- tools ----

local function tools_of(neutral, quirks)
  local tools = {}
  for i, tool in ipairs(neutral.tools or {}) do
    local strict = tool.strict and quirks.schema ~= false or nil
    tools[i] = {
      name = tool.name, description = not is_blank(tool.description) and tool.description or nil,
      input_schema = strict and schemas.closed(schemas.arguments(tool.schema)) or schemas.arguments(tool.schema),
      strict = strict, cache_control = tool.cache,
    }
  end
  return tools
end

-- A conversation with calls in it needs the tools, even where none is to be called any more.
local function tools_of_the_past(messages)
  local tools, seen = {}, {}
  for _, message in ipairs(messages) do
    for _, block in ipairs(message.content) do
      if block.type == "tool_use" and not seen[block.name] then
        seen[block.name] = true
        tools[#tools + 1] = { name = block.name, input_schema = schemas.arguments(nil) }
      end
    end
  end
  return tools
end

local function choice_of(neutral)
  local choice = neutral.tool_choice
  local kind = choice and CHOICES[choice.kind] or (neutral.parallel == false and "auto") or nil
  if not kind then return nil end
  return {
    type = kind, name = kind == "tool" and choice.name or nil,
    disable_parallel_tool_use = neutral.parallel == false and kind ~= "none" or nil,
  }
end

local function put_tools(body, neutral, quirks)
  local tools, choice = tools_of(neutral, quirks), choice_of(neutral)
  if #tools == 0 then
    tools, choice = tools_of_the_past(body.messages), { type = "none" }
    if #tools == 0 then return end
  end
  body.tools, body.tool_choice = json.array(tools), choice
end

-- ---- the rest ----

-- At most four places may be marked for the cache; the last ones hold the most.
local function limit_breakpoints(body)
  local marked = {}
  local function look(list)
    for _, each in ipairs(type(list) == "table" and list or {}) do
      -- Inner blocks stand before the one they are in.
      if each.type == "tool_result" then look(each.content) end
      if each.cache_control then marked[#marked + 1] = each end
    end
  end
  look(body.tools)
  look(body.system)
  for _, message in ipairs(body.messages) do look(message.content) end
  for i = 1, #marked - MOST_BREAKPOINTS do marked[i].cache_control = nil end
end

local function put_numbers(body, neutral, quirks)
  for _, name in ipairs { "temperature", "top_p", "top_k" } do body[name] = neutral[name] end
  for name, range in pairs(quirks.clamp or {}) do
    if body[name] then body[name] = math.min(math.max(body[name], range[1]), range[2]) end
  end
  for _, group in ipairs(quirks.either or {}) do
    local taken = false
    for _, name in ipairs(group) do
      if taken then body[name] = nil end
      taken = taken or body[name] ~= nil
    end
  end
end

-- Words that end an answer; blank ones are refused.
local function put_stop(body, neutral)
  local words = {}
  for _, word in ipairs(neutral.stop or {}) do
    if not is_blank(word) then words[#words + 1] = word end
  end
  if #words > 0 then body.stop_sequences = json.array(words) end
  return #words < #(neutral.stop or {})
end

local function put_format(body, neutral, quirks)
  local format = neutral.format
  if not format then return nil end
  if format.kind == "schema" and format.schema and quirks.schema ~= false then
    body.output_config = { format = { type = "json_schema", schema = schemas.closed(format.schema) } }
    return nil
  end
  return writing.json_only(format.kind == "schema" and format.schema or nil)
end

local function names_dropped(neutral, body, stopped)
  local dropped = {}
  for _, name in ipairs(NO_PLACE) do
    local value = neutral[name]
    if value ~= nil and value ~= false and value ~= 0 then dropped[#dropped + 1] = name end
  end
  for _, name in ipairs { "temperature", "top_p", "top_k" } do
    if neutral[name] ~= nil and body[name] == nil then dropped[#dropped + 1] = name end
  end
  if stopped then dropped[#dropped + 1] = "stop" end
  writing.drop_unread(dropped, neutral)
  return dropped
end

local COUNTED = { model = true, messages = true, system = true, tools = true, tool_choice = true, thinking = true,
  output_config = true }

local function write(order, quirks)
  local neutral, target = order.chat, order.target
  if neutral.n and neutral.n > 1 then unfit("Anthropic gives one answer a call, not n = " .. neutral.n, "n") end
  local body = {
    model = target.upstream_id, max_tokens = writing.max_tokens(neutral, target),
    messages = messages_of(neutral, quirks),
  }
  body.system = system_of(neutral, put_format(body, neutral, quirks))
  put_tools(body, neutral, quirks)
  put_numbers(body, neutral, quirks)
  local stopped = put_stop(body, neutral)
  local left_out = thinking.put(body, neutral, quirks, target.max_output)
  body.max_tokens = body.max_tokens or target.max_output or DEFAULT_MAX_TOKENS
  for _, name in ipairs(quirks.drop or {}) do body[name] = nil end
  if neutral.user then body.metadata = { user_id = neutral.user } end
  if order.stream then body.stream = true end
  limit_breakpoints(body)
  simplify(body.messages)
  body.messages = json.array(body.messages)
  local dropped = names_dropped(neutral, body, stopped)
  if left_out then dropped[#dropped + 1] = "reasoning" end
  if order.operation == "count" then
    for name in pairs(body) do
      if not COUNTED[name] then body[name] = nil end
    end
    dropped = {}
  end
  return body, dropped
end

-- The body, and the names of what was left out; or nil and why it can't be. For orders see protocols.anthropic.
---@type fun(order: table, quirks: table): table|nil, string[]|{ message: string, param: string }
anthropic_body.write = writing.guarded(write)

return anthropic_body
