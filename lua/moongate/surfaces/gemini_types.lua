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

local function same(value) return value end

-- What becomes of a member's value; nil: it is left out.
local MEMBERS = {
  type = function(value)
    return type(value) == "string" and value ~= "TYPE_UNSPECIFIED" and string.lower(value) or nil
  end,
  properties = function(value, depth) return type(value) == "table" and all(value, depth + 1) or nil end,
  items = function(value, depth) return type(value) == "table" and convert(value, depth + 1) or nil end,
  additionalProperties = function(value, depth)
    if type(value) == "table" then return convert(value, depth + 1) end
    return value
  end,
}
MEMBERS.anyOf = MEMBERS.properties
for _, name in ipairs(SAME) do MEMBERS[name] = same end
for _, name in ipairs(COUNTS) do MEMBERS[name] = function(value) return tonumber(value) end end

-- A member's name by either of its spellings.
local NAMES = {}
for name in pairs(MEMBERS) do NAMES[name], NAMES[own.snake(name)] = name, name end

function convert(schema, depth)
  if type(schema) ~= "table" or depth > DEEPEST then return {} end
  local result = {}
  for spelt, value in pairs(schema) do
    local name = NAMES[spelt]
    if name and value ~= json.null and (spelt == name or schema[name] == nil) then
      result[name] = MEMBERS[name](value, depth)
    end
  end
  if result.format == "enum" then result.format = nil end
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
