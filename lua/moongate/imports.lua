-- Imported models between the importer and the registry: as text (a line a model, in order, each its provider, its id
-- and its facts as JSON, parted by tabs), what one such text changes of another, and what of several sources concerns
-- the providers of a configuration. Pure.

local json = require "moongate.core.json"

local imports = {}

-- Of several sources that tell of the same model, the first wins, fact by fact: one's own table, then the provider's
-- own list, then the list of lists.
local ORDER = { "table", "openrouter", "litellm" }
-- What a list calls a provider that has another name here.
local OTHER_NAMES = {
  together_ai = "together", cohere_chat = "cohere", nvidia_nim = "nvidia", ["text-completion-openai"] = "openai",
}
local PRICES = { "input", "output", "cached_input", "cache_write" }
local FACTS = {
  "upstream_id", "name", "free", "context_length", "max_output", "tools", "vision", "json_schema", "embeddings",
  "quality", "priority", "deprecated", "replacement",
}

---@class moongate.model_change
---@field provider string
---@field model string
---@field field string "cost.input" (USD per million tokens, -1: unknown), ...; "model": it came or went
---@field old any
---@field new any
---@field alert true|nil a price that has jumped

local function key_of(row) return row.provider .. "\t" .. row.id end

---@param rows moongate.imported[]
---@return string
function imports.pack(rows)
  local lines = {}
  for i, row in ipairs(rows) do lines[i] = key_of(row) .. "\t" .. json.encode(row) end
  table.sort(lines)
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

-- Each model of a packed text: provider, id, and its facts as JSON.
---@param text string
function imports.lines(text)
  return string.gmatch(text, "([^\t\n]*)\t([^\t\n]*)\t([^\n]*)\n")
end

-- A model's prices and facts by the names that changes have.
local function flat(row)
  local facts = {}
  for _, name in ipairs(FACTS) do facts[name] = row[name] end
  for _, name in ipairs(PRICES) do
    if row.cost then facts["cost." .. name] = row.cost[name] end
  end
  if row.cost == false then facts["cost.input"], facts["cost.output"] = -1, -1 end
  return facts
end

local function is_jump(field, old, new, factor)
  if not string.find(field, "^cost%.") or type(old) ~= "number" or type(new) ~= "number" then return nil end
  if old < 0 or new <= old then return nil end
  return (old == 0 or new >= old * factor) or nil
end

