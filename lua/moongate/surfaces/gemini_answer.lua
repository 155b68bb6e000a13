-- Writes answers in Gemini's shape: whole ones from neutral replies, streams event by event, vectors. A call of a
-- function goes out whole, so its arguments are gathered first; the finish goes out last, with the usage. A stream is
-- one of server-sent events, or, where the caller did not ask for them, one JSON array in pieces.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local logprobs = require "moongate.logprobs"
local seal = require "moongate.surfaces.gemini_seal"

local gemini_answer = {}

local FINISHES = {
  stop = "STOP", stop_sequence = "STOP", tool_calls = "STOP", pause = "STOP", length = "MAX_TOKENS",
  content_filter = "SAFETY",
}

-- ---- what all answers share ----

---@param usage moongate.usage|nil
---@return table|nil
function gemini_answer.usage(usage)
  if not usage then return nil end
  local prompt = usage.input + usage.cached + usage.cache_write
  return {
    promptTokenCount = prompt, candidatesTokenCount = usage.output,
    cachedContentTokenCount = usage.cached > 0 and usage.cached or nil,
    thoughtsTokenCount = usage.reasoning > 0 and usage.reasoning or nil,
    totalTokenCount = prompt + usage.output + usage.reasoning,
  }
end

local function model_of(call, named)
  local target = call.served
  return target and target.model or named or call.request.model or "auto"
end

local function frame(call, candidates, usage, id, model)
  return {
    candidates = json.array(candidates), usageMetadata = gemini_answer.usage(usage),
    modelVersion = model_of(call, model), responseId = id or call.id,
  }
end

local function candidate_of(index, parts, finish, told)
  return {
    index = index, content = { role = "model", parts = json.array(parts) },
    finishReason = finish and (FINISHES[finish] or "STOP") or nil, logprobsResult = logprobs.to_gemini(told),
  }
end

-- A call; the first of a turn that nobody signed says so, or Google would refuse it when it comes back.
local function call_part(block, is_first)
  local signature = seal.signature(block.signature, block.origin)
  return {
    functionCall = { id = block.id, name = block.name, args = chat.arguments(block.arguments or "") },
    thoughtSignature = signature or (is_first and seal.UNSIGNED) or nil,
  }
end

-- ---- whole ----

local WRITE = {}

function WRITE.text(block) return block.text ~= "" and { text = block.text } or nil end

WRITE.refusal = WRITE.text

function WRITE.thinking(block)
  return { text = block.text or "", thought = true, thoughtSignature = seal.signature(block.signature, block.origin) }
end

function WRITE.redacted(block)
  return { text = "", thought = true, thoughtSignature = seal.redacted(block.data, block.origin or "unknown") }
end

function WRITE.image(block)
  if not block.data then return block.url and { text = "![](" .. block.url .. ")" } or nil end
  return { inlineData = { mimeType = block.media_type or "image/png", data = block.data } }
end

