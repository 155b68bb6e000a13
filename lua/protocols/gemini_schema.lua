-- JSON Schema as Gemini's older fields take it: a subset of OpenAPI's, without references, unions of types, constants.
-- References are put in place, as far as they do not go in circles; what has no counterpart is left out and named. The
-- schema given is not changed.
local json = require "moongate.core.json"

local gemini_schema = {}

local DEEPEST = 100
-- References that are put in place many times over make a schema grow without end.
local MOST_NODES = 5000

local TYPES = {
  string = "STRING", number = "NUMBER", integer = "INTEGER", boolean = "BOOLEAN", array = "ARRAY", object = "OBJECT",
}
local FORMATS = {
  ["date-time"] = true, enum = true, int32 = true, int64 = true, float = true, double = true,
}
-- Kept as they are, where they are of that type.
local PLAIN = {
  title = "string", description = "string", nullable = "boolean", pattern = "string", minItems = "number",
  maxItems = "number", minimum = "number", maximum = "number", minLength = "number", maxLength = "number",
  minProperties = "number", maxProperties = "number",
}
-- Seen to elsewhere, or without a meaning that the model would miss.
local SILENT = {
  "type", "format", "enum", "const", "properties", "required", "propertyOrdering", "items", "prefixItems", "anyOf",
  "oneOf", "allOf", "$ref", "$defs", "definitions", "$schema", "$id", "$comment", "$anchor", "examples", "example",
  "default", "additionalProperties", "deprecated", "readOnly", "writeOnly",
}
local is_silent = {}
for _, name in ipairs(SILENT) do is_silent[name] = true end

local function object(value)
  return type(value) == "table" and not (json.is_array(value)) and value or nil
end

local function list(value)
  return type(value) == "table" and json.is_array(value) and value or {}
end

---@class moongate.gemini_schema.state
---@field root table what references start from
---@field nodes integer
---@field open table<string, boolean> references that are being put in place
---@field told table<string, boolean> keywords left out

local convert

