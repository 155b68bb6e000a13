-- Writes the neutral answer in OpenAI's shape: a whole completion, the chunks of a stream, embeddings. Thoughts go out
-- as reasoning_content, those that must come back unchanged as thinking_blocks too.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local openai_chat = require "moongate.openai_chat"
local vector = require "moongate.vector"

local answer = {}

local FINISHES = {
  stop = "stop", stop_sequence = "stop", length = "length", tool_calls = "tool_calls",
  content_filter = "content_filter", pause = "stop",
}

-- Usage as OpenAI tells it: cached tokens are part of the prompt's, thoughts part of the completion's.
---@param usage moongate.usage|nil
---@return table|nil
function answer.usage(usage)
  if not usage then return nil end
  local prompt = usage.input + usage.cached + usage.cache_write
  local completion = usage.output + usage.reasoning
  return {
    prompt_tokens = prompt, completion_tokens = completion, total_tokens = prompt + completion,
    prompt_tokens_details = { cached_tokens = usage.cached, cache_write_tokens = usage.cache_write },
    completion_tokens_details = { reasoning_tokens = usage.reasoning },
  }
end

-- The name of the model that served.
---@param call moongate.call
---@return string
function answer.model(call)
  local target = call.served
  return target and target.model or call.request.model or "auto"
end

local function frame(call, object, id, like)
  return {
    id = id or "chatcmpl-" .. call.id, object = object,
    created = like and like.created or math.floor(call.request.now or 0),
    model = like and like.model or answer.model(call),
  }
end

-- Ids that look like OpenAI's are kept; others would only confuse.
local function fitting_id(id)
  return type(id) == "string" and string.find(id, "^chatcmpl%-") and id or nil
end

-- A caller of the deprecated functions knows no tool calls: one of them, as function_call.
local function as_old_call(message)
  local first = message.tool_calls and message.tool_calls[1]
  if not first then return end
  message.function_call, message.tool_calls = first["function"], nil
end

local function finish_of(call, finish)
  if finish == "tool_calls" and call.request.old_functions then return "function_call" end
  return FINISHES[finish] or "stop"
end

-- A whole answer.
---@param call moongate.call
---@param reply moongate.chat_reply
---@return string
function answer.reply(call, reply)
  local choices = {}
  for index, choice in ipairs(reply.choices) do
    local message = openai_chat.message(choice.blocks)
    if message.refusal == nil then message.refusal = json.null end
    if call.request.old_functions then as_old_call(message) end
    choices[index] = {
      index = index - 1, message = message, finish_reason = finish_of(call, choice.finish),
      logprobs = choice.logprobs or json.null,
    }
  end
  local body = frame(call, "chat.completion", fitting_id(reply.id))
  body.choices, body.usage = json.array(choices), answer.usage(reply.usage)
  return json.encode(body)
end

-- ---- streams ----

---@class moongate.openai_writer
---@field call moongate.call
---@field usage moongate.usage|nil what is known so far, set by the relay
---@field begun table<integer, boolean> choices whose role is told
---@field done table<integer, boolean> choices whose finish is told
---@field thoughts table<integer, string[]> what a signature would belong to
---@field like table|nil an event of the provider's stream that it joined
local writer = {}
writer.__index = writer

---@param call moongate.call
---@return moongate.openai_writer
function answer.writer(call)
  return setmetatable({ call = call, begun = {}, done = {}, thoughts = {} }, writer)
end

-- Goes on with a stream that the provider has begun.
---@param begun moongate.begun
function writer:join(begun)
  self.id, self.like = begun.held.id, begun.held
  for index = 0, begun.choices - 1 do self.begun[index] = true end
end

function writer:chunk(index, delta, finish, logprobs)
  local body = frame(self.call, "chat.completion.chunk", self.id, self.like)
  local choice = { index = index, delta = delta, finish_reason = finish or json.null, logprobs = logprobs }
  body.choices = json.array { choice }
  if self.call.request.include_usage then body.usage = json.null end
  return "data: " .. json.encode(body) .. "\n\n"
end

