-- Reads what Anthropic answers: whole messages, stream events, token counts. Streams may repeat their beginning, leave
-- out the ends of blocks, hold blocks of the provider's own tools: what is not understood is passed over.
local json = require "moongate.core.json"
local http = require "protocols.http"
local figures = require "protocols.anthropic_usage"
local outline = require "protocols.anthropic_outline"

local anthropic_reply = {}

local SPEAKS = "anthropic"
local FINISHES = {
  end_turn = "stop", stop_sequence = "stop_sequence", max_tokens = "length", model_context_window_exceeded = "length",
  tool_use = "tool_calls", refusal = "content_filter", pause_turn = "pause",
}
-- Blocks that say nothing by themselves when they begin.
local HOLLOW = { text = true, thinking = true, compaction = true, fallback = true }
-- Delta -> the member that holds its text.
local DELTAS = {
  text_delta = "text", thinking_delta = "thinking", input_json_delta = "partial_json", signature_delta = "signature",
}
local MEASURED = { text_delta = true, thinking_delta = true, input_json_delta = true }

local object, word = http.object, http.word

local function text_of(value) return type(value) == "string" and value or "" end

local function list_of(value) return type(value) == "table" and value or {} end

local function input_text(input)
  if type(input) ~= "table" or next(input) == nil then return "{}" end
  return json.encode(input)
end

-- Bytes of what a block says.
local function weigh(block)
  if type(block) ~= "table" then return 0 end
  local sum = #text_of(block.text) + #text_of(block.thinking)
  if block.type == "tool_use" then sum = sum + #text_of(block.name) + #input_text(block.input) end
  return sum
end

-- The reading of an answer that looks as usual, without its body; nil where it has to be looked at closely.
local function read_usual(text)
  local is_usual, length, finish, input, cached, cache_write, five_minutes, hour, output, thinking =
    json.fits(text, outline)
  if not is_usual then return nil end
  local usage = figures.of_counts(nil, input, cached, cache_write, five_minutes, hour, output, thinking)
  return { usage = usage, text_length = length, finish = finish, body = nil }
end

-- Reads a whole reply. `body` is the decoded reply (or its text), for moongate.limits; `tokens` a count that was asked.
---@param status number
---@param _ table headers
---@param text string
---@param is_direct boolean|nil an answer goes on as it came: its body is not needed
---@return { usage: table|nil, error: table|nil, text_length: number, finish: string|nil, body: any, tokens: any }
function anthropic_reply.read_reply(status, _, text, is_direct)
  local usual = is_direct and status >= 200 and status < 300 and read_usual(text)
  if usual then return usual end
  local document, read = http.whole(status, text)
  if not document then return read end
  if type(document.input_tokens) == "number" and not document.content then
    return { tokens = math.max(0, math.floor(document.input_tokens)), text_length = 0, body = document }
  end
  local usage = figures.read(document.usage)
  if type(document.content) ~= "table" then
    local error = http.error("the reply holds no answer", "malformed")
    return { error = error, text_length = 0, usage = usage, body = document }
  end
  local sum = 0
  for _, block in ipairs(document.content) do sum = sum + weigh(block) end
  return { usage = usage, text_length = sum, finish = word(document.stop_reason), body = document }
end

local EVENTS = {}

function EVENTS.message_start(document, before)
  local message = object(document.message) or {}
  local sum = 0
  for _, block in ipairs(list_of(message.content)) do sum = sum + weigh(block) end
  return {
    kind = sum > 0 and "content" or "lifecycle", usage = figures.read(message.usage, before), text_length = sum,
  }
end

function EVENTS.content_block_start(document)
  local block = object(document.content_block) or {}
  local sum = weigh(block)
  if HOLLOW[block.type] and sum == 0 then return { kind = "lifecycle" } end
  if block.type == "tool_use" then sum = #text_of(block.name) end
  return { kind = "content", text_length = sum }
end

function EVENTS.content_block_delta(document)
  local delta = object(document.delta) or {}
  local member = DELTAS[delta.type]
  if not member then return { kind = "content", text_length = 0 } end
  local bytes = #text_of(delta[member])
  if bytes == 0 then return { kind = "lifecycle" } end
  return { kind = "content", text_length = MEASURED[delta.type] and bytes or 0 }
end

function EVENTS.message_delta(document, before)
  local usage = figures.read(document.usage, before)
  local finish = word((object(document.delta) or {}).stop_reason)
  if finish then return { kind = "finish", finish = finish, usage = usage, text_length = 0 } end
  return { kind = usage and "usage" or "lifecycle", usage = usage }
end

function EVENTS.content_block_stop() return { kind = "lifecycle" } end

function EVENTS.message_stop() return { kind = "end" } end

function EVENTS.ping() return { kind = "ping" } end

local function kind_of(document, event)
  return type(document.type) == "string" and document.type or event.name
end

-- Reads one stream event. `before`: the usage that the stream has told so far, for it comes in parts.
---@param event { name: string|nil, data: string, document: table|nil }
---@param before moongate.usage|nil
---@return table
function anthropic_reply.read_event(event, before)
  local document, read = http.event(event)
  if not document then return read end
  local error = http.error_in(document, event.name == "error")
  if error then return { kind = "error", error = error, usage = before, body = document } end
  local reader = EVENTS[kind_of(document, event)]
  return reader and reader(document, before) or { kind = "other" }
end

-- ---- into the neutral shape ----

local BLOCKS = {}

