-- Writes the neutral answer in Ollama's shape: whole, as the lines of a stream, embeddings; of /api/chat or of
-- /api/generate, as `call.request.generate` says. Counts of tokens are always told, times where they are known.
local chat = require "moongate.chat"
local json = require "moongate.core.json"

local answer = {}

local NANOSECONDS = 1e9
local FINISHES = { length = "length" }

local function now_of(call) return call.request.now or 0 end

-- A moment as RFC 3339.
---@param seconds number
---@return string
function answer.moment(seconds)
  return string.format("%s.%06dZ", os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds)), math.floor(seconds % 1 * 1e6))
end

-- The name of the model that served.
local function model_of(call)
  local target = call.served
  return target and target.model or call.request.model or "auto"
end

local function elapsed(call)
  return call.handle and call.handle.elapsed and call.handle:elapsed() or nil
end

local function nanoseconds(seconds)
  return math.floor(math.max(0, seconds) * NANOSECONDS)
end

local function frame(call, done)
  return { model = model_of(call), created_at = answer.moment(now_of(call)), done = done }
end

-- What was said: in a message, or beside the rest.
local function put(call, body, said)
  if call.request.generate then
    body.response, body.thinking, body.tool_calls = said.content or "", said.thinking, said.tool_calls
    return body
  end
  said.role, said.content = "assistant", said.content or ""
  body.message = said
  return body
end

-- How much was used, and how long it took. first: when the answer began, in seconds since the request came.
local function add_figures(call, body, usage, first)
  local total = elapsed(call)
  if total then
    first = math.min(first or 0, total)
    body.total_duration, body.load_duration = nanoseconds(total), 0
    body.prompt_eval_duration, body.eval_duration = nanoseconds(first), nanoseconds(total - first)
  end
  body.prompt_eval_count = usage and usage.input + usage.cached + usage.cache_write
    or call.request.estimated_tokens or 0
  body.eval_count = usage and usage.output + usage.reasoning or 0
end

local function call_of(index, block)
  return {
    id = block.id,
    ["function"] = { index = index, name = block.name, arguments = chat.arguments(block.arguments) },
  }
end

-- ---- whole ----

local function joined(blocks, kind, between)
  local parts = {}
  for _, block in ipairs(blocks) do
    if block.kind == kind then parts[#parts + 1] = block.text end
  end
  return table.concat(parts, between)
end

local function said_in(blocks)
  local said, calls, images = {}, {}, {}
  for _, block in ipairs(blocks) do
    if block.kind == "tool_use" then calls[#calls + 1] = call_of(#calls, block) end
    if block.kind == "image" and block.data then images[#images + 1] = block.data end
  end
  said.content = joined(blocks, "text", "") .. joined(blocks, "refusal", "")
  said.thinking = joined(blocks, "thinking", "\n")
  if said.thinking == "" then said.thinking = nil end
  if #calls > 0 then said.tool_calls = json.array(calls) end
  if #images > 0 then said.images = json.array(images) end
  return said
end

-- A whole answer.
---@param call moongate.call
---@param reply moongate.chat_reply
---@return string
function answer.reply(call, reply)
  local choice = reply.choices[1] or { blocks = {} }
  local body = put(call, frame(call, true), said_in(choice.blocks))
  body.done_reason = FINISHES[choice.finish] or "stop"
  body.logprobs = choice.logprobs and choice.logprobs.content
  add_figures(call, body, reply.usage)
  return json.encode(body)
end

-- The answer to a call without a message: there is nothing to load here.
---@param call moongate.call
---@return string
function answer.loaded(call)
  local body = put(call, frame(call, true), {})
  body.done_reason = "load"
  return json.encode(body)
end

-- ---- streams ----

---@class moongate.ollama_writer
---@field call moongate.call
---@field usage moongate.usage|nil what is known so far, set by the relay
---@field calls table[] calls whose arguments are not whole yet: they go out as a whole
---@field by_number table<integer, table>
---@field told integer calls that went out
---@field first number|nil when the answer began
local writer = {}
writer.__index = writer

---@param call moongate.call
---@return moongate.ollama_writer
function answer.writer(call)
  return setmetatable({ call = call, calls = {}, by_number = {}, told = 0 }, writer)
end

-- Goes on with a stream that the provider has begun: each of its lines stands alone.
function writer.join() end

function writer:line(said, logprobs)
  self.first = self.first or elapsed(self.call)
  local body = put(self.call, frame(self.call, false), said)
  body.logprobs = logprobs and logprobs.content
  return json.encode(body) .. "\n"
end

function writer:flush()
  if #self.calls == 0 then return "" end
  local list = {}
  for index, call in ipairs(self.calls) do
    list[index] = call_of(self.told + index - 1, {
      id = call.id, name = call.name, arguments = table.concat(call.parts),
    })
  end
  self.told, self.calls, self.by_number = self.told + #list, {}, {}
  return self:line { tool_calls = json.array(list) }
end

local EVENTS = {}

function EVENTS.text(self, event) return self:line({ content = event.text }, event.logprobs) end

function EVENTS.refusal(self, event) return self:line { content = event.text } end

function EVENTS.thinking(self, event) return self:line { thinking = event.text } end

function EVENTS.image(self, event) return self:line { images = json.array { event.data } } end

function EVENTS.tool(self, event)
  local call = { id = event.id, name = event.name, parts = {} }
  self.calls[#self.calls + 1], self.by_number[event.call] = call, call
  return ""
end

function EVENTS.arguments(self, event)
  local call = self.by_number[event.call]
  if call then call.parts[#call.parts + 1] = event.text end
  return ""
end

function EVENTS.finish(self, event)
  self.finished = self.finished or event.finish
  return self:flush()
end

---@param event moongate.chat_event
---@return string
function writer:event(event)
  local write = EVENTS[event.kind]
  if not write or (event.index or 0) ~= 0 then return "" end
  return write(self, event)
end

-- What ends the stream: the last line tells the counts.
---@param usage moongate.usage|nil
---@return string
function writer:finish(usage)
  local before = self:flush()
  local body = put(self.call, frame(self.call, true), {})
  body.done_reason = FINISHES[self.finished] or "stop"
  add_figures(self.call, body, usage or self.usage, self.first)
  return before .. json.encode(body) .. "\n"
end

-- ---- embeddings ----

-- The answer of /api/embed, or of the older /api/embeddings.
---@param call moongate.call
---@param reply moongate.embedding_reply
---@return string
function answer.vectors(call, reply)
  local list = {}
  for index, numbers in ipairs(reply.vectors) do list[index] = json.array(numbers) end
  if call.request.single then return json.encode { embedding = list[1] or json.array {} } end
  local body = { model = model_of(call), embeddings = json.array(list) }
  local total = elapsed(call)
  if total then body.total_duration, body.load_duration = nanoseconds(total), 0 end
  local usage = reply.usage
  body.prompt_eval_count = usage and usage.input + usage.cached + usage.cache_write
    or call.request.estimated_tokens or 0
  return json.encode(body)
end

return answer