local function compare_rows(before, after, factor, found)
  local old, new, fields = flat(before), flat(after), {}
  for field in pairs(old) do fields[#fields + 1] = field end
  for field in pairs(new) do
    if old[field] == nil then fields[#fields + 1] = field end
  end
  table.sort(fields)
  for _, field in ipairs(fields) do
    if old[field] ~= new[field] then
      found[#found + 1] = {
        provider = after.provider, model = after.id, field = field, old = old[field], new = new[field],
        alert = is_jump(field, old[field], new[field], factor),
      }
    end
  end
end

-- What after changes of before, both packed; factor: so many times the price is a jump, and so is a price where there
-- was none to pay. Then how many models came, went, are other than before, and stayed.
---@param before string
---@param after string
---@param factor number
---@return moongate.model_change[]
---@return { added: integer, removed: integer, changed: integer, same: integer }
function imports.compare(before, after, factor)
  local known, found, counts = {}, {}, { added = 0, removed = 0, changed = 0, same = 0 }
  for provider, id, facts in imports.lines(before) do known[provider .. "\t" .. id] = facts end
  for provider, id, facts in imports.lines(after) do
    local key = provider .. "\t" .. id
    local last = known[key]
    known[key] = nil
    if last == facts then
      counts.same = counts.same + 1
    elseif last then
      counts.changed = counts.changed + 1
      compare_rows(json.decode(last), json.decode(facts), factor, found)
    else
      counts.added = counts.added + 1
      found[#found + 1] = { provider = provider, model = id, field = "model", new = "added" }
    end
  end
  local gone = {}
  for key in pairs(known) do gone[#gone + 1] = key end
  table.sort(gone)
  counts.removed = #gone
  for _, key in ipairs(gone) do
    local provider, id = string.match(key, "^([^\t]*)\t(.*)$")
    found[#found + 1] = { provider = provider, model = id, field = "model", old = "present", new = "removed" }
  end
  return found, counts
end

---@param changes moongate.model_change[]
---@return string a JSON object a line
function imports.pack_changes(changes)
  local lines = {}
  for i, change in ipairs(changes) do lines[i] = json.encode(change) end
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

local function each_change(import, mark)
  local next_line = string.gmatch(import.changes, "[^\n]+")
  return function()
    local line
    repeat line = next_line() until not line or string.find(line, mark, 1, true)
    if not line then return nil end
    local change = json.decode(line)
    change.time, change.source = import.time, import.source
    return change
  end
end

-- The packed changes of one import, each with its time and source.
---@param import { source: string, time: number, changes: string }
---@return fun(): moongate.model_change|nil
function imports.each_change(import) return each_change(import, "") end

-- Of these the prices that have jumped.
---@param import { source: string, time: number, changes: string }
---@return fun(): moongate.model_change|nil
function imports.each_alert(import) return each_change(import, '"alert":true') end

-- The configuration's providers that each provider of a list is: of its name, or like it.
---@param providers table<string, table>
---@return fun(name: string): string[]
function imports.places(providers)
  local by_name = {}
  local function add(name, own)
    by_name[name] = by_name[name] or {}
    table.insert(by_name[name], own)
  end
  for own, provider in pairs(providers) do
    add(own, own)
    if provider.like and provider.like ~= own then add(provider.like, own) end
  end
  for _, list in pairs(by_name) do table.sort(list) end
  return function(name)
    return by_name[name] or by_name[OTHER_NAMES[name] or false] or {}
  end
end

-- The sources in the order in which they are believed.
---@param sources { source: string, models: string }[]
---@return { source: string, models: string }[]
function imports.in_order(sources)
  local rank, list = {}, {}
  for i, name in ipairs(ORDER) do rank[name] = i end
  for i, each in ipairs(sources) do list[i] = each end
  table.sort(list, function(a, b)
    local first, second = rank[a.source] or 0, rank[b.source] or 0
    if first ~= second then return first < second end
    return a.source < b.source
  end)
  return list
end

-- One model as both lists tell it, the first outweighing the other: its facts as JSON.
local function joined(first, second)
  local row = json.decode(first)
  for name, value in pairs(json.decode(second)) do
    if row[name] == nil then row[name] = value end
  end
  return json.encode(row)
end

-- What a model is called at its provider; two lists may write the same one differently.
local function called(id, text)
  if not string.find(text, '"upstream_id":', 1, true) then return id end
  return json.decode(text).upstream_id
end

-- What the sources know of the models at the configuration's providers, packed as above (each under the name that its
-- provider has there); "" where nothing.
---@param sources { source: string, models: string }[]
---@param providers table<string, table>
---@return string
function imports.merged(sources, providers)
  local place, places, lines = imports.places(providers), {}, {}
  for _, each in ipairs(imports.in_order(sources)) do
    for provider, id, text in imports.lines(each.models) do
      for _, own in ipairs(place(provider)) do
        local name = called(id, text)
        local key = own .. "\t" .. name
        local at = places[key]
        if not at then
          places[key], lines[#lines + 1] = #lines + 1, own .. "\t" .. id .. "\t" .. text
        else
          local first_id, first = string.match(lines[at], "^[^\t]*\t([^\t]*)\t(.*)$")
          lines[at] = own .. "\t" .. first_id .. "\t" .. joined(first, text)
        end
      end
    end
  end
  if #lines == 0 then return "" end
  table.sort(lines)
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

return imports
