-- JSON Schema as Anthropic's structured output takes it: closed objects, no numeric or length constraints. What it has
-- no room for is said in the description, so that the model still reads it. The schema given is not changed.
local json = require "moongate.core.json"

local anthropic_schema = {}

local DEEPEST = 100

local REFUSED = {
  "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
  "uniqueItems", "minProperties", "maxProperties", "patternProperties", "propertyNames", "contains", "minContains",
  "maxContains", "dependentRequired", "not",
}
local FORMATS = {
  ["date-time"] = true, time = true, date = true, duration = true, email = true, hostname = true, uri = true,
  ipv4 = true, ipv6 = true, uuid = true,
}
-- Members that hold schemas: one, a list of them, or a table by names.
local ONE = { items = true, additionalProperties = true }
local LIST = { anyOf = true, allOf = true, prefixItems = true }
local NAMED = { properties = true, ["$defs"] = true, definitions = true }

local close

local function close_all(schemas, depth)
  local list = {}
  for name, schema in pairs(schemas) do list[name] = close(schema, depth) end
  return json.is_array(schemas) and json.array(list) or list
end

local function member(name, value, depth)
  if type(value) ~= "table" then return value end
  if ONE[name] and not json.is_array(value) then return close(value, depth) end
  if LIST[name] or NAMED[name] then return close_all(value, depth) end
  return value
end

-- Takes out what is refused, and answers it in words.
local function take_refused(schema)
  local words = {}
  local function take(name)
    if schema[name] == nil then return end
    words[#words + 1] = name .. ": " .. json.encode(schema[name])
    schema[name] = nil
  end
  for _, name in ipairs(REFUSED) do take(name) end
  if type(schema.minItems) == "number" and schema.minItems > 1 then take "minItems" end
  if schema.format ~= nil and not FORMATS[schema.format] then take "format" end
  return words
end

local function is_object(schema)
  return schema.type == "object" or (schema.type == nil and type(schema.properties) == "table")
end

function close(schema, depth)
  if type(schema) ~= "table" or depth > DEEPEST then return schema end
  local own = {}
  for name, value in pairs(schema) do own[name] = member(name, value, depth + 1) end
  if own.oneOf and not own.anyOf then
    own.anyOf, own.oneOf = member("anyOf", own.oneOf, depth + 1), nil
  end
  local words = take_refused(own)
  if #words > 0 then
    local said = type(own.description) == "string" and own.description ~= "" and own.description .. " " or ""
    own.description = said .. "{" .. table.concat(words, ", ") .. "}"
  end
  if is_object(own) then own.additionalProperties = false end
  return own
end

-- The schema as output_config.format takes it.
---@param schema table
---@return table
function anthropic_schema.closed(schema)
  return close(schema, 0)
end

-- The schema of a tool's arguments: an object at its root.
---@param schema table|nil
---@return table
function anthropic_schema.arguments(schema)
  if type(schema) ~= "table" or next(schema) == nil then return { type = "object", properties = {} } end
  if schema.type == "object" then return schema end
  local own = {}
  for name, value in pairs(schema) do own[name] = value end
  own.type = "object"
  return own
end

return anthropic_schema
