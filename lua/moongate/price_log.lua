-- Which prices have changed: what imports changed, by the store's trail of them, and what configurations did while the
-- gateway ran, by the targets of one and those of the next. Pure; keeps the newest changes of configurations.
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

-- The trail's changes of prices by the targets that they are of; a list may call a model otherwise than we do.
local function of_targets(trail, targets)
  local found, called = {}, {}
  for _, target in ipairs(targets) do
    for _, name in ipairs { target.upstream_id or target.model, target.model } do
      local key = target.provider .. "\t" .. name
      called[key] = called[key] or target
    end
  end
  for _, change in ipairs(trail) do
    local target = called[change.provider .. "\t" .. change.model]
    if target then
      found[#found + 1] = {
        at = change.time, id = target.id, field = change.field, old = change.old, new = change.new,
        alert = change.alert, source = change.source, target = target,
      }
    end
  end
  return found
end

-- What an import says of a price is not in force where the configuration says otherwise.
local function is_in_force(change)
  local now = price(change.target, change.field)
  return now == change.new or now == nil and (change.new == nil or change.new < 0)
end

-- All of them, the newest first.
---@param trail { time: number, provider: string, model: string, field: string, old: any, new: any, alert: boolean|nil,
---  source: string }[] what imports changed at the configuration's providers, the newest first
---@param targets table[] of the configuration in force
---@return table[] { at, id, field, old, new, alert, source }
function price_log.all(trail, targets)
  local list, place, last, result = price_log.changes(), {}, {}, {}
  for _, change in ipairs(#trail > 0 and of_targets(trail, targets) or {}) do list[#list + 1] = change end
  for i, change in ipairs(list) do place[change] = i end
  table.sort(list, function(a, b)
    if a.at ~= b.at then return a.at > b.at end
    return place[a] < place[b]
  end)
  for _, change in ipairs(list) do
    local key = change.id .. "\t" .. change.field
    if last[key] == nil then last[key] = not change.target or is_in_force(change) end
    if (last[key] or not change.target) and #result < MOST then
      result[#result + 1] = {
        at = change.at, id = change.id, field = change.field, old = change.old, new = change.new,
        alert = change.alert, source = change.source,
      }
    end
  end
  return result
end

return price_log