-- A chunk of a choice, after the one that tells its role.
function writer:say(event, delta)
  local index = event.index or 0
  local before = ""
  if not self.begun[index] then
    self.begun[index] = true
    before = self:chunk(index, { role = "assistant", content = "" })
  end
  return before .. self:chunk(index, delta, nil, event.logprobs)
end

local EVENTS = {}

function EVENTS.start(self, event)
  self.id = fitting_id(event.id)
  return ""
end

function EVENTS.text(self, event) return self:say(event, { content = event.text }) end

function EVENTS.refusal(self, event) return self:say(event, { refusal = event.text }) end

function EVENTS.thinking(self, event)
  local index = event.index or 0
  self.thoughts[index] = self.thoughts[index] or {}
  table.insert(self.thoughts[index], event.text)
  return self:say(event, { reasoning_content = event.text })
end

function EVENTS.signature(self, event)
  local index = event.index or 0
  local block = openai_chat.thinking_block {
    kind = "thinking", text = table.concat(self.thoughts[index] or {}), signature = event.signature,
    origin = event.origin,
  }
  self.thoughts[index] = nil
  return self:say(event, { thinking_blocks = json.array { block } })
end

function EVENTS.redacted(self, event)
  return self:say(event, { thinking_blocks = json.array { openai_chat.thinking_block(event) } })
end

function EVENTS.tool(self, event)
  if self.call.request.old_functions then
    return self:say(event, { function_call = { name = event.name, arguments = "" } })
  end
  local call = openai_chat.tool_call({
    id = event.id, name = event.name, arguments = "", signature = event.signature, origin = event.origin,
  }, true)
  call.index = event.call
  return self:say(event, { tool_calls = json.array { call } })
end

function EVENTS.arguments(self, event)
  if self.call.request.old_functions then return self:say(event, { function_call = { arguments = event.text } }) end
  return self:say(event, {
    tool_calls = json.array { { index = event.call, ["function"] = { arguments = event.text } } },
  })
end

function EVENTS.image(self, event)
  local image = { type = "image_url", image_url = { url = chat.as_url(event, "image/png") } }
  return self:say(event, { images = json.array { image } })
end

function EVENTS.finish(self, event)
  local index = event.index or 0
  if self.done[index] then return "" end
  self.done[index] = true
  local before = ""
  if not self.begun[index] then
    self.begun[index] = true
    before = self:chunk(index, { role = "assistant", content = "" })
  end
  return before .. self:chunk(index, {}, finish_of(self.call, event.finish))
end

function EVENTS.ping() return ": ping\n\n" end

---@param event moongate.chat_event
---@return string
function writer:event(event)
  local write = EVENTS[event.kind]
  return write and write(self, event) or ""
end

-- What ends the stream.
---@param usage moongate.usage|nil
---@return string
function writer:finish(usage)
  local parts = {}
  if next(self.begun) == nil then parts[1] = self:event { kind = "finish", finish = "stop" } end
  for index in pairs(self.begun) do
    if not self.done[index] then parts[#parts + 1] = self:event { kind = "finish", finish = "stop", index = index } end
  end
  usage = usage or self.usage
  if self.call.request.include_usage and usage then
    local body = frame(self.call, "chat.completion.chunk", self.id, self.like)
    body.choices, body.usage = json.array {}, answer.usage(usage)
    parts[#parts + 1] = "data: " .. json.encode(body) .. "\n\n"
  end
  parts[#parts + 1] = "data: [DONE]\n\n"
  return table.concat(parts)
end

-- ---- embeddings ----

-- The answer to an embeddings call, as numbers or packed, as the caller asked.
---@param call moongate.call
---@param reply moongate.embedding_reply
---@return string
function answer.vectors(call, reply)
  local data = {}
  for index, numbers in ipairs(reply.vectors) do
    data[index] = {
      object = "embedding", index = index - 1,
      embedding = call.request.packed and vector.pack(numbers) or json.array(numbers),
    }
  end
  local usage = reply.usage
  local prompt = usage and usage.input + usage.cached + usage.cache_write
    or call.request.estimated_tokens or 0
  return json.encode {
    object = "list", data = json.array(data), model = answer.model(call),
    usage = { prompt_tokens = prompt, total_tokens = usage and math.max(usage.total, prompt) or prompt },
  }
end

return answer
