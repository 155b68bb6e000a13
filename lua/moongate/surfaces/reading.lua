-- What the readers of bodies have in common: they make a neutral chat of a decoded and checked body. What no other
-- format could be told is refused, and what can be left out is named.
local fields = require "moongate.surfaces.fields"
local json = require "moongate.core.json"

local reading = {}

-- Refusals travel as errors from deep inside a body; `guarded` hands them back as a result.
---@param param string
---@param why string
function reading.refuse(param, why)
  error({ param = param, message = param .. ": " .. why }, 0)
end

-- The value; nil for null too.
---@param value any
---@return any
function reading.present(value)
  if value == json.null then return nil end
  return value
end

---@param value any
---@return table empty where the value is no object and no list
function reading.object(value)
  return type(value) == "table" and value or {}
end

---@param ... string[]
---@return table<string, boolean>
function reading.set(...)
  local set = {}
  for _, names in ipairs { ... } do
    for _, name in ipairs(names) do set[name] = true end
  end
  return set
end

-- Names of what is not carried over.
---@param body table
---@param known table<string, boolean>
---@return string[]
function reading.unread(body, known)
  local names = {}
  for name, value in pairs(body) do
    if not known[name] and value ~= json.null then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The schema of a tool's arguments; nil where it takes none.
---@param schema any
---@return table|nil
function reading.schema(schema)
  schema = reading.present(schema)
  if type(schema) == "table" and next(schema) == nil then return nil end
  return schema
end

-- The tools that have one of these names.
---@param tools moongate.chat_tool[]
---@param names table<string, boolean>
---@return moongate.chat_tool[]
function reading.only(tools, names)
  local kept = {}
  for _, tool in ipairs(tools) do
    if names[tool.name] then kept[#kept + 1] = tool end
  end
  return kept
end

-- Runs a reading; what it refuses becomes a refusal.
---@param read fun(body: table): any
---@return fun(body: table): any, table|nil
function reading.guarded(read)
  return function(body)
    local result
    local wrong = fields.guarded(function() result = read(body) end)(body)
    if not wrong then return result end
    return nil, {
      status = 400, message = wrong.message, param = wrong.param, type = "invalid_request_error",
      code = "unsupported_value",
    }
  end
end

return reading
