-- Every model there is: the targets of a configuration, and what was imported of providers that it has not. For
-- `moongate models list` and its admin call. Pure.

local deprecation = require "moongate.deprecation"
local imports = require "moongate.imports"
local json = require "moongate.core.json"
local providers = require "moongate.providers"
local registry = require "moongate.registry"

local catalogue = {}

---@class moongate.catalogue_entry
---@field id string
---@field provider string
---@field target string|nil what it is as a rung; nil: its provider is not configured, so it is never called
---@field cost table|nil
---@field free boolean
---@field context_length integer|nil
---@field source string "config", "built-in", or the list it was imported from
---@field synced_at number|nil when that list was imported last
---@field deprecated string|nil in words, if it is by now
---@field retires string|nil the day on which it will be
---@field replacement string|nil

-- By "provider\tname": the source that is believed most.
local function origins(sources, place)
  local by_name = {}
  for _, each in ipairs(imports.in_order(sources)) do
    for provider, id, text in imports.lines(each.models) do
      for _, own in ipairs(place(provider)) do
        local upstream_id = string.find(text, '"upstream_id"', 1, true) and json.decode(text).upstream_id or id
        for _, name in ipairs { id, upstream_id } do
          by_name[own .. "\t" .. name] = by_name[own .. "\t" .. name] or each
        end
      end
    end
  end
  return by_name
end

local function in_time(entry, stated, now)
  local moment = deprecation.moment(stated)
  if moment and now >= moment then
    entry.deprecated = string.gsub(deprecation.words { deprecated = stated }, "^is ", "")
  elseif moment then
    entry.retires = string.match(stated, "^%d%d%d%d%-%d%d%-%d%d")
  end
  return entry
end

local function of_target(target, stated, origin, now)
  local key = target.provider .. "\t" .. target.upstream_id
  local list = origin[key] or origin[target.provider .. "\t" .. target.model]
  local is_alone = getmetatable(target) ~= nil and not target.tabled
  local source = stated[target.id] and "config" or target.tabled and "models_table" or is_alone and list and list.source
  return in_time({
    id = target.model, provider = target.provider, target = target.id, cost = target.cost, free = target.free or false,
    costs_nothing = target.costs_nothing, context_length = target.context_length, max_output = target.max_output,
    tools = target.tools, vision = target.vision, source = source or "built-in", prices_from = list and list.source,
    synced_at = list and list.time, replacement = target.replacement,
  }, target.deprecated, now)
end

-- What no provider of the configuration has.
local function strangers(list, sources, place, now)
  local seen = {}
  for _, each in ipairs(imports.in_order(sources)) do
    for provider, id, text in imports.lines(each.models) do
      if #place(provider) == 0 and not seen[provider .. "\t" .. id] then
        seen[provider .. "\t" .. id] = true
        local row = json.decode(text)
        local cost = row.cost or nil
        local free = row.free
        if free == nil then free = cost ~= nil and cost.input == 0 and cost.output == 0 end
        list[#list + 1] = in_time({
          id = id, provider = provider, cost = cost, free = free, context_length = row.context_length,
          max_output = row.max_output, tools = row.tools, vision = row.vision, source = each.source,
          synced_at = each.time, replacement = row.replacement,
        }, row.deprecated, now)
      end
    end
  end
end

---@param config table filled
---@param sources { source: string, time: number, models: string }[]
---@param now number
---@return moongate.catalogue_entry[]
function catalogue.list(config, sources, now)
  local place, stated, list = imports.places(config.providers), {}, {}
  local origin = origins(config.models_table and {} or sources, place)
  for _, model in ipairs(config.models) do stated[model.provider .. "/" .. model.id] = true end
  for _, target in ipairs(registry.new(config, providers.get).targets) do
    list[#list + 1] = of_target(target, stated, origin, now)
  end
  strangers(list, sources, place, now)
  table.sort(list, function(a, b)
    if (a.target == nil) ~= (b.target == nil) then return a.target ~= nil end
    if a.provider ~= b.provider then return a.provider < b.provider end
    return a.id < b.id
  end)
  return list
end

return catalogue
