-- Members of bodies sent to Gemini's surface: their names come in camelCase, as Google documents them, or in
-- snake_case, as it takes them too. For scanned documents and for decoded ones.
local json = require "moongate.core.json"

local gemini_fields = {}

local snakes = {}

---@param name string in camelCase
---@return string
function gemini_fields.snake(name)
  local snake = snakes[name]
  if not snake then
    snake = string.gsub(name, "%u", function(letter) return "_" .. string.lower(letter) end)
    snakes[name] = snake
  end
  return snake
end

-- The node of a member that is there and not null, and its name as it was sent.
---@param document table
---@param node integer
---@param name string in camelCase
---@return integer|nil
---@return string name
function gemini_fields.find(document, node, name)
  local snake = gemini_fields.snake(name)
  for _, spelt in ipairs(snake ~= name and { name, snake } or { name }) do
    local member = document:find(node, spelt)
    if member and document:kind(member) ~= "null" then return member, spelt end
  end
  return nil, name
end

-- The value of a member of a decoded object; nil for null too.
---@param object table
---@param name string in camelCase
---@return any
function gemini_fields.get(object, name)
  local value = object[name]
  if value == nil then value = object[gemini_fields.snake(name)] end
  if value == json.null then return nil end
  return value
end

-- The same, if it is an object or a list; an empty one if it is not there.
---@param object table
---@param name string
---@return table
function gemini_fields.table(object, name)
  local value = gemini_fields.get(object, name)
  return type(value) == "table" and value or {}
end

return gemini_fields
