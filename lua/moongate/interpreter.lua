-- A stream on its way from a provider's format to the caller's: each event is read into what it says and written anew.
-- Where hooks look at streams, they see it in between: event after event, and, for hooks that look at whole responses
-- only, held back until its end. Gives back the bytes that may go out. See moongate.hook_stream for the other way.
local views = require "moongate.hook_views"

local interpreter = {}

local MOST_HELD_BYTES = 16 * 1024 * 1024

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

local function ask_event(fn, req, facts) fn(req, views.event(facts)) end

-- One event's facts through all hooks; each sees what the one before it made of them. Answers the act that ends it all.
local function ask(run, facts)
  for entry in run:with "event" do
    local seen = {}
    for name, value in pairs(facts) do seen[name] = value end
    local fine, _, act = run:step(entry, "event", ask_event, seen)
    if fine then facts.text, facts.reasoning = seen.text, seen.reasoning end
    if act then return act end
  end
  return nil
end

local SHOWN = { text = "text", thinking = "reasoning" }

-- One event through the hooks, into list; what ends it all is answered.
function stream:show(event, data, list)
  local index, field = event.index or 0, SHOWN[event.kind]
  self.open[index] = true
  if event.kind == "finish" then
    local facts = { kind = "finish", text = "", index = index, data = data, last = not self.ended[index],
      finish = event.finish }
    self.ended[index] = true
    local act = ask(self.run, facts)
    if act then return act end
    if facts.text ~= "" then list[#list + 1] = { kind = "text", text = facts.text, index = index } end
  elseif field then
    local facts = { kind = "content", index = index, data = data, last = false, text = "" }
    facts[field] = event.text
    local act = ask(self.run, facts)
    if act then return act end
    event.text = facts[field]
  end
  list[#list + 1] = event
  return nil
end

function stream:write(events)
  local parts = {}
  for i, event in ipairs(events) do parts[i] = self.writer:event(event) end
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
  self.bytes = self.bytes + #event.raw
  if self.bytes > MOST_HELD_BYTES then
    return nil, { refusal = { status = 502, message = "the answer is too long to be looked at as a whole" } }
  end
  return ""
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

local function ask_response(fn, req, facts) fn(req, views.response(facts)) end

-- The whole of what was held, through the hooks that wait for it.
function stream:whole()
  for entry in self.run:with "response" do
    if not entry.policy.event then
      for index in pairs(self.open) do
        local text, reasoning = said(self.held, "text", index), said(self.held, "thinking", index)
        local facts = {
          text = text, index = index, stream = true, status = 200, reasoning = reasoning ~= "" and reasoning or nil,
        }
        local fine, _, act = self.run:step(entry, "response", ask_response, facts)
        if act then return nil, act end
        if not fine then break end
        if facts.text ~= text then put(self.held, "text", index, facts.text) end
        if facts.reasoning and facts.reasoning ~= reasoning then put(self.held, "thinking", index, facts.reasoning) end
      end
    end
  end
  return self:write(self.held)
end

-- The stream has come to a good end: what is left to go out before its terminal event, or nil and an act.
---@return string|nil
---@return moongate.act|nil
function stream:finish()
  if not self.run then return "" end
  local words = {}
  for index in pairs(self.open) do
    if not self.ended[index] then
      local facts = { kind = "end", text = "", index = index, last = true }
      local act = ask(self.run, facts)
      if act then return nil, act end
      if facts.text ~= "" then words[#words + 1] = { kind = "text", text = facts.text, index = index } end
    end
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
