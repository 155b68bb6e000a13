-- A table of one's own, in CSV with a header: model_id and provider_id have to be there, every other column may be.
-- Prices are USD per million tokens, as in a configuration; below 0 is unknown, an empty cell says nothing. Pure.

local csv = require "moongate.csv"
local facts = require "moongate.importers.facts"
local near = require "moongate.near"

local table_list = { name = "table" }

local MOST_USD, MOST = 1e6, 2 ^ 53 - 1
local YES = { ["1"] = true, ["true"] = true, yes = true, ["0"] = false, ["false"] = false, no = false }

-- nil and no words: it says nothing.
local function price(value)
  local number = facts.decimal(value)
  if not number or number > MOST_USD then return nil, "expected USD per million tokens, at most 1000000" end
  return number >= 0 and number
end

local function whole(value)
  local number = facts.decimal(value)
  if number and number >= 1 and number <= MOST and number % 1 == 0 then return number end
  return nil, "expected a whole number of tokens above 0"
end

local function flag(value)
  local meant = YES[string.lower(value)]
  if meant == nil then return nil, "expected 1, 0, true, false, yes or no" end
  return meant
end

local function share(value)
  local number = facts.decimal(value)
  if number and number >= 0 and number <= 100 then return number end
  return nil, "expected a number from 0 to 100"
end

local function model_name(value)
  local wrong = facts.no_id(value)
  if wrong then return nil, "expected a model's name; " .. wrong end
  return value
end

local function provider_name(value)
  if facts.no_provider(value) then return nil, "expected a provider's name: letters, digits, '.', '_' and '-'" end
  return value
end

-- Since when, or why; "no" is not deprecated.
local function deprecated(value)
  local meant = YES[string.lower(value)]
  if meant ~= nil then return meant or nil end
  return facts.title(value)
end

-- Column -> field and reader.
local COLUMNS = {
  model_id = { "id", model_name }, provider_id = { "provider", provider_name },
  upstream_id = { "upstream_id", model_name }, name = { "name", facts.title }, is_free_tier = { "free", flag },
  cost = { "cost", price }, input_cost = { "input", price }, output_cost = { "output", price },
  cached_input_cost = { "cached_input", price }, cache_write_cost = { "cache_write", price },
  context_length = { "context_length", whole }, max_output = { "max_output", whole }, tools = { "tools", flag },
  vision = { "vision", flag }, json_schema = { "json_schema", flag }, embeddings = { "embeddings", flag },
  priority = { "priority", share }, quality = { "quality", share }, deprecated = { "deprecated", deprecated },
  replacement = { "replacement", model_name },
}
local REQUIRED = { "model_id", "provider_id" }
local PRICES = { "input", "output", "cached_input", "cache_write" }

local function columns_of(header, gathered)
  local columns, there = {}, {}
  for i, each in ipairs(header) do
    local name = string.lower(string.match(each, "^%s*(.-)%s*$"))
    if there[name] then gathered.wrong("the header", string.format('has the column "%s" twice', name), 1) end
    there[name] = true
    local column = COLUMNS[name]
    if column then columns[#columns + 1] = { at = i, name = name, field = column[1], read = column[2] } end
  end
  for _, name in ipairs(REQUIRED) do
    if not there[name] then
      gathered.wrong("the header", string.format('lacks the column "%s"%s; there may be: %s', name,
        near.hint(name, near.names(there)), table.concat(near.names(COLUMNS), ", ")), 1)
    end
  end
  return columns
end

-- The four prices of a row that has them as one, or each in a column of its own.
local function gather_cost(row)
  local cost, both, unknown, is_there = {}, row.cost, false, row.cost ~= nil
  if both then cost.input, cost.output = both, both end
  if both == false then unknown = true end
  for _, name in ipairs(PRICES) do
    if row[name] ~= nil then is_there = true end
    if row[name] == false then unknown = true end
    if row[name] then cost[name] = row[name] end
    row[name] = nil
  end
  row.cost = nil
  if is_there then row.cost = not unknown and cost end
  return row
end

---@param text string
---@return table gathered, see facts.gathering
function table_list.read(text)
  local gathered = facts.gathering()
  local records, fault = csv.read(text, facts.most_models + 1)
  if not records then
    gathered.wrong(nil, fault.message, fault.line)
    return gathered
  end
  local header = table.remove(records, 1)
  if not header then
    gathered.wrong(nil, "is empty: its first line names the columns " .. table.concat(REQUIRED, ", "))
    return gathered
  end
  local columns = columns_of(header, gathered)
  if #gathered.problems > 0 then return gathered end
  for _, record in ipairs(records) do
    local row, is_sound = {}, true
    for _, column in ipairs(columns) do
      local value = string.match(record[column.at] or "", "^%s*(.-)%s*$")
      local wrong
      if value ~= "" then row[column.field], wrong = column.read(value) end
      if value == "" and (column.name == "model_id" or column.name == "provider_id") then wrong = "expected a name" end
      if wrong then
        is_sound = false
        gathered.wrong(column.name, string.format('%s, found "%s"', wrong, facts.shown(value)), record.line)
      end
    end
    if is_sound and not gathered.add(gather_cost(row)) then
      gathered.wrong("model_id", string.format('"%s" is there twice at %s', row.id, row.provider), record.line)
    end
  end
  return gathered
end

return table_list
