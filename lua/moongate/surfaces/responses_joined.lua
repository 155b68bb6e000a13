-- Reads what a provider's stream of the Responses API has shown so far into the writer that is to end it: the response,
-- its items, and which of them are open.
local json = require "moongate.core.json"

local joined = {}

-- Kinds of parts, as the writer knows them.
local KINDS = { output_text = "text", refusal = "refusal", summary_text = "thinking" }

local function object(value) return type(value) == "table" and value or {} end

local function place_of(event) return type(event.output_index) == "number" and event.output_index or 0 end

local function list_of(item, name)
  if type(item[name]) ~= "table" then item[name] = json.array {} end
end

-- Where a text belongs: to the part that is open, or to the call begun last.
local function add(writer, text)
  local open, call = writer.open, writer.latest
  if open and open.kind then
    open.text[#open.text + 1] = text
  elseif call then
    call.text[#call.text + 1] = text
  end
end

local function begin_part(writer, event)
  local open = writer.open
  if not open then return end
  open.kind, open.text = KINDS[object(event.part).type], {}
end

local function end_part(writer, event)
  local open = writer.open
  if not open or not open.kind then return end
  table.insert(open.item[open.kind == "thinking" and "summary" or "content"], event.part)
  open.kind = nil
end

local EVENTS = {
  ["response.content_part.added"] = begin_part, ["response.reasoning_summary_part.added"] = begin_part,
  ["response.content_part.done"] = end_part, ["response.reasoning_summary_part.done"] = end_part,
}

EVENTS["response.created"] = function(writer, event)
  writer.begun = true
  if type(event.response) == "table" then writer.response = event.response end
end

EVENTS["response.output_item.added"] = function(writer, event)
  local item, place = object(event.item), place_of(event)
  writer.output[place + 1] = item
  writer.open, writer.latest = nil, nil
  if item.type == "function_call" then
    writer.latest = { item = item, place = place, text = {} }
    writer.calls[place] = writer.latest
  elseif item.type == "message" or item.type == "reasoning" then
    list_of(item, item.type == "message" and "content" or "summary")
    writer.open = { item = item, place = place }
  end
end

EVENTS["response.output_item.done"] = function(writer, event)
  local place = place_of(event)
  writer.output[place + 1], writer.calls[place] = object(event.item), nil
  if writer.open and writer.open.place == place then writer.open = nil end
  if writer.latest and writer.latest.place == place then writer.latest = nil end
end

-- Puts the writer where the stream is.
---@param writer moongate.responses_writer
---@param begun moongate.begun
function joined.read(writer, begun)
  for _, event in ipairs(begun.shown) do
    if type(event) == "string" then
      add(writer, event)
    elseif type(event) == "table" then
      if EVENTS[event.type] then EVENTS[event.type](writer, event) end
      if type(event.delta) == "string" then add(writer, event.delta) end
    end
  end
  writer.begun = true
  local number = begun.held.sequence_number
  writer.number = type(number) == "number" and number or #begun.shown
end

return joined
