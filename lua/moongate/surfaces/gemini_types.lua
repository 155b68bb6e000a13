-- Gemini's schemas as JSON Schema: what other providers are told of tools and answers. The schema given is not changed.
local json = require "moongate.core.json"
local own = require "moongate.surfaces.gemini_fields"

local gemini_types = {}

local DEEPEST = 100
local SAME = { "title", "description", "enum", "required", "pattern", "default", "minimum", "maximum", "format" }
-- Google writes whole numbers of 64 bits as texts.
local COUNTS = { "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties" }

local convert

local function all(schemas, depth)
  local list = {}
  for name, schema in pairs(schemas) do list[name] = convert(schema, depth) end
  return json.is_array(schemas) and json.array(list) or list
end

function convert(schema, depth)
  if type(schema) ~= "table" or depth > DEEPEST then return {} end
  local result = {}
  for _, name in ipairs(SAME) do result[name] = own.get(schema, name) end
  for _, name in ipairs(COUNTS) do result[name] = tonumber(own.get(schema, name)) end
  if result.format == "enum" then result.format = nil end
  local kind = own.get(schema, "type")
  if type(kind) == "string" and kind ~= "TYPE_UNSPECIFIED" then result.type = string.lower(kind) end
  local properties, items, choices = own.get(schema, "properties"), own.get(schema, "items"), own.get(schema, "anyOf")
  if type(properties) == "table" then result.properties = all(properties, depth + 1) end
  if type(items) == "table" then result.items = convert(items, depth + 1) end
  if type(choices) == "table" then result.anyOf = all(choices, depth + 1) end
  local further = own.get(schema, "additionalProperties")
  if type(further) == "table" then further = convert(further, depth + 1) end
  result.additionalProperties = further
  if own.get(schema, "nullable") == true and result.type then
    result.type = json.array { result.type, "null" }
    if type(result.enum) == "table" then
      local values = {}
      for i, value in ipairs(result.enum) do values[i] = value end
      values[#values + 1] = json.null
      result.enum = json.array(values)
    end
  end
  return result
end

---@param schema table
---@return table
function gemini_types.json_schema(schema)
  return convert(schema, 1)
end

return gemini_types
