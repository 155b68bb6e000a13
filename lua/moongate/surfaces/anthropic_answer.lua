-- Writes answers in Anthropic's shape: whole messages from neutral replies, and streams event by event. At any time one
-- block is open at most: what comes while a call's arguments are not complete waits until they are.
local chat = require "moongate.chat"
local json = require "moongate.core.json"

local anthropic_answer = {}

local SPEAKS = "anthropic"
local STOPS = {
  stop = "end_turn", stop_sequence = "stop_sequence", length = "max_tokens", tool_calls = "tool_use",
  content_filter = "refusal", pause = "pause_turn",
}
-- Thoughts nobody signed bear a mark in the place of a signature, by which they are known when they come back.
local UNSIGNED = chat.seal("", "unsigned", SPEAKS)
local NOTHING = { input = 0, cached = 0, cache_write = 0, output = 0, reasoning = 0 }

local function message_id(call, id)
  if type(id) == "string" and string.find(id, "^msg_[%w_%-]+$") then return id end
  return "msg_" .. chat.clean_id(call.id)
end

local function model_of(call, named)
  return (call.served and call.served.model) or named or call.request.model or "auto"
end

-- The id of a call of a tool. Other formats allow more in it.
local function tool_id(id, call, number)
  local clean = chat.clean_id(id)
  return clean ~= "" and clean or string.format("toolu_%s_%d", string.gsub(tostring(call.id), "[^%w]", ""), number)
end

local function signature_of(block)
  if not block.signature then return UNSIGNED end
  return chat.seal(block.signature, block.origin or "unsigned", SPEAKS)
end

local function sealed_data(block) return chat.seal(block.data, block.origin or SPEAKS, SPEAKS) end

-- Anthropic's answers hold no pictures: a picture becomes text that shows it.
local function picture(block)
  return "![image](" .. (block.url or chat.as_url(block, "image/png")) .. ")"
end

---@param usage moongate.usage|nil
---@return table
function anthropic_answer.usage(usage)
  usage = usage or NOTHING
  return {
    input_tokens = usage.input, cache_creation_input_tokens = usage.cache_write,
    cache_read_input_tokens = usage.cached, output_tokens = usage.output + usage.reasoning,
    output_tokens_details = usage.reasoning > 0 and { thinking_tokens = usage.reasoning } or nil,
  }
end

-- ---- whole ----

local function stop_of(finish, calls)
  local reason = STOPS[finish] or "end_turn"
  return reason == "end_turn" and calls > 0 and "tool_use" or reason
end

local WRITE = {}

