-- The rows of a model table once they are found sound, as one text: a line a row, values parted by tabs. A hundred
-- thousand of them travel to the workers and are read there row by row; as tables they would fill the memory. Pure.

local table_rows = {}

local LONGEST_NAME = 128

local figures = {} -- by value: their number is bounded by the rows of one table

local function figure(value)
  if not value then return "" end
  local text = figures[value]
  if not text then
    text = string.format("%.17g", value)
    figures[value] = text
  end
  return text
end

-- A name on one line, without what parts the values.
local function plain(name)
  if #name > LONGEST_NAME then
    name = string.gsub(string.sub(name, 1, LONGEST_NAME), "[\192-\255][\128-\191]*$", "")
  end
  for _, mark in ipairs { "\t", "\n" } do
    if string.find(name, mark, 1, true) then name = string.gsub(name, mark, " ") end
  end
  return name
end

-- The line of a row's model: { id, provider, free, cost (false: not known), name, context_length, priority }.
---@param model table
---@return string
function table_rows.line(model)
  return table.concat({
    model.id, model.provider, model.free and "1" or "0", figure(model.cost and model.cost.input),
    figure(model.context_length), figure(model.priority), model.name and plain(model.name) or "",
  }, "\t")
end

-- What the configuration itself says of a model, by its own name or by the provider's.
local function configured_models(config)
  local by_id, by_upstream = {}, {}
  for _, model in ipairs(config.models) do
    local here = model.provider .. "/"
    by_id[here .. model.id] = by_id[here .. model.id] or model
    if model.upstream_id then
      by_upstream[here .. model.upstream_id] = by_upstream[here .. model.upstream_id] or model
    end
  end
  if #config.models == 0 then return nil end
  return function(id) return by_id[id] or by_upstream[id] end
end

local prices = {} -- by text: few prices serve many models

local function price(text)
  if text == "" then return false end
  local known = prices[text]
  if not known then
    known = { input = tonumber(text), output = tonumber(text) }
    prices[text] = known
  end
  return known
end

-- Every model of the configuration's table, in its order: its columns win, and what the configuration says of the same
-- model beyond them still holds. Beside it whether the columns are all that is said of it.
---@param config table with models_table.packed
---@return fun(): table|nil, boolean|nil
function table_rows.each(config)
  local configured = configured_models(config)
  local packed, at = config.models_table.packed, 1
  local function next_value(mark)
    local stop = string.find(packed, mark, at, true)
    local text = string.sub(packed, at, stop - 1)
    at = stop + 1
    return text
  end
  prices, figures = {}, {}
  return function()
    if at > #packed then return nil end
    local id, provider, free, cost = next_value "\t", next_value "\t", next_value "\t", next_value "\t"
    local context, priority, name = next_value "\t", next_value "\t", next_value "\n"
    local model = {
      id = id, provider = provider, free = free == "1", cost = price(cost), tabled = true,
      context_length = tonumber(context), priority = tonumber(priority), name = name ~= "" and name or nil,
    }
    local more = configured and configured(provider .. "/" .. id)
    for field, value in pairs(more or {}) do
      if model[field] == nil then model[field] = value end
    end
    return model, more == nil
  end
end

return table_rows
