-- A stream on its way through the hooks: event after event, and, for hooks that look at whole responses only, held back
-- until its end. Gives back the bytes that may go out. Only where both sides speak OpenAI's format: what hooks leave
-- alone goes on byte for byte then. Other streams go through moongate.interpreter.
local completion = require "moongate.completion"
local hook_events = require "moongate.hook_events"
local hooks = require "moongate.hooks"
local json = require "moongate.core.json"

local hook_stream = {}

---@class moongate.hook_stream
---@field run moongate.hooks
---@field like table|nil an event of the stream, for those that are added to it
---@field ended table<integer, boolean> choices whose last event has been shown
---@field open table<integer, boolean> choices begun
---@field held table[]|nil { name, data, raw } of what waits for the end
---@field bytes integer
local stream = {}
stream.__index = stream

---@param call moongate.call
---@return moongate.hook_stream
function hook_stream.new(call)
  local run = call.hooks
  return setmetatable({
    run = run, ended = {}, open = { [0] = true }, held = run.has.whole and {} or nil, bytes = 0,
  }, stream)
end

local function is_text(value) return type(value) == "string" and value ~= "" end

-- One choice of an event; true when its text was changed. Its second result is an act.
function stream:choice(choice, kind, data)
  local delta = type(choice.delta) == "table" and choice.delta or {}
  local index = type(choice.index) == "number" and choice.index or 0
  local field = hooks.reasoning_field(delta)
  local finish = is_text(choice.finish_reason) and choice.finish_reason or nil
  local facts = {
    kind = finish and "finish" or kind, text = hooks.text_of(delta, "content") or "", index = index, data = data,
    reasoning = hooks.text_of(delta, field), last = finish ~= nil and not self.ended[index], finish = finish,
  }
  self.open[index] = true
  if finish then self.ended[index] = true end
  local text, reasoning = facts.text, facts.reasoning
  local act = hook_events.ask(self.run, facts)
  if act then return false, act end
  local changed = facts.text ~= text or facts.reasoning ~= reasoning
  if facts.text ~= text then delta.content = facts.text end
  if facts.reasoning ~= reasoning then delta[field] = facts.reasoning end
  if changed then choice.delta = delta end
  return changed
end

local function framed(event, data)
  local name = is_text(event.name) and "event: " .. event.name .. "\n" or ""
  return name .. "data: " .. data .. "\n\n"
end

