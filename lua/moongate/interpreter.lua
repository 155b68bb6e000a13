-- A stream on its way from a provider's format to the caller's: each event is read into what it says and written anew.
-- Where hooks look at streams, they see it in between: event after event, and, for hooks that look at whole responses
-- only, held back until its end. Gives back the bytes that may go out. See moongate.hook_stream for the other way.
local hook_events = require "moongate.hook_events"

local interpreter = {}

---@class moongate.interpreter
---@field run moongate.hooks|nil
---@field read fun(event: table): moongate.chat_event[]|nil, table|nil the events, or what the protocol fails with
---@field writer table
---@field ended table<integer, boolean> choices whose last event has been shown
---@field open table<integer, boolean> choices begun
---@field held moongate.chat_event[]|nil what waits for the end
---@field bytes integer
local stream = {}
stream.__index = stream

---@param call moongate.call
---@param answer table
---@return moongate.interpreter
function interpreter.new(call, answer)
  local run = call.hooks and (call.hooks.has.event or call.hooks.has.response) and call.hooks or nil
  return setmetatable({
    run = run, read = answer.protocol.reader(), writer = call.surface.writer(call), ended = {}, open = { [0] = true },
    held = run and run.has.whole and {} or nil, bytes = 0,
  }, stream)
end

local SHOWN = { text = "text", thinking = "reasoning" }
local KINDS = { text = "text", reasoning = "thinking" }

-- One event through the hooks, into list; what ends it all is answered.
function stream:show(event, data, list)
  local index, field = event.index or 0, SHOWN[event.kind]
  self.open[index] = true
  if event.kind == "finish" then
    local facts = { kind = "finish", text = "", index = index, data = data, last = not self.ended[index],
      finish = event.finish }
    self.ended[index] = true
    local act = hook_events.ask(self.run, facts)
    if act then return act end
    if facts.text ~= "" then list[#list + 1] = { kind = "text", text = facts.text, index = index } end
  elseif field then
    local facts = { kind = "content", index = index, data = data, last = false, text = "" }
    facts[field] = event.text
    local act = hook_events.ask(self.run, facts)
    if act then return act end
    event.text = facts[field]
  end
  list[#list + 1] = event
  return nil
end

function stream:write(events)
  local parts = {}
  for i, event in ipairs(events) do
    self.open[event.index or 0] = true
    if event.kind == "finish" then self.ended[event.index or 0] = true end
    parts[i] = self.writer:event(event)
  end
  return table.concat(parts)
end

-- An event as protocol.read_event reads it. Answers what goes out, or nil and an act: a hook's, or { broken = error }.
---@param event table
---@param read table
---@param usage moongate.usage|nil what is known so far
---@return string|nil
---@return moongate.act|nil
function stream:event(event, read, usage)
  self.writer.usage = usage
  -- "[DONE]" says nothing; other last events may say how it ended.
  local events, broken = {}, nil
  if event.data and (event.document or read.kind ~= "end") then events, broken = self.read(event) end
  if not events then return nil, { broken = broken } end
  if not self.run then return self:write(events) end
  local shown = {}
  for _, each in ipairs(events) do
    local act = self:show(each, event.data, shown)
    if act then return nil, act end
  end
  if not self.held then return self:write(shown) end
  for _, each in ipairs(shown) do self.held[#self.held + 1] = each end
  local act = hook_events.hold(self, #event.raw)
  return not act and "" or nil, act
end

-- What came before the first content.
---@param held table[]
---@param usage moongate.usage|nil
---@return string|nil
---@return moongate.act|nil
function stream:begin(held, usage)
  local parts = {}
  for i, event in ipairs(held) do
    local text, act = self:event(event, event.read, usage)
    if not text then return nil, act end
    parts[i] = text
  end
  return table.concat(parts)
end

-- What the held events say of one choice.
local function said(held, kind, index)
  local parts = {}
  for _, event in ipairs(held) do
    if event.kind == kind and (event.index or 0) == index then parts[#parts + 1] = event.text end
  end
  return table.concat(parts)
end

-- Puts a choice's new text into the place of its first, and takes it out of the others.
local function put(held, kind, index, text)
  local place
  for i, event in ipairs(held) do
    if event.kind == kind and (event.index or 0) == index then
      held[i] = { kind = kind, index = event.index, text = place and "" or text }
      place = place or i
    end
  end
  if not place then table.insert(held, 1, { kind = kind, index = index, text = text }) end
end

-- The whole of what was held, through the hooks that wait for it.
function stream:whole()
  local function read()
    local texts, order = {}, {}
    for index in pairs(self.open) do
      texts[index] = { text = said(self.held, "text", index), reasoning = said(self.held, "thinking", index) }
      order[#order + 1] = index
    end
    return texts, order
  end
  local act = hook_events.whole(self.run, read, function(index, name, text)
    put(self.held, KINDS[name], index, text)
  end)
  if act then return nil, act end
  return self:write(self.held)
end

-- The stream has come to a good end: what is left to go out before its terminal event, or nil and an act.
---@return string|nil
---@return moongate.act|nil
function stream:finish()
  if not self.run then return "" end
  local words, act = hook_events.last_words(self)
  if not words then return nil, act end
  for _, word in ipairs(words) do word.kind = "text" end
  if not self.held then return self:write(words) end
  for _, event in ipairs(words) do self.held[#self.held + 1] = event end
  return self:whole()
end

-- The answer ends here, as if it had reached its longest: what is left to go out, or nil and an act.
---@return string|nil
---@return moongate.act|nil
function stream:cut()
  local words, act = {}, nil
  if self.run then words, act = hook_events.last_words(self) end
  if not words then return nil, act end
  for _, word in ipairs(words) do word.kind = "text" end
  for _, index in ipairs(hook_events.unfinished(self)) do
    words[#words + 1] = { kind = "finish", finish = "length", index = index }
  end
  if not self.held then return self:write(words) end
  for _, event in ipairs(words) do self.held[#self.held + 1] = event end
  return self:whole()
end

-- A text that is said instead of the rest.
---@param text string
---@return string
function stream:instead(text)
  return self:write { { kind = "text", text = text }, { kind = "finish", finish = "stop" } }
end

-- The last bytes.
---@param _ table what the stream has shown
---@param usage moongate.usage|nil
---@return string
function stream:terminal(_, usage)
  return self.writer:finish(usage)
end

return interpreter
