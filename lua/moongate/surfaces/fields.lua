-- What the checks of request bodies have in common: they look at a scanned document, and what is wrong with it is told
-- in one sentence that names the field, what was expected there and what came.
local json = require "moongate.core.json"
local near = require "moongate.near"

local fields = {}

local SHOWN = 40
local DEEPEST_SCHEMA = 100
local LARGEST = 2 ^ 31 - 1

-- Cut texts end before a broken UTF-8 character.
local function shorten(text)
  if #text <= SHOWN then return text end
  return string.gsub(string.sub(text, 1, SHOWN), "[\192-\255][\128-\191]*$", "") .. "..."
end

-- What stands there, in a few words.
---@param document table
---@param node integer|nil
---@return string
function fields.describe(document, node)
  if not node then return "it is missing" end
  local kind = document:kind(node)
  if kind == "object" then return "got an object" end
  if kind == "array" then return document:size(node) == 0 and "got an empty array" or "got an array" end
  local shown = shorten(kind == "string" and document:value(node) or document:text(node))
  return kind == "string" and 'got "' .. shown .. '"' or "got " .. shown
end

-- Faults travel as errors from deep inside a body; `guarded` hands them back as a result.
---@param param string|nil nil: the body itself
---@param expected string
---@param got string
function fields.fail(param, expected, got)
  error({ param = param, message = (param and param .. ": " or "the body: ") .. expected .. "; " .. got }, 0)
end

-- The node, if it is there and of that kind.
---@param document table
---@param node integer|nil
---@param param string
---@param kind string
---@param article string|nil
---@return integer
function fields.expect(document, node, param, kind, article)
  if not node or document:kind(node) ~= kind then
    fields.fail(param, "expected " .. (article or "a") .. " " .. kind, fields.describe(document, node))
  end
  return node
end

-- A member that may be absent or null.
---@param document table
---@param node integer
---@param name string
---@return integer|nil
function fields.optional(document, node, name)
  local member = document:find(node, name)
  if not member or document:kind(member) == "null" then return nil end
  return member
end

---@param document table
function fields.body(document)
  if document:kind(0) ~= "object" then fields.fail(nil, "expected a JSON object", fields.describe(document, 0)) end
end

-- Without a model, the policy chooses among all, as with "auto".
---@param document table
function fields.model(document)
  local model = fields.optional(document, 0, "model")
  if model and (document:kind(model) ~= "string" or document:value(model) == "") then
    fields.fail("model", 'expected the name of a model (or "auto")', fields.describe(document, model))
  end
end

-- A number of the body that may be absent.
---@param document table
---@param name string
---@param least number
---@param most number
---@param whole boolean|nil
function fields.number(document, name, least, most, whole)
  local node = fields.optional(document, 0, name)
  local value = node and document:kind(node) == "number" and document:value(node)
  if not node then return end
  if value and value >= least and value <= most and not (whole and value ~= math.floor(value)) then return end
  local range = whole and most == LARGEST and "a positive integer"
    or string.format("%s from %g to %g", whole and "an integer" or "a number", least, most)
  fields.fail(name, "expected " .. range, fields.describe(document, node))
end

local SHALLOW = json.outline { kind = "any", deepest = DEEPEST_SCHEMA }

local function depth(document, node)
  local deepest = 0
  for _, inner in document:items(node) do
    local kind = document:kind(inner)
    if kind == "object" or kind == "array" then deepest = math.max(deepest, depth(document, inner)) end
  end
  return deepest + 1
end

-- A schema may be no deeper than what turns it into another dialect can walk by recursion.
---@param document table
---@param node integer
---@param path string
function fields.schema_depth(document, node, path)
  if document:fits(node, SHALLOW) then return end
  local levels = depth(document, node)
  if levels > DEEPEST_SCHEMA then
    fields.fail(path, string.format("expected a schema of at most %d levels", DEEPEST_SCHEMA), "got " .. levels)
  end
end

-- Every member of the body must have one of these names.
---@param document table
---@param names string[]
function fields.known(document, names)
  local is_known = {}
  for _, name in ipairs(names) do is_known[name] = true end
  for name in document:items(0) do
    if not is_known[name] then
      local shown = string.gsub(shorten(name), "%c", "?")
      error({ param = name, message = 'there is no field "' .. shown .. '" here' .. near.hint(name, names) }, 0)
    end
  end
end

-- Runs the checks; a fault comes back as a result, anything else goes on as the error it is.
---@param checks fun(document: table, ...)
---@return fun(document: table, ...): { param: string|nil, message: string }|nil
function fields.guarded(checks)
  return function(document, ...)
    local fine, wrong = pcall(checks, document, ...)
    if fine then return nil end
    if type(wrong) == "table" and wrong.message then return wrong end
    error(wrong, 0)
  end
end

return fields
