-- What was imported of the models at a configuration's providers, for the registry: below what the configuration says
-- of a model, above the built-in tables. Pure.

local imported = {}
imported.__index = imported

-- `packed` as imports.merged has it; nil: nothing was imported.
---@param packed string|nil
---@return table|nil
function imported.read(packed)
  if not packed or packed == "" then return nil end
  -- Only here: whoever reads a configuration without imports needs no C.
  local json, imports = require "moongate.core.json", require "moongate.imports"
  local self = setmetatable({ rows = {}, by_provider = {} }, imported)
  for provider, _, text in imports.lines(packed) do
    local row = json.decode(text)
    row.provider = provider
    local own = self.by_provider[provider] or {}
    self.by_provider[provider] = own
    own[row.upstream_id or row.id] = own[row.upstream_id or row.id] or row
    own[row.id] = own[row.id] or row
    self.rows[#self.rows + 1] = row
  end
  return self
end

-- The row of a model that is known by these names otherwise, too; it is not to be added as a model of its own then.
---@param provider string
---@param upstream_id string
---@param id string
---@return moongate.imported|nil
function imported:of(provider, upstream_id, id)
  local own = self.by_provider[provider]
  local row = own and (own[upstream_id] or own[id])
  if row then row.is_taken = true end
  return row
end

-- What a built-in table knows of a model, with what was imported of it above that.
---@param row moongate.imported|nil
---@param builtin table|nil
---@return table|nil
function imported.over(row, builtin)
  if not row then return builtin end
  local facts = {}
  for name, value in pairs(builtin or {}) do facts[name] = value end
  for name, value in pairs(row) do
    -- Its names are those of the list.
    if name ~= "id" and name ~= "upstream_id" and name ~= "provider" then facts[name] = value end
  end
  facts.is_imported, facts.is_taken = true, nil
  facts.id = builtin and builtin.id or row.id
  facts.upstream_id = builtin and builtin.upstream_id or row.upstream_id
  facts.also = row.id
  return facts
end

-- The rows of models that nothing else tells of.
---@return fun(): moongate.imported|nil
function imported:others()
  local at = 0
  return function()
    repeat at = at + 1 until not self.rows[at] or not self.rows[at].is_taken
    return self.rows[at]
  end
end

return imported
