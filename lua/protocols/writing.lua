-- What the writers of bodies have in common. What a provider can't be told travels as an error from deep inside a body,
-- and `guarded` hands it back as a result.
local json = require "moongate.core.json"

local writing = {}

local JSON_ONLY = "Answer with one JSON object and nothing else: no words around it, no code fence."
local JSON_SCHEMA = "Answer with one JSON value that fits this JSON Schema and nothing else: no words around it, no "
  .. "code fence.\n"

---@param message string
---@param param string|nil
function writing.unfit(message, param)
  error({ message = message, param = param or "messages" }, 0)
end

-- Runs a writing; why it can't be is handed back after nil.
---@param write fun(...): any, any
---@return fun(...): any, any
function writing.guarded(write)
  return function(...)
    local fine, body, dropped = pcall(write, ...)
    if fine then return body, dropped end
    if type(body) == "table" and body.message then return nil, body end
    error(body, 0)
  end
end

---@param text any
---@return boolean
function writing.is_blank(text)
  return type(text) ~= "string" or not string.find(text, "%S")
end

-- The instruction for a model that takes no order of how its answer is to be formed.
---@param schema table|nil
---@return string
function writing.json_only(schema)
  return schema and JSON_SCHEMA .. json.encode(schema) or JSON_ONLY
end

-- Whether a model is one that thinks before it speaks: by what the configuration tells, else by its name.
---@param target table
---@param patterns string[]
---@return boolean
function writing.thinks(target, patterns)
  for _, strength in ipairs(target.strengths or {}) do
    if strength == "reasoning" then return true end
  end
  for _, pattern in ipairs(patterns) do
    if string.find(target.upstream_id, pattern) then return true end
  end
  return false
end

-- The caller's limit, but no more than the model can say.
---@param neutral moongate.chat
---@param target table
---@return integer|nil
function writing.max_tokens(neutral, target)
  local asked, most = neutral.max_tokens, target.max_output
  return asked and most and math.min(asked, most) or asked
end

-- Adds the names of what is there and has no place.
---@param dropped string[]
---@param from table
---@param names string[]
function writing.drop(dropped, from, names)
  for _, name in ipairs(names) do
    if from[name] ~= nil then dropped[#dropped + 1] = name end
  end
end

-- Adds what the reader of the caller's body had no place for.
---@param dropped string[]
---@param neutral moongate.chat
function writing.drop_unread(dropped, neutral)
  for _, name in ipairs(neutral.unread or {}) do dropped[#dropped + 1] = name end
end

return writing
