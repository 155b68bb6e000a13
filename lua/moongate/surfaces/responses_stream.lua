-- Writes the neutral answer as the events of OpenAI's Responses API: numbered without a gap, every item and part begun
-- and done once, and at the end the response as a whole. Calls stay open to the end, for their arguments may come in
-- any order; of all else one item is open at a time.
local answer = require "moongate.surfaces.responses_answer"
local joined = require "moongate.surfaces.responses_joined"
local json = require "moongate.core.json"

---@class moongate.responses_writer
---@field call moongate.call
---@field usage moongate.usage|nil what is known so far, set by the relay
---@field number integer the next event's
---@field output table[] the items, as they will be in the end
---@field open table|nil { item, place, part, kind, text } what takes text now
---@field calls table<integer, table> { item, place, text } by number
---@field out string[] what is to go out
---@field response table|nil the response as the provider began it, where its stream was joined
local writer = {}
writer.__index = writer

---@param call moongate.call
---@return moongate.responses_writer
function writer.new(call)
  return setmetatable({ call = call, number = 0, output = {}, calls = {}, out = {} }, writer)
end

-- Goes on with a stream that the provider has begun.
writer.join = joined.read

function writer:emit(kind, fields)
  fields.type, fields.sequence_number = kind, self.number
  self.number = self.number + 1
  self.out[#self.out + 1] = "event: " .. kind .. "\ndata: " .. json.encode(fields) .. "\n\n"
end

function writer:take()
  local text = table.concat(self.out)
  self.out = {}
  return text
end

function writer:begin()
  if self.begun then return end
  self.begun = true
  local response = answer.frame(self.call, "in_progress")
  self:emit("response.created", { response = response })
  self:emit("response.in_progress", { response = response })
end

-- A new item of the output.
function writer:add(item)
  local place = #self.output
  self.output[place + 1] = item
  self:emit("response.output_item.added", { output_index = place, item = item })
  return place
end

function writer:done(item, place)
  self:emit("response.output_item.done", { output_index = place, item = item })
end

-- ---- text, refusals and thoughts: items with parts ----

-- How a part of each kind is begun, said and done: names of events, and what they call the part.
local KINDS = {
  text = {
    item = "message", prefix = "msg", list = "content", index = "content_index", field = "text",
    added = "response.content_part.added", ended = "response.content_part.done",
    delta = "response.output_text.delta", done = "response.output_text.done",
    part = function(text)
      return { type = "output_text", text = text, annotations = json.array {}, logprobs = json.array {} }
    end,
  },
  refusal = {
    item = "message", prefix = "msg", list = "content", index = "content_index", field = "refusal",
    added = "response.content_part.added", ended = "response.content_part.done",
    delta = "response.refusal.delta", done = "response.refusal.done",
    part = function(text) return { type = "refusal", refusal = text } end,
  },
  thinking = {
    item = "reasoning", prefix = "rs", list = "summary", index = "summary_index", field = "text",
    added = "response.reasoning_summary_part.added", ended = "response.reasoning_summary_part.done",
    delta = "response.reasoning_summary_text.delta", done = "response.reasoning_summary_text.done",
    part = function(text) return { type = "summary_text", text = text } end,
  },
}

-- Fields that an event about the open part has.
function writer:about(open, kind, fields)
  fields.item_id, fields.output_index = open.item.id, open.place
  fields[kind.index] = #open.item[kind.list] -- it joins them when it is done
  return fields
end

function writer:close_part()
  local open = self.open
  if not open or not open.kind then return end
  local kind, text = KINDS[open.kind], table.concat(open.text)
  local part = kind.part(text)
  local told = self:about(open, kind, { [kind.field] = text })
  if open.kind == "text" then told.logprobs = json.array {} end
  self:emit(kind.done, told)
  self:emit(kind.ended, self:about(open, kind, { part = part }))
  table.insert(open.item[kind.list], part)
  open.kind = nil
end

function writer:close(status)
  local open = self.open
  if not open then return end
  self:close_part()
  if open.item.status then open.item.status = status or "completed" end
  self:done(open.item, open.place)
  self.open = nil
end

function writer:open_item(name, prefix)
  if self.open and self.open.item.type == name then return self.open end
  self:close()
  local item = { type = name, id = answer.item_id(self.call, prefix, #self.output) }
  if name == "message" then
    item.role, item.status, item.content = "assistant", "in_progress", json.array {}
  else
    item.summary = json.array {}
  end
  self.open = { item = item, place = self:add(item) }
  return self.open
end

function writer:say(name, text)
  if text == "" then return end
  local kind = KINDS[name]
  local open = self:open_item(kind.item, kind.prefix)
  if open.kind ~= name then
    self:close_part()
    open.kind, open.text = name, {}
    self:emit(kind.added, self:about(open, kind, { part = kind.part "" }))
  end
  open.text[#open.text + 1] = text
  local told = self:about(open, kind, { delta = text })
  if name == "text" then told.logprobs = json.array {} end
  self:emit(kind.delta, told)
end

-- ---- events ----

local EVENTS = {}

function EVENTS.start() end

function EVENTS.text(self, event) self:say("text", event.text) end

function EVENTS.refusal(self, event) self:say("refusal", event.text) end

function EVENTS.thinking(self, event) self:say("thinking", event.text) end

function EVENTS.signature(self, event)
  local open = self:open_item("reasoning", "rs")
  open.item.encrypted_content = answer.seal {
    kind = "thinking", signature = event.signature, origin = event.origin,
  }
  self:close()
end

function EVENTS.redacted(self, event)
  self:close()
  local open = self:open_item("reasoning", "rs")
  open.item.encrypted_content = answer.seal(event)
  self:close()
end

function EVENTS.tool(self, event)
  self:close()
  local item = answer.function_call(self.call, #self.output, {
    id = event.id, name = event.name, arguments = "", signature = event.signature, origin = event.origin,
  }, "in_progress")
  self.calls[event.call] = { item = item, place = self:add(item), text = {} }
end

function EVENTS.arguments(self, event)
  local call = self.calls[event.call]
  if not call or event.text == "" then return end
  call.text[#call.text + 1] = event.text
  self:emit("response.function_call_arguments.delta", {
    item_id = call.item.id, output_index = call.place, delta = event.text,
  })
end

function EVENTS.image(self, event)
  self:close()
  local item = {
    type = "image_generation_call", id = answer.item_id(self.call, "ig", #self.output), status = "in_progress",
    result = json.null,
  }
  local place = self:add(item)
  item.status, item.result = "completed", event.data
  self:done(item, place)
end

function EVENTS.finish(self, event) self.ended = self.ended or event.finish end

---@param event moongate.chat_event
---@return string
function writer:event(event)
  local write = EVENTS[event.kind]
  -- There is one answer; of others nothing is told.
  if (event.index or 0) > 0 then return "" end
  if event.kind == "ping" then return self.begun and ": ping\n\n" or "" end
  if not write then return "" end
  self:begin()
  write(self, event)
  return self:take()
end

function writer:close_calls(status)
  local calls = {}
  for _, call in pairs(self.calls) do calls[#calls + 1] = call end
  table.sort(calls, function(left, right) return left.place < right.place end)
  for _, call in ipairs(calls) do
    local text = #call.text > 0 and table.concat(call.text) or "{}"
    call.item.arguments, call.item.status = text, status
    self:emit("response.function_call_arguments.done", {
      item_id = call.item.id, output_index = call.place, arguments = text, name = call.item.name,
    })
    self:done(call.item, call.place)
  end
  self.calls = {}
end

-- What ends the stream.
---@param usage moongate.usage|nil
---@return string
function writer:finish(usage)
  self:begin()
  local status, details = answer.ending(self.ended)
  self:close(status)
  self:close_calls(status)
  local response = self.response or answer.frame(self.call, status)
  response.status = status
  response.output, response.incomplete_details = json.array(self.output), details
  response.usage = answer.usage(usage or self.usage)
  self:emit("response." .. status, { response = response })
  return self:take()
end

-- What ends a stream that has failed: the error, and the response as far as it came.
---@param code string
---@param message string
---@param param string|nil
---@return string
function writer:fail(code, message, param)
  self:begin()
  self:emit("error", { code = code, message = message, param = param or json.null })
  local response = answer.frame(self.call, "failed")
  response.output, response.error = json.array(self.output), { code = code, message = message }
  self:emit("response.failed", { response = response })
  return self:take()
end

return writer