-- What a reference within the schema points to.
local function target_of(root, reference)
  if type(reference) ~= "string" then return nil end
  local pointer = string.match(reference, "^#(.*)$")
  if not pointer then return nil end
  local place = root
  for step in string.gmatch(pointer, "/([^/]*)") do
    step = string.gsub(step, "%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    step = string.gsub(string.gsub(step, "~1", "/"), "~0", "~")
    if type(place) ~= "table" then return nil end
    place = json.is_array(place) and place[(tonumber(step) or -1) + 1] or place[step]
  end
  return object(place)
end

local function merged(below, above)
  local own = {}
  for name, value in pairs(below) do own[name] = value end
  for name, value in pairs(above) do own[name] = value end
  return own
end

local function append(first, second)
  local own = {}
  for _, each in ipairs(list(first)) do own[#own + 1] = each end
  for _, each in ipairs(list(second)) do own[#own + 1] = each end
  return json.array(own)
end

-- All of several schemas at once: their members together; where two say the same, the first holds.
local function all_of(schema)
  local own = merged(schema, {})
  own.allOf = nil
  for _, part in ipairs(list(schema.allOf)) do
    part = object(part) or {}
    local properties = merged(object(part.properties) or {}, object(own.properties) or {})
    local required = append(own.required, part.required)
    local inner = list(part.allOf)
    own = merged(part, own)
    if next(properties) then own.properties = properties end
    if #required > 0 then own.required = required end
    if #inner > 0 then
      own.allOf = inner
      own = all_of(own)
    end
  end
  return own
end

-- The schema behind the references in it and in its allOf; nil where they go in a circle or nowhere.
local function resolved(schema, state, opened)
  while schema["$ref"] ~= nil do
    local reference = schema["$ref"]
    local found = target_of(state.root, reference)
    if not found or state.open[reference] then
      state.told["$ref"] = true
      return nil
    end
    state.open[reference] = true
    opened[#opened + 1] = reference
    local beside = merged(schema, {})
    beside["$ref"] = nil
    schema = merged(found, beside)
  end
  if #list(schema.allOf) == 0 then return schema end
  local parts = {}
  for _, part in ipairs(list(schema.allOf)) do
    local inner = object(part) and resolved(part, state, opened)
    if inner then parts[#parts + 1] = inner end
  end
  local own = merged(schema, {})
  own.allOf = parts
  return all_of(own)
end

-- The one type of a schema; its other types, if it allows several; whether null is among them.
local function types_of(schema)
  local kinds, nullable = {}, schema.nullable == true
  local given = schema.type
  if type(given) == "string" then given = { given } end
  for _, kind in ipairs(type(given) == "table" and given or {}) do
    kind = type(kind) == "string" and string.lower(kind)
    if kind == "null" then nullable = true elseif TYPES[kind] then kinds[#kinds + 1] = kind end
  end
  return kinds, nullable
end

local function inferred(schema)
  if object(schema.properties) then return "object" end
  if schema.items ~= nil or schema.prefixItems ~= nil then return "array" end
  if schema.minimum ~= nil or schema.maximum ~= nil then return "number" end
  return "string"
end

local function describe(own, words)
  own.description = own.description and own.description ~= "" and own.description .. " (" .. words .. ")" or words
end

-- Only texts may be enumerated: other values are bounded, and named in the description.
local function put_values(own, schema)
  local values = list(schema.enum)
  if schema.const ~= nil then values = { schema.const } end
  if #values == 0 then return end
  local texts, others, least, most = {}, {}, nil, nil
  for _, value in ipairs(values) do
    if value == json.null then
      own.nullable = true
    elseif type(value) == "string" then
      texts[#texts + 1] = value
    else
      others[#others + 1] = json.encode(value)
      if type(value) == "number" then
        least, most = math.min(least or value, value), math.max(most or value, value)
      end
    end
  end
  local is_text = own.type == "STRING" or #others == 0
  if is_text then
    own.type, own.enum = "STRING", append(texts, others)
    if #own.enum == 0 then own.enum = nil end
    return
  end
  describe(own, "one of: " .. table.concat(others, ", "))
  if own.type == "NUMBER" or own.type == "INTEGER" then own.minimum, own.maximum = least, most end
end

-- A bound that is itself left out is the next whole number's, or all but the same.
local function put_bounds(own, schema)
  local step = own.type == "INTEGER" and 1 or 0
  local over, under = schema.exclusiveMinimum, schema.exclusiveMaximum
  if type(over) == "number" then own.minimum = math.max(own.minimum or over + step, over + step) end
  if type(under) == "number" then own.maximum = math.min(own.maximum or under - step, under - step) end
end

local function put_properties(own, schema, state, depth)
  local properties, required, order = {}, {}, {}
  for name, inner in pairs(object(schema.properties) or {}) do
    if inner ~= false then properties[name] = convert(inner, state, depth + 1) end
  end
  local seen = {}
  for _, name in ipairs(list(schema.required)) do
    if properties[name] and not seen[name] then
      seen[name], required[#required + 1] = true, name
    end
  end
  for _, name in ipairs(list(schema.propertyOrdering)) do
    if properties[name] then order[#order + 1] = name end
  end
  if next(properties) then own.properties = properties end
  if #required > 0 then own.required = json.array(required) end
  if #order > 0 then own.propertyOrdering = json.array(order) end
end

local function put_items(own, schema, state, depth)
  local items = schema.items
  local choices = list(schema.prefixItems)
  if #choices == 0 and type(items) == "table" and json.is_array(items) then choices = items end
  if #choices == 1 then
    items = choices[1]
  elseif #choices > 1 then
    items = { anyOf = choices }
  end
  own.items = convert(object(items) or {}, state, depth + 1)
end

-- One of several; null among them makes the rest nullable, and a single one needs no choice.
local function put_choices(own, choices, state, depth)
  local kept = {}
  for _, choice in ipairs(choices) do
    local kinds, nullable = types_of(object(choice) or {})
    if nullable and #kinds == 0 then
      own.nullable = true
    elseif object(choice) then
      kept[#kept + 1] = convert(choice, state, depth + 1)
    end
  end
  if #kept == 1 then
    for name, value in pairs(kept[1]) do
      if own[name] == nil then own[name] = value end
    end
  elseif #kept > 1 then
    own.anyOf = json.array(kept)
  end
end

-- The schema once for each of the types it allows.
local function split(schema, kinds)
  local choices = {}
  for i, kind in ipairs(kinds) do
    local choice = merged(schema, {})
    choice.type, choice.description, choice.title, choice.nullable = kind, nil, nil, nil
    choices[i] = choice
  end
  return choices
end

local function tell(schema, state)
  for name in pairs(schema) do
    if not PLAIN[name] and not is_silent[name] and type(name) == "string" then
      if name ~= "exclusiveMinimum" and name ~= "exclusiveMaximum" then state.told[name] = true end
    end
  end
end

local function converted(schema, state, depth)
  local own = {}
  for name, kind in pairs(PLAIN) do
    if type(schema[name]) == kind then own[name] = schema[name] end
  end
  tell(schema, state)
  local kinds, nullable = types_of(schema)
  if nullable then own.nullable = true end
  local choices = list(schema.anyOf)
  if #choices == 0 then choices = list(schema.oneOf) end
  if #choices > 0 and not object(schema.properties) then
    put_choices(own, choices, state, depth)
    if own.anyOf or own.type then return own end
  elseif #choices > 0 then
    state.told.anyOf = true -- beside properties it only says more of the same
  end
  if #kinds > 1 and schema.enum == nil then
    put_choices(own, split(schema, kinds), state, depth)
    return own
  end
  own.type = TYPES[kinds[1] or inferred(schema)]
  if own.type == "OBJECT" then put_properties(own, schema, state, depth) end
  if own.type == "ARRAY" then put_items(own, schema, state, depth) end
  if type(schema.format) == "string" and schema.format ~= "" then
    if FORMATS[schema.format] then own.format = schema.format else describe(own, "format: " .. schema.format) end
  end
  put_bounds(own, schema)
  put_values(own, schema)
  return own
end

function convert(schema, state, depth)
  schema = object(schema) or {}
  state.nodes = state.nodes + 1
  if depth > DEEPEST or state.nodes > MOST_NODES then
    state.told["$ref"] = true
    return { type = "OBJECT" }
  end
  local opened = {}
  local found = resolved(schema, state, opened)
  local own
  if found then
    own = converted(found, state, depth)
  else
    own = { type = "OBJECT", description = type(schema.description) == "string" and schema.description or nil }
  end
  for _, reference in ipairs(opened) do state.open[reference] = nil end
  return own
end

-- Whether it says of an object no more than that it is one.
---@param schema table|nil
---@return boolean
function gemini_schema.is_empty(schema)
  if type(schema) ~= "table" or next(schema) == nil then return true end
  if schema.type ~= nil and schema.type ~= "object" and schema.type ~= "OBJECT" then return false end
  for _, name in ipairs { "$ref", "anyOf", "oneOf", "allOf", "items", "enum", "const" } do
    if schema[name] ~= nil then return false end
  end
  return type(schema.properties) ~= "table" or next(schema.properties) == nil
end

-- The schema in Gemini's words, and the names of the keywords that it has no words for, in their order.
---@param schema table
---@return table
---@return string[] dropped
function gemini_schema.convert(schema)
  local state = { root = schema, nodes = 0, open = {}, told = {} }
  local own = convert(schema, state, 1)
  local dropped = {}
  for name in pairs(state.told) do dropped[#dropped + 1] = name end
  table.sort(dropped)
  return own, dropped
end

return gemini_schema