function WRITE.text(block, list)
  if block.text ~= "" then list[#list + 1] = { type = "text", text = block.text } end
end

WRITE.refusal = WRITE.text

function WRITE.thinking(block, list)
  list[#list + 1] = { type = "thinking", thinking = block.text or "", signature = signature_of(block) }
end

function WRITE.redacted(block, list)
  list[#list + 1] = { type = "redacted_thinking", data = sealed_data(block) }
end

function WRITE.image(block, list) list[#list + 1] = { type = "text", text = picture(block) } end

function WRITE.tool_use(block, list, call)
  if block.signature then WRITE.thinking({ signature = block.signature, origin = block.origin }, list) end
  list[#list + 1] = {
    type = "tool_use", id = tool_id(block.id, call, #list), name = block.name,
    input = chat.arguments(block.arguments or ""),
  }
end

local function count_calls(list)
  local calls = 0
  for _, block in ipairs(list) do
    if block.type == "tool_use" then calls = calls + 1 end
  end
  return calls
end

-- The body of a whole answer.
---@param call moongate.call
---@param reply moongate.chat_reply
---@return string
function anthropic_answer.reply(call, reply)
  local choice, content = reply.choices[1] or { blocks = {} }, {}
  for _, block in ipairs(choice.blocks) do
    local write = WRITE[block.kind]
    if write then write(block, content, call) end
  end
  return json.encode {
    id = message_id(call, reply.id), type = "message", role = "assistant", model = model_of(call, reply.model),
    content = json.array(content), stop_reason = stop_of(choice.finish, count_calls(content)),
    stop_sequence = choice.stop_sequence or json.null, usage = anthropic_answer.usage(reply.usage),
  }
end

-- ---- as a stream ----

---@class moongate.anthropic_writer
---@field call moongate.call
---@field usage moongate.usage|nil what is known so far, set from outside
---@field begun boolean
---@field index integer of the next block
---@field open table|nil the block that is open: { kind, call, parts }
---@field waiting table[] what comes when the open call is complete: { event, parts }
---@field held table<integer, table> the calls among what waits
---@field calls integer
local writer = {}
writer.__index = writer

local function framed(name, value)
  value.type = name
  return "event: " .. name .. "\ndata: " .. json.encode(value) .. "\n\n"
end

local JOINED = {
  text_delta = "text", thinking_delta = "thinking", signature_delta = "thinking", input_json_delta = "tool",
}

-- Goes on with a stream that the provider has begun: a block is open if the next event was to go on with it.
---@param begun moongate.begun
function writer:join(begun)
  local held = begun.held
  local delta = type(held.delta) == "table" and held.delta or {}
  self.begun, self.index = true, held.index or 0
  if held.type ~= "content_block_delta" then return end
  self.open = { kind = JOINED[delta.type] or "other", parts = {} }
  if self.open.kind == "tool" then self.calls = 1 end
end

-- What is said of the input before anybody has counted it is an estimate; the last event has the figure.
function writer:start(out, event)
  if self.begun then return end
  self.begun = true
  local known = self.usage
  local usage = anthropic_answer.usage(known)
  if not known then usage.input_tokens = self.call.request.estimated_tokens or 0 end
  usage.output_tokens, usage.output_tokens_details = 0, nil
  out[#out + 1] = framed("message_start", {
    message = {
      id = message_id(self.call, event and event.id), type = "message", role = "assistant",
      model = model_of(self.call, event and event.model), content = json.array {}, stop_reason = json.null,
      stop_sequence = json.null, usage = usage,
    },
  })
end

function writer:begin_block(out, kind, block)
  self:start(out)
  out[#out + 1] = framed("content_block_start", { index = self.index, content_block = block })
  self.open = { kind = kind }
end

function writer:delta(out, delta)
  out[#out + 1] = framed("content_block_delta", { index = self.index, delta = delta })
end

function writer:end_block(out)
  local open = self.open
  if not open then return end
  if open.kind == "thinking" and not open.signed then
    self:delta(out, { type = "signature_delta", signature = UNSIGNED })
  end
  out[#out + 1] = framed("content_block_stop", { index = self.index })
  self.open, self.index = nil, self.index + 1
end

-- Sees to it that a block of that kind is open.
function writer:need(out, kind, block)
  if self.open and self.open.kind == kind and not self.open.signed then return end
  self:end_block(out)
  self:begin_block(out, kind, block)
end

local EVENTS = {}

function EVENTS.start(own, event, out) own:start(out, event) end

function EVENTS.text(own, event, out)
  if event.text == "" then return end
  own:need(out, "text", { type = "text", text = "" })
  own:delta(out, { type = "text_delta", text = event.text })
end

EVENTS.refusal = EVENTS.text

function EVENTS.image(own, event, out) EVENTS.text(own, { text = picture(event) }, out) end

local function new_thought() return { type = "thinking", thinking = "", signature = "" } end

function EVENTS.thinking(own, event, out)
  if event.text == "" then return end
  own:need(out, "thinking", new_thought())
  own:delta(out, { type = "thinking_delta", thinking = event.text })
end

function EVENTS.signature(own, event, out)
  own:need(out, "thinking", new_thought())
  own:delta(out, { type = "signature_delta", signature = signature_of(event) })
  own.open.signed = true
end

function EVENTS.redacted(own, event, out)
  own:end_block(out)
  own:begin_block(out, "redacted", { type = "redacted_thinking", data = sealed_data(event) })
  own:end_block(out)
end

function EVENTS.tool(own, event, out)
  own:end_block(out)
  if event.signature then
    EVENTS.signature(own, event, out)
    own:end_block(out)
  end
  own:begin_block(out, "tool", {
    type = "tool_use", id = tool_id(event.id, own.call, own.index), name = event.name, input = {},
  })
  own.open.call, own.open.parts = event.call, {}
  own.calls = own.calls + 1
end

function EVENTS.arguments(own, event, out)
  local open = own.open
  -- A fragment for a call that is over can only come from a provider in disorder.
  if event.text == "" or not open or open.kind ~= "tool" or open.call ~= event.call then return end
  open.parts[#open.parts + 1] = event.text
  own:delta(out, { type = "input_json_delta", partial_json = event.text })
end

function EVENTS.finish(own, event, out)
  own:drain(out, true)
  own:end_block(out)
  own.stop_sequence = event.stop_sequence
  own.stop_reason = stop_of(event.finish, own.calls)
end

function EVENTS.ping(own, _, out)
  if own.begun then out[#out + 1] = framed("ping", {}) end
end

-- Whether the open block is a call whose arguments are still on their way.
function writer:is_busy()
  local open = self.open
  if not open or open.kind ~= "tool" then return false end
  local last = open.parts[#open.parts]
  if not last or not string.find(last, "}%s*$") then return true end
  return json.decode(table.concat(open.parts)) == nil
end

local ANY_TIME = { start = true, ping = true, finish = true }

-- Must it wait for the open call?
function writer:must_wait(event)
  if ANY_TIME[event.kind] then return false end
  if event.kind == "arguments" then return self.held[event.call] ~= nil end
  return #self.waiting > 0 or self:is_busy()
end

function writer:hold(event)
  if event.kind == "arguments" then
    table.insert(self.held[event.call].parts, event.text)
    return
  end
  local entry = { event = event, parts = {} }
  self.waiting[#self.waiting + 1] = entry
  if event.kind == "tool" then self.held[event.call] = entry end
end

-- Writes what has waited, as far as it may go; all of it at the end.
function writer:drain(out, is_end)
  local waiting, done = self.waiting, 0
  while waiting[done + 1] and (is_end or not self:is_busy()) do
    done = done + 1
    local event, parts = waiting[done].event, waiting[done].parts
    EVENTS[event.kind](self, event, out)
    if event.kind == "tool" then
      self.held[event.call] = nil
      EVENTS.arguments(self, { call = event.call, text = table.concat(parts) }, out)
    end
  end
  self.waiting = {}
  for i = done + 1, #waiting do self.waiting[i - done] = waiting[i] end
end

-- What an event of the answer becomes.
---@param event moongate.chat_event
---@return string
function writer:event(event)
  local write = EVENTS[event.kind]
  if not write or (event.index or 0) ~= 0 then return "" end
  if self:must_wait(event) then
    self:hold(event)
    return ""
  end
  local out = {}
  write(self, event, out)
  if event.kind == "arguments" and #self.waiting > 0 then self:drain(out, false) end
  return table.concat(out)
end

-- The end of the stream, with what was used in all.
---@param usage moongate.usage|nil
---@return string
function writer:finish(usage)
  local out = {}
  self:start(out)
  self:drain(out, true)
  self:end_block(out)
  local told = usage or self.usage
  out[#out + 1] = framed("message_delta", {
    delta = {
      stop_reason = self.stop_reason or stop_of(nil, self.calls), stop_sequence = self.stop_sequence or json.null,
    },
    usage = anthropic_answer.usage(told),
  })
  out[#out + 1] = framed("message_stop", {})
  return table.concat(out)
end

---@param call moongate.call
---@return moongate.anthropic_writer
function anthropic_answer.writer(call)
  return setmetatable({ call = call, begun = false, index = 0, waiting = {}, held = {}, calls = 0 }, writer)
end

return anthropic_answer