local function parts_of(blocks)
  local parts, has_call = {}, false
  for _, block in ipairs(blocks) do
    if block.kind == "tool_use" then
      parts[#parts + 1] = call_part(block, not has_call)
      has_call = true
    elseif WRITE[block.kind] then
      parts[#parts + 1] = WRITE[block.kind](block)
    end
  end
  return parts
end

-- The body of a whole answer.
---@param call moongate.call
---@param reply moongate.chat_reply
---@return string
function gemini_answer.reply(call, reply)
  local candidates = {}
  for i, choice in ipairs(reply.choices) do
    candidates[i] = candidate_of(i - 1, parts_of(choice.blocks), choice.finish or "stop", choice.logprobs)
  end
  return json.encode(frame(call, candidates, reply.usage, reply.id, reply.model))
end

-- ---- as a stream ----

---@class moongate.gemini_writer
---@field call moongate.call
---@field usage moongate.usage|nil what is known so far, set from outside
---@field is_array boolean
---@field begun boolean whether a piece has gone out
---@field choices table<integer, { calls: table[], written: integer, finish: string|nil }>
local writer = {}
writer.__index = writer

---@param call moongate.call
---@return moongate.gemini_writer
function gemini_answer.writer(call)
  return setmetatable({
    call = call, is_array = call.request.framing == "json", begun = false,
    choices = { [0] = { calls = {}, written = 0 } },
  }, writer)
end

-- Goes on with a stream that the provider has begun.
---@param begun moongate.begun
function writer:join(begun) self.begun, self.id = true, begun.held.responseId end

function writer:piece(value)
  local text = json.encode(value)
  if not self.is_array then return "data: " .. text .. "\r\n\r\n" end
  local before = self.begun and ",\r\n" or "["
  self.begun = true
  return before .. text
end

function writer:say(index, parts, told)
  return self:piece(frame(self.call, { candidate_of(index, parts, nil, told) }, nil, self.id, self.model))
end

local function is_whole(call)
  local text = table.concat(call.parts)
  return string.find(text, "}%s*$") ~= nil and json.decode(text) ~= nil
end

-- Writes the calls that have waited, in their order: as far as they are whole, or all of them.
function writer:flush(index, is_end)
  local choice, parts = self.choices[index], {}
  while choice.calls[1] and (is_end or is_whole(choice.calls[1])) do
    local each = table.remove(choice.calls, 1)
    parts[#parts + 1] = call_part({
      id = each.id, name = each.name, signature = each.signature, origin = each.origin,
      arguments = table.concat(each.parts),
    }, choice.written == 0)
    choice.written = choice.written + 1
  end
  return #parts > 0 and self:say(index, parts) or ""
end

local EVENTS = {}

function EVENTS.start(self, event)
  self.id, self.model = event.id, event.model
  return ""
end

function EVENTS.tool(self, event, index)
  local before = self:flush(index, false)
  table.insert(self.choices[index].calls, {
    call = event.call, id = event.id, name = event.name, signature = event.signature, origin = event.origin, parts = {},
  })
  return before
end

function EVENTS.arguments(self, event, index)
  for _, each in ipairs(self.choices[index].calls) do
    if each.call == event.call then table.insert(each.parts, event.text) end
  end
  return ""
end

function EVENTS.finish(self, event, index)
  local before = self:flush(index, true)
  self.choices[index].finish = self.choices[index].finish or event.finish
  return before
end

function EVENTS.signature(self, event, index)
  return self:flush(index, false) .. self:say(index, { WRITE.thinking(event) })
end

function EVENTS.ping(self) return self.is_array and "" or ": ping\r\n\r\n" end

-- What an event of the answer becomes.
---@param event moongate.chat_event
---@return string
function writer:event(event)
  local index = event.index or 0
  self.choices[index] = self.choices[index] or { calls = {}, written = 0 }
  if EVENTS[event.kind] then return EVENTS[event.kind](self, event, index) end
  local part = WRITE[event.kind] and WRITE[event.kind](event)
  if not part then return "" end
  return self:flush(index, false) .. self:say(index, { part }, event.logprobs)
end

-- The end of the stream, with what was used in all.
---@param usage moongate.usage|nil
---@return string
function writer:finish(usage)
  local out, candidates, indexes = {}, {}, {}
  for index in pairs(self.choices) do indexes[#indexes + 1] = index end
  table.sort(indexes)
  for i, index in ipairs(indexes) do
    out[#out + 1] = self:flush(index, true)
    candidates[i] = candidate_of(index, { { text = "" } }, self.choices[index].finish or "stop")
  end
  out[#out + 1] = self:piece(frame(self.call, candidates, usage or self.usage, self.id, self.model))
  if self.is_array then out[#out + 1] = "]" end
  return table.concat(out)
end

-- ---- embeddings ----

-- The answer to embedContent, or to batchEmbedContents.
---@param call moongate.call
---@param reply moongate.embedding_reply
---@return string
function gemini_answer.vectors(call, reply)
  local list = json.array {}
  for i, numbers in ipairs(reply.vectors) do list[i] = { values = json.array(numbers) } end
  local usage = reply.usage and { promptTokenCount = reply.usage.input + reply.usage.cached } or nil
  if call.request.batch then return json.encode { embeddings = list, usageMetadata = usage } end
  return json.encode { embedding = list[1] or { values = json.array {} }, usageMetadata = usage }
end

return gemini_answer
