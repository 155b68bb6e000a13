-- Reads what a Responses provider answered into the neutral answer: whole replies and streams. An item that did not
-- stream is read when it is done, and what never came as an item is read from the last event. Raises nothing.
local http = require "protocols.http"
local json = require "moongate.core.json"
local usage = require "moongate.usage"

local reply = {}

local SPEAKS = "openai_responses"
local BETWEEN = "\n\n"

local filled, list, object, word = http.filled, http.list, http.object, http.word

-- The usage of a response: the chat protocol's figures by other names.
---@param response table
---@return moongate.usage|nil
function reply.usage(response)
  local figures = object(response.usage)
  if not figures then return nil end
  local same = {}
  for name, value in pairs(figures) do same[name] = value end
  same.prompt_tokens_details = figures.input_tokens_details or figures.prompt_tokens_details
  same.completion_tokens_details = figures.output_tokens_details or figures.completion_tokens_details
  return usage.read(same)
end

local function has_calls(output)
  for _, item in ipairs(list(output)) do
    if type(item) == "table" and (item.type == "function_call" or item.type == "custom_tool_call") then return true end
  end
  return false
end

-- Why a response ended.
---@param response table
---@return moongate.finish
function reply.finish(response)
  if response.status == "incomplete" then
    local details = object(response.incomplete_details) or {}
    return details.reason == "content_filter" and "content_filter" or "length"
  end
  return has_calls(response.output) and "tool_calls" or "stop"
end

