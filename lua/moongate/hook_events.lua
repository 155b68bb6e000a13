-- How the hooks are asked about a stream, whatever it is made of: moongate.hook_stream asks of a provider's own events,
-- moongate.interpreter of neutral ones.
local views = require "moongate.hook_views"

local hook_events = {}

local MOST_HELD_BYTES = 16 * 1024 * 1024

local function ask_event(fn, req, facts) fn(req, views.event(facts)) end

local function ask_response(fn, req, facts) fn(req, views.response(facts)) end

-- One event's facts through all hooks; each sees what the one before it made of them. Answers the act that ends it all.
---@param run moongate.hooks
---@param facts table
---@return moongate.act|nil
function hook_events.ask(run, facts)
  for entry in run:with "event" do
    local seen = {}
    for name, value in pairs(facts) do seen[name] = value end
    local fine, _, act = run:step(entry, "event", ask_event, seen)
    if fine then facts.text, facts.reasoning = seen.text, seen.reasoning end
    if act then return act end
  end
  return nil
end

-- Counts what is held back; an act when it is too much.
---@param stream { bytes: integer }
---@param bytes integer
---@return moongate.act|nil
function hook_events.hold(stream, bytes)
  stream.bytes = stream.bytes + bytes
  if stream.bytes <= MOST_HELD_BYTES then return nil end
  return { refusal = { status = 502, message = "the answer is too long to be looked at as a whole" } }
end

-- The choices that were begun and whose end has not been shown, in their order.
---@param stream { open: table<integer, boolean>, ended: table<integer, boolean> }
---@return integer[]
function hook_events.unfinished(stream)
  local list = {}
  for index in pairs(stream.open) do
    if not stream.ended[index] then list[#list + 1] = index end
  end
  table.sort(list)
  return list
end

-- What hooks still say to choices whose end the provider did not mark.
---@param stream { run: moongate.hooks, open: table<integer, boolean>, ended: table<integer, boolean> }
---@return { index: integer, text: string }[]|nil
---@return moongate.act|nil
function hook_events.last_words(stream)
  local words = {}
  for _, index in ipairs(hook_events.unfinished(stream)) do
    local facts = { kind = "end", text = "", index = index, last = true }
    local act = hook_events.ask(stream.run, facts)
    if act then return nil, act end
    if facts.text ~= "" then words[#words + 1] = { index = index, text = facts.text } end
  end
  return words
end

-- The whole of what was held, through the hooks that wait for it.
---@param run moongate.hooks
---@param read fun(): table<integer, { text: string, reasoning: string }>, integer[] the texts by choice, and its order
---@param put fun(index: integer, name: "text"|"reasoning", text: string)
---@return moongate.act|nil
function hook_events.whole(run, read, put)
  for entry in run:with "response" do
    local texts, order = {}, {}
    if not entry.policy.event then texts, order = read() end
    for _, index in ipairs(order) do
      local said = texts[index]
      local reasoning = said.reasoning ~= "" and said.reasoning or nil
      local facts = { text = said.text, index = index, stream = true, status = 200, reasoning = reasoning }
      local fine, _, act = run:step(entry, "response", ask_response, facts)
      if act then return act end
      if not fine then break end
      if facts.text ~= said.text then put(index, "text", facts.text) end
      if facts.reasoning and facts.reasoning ~= said.reasoning then put(index, "reasoning", facts.reasoning) end
    end
  end
  return nil
end

return hook_events