function BLOCKS.text(block)
  return text_of(block.text) ~= "" and { kind = "text", text = block.text } or nil
end

function BLOCKS.thinking(block)
  local signature = word(block.signature)
  return { kind = "thinking", text = text_of(block.thinking), signature = signature, origin = signature and SPEAKS }
end

function BLOCKS.redacted_thinking(block)
  return { kind = "redacted", data = text_of(block.data), origin = SPEAKS }
end

function BLOCKS.tool_use(block)
  return {
    kind = "tool_use", id = word(block.id) or "", name = text_of(block.name), arguments = input_text(block.input),
  }
end

local function finish_of(reason) return FINISHES[reason] or "stop" end

-- Why Anthropic's classifiers broke an answer off, in words; nil where nobody says.
local function refusal_of(details)
  return word((object(details) or {}).explanation)
end

-- The decoded whole reply as a neutral one.
---@param body table
---@return moongate.chat_reply
function anthropic_reply.reply(body)
  local blocks = {}
  for _, block in ipairs(list_of(body.content)) do
    local make = type(block) == "table" and BLOCKS[block.type]
    blocks[#blocks + 1] = make and make(block) or nil
  end
  local refusal = refusal_of(body.stop_details)
  if refusal then blocks[#blocks + 1] = { kind = "refusal", text = refusal } end
  return {
    id = word(body.id), model = word(body.model), usage = figures.read(body.usage),
    choices = { { blocks = blocks, finish = finish_of(body.stop_reason), stop_sequence = word(body.stop_sequence) } },
  }
end

---@class moongate.anthropic_reader
---@field open table<any, table> blocks begun and not ended, by their index
---@field calls integer
---@field begun boolean
---@field finished boolean
local reader = {}
reader.__index = reader

-- What is left to be said of a block when it ends.
local function close(own, index, list)
  local block = own.open[index]
  if not block then return end
  own.open[index] = nil
  if block.signature then
    list[#list + 1] = { kind = "signature", signature = block.signature, origin = SPEAKS }
  end
  if block.call and not block.told then
    list[#list + 1] = { kind = "arguments", call = block.call, text = input_text(block.input) }
  end
end

local function close_all(own, list)
  local indices = {}
  for index in pairs(own.open) do indices[#indices + 1] = index end
  table.sort(indices, function(a, b) return tostring(a) < tostring(b) end)
  for _, index in ipairs(indices) do close(own, index, list) end
end

function reader:message_start(document, list)
  if self.begun then return end
  self.begun = true
  local message = object(document.message) or {}
  list[#list + 1] = { kind = "start", id = word(message.id), model = word(message.model) }
  for _, block in ipairs(list_of(message.content)) do
    if type(block) == "table" then
      self:content_block_start({ index = "first", content_block = block }, list)
      close(self, "first", list)
    end
  end
end

function reader:content_block_start(document, list)
  local block, index = object(document.content_block) or {}, document.index or 0
  close(self, index, list)
  local kind = block.type
  if kind == "text" or kind == "thinking" then
    local text = text_of(block[kind])
    self.open[index] = { signature = kind == "thinking" and word(block.signature) or nil, thinks = kind == "thinking" }
    if text ~= "" then list[#list + 1] = { kind = kind, text = text } end
  elseif kind == "redacted_thinking" then
    list[#list + 1] = { kind = "redacted", data = text_of(block.data), origin = SPEAKS }
  elseif kind == "tool_use" then
    self.open[index] = { call = self.calls, input = block.input }
    list[#list + 1] = { kind = "tool", call = self.calls, id = word(block.id) or "", name = text_of(block.name) }
    self.calls = self.calls + 1
  else
    self.open[index] = { foreign = true } -- the provider's own tools
  end
end

function reader:content_block_delta(document, list)
  local delta, index = object(document.delta) or {}, document.index or 0
  local text = text_of(delta[DELTAS[delta.type]])
  local block = self.open[index]
  if text == "" or (block and block.foreign) then return end
  if delta.type == "text_delta" then
    list[#list + 1] = { kind = "text", text = text }
  elseif delta.type == "thinking_delta" then
    list[#list + 1] = { kind = "thinking", text = text }
  elseif delta.type == "signature_delta" then
    block = block or {}
    self.open[index], block.signature = block, text
  elseif block and block.call then
    block.told = true
    list[#list + 1] = { kind = "arguments", call = block.call, text = text }
  end
end

function reader:content_block_stop(document, list) close(self, document.index or 0, list) end

function reader:message_delta(document, list)
  local delta = object(document.delta) or {}
  local reason = word(delta.stop_reason)
  if not reason or self.finished then return end
  self.finished = true
  close_all(self, list)
  local refusal = refusal_of(delta.stop_details)
  if refusal then list[#list + 1] = { kind = "refusal", text = refusal } end
  list[#list + 1] = { kind = "finish", finish = finish_of(reason), stop_sequence = word(delta.stop_sequence) }
end

function reader:message_stop(_, list) close_all(self, list) end

function reader:ping(_, list) list[#list + 1] = { kind = "ping" } end

-- A reader of one stream: event by event into the neutral shape.
---@return fun(event: table): moongate.chat_event[]
function anthropic_reply.reader()
  local own = setmetatable({ open = {}, calls = 0, begun = false, finished = false }, reader)
  return function(event)
    local document = event.document or http.event(event)
    local list = {}
    local kind = document and kind_of(document, event)
    if kind and EVENTS[kind] then own[kind](own, document, list) end
    return list
  end
end

return anthropic_reply
