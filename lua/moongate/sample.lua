-- Made-up but well-formed values, always the same for the same input: what the mock provider answers with.
local json = require "moongate.core.json"

local sample = {}

local DEEPEST = 8

local SIMPLE = { string = "mock", number = 1, integer = 1, boolean = true, null = json.null }

-- A value that fits a JSON Schema, as far as a mock needs it: required properties, enums, arrays.
---@param schema any
---@param depth number|nil
---@return any
function sample.of(schema, depth)
  depth = depth or 1
  if type(schema) ~= "table" or depth > DEEPEST then return {} end
  if schema.const ~= nil then return schema.const end
  if type(schema.enum) == "table" and schema.enum[1] ~= nil then return schema.enum[1] end
  local kind = type(schema.type) == "table" and schema.type[1] or schema.type
  if kind == "array" then
    local count = type(schema.minItems) == "number" and math.min(schema.minItems, 10) or 0
    local list = {}
    for index = 1, count do list[index] = sample.of(schema.items, depth + 1) end
    return json.array(list)
  end
  if SIMPLE[kind] ~= nil then return SIMPLE[kind] end
  local value = {}
  local properties = type(schema.properties) == "table" and schema.properties or {}
  for _, name in ipairs(type(schema.required) == "table" and schema.required or {}) do
    if type(name) == "string" then value[name] = sample.of(properties[name], depth + 1) end
  end
  return value
end

local function fold(text)
  local hash = 5381
  for index = 1, #text do hash = (hash * 33 + string.byte(text, index)) % 2 ^ 32 end
  return hash
end

-- Eight hexadecimal digits that stand for a text.
---@param text string
---@return string
function sample.hash(text)
  return string.format("%08x", fold(text))
end

-- A vector for a text: multiples of 1/128 in [-1, 1), which single precision holds exactly.
---@param text string
---@param size number
---@return number[]
function sample.vector(text, size)
  local vector, state = {}, fold(text)
  for index = 1, size do
    state = (state * 1664525 + 1013904223) % 2 ^ 32
    vector[index] = (math.floor(state / 2 ^ 24) - 128) / 128
  end
  return vector
end

return sample
