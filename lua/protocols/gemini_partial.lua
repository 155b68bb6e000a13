-- Arguments of a call that come in pieces (`partialArgs`): each names a place ("$.items[0].name") and what to put or to
-- add there. Puts them together; what makes no sense is passed over.
local json = require "moongate.core.json"

local gemini_partial = {}

local MOST_STEPS, LARGEST_PLACE = 100, 100000

---@class moongate.gemini_partial
---@field root table
local pieces = {}
pieces.__index = pieces

---@param args table|nil what came at once
---@return moongate.gemini_partial
function gemini_partial.new(args)
  return setmetatable({ root = args or {} }, pieces)
end

-- "$.a[0]['b']" as { "a", 1, "b" }; nil for what is no such path.
local function steps_of(path)
  if type(path) ~= "string" or string.sub(path, 1, 1) ~= "$" then return nil end
  local steps, at = {}, 2
  while at <= #path do
    local from, to, name = string.find(path, "^%.([^.%[]+)", at)
    if not from then from, to, name = string.find(path, "^%[(%d+)%]", at) end
    if from and string.sub(path, at, at) == "[" then name = tonumber(name) + 1 end
    if not from then from, to, name = string.find(path, "^%['([^']*)'%]", at) end
    if not from then from, to, name = string.find(path, '^%["([^"]*)"%]', at) end
    if not from or #steps == MOST_STEPS then return nil end
    steps[#steps + 1], at = name, to + 1
  end
  return #steps > 0 and steps or nil
end

local function value_of(piece)
  if type(piece.stringValue) == "string" then return piece.stringValue end
  if type(piece.numberValue) == "number" then return piece.numberValue end
  if type(piece.boolValue) == "boolean" then return piece.boolValue end
  if piece.nullValue ~= nil then return json.null end
  return nil
end

-- Lists are filled in order, without holes.
local function fits(place, step)
  if type(step) ~= "number" then return not json.is_array(place) end
  return (json.is_array(place) or next(place) == nil) and step <= #place + 1 and step <= LARGEST_PLACE
end

local function put(root, steps, value)
  local place = root
  for i = 1, #steps - 1 do
    local step = steps[i]
    if not fits(place, step) then return end
    if type(place[step]) ~= "table" then place[step] = type(steps[i + 1]) == "number" and json.array {} or {} end
    place = place[step]
  end
  local last = steps[#steps]
  if not fits(place, last) then return end
  local before = place[last]
  place[last] = type(before) == "string" and type(value) == "string" and before .. value or value
end

---@param list table[]
function pieces:add(list)
  for _, piece in ipairs(list) do
    local steps = type(piece) == "table" and steps_of(piece.jsonPath)
    local value = steps and value_of(piece)
    if value ~= nil and value ~= false or (steps and piece.boolValue == false) then put(self.root, steps, value) end
  end
end

---@return table
function pieces:value() return self.root end

return gemini_partial