-- What goes out of it now: all of it, or nothing while it is held.
function stream:give(event, data, raw)
  if not self.held then return raw end
  self.held[#self.held + 1] = { name = event.name, data = data, raw = raw }
  local act = hook_events.hold(self, #raw)
  return not act and "" or nil, act
end

-- An event as protocol.read_event reads it. Answers what goes out, or nil and an act.
---@param event table { name, data, raw }
---@param read table
---@return string|nil
---@return moongate.act|nil
function stream:event(event, read)
  local data = event.data
  local hidden = read.kind == "usage" and not self.run.call.request.include_usage
  if read.kind == "end" or hidden then return "" end
  local document = data and json.decode(data)
  if type(document) ~= "table" then return self:give(event, nil, event.raw) end
  local choices = type(document.choices) == "table" and document.choices or {}
  if #choices == 0 then
    local act = hook_events.ask(self.run, { kind = read.kind, data = data, last = false })
    if act then return nil, act end
    return self:give(event, data, event.raw)
  end
  local changed = false
  for _, choice in ipairs(choices) do
    if type(choice) == "table" then
      local own, act = self:choice(choice, read.kind, data)
      if act then return nil, act end
      changed = changed or own
    end
  end
  self.like = document
  if not changed then return self:give(event, data, event.raw) end
  data = json.encode(document)
  return self:give(event, data, framed(event, data))
end

-- What came before the first content: as it is.
---@param held table[]
---@return string
function stream:begin(held)
  local parts = {}
  for _, event in ipairs(held) do
    -- The usage of a caller who did not ask for it is not handed on.
    if event.read.kind ~= "usage" or self.run.call.request.include_usage then parts[#parts + 1] = event.raw end
  end
  return table.concat(parts)
end

-- The last word of each choice whose end the provider did not mark.
function stream:last_words()
  local words, act = hook_events.last_words(self)
  if not words then return nil, act end
  local parts = {}
  for i, word in ipairs(words) do
    local raw = completion.chunk(self.run.call, word.text, nil, word.index, self.like)
    parts[i], act = self:give({ name = "" }, string.match(raw, "^data: (.*)\n\n$"), raw)
    if act then return nil, act end
  end
  return table.concat(parts)
end

local function choices_of(document)
  return type(document) == "table" and type(document.choices) == "table" and document.choices or {}
end

-- What the held events say, by choice.
local function texts_of(held)
  local texts, order = {}, {}
  for _, event in ipairs(held) do
    local document = event.data and json.decode(event.data)
    for _, choice in ipairs(choices_of(document)) do
      local index = type(choice) == "table" and type(choice.index) == "number" and choice.index or 0
      local delta = type(choice) == "table" and type(choice.delta) == "table" and choice.delta or {}
      if not texts[index] then
        texts[index] = { text = {}, reasoning = {} }
        order[#order + 1] = index
      end
      table.insert(texts[index].text, hooks.text_of(delta, "content"))
      table.insert(texts[index].reasoning, hooks.text_of(delta, hooks.reasoning_field(delta)))
    end
  end
  for _, index in ipairs(order) do
    texts[index].text, texts[index].reasoning = table.concat(texts[index].text), table.concat(texts[index].reasoning)
  end
  return texts, order
end

-- Puts a choice's new text into its first event, and takes it out of the others.
local function put(held, index, name, text)
  local place
  for _, event in ipairs(held) do
    local document = event.data and json.decode(event.data)
    local touched = false
    for _, choice in ipairs(choices_of(document)) do
      local delta = type(choice) == "table" and (choice.index or 0) == index and choice.delta
      if type(delta) == "table" then
        local field = name == "text" and "content" or hooks.reasoning_field(delta)
        if not place or hooks.text_of(delta, field) then
          delta[field], place, touched = place and "" or text, true, true
        end
      end
    end
    if touched then
      event.data = json.encode(document)
      event.raw = framed(event, event.data)
    end
  end
end

-- The whole of what was held, through the hooks that wait for it.
function stream:whole()
  local act = hook_events.whole(self.run, function() return texts_of(self.held) end,
    function(index, name, text) put(self.held, index, name, text) end)
  if act then return nil, act end
  local parts = {}
  for i, event in ipairs(self.held) do parts[i] = event.raw end
  return table.concat(parts)
end

-- The stream has come to a good end: what is left to go out before its terminal event, or nil and an act.
---@return string|nil
---@return moongate.act|nil
function stream:finish()
  local words, act = self:last_words()
  if not words then return nil, act end
  if not self.held then return words end
  return self:whole()
end

-- The answer ends here, as if it had reached its longest: what is left to go out, or nil and an act.
---@return string|nil
---@return moongate.act|nil
function stream:cut()
  local words, act = self:last_words()
  if not words then return nil, act end
  local parts = { words }
  for _, index in ipairs(hook_events.unfinished(self)) do
    local raw = completion.chunk(self.run.call, nil, "length", index, self.like)
    parts[#parts + 1], act = self:give({ name = "" }, string.match(raw, "^data: (.*)\n\n$"), raw)
    if act then return nil, act end
  end
  if self.held then return self:whole() end
  return table.concat(parts)
end

-- A text that is said instead of the rest.
---@param text string
---@return string
function stream:instead(text)
  return completion.events(self.run.call, text, self.like)
end

-- The last bytes: the provider's own, or, where the stream was ended before them, those that must be there.
---@param seen table
---@param usage moongate.usage|nil
---@return string
function stream:terminal(seen, usage)
  if seen.cut then return completion.ending(self.run.call, usage, self.like) end
  return seen.terminal_raw or seen.replaced and completion.terminal or ""
end

return hook_stream
