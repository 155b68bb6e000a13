-- The end of a stream that was piped and is ended by the gateway in the middle: what the caller's format says of an
-- answer that has reached its longest, as a part of what the provider has begun.
local json = require "moongate.core.json"
local requests = require "moongate.surfaces.requests"
local translation = require "moongate.translation"

local cut_off = {}

-- How many choices the caller asked for. Of OpenAI's format without reading all of the request.
local function choices_of(call)
  if call.choices then return call.choices end
  if translation.format(call) == "openai" then return requests.value(call.document, "n") or 1 end
  local neutral = translation.neutral(call)
  return neutral and neutral.n or 1
end

-- Keeps what an ending needs of the request's body, so that the body can go. False: it has to stay.
---@param call moongate.call
---@return boolean
function cut_off.prepare(call)
  if translation.format(call) ~= "openai" then return false end
  call.choices = choices_of(call)
  return true
end

-- What went out, as far as it was kept: events, and texts for those that were nothing else.
local function shown(answer, seen)
  local list = {}
  local function add(data) list[#list + 1] = data and json.decode(data) end
  for _, event in ipairs(answer.held) do add(event.data) end
  if not seen.is_first then add(answer.event.data) end
  for line in string.gmatch(seen.kept or "", "[^\n]+") do add(line) end
  return list
end

---@class moongate.begun what a writer joins: see surface.writer
---@field shown (table|string)[] what the provider's stream has shown, as far as it was kept; runs of text as strings
---@field held table the event that was to come next
---@field choices integer

-- The last bytes: an error where the format's own end would have to repeat more than is kept.
---@param call moongate.call
---@param answer table
---@param seen { held: string, kept: string|nil, overfull: boolean|nil, is_first: boolean|nil } what the pipe has seen
---@param usage moongate.usage
---@return string
function cut_off.ending(call, answer, seen, usage)
  if seen.overfull then
    return call.surface.error_event(429, "the answer ends here: a limit of its caller is used up")
  end
  local writer, choices, parts = call.surface.writer(call), choices_of(call), {}
  local held = json.decode(seen.held)
  writer:join { shown = shown(answer, seen), held = type(held) == "table" and held or {}, choices = choices }
  for index = 0, choices - 1 do
    parts[#parts + 1] = writer:event { kind = "finish", finish = "length", index = index }
  end
  return table.concat(parts) .. writer:finish(usage)
end

return cut_off
