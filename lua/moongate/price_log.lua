-- Which prices have changed while the gateway ran: compares the targets of one configuration with those of the next.
-- Pure; keeps the newest changes.
local price_log = {}

local FIELDS = { "input", "output", "cached_input", "cache_write" }
local MOST = 200

local changes = {} -- oldest first

local function price(target, field)
  return target.cost and target.cost[field] or nil
end

-- What is another price than before.
---@param before table[] targets
---@param after table[] targets
---@param now number
---@return table[] { at, id, field, old, new }; a price that was or is not known is left out
function price_log.compare(before, after, now)
  local known, found = {}, {}
  for _, target in ipairs(before) do known[target.id] = target end
  for _, target in ipairs(after) do
    local last = known[target.id]
    for _, field in ipairs(last and FIELDS or {}) do
      local old, new = price(last, field), price(target, field)
      if old ~= new then found[#found + 1] = { at = now, id = target.id, field = field, old = old, new = new } end
    end
  end
  return found
end

-- Remembers what has changed.
---@param before table[] targets
---@param after table[] targets
---@param now number
function price_log.note(before, after, now)
  for _, change in ipairs(price_log.compare(before, after, now)) do changes[#changes + 1] = change end
  while #changes > MOST do table.remove(changes, 1) end
end

-- The newest first.
---@return table[]
function price_log.changes()
  local list = {}
  for i = #changes, 1, -1 do list[#list + 1] = changes[i] end
  return list
end

return price_log