-- The texts in a list of parts that have one.
local function texts(parts)
  local found = {}
  for _, part in ipairs(list(parts)) do
    if type(part) == "table" then found[#found + 1] = filled(part.text) end
  end
  return found
end

local function thought(item)
  local summary = texts(item.summary)
  if #summary > 0 then return table.concat(summary, BETWEEN) end
  return table.concat(texts(item.content))
end

-- ---- items as blocks ----

local ITEMS = {}

function ITEMS.message(item, blocks)
  for _, part in ipairs(list(item.content)) do
    if type(part) == "table" and filled(part.text) then
      blocks[#blocks + 1] = { kind = "text", text = part.text }
    elseif type(part) == "table" and filled(part.refusal) then
      blocks[#blocks + 1] = { kind = "refusal", text = part.refusal }
    end
  end
end

function ITEMS.reasoning(item, blocks)
  local text, sealed = thought(item), filled(item.encrypted_content)
  if text ~= "" then
    blocks[#blocks + 1] = {
      kind = "thinking", text = text, signature = sealed, origin = sealed and SPEAKS, id = filled(item.id),
    }
  elseif sealed then
    blocks[#blocks + 1] = { kind = "redacted", data = sealed, origin = SPEAKS }
  end
end

local function arguments_of(item)
  if type(item.arguments) == "table" then return json.encode(item.arguments) end
  return filled(item.arguments) or "{}"
end

function ITEMS.function_call(item, blocks)
  local name = filled(item.name)
  if not name then return end
  blocks[#blocks + 1] = {
    kind = "tool_use", id = word(item.call_id) or word(item.id) or "call_" .. #blocks, name = name,
    arguments = arguments_of(item),
  }
end

function ITEMS.custom_tool_call(item, blocks)
  local input = filled(item.input) or ""
  return ITEMS.function_call({
    call_id = item.call_id, id = item.id, name = item.name, arguments = json.encode { input = input },
  }, blocks)
end

function ITEMS.image_generation_call(item, blocks)
  if not filled(item.result) then return end
  local media_type = "image/" .. (filled(item.output_format) or "png")
  blocks[#blocks + 1] = { kind = "image", data = item.result, media_type = media_type }
end

local function blocks_of(items)
  local blocks = {}
  for _, item in ipairs(list(items)) do
    local read = type(item) == "table" and ITEMS[item.type]
    if read then read(item, blocks) end
  end
  return blocks
end

-- The neutral answer of a whole reply.
---@param body table
---@return moongate.chat_reply
function reply.read(body)
  return {
    id = word(body.id), model = word(body.model), usage = reply.usage(body),
    choices = { { blocks = blocks_of(body.output), finish = reply.finish(body) } },
  }
end

-- Bytes of text in a whole reply.
---@param body table
---@return integer
function reply.text_length(body)
  local sum = 0
  for _, block in ipairs(blocks_of(body.output)) do
    sum = sum + #(block.text or "") + #(block.arguments or "") + #(block.name or "")
  end
  return sum
end

-- ---- streams ----

---@class moongate.responses_reader.item what has been told of an item of the output
---@field text boolean|nil
---@field thought boolean|nil
---@field part integer|nil the summary's part that streams
---@field call integer|nil
---@field arguments boolean|nil

local reader = {}
reader.__index = reader

function reader:item(document)
  local place = type(document.output_index) == "number" and document.output_index or word(document.item_id) or 0
  self.items[place] = self.items[place] or {}
  return self.items[place]
end

function reader:say(kind, fields)
  fields.kind = kind
  self.events[#self.events + 1] = fields
  self.said = true
end

function reader:open_call(item, entry)
  if item.call or not filled(entry.name) then return end
  item.call = self.calls
  self.calls = self.calls + 1
  self:say("tool", {
    call = item.call, id = word(entry.call_id) or word(entry.id) or "call_" .. item.call, name = entry.name,
  })
end

-- What an item holds that has not streamed.
function reader:complete(item, entry)
  local blocks = blocks_of { entry }
  for _, block in ipairs(blocks) do
    if block.kind == "tool_use" then
      self:open_call(item, { name = block.name, call_id = block.id })
      if not item.arguments then self:say("arguments", { call = item.call, text = block.arguments }) end
      item.arguments = true
    elseif block.kind == "thinking" then
      if not item.thought then self:say("thinking", { text = block.text }) end
      if block.signature then self:say("signature", { signature = block.signature, origin = SPEAKS }) end
    elseif block.kind == "redacted" and item.thought then
      self:say("signature", { signature = block.data, origin = SPEAKS })
    elseif block.kind == "redacted" then
      self:say("redacted", { data = block.data, origin = SPEAKS })
    elseif block.kind == "image" or not item.text then
      self:say(block.kind, block)
    end
  end
end

local READS = {}

READS["response.created"] = function(self, document)
  local response = object(document.response) or {}
  if self.begun then return end
  self.begun = true
  self.events[#self.events + 1] = { kind = "start", id = word(response.id), model = word(response.model) }
end

READS["response.in_progress"] = READS["response.created"]

READS["response.output_text.delta"] = function(self, document)
  if not filled(document.delta) then return end
  self:item(document).text = true
  self:say("text", { text = document.delta })
end

READS["response.refusal.delta"] = function(self, document)
  if not filled(document.delta) then return end
  self:item(document).text = true
  self:say("refusal", { text = document.delta })
end

READS["response.reasoning_summary_text.delta"] = function(self, document)
  if not filled(document.delta) then return end
  local item = self:item(document)
  local part = type(document.summary_index) == "number" and document.summary_index or 0
  local text = item.part and item.part ~= part and BETWEEN .. document.delta or document.delta
  item.thought, item.part = true, part
  self:say("thinking", { text = text })
end

READS["response.reasoning_text.delta"] = function(self, document)
  if not filled(document.delta) then return end
  local item = self:item(document)
  if item.part then return end -- its summary is what is told
  item.thought = true
  self:say("thinking", { text = document.delta })
end

READS["response.output_item.added"] = function(self, document)
  local entry = object(document.item) or {}
  if entry.type == "function_call" then self:open_call(self:item(document), entry) end
end

READS["response.function_call_arguments.delta"] = function(self, document)
  local item = self:item(document)
  if not item.call or not filled(document.delta) then return end
  item.arguments = true
  self:say("arguments", { call = item.call, text = document.delta })
end

READS["response.function_call_arguments.done"] = function(self, document)
  local item = self:item(document)
  if not item.call or item.arguments or not filled(document.arguments) then return end
  item.arguments = true
  self:say("arguments", { call = item.call, text = document.arguments })
end

READS["response.output_item.done"] = function(self, document)
  local entry = object(document.item)
  if entry then self:complete(self:item(document), entry) end
end

READS["response.completed"] = function(self, document)
  local response = object(document.response) or {}
  if not self.said then
    for place, entry in ipairs(list(response.output)) do
      if type(entry) == "table" then self:complete(self:item { output_index = place - 1 }, entry) end
    end
  end
  if self.finished then return end
  self.finished = true
  local finish = reply.finish(response)
  if finish == "stop" and self.calls > 0 then finish = "tool_calls" end
  self.events[#self.events + 1] = { kind = "finish", finish = finish }
end

READS["response.incomplete"] = function(self, document)
  local response = object(document.response)
  if response and response.status == nil then response.status = "incomplete" end
  READS["response.completed"](self, document)
end

-- Reads the events of one stream, in the order they come.
---@return fun(event: table): moongate.chat_event[]
function reply.reader()
  local self = setmetatable({ items = {}, calls = 0 }, reader)
  return function(event)
    self.events = {}
    local document = event.document
    if type(document) == "table" then
      local read = READS[word(document.type) or word(event.name) or ""]
      if read then read(self, document) end
    end
    return self.events
  end
end

return reply
