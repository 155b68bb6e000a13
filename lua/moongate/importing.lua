-- An import from the text of a list to the store: which importer reads it, what it changes, which prices have jumped.
-- All or nothing. For the control thread and for commands without a gateway: reads and writes the store, and may take
-- long.
local imports = require "moongate.imports"
local json = require "moongate.core.json"
local litellm = require "moongate.importers.litellm"
local models = require "moongate.core.models"
local openrouter = require "moongate.importers.openrouter"
local table_list = require "moongate.importers.table"

local importing = {}

importing.formats = { "openrouter", "litellm", "table" }
importing.most_bytes = 64 * 1024 * 1024

local JSON_FORMATS = { openrouter = openrouter, litellm = litellm }
local JSON_DEPTH = 32
-- So many changes are told with the report; the trail has them all.
local MOST_TOLD = 1000
local MOST_PACKED, LARGE = 48 * 1024 * 1024, 4 * 1024 * 1024

---@class moongate.import_report
---@field source string
---@field origin string the file or address
---@field dry_run boolean
---@field models integer
---@field skipped integer
---@field skipped_why table<string, integer>
---@field added integer
---@field removed integer
---@field changed integer
---@field same integer
---@field usable integer at providers of the configuration
---@field change_count integer
---@field changes moongate.model_change[] at most 1000 of them, alerts first
---@field alerts integer

-- An address as it may be shown: a name before its host, or a query, may hold a key.
---@param address string
---@return string
function importing.shown(address)
  return (string.gsub(string.gsub(address, "^(https?://)[^/@]*@", "%1"), "%?.*$", ""))
end

local function first_byte(text)
  return string.match(text, "^\239?\187?\191?%s*(.)")
end

-- The document and its importer; or nil and problems.
local function open(text, format)
  if format == "table" then return text, table_list end
  if not format and first_byte(text) ~= "{" and first_byte(text) ~= "[" then return text, table_list end
  local document, fault = json.scan((string.gsub(text, "^\239\187\191", "")), JSON_DEPTH)
  if not document then
    local message = string.format("not valid JSON: %s (column %d)", fault.message, fault.column)
    return nil, { { line = fault.line, message = message } }
  end
  if format then return document, JSON_FORMATS[format] end
  for _, importer in ipairs { openrouter, litellm } do
    if importer.fits(document) then return document, importer end
  end
  return nil, { { message = "neither OpenRouter's list of models ({\"data\": [...]}) nor LiteLLM's price map "
    .. "({\"model\": {\"litellm_provider\": ...}}), nor a table: name its --format" } }
end

-- "list.json:3: data[0] (x/y): what is wrong"
local function in_words(origin, problem)
  local parts = { problem.line and origin .. ":" .. problem.line or origin }
  parts[#parts + 1] = problem.where
  parts[#parts + 1] = problem.message
  return table.concat(parts, ": ")
end

-- The models in a text; or nil and one line for each problem.
---@param text string
---@param format string|nil
---@param origin string
---@return table|nil { rows, skipped, why, source }
---@return string[]|nil
function importing.read(text, format, origin)
  if #text > importing.most_bytes then
    return nil, { string.format("%s: is larger than %d MiB", origin, importing.most_bytes / 2 ^ 20) }
  end
  local opened, importer = open(text, format)
  local gathered = opened and importer.read(opened) or { problems = importer, rows = {} }
  if #gathered.problems == 0 and #gathered.rows == 0 then
    gathered.problems[1] = { message = "has no model that could be used here"
      .. (gathered.skipped > 0 and string.format(" (%d were passed over)", gathered.skipped) or "") }
  end
  if #gathered.problems == 0 then
    return { rows = gathered.rows, skipped = gathered.skipped, why = gathered.why, source = importer.name }
  end
  local lines = {}
  for i, problem in ipairs(gathered.problems) do lines[i] = in_words(origin, problem) end
  return nil, lines
end

local function usable(rows, providers)
  local place, count = imports.places(providers), 0
  for _, row in ipairs(rows) do
    if #place(row.provider) > 0 then count = count + 1 end
  end
  return count
end

-- The alerts first: what is cut off is the least of it.
local function told(changes)
  local list = {}
  for _, wanted in ipairs { true, false } do
    for _, change in ipairs(changes) do
      if #list < MOST_TOLD and (change.alert == true) == wanted then list[#list + 1] = change end
    end
  end
  return list
end

local function count_alerts(changes)
  local count = 0
  for _, change in ipairs(changes) do count = count + (change.alert and 1 or 0) end
  return count
end

-- Imports a text into the store of the configuration, or, on a dry run, tells what that would do. origin is shown;
-- now is when.
---@param order { text: string, format: string|nil, origin: string, dry_run: boolean|nil, now: number }
---@param config table
---@return moongate.import_report|nil
---@return string[]|nil what is wrong, one line a problem
---@return boolean|nil it is the store that refuses
function importing.run(order, config)
  local size = #order.text
  local found, problems = importing.read(order.text, order.format, order.origin)
  if not found then return nil, problems end
  order.text = nil
  if size > LARGE then collectgarbage() end -- what was read of it may be large, and is of no more use
  local sources, reason = importing.sources(config.store)
  if not sources then return nil, { reason }, true end
  local before = ""
  for _, each in ipairs(sources) do
    if each.source == found.source then before = each.models end
  end
  local packed = imports.pack(found.rows)
  if #packed > MOST_PACKED then return nil, { order.origin .. ": has more models than can be kept" } end
  local changes, counts = imports.compare(before, packed, config.price_alert)
  local report = {
    source = found.source, origin = order.origin, dry_run = order.dry_run or false, models = #found.rows,
    skipped = found.skipped, skipped_why = found.why, usable = usable(found.rows, config.providers),
    change_count = #changes, changes = json.array(told(changes)), alerts = count_alerts(changes),
    added = counts.added, removed = counts.removed, changed = counts.changed, same = counts.same,
  }
  if order.dry_run then return report end
  local kept
  kept, reason = models.keep(config.store, {
    source = found.source, time = order.now, models = packed,
    changes = #changes > 0 and imports.pack_changes(changes) or "",
  })
  if not kept then return nil, { reason }, true end
  return report
end

local function is_unborn(address, reason)
  return address == "memory:" or string.find(reason, "there is no database", 1, true) ~= nil
    or string.find(reason, "is empty: the gateway fills it", 1, true) ~= nil
end

-- What each source brought last: { source, time, models }. A store that is not there yet has none.
---@param address string
---@return table[]|nil
---@return string|nil
function importing.sources(address)
  local sources, reason = models.sources(address)
  if sources or is_unborn(address, reason) then return sources or {} end
  return nil, reason
end

-- The changes since then, the newest first.
---@param address string
---@param since number
---@return moongate.model_change[]|nil
---@return string|nil
function importing.changes(address, since)
  local found, reason = models.changes(address, since)
  if not found and not is_unborn(address, reason) then return nil, reason end
  found = found or {}
  local list = {}
  for i = #found, 1, -1 do
    for change in imports.each_change(found[i]) do list[#list + 1] = change end
  end
  return list
end

-- Those of prices at the configuration's own providers, by the names that these have here, and the fields without
-- "cost.".
---@param config table
---@param since number
---@param most integer
---@return moongate.model_change[]|nil
---@return string|nil
function importing.price_changes(config, since, most)
  local found, reason = importing.changes(config.store, since)
  if not found then return nil, reason end
  local place, list = imports.places(config.providers), {}
  for _, change in ipairs(found) do
    local field = string.match(change.field, "^cost%.(.*)$")
    for _, own in ipairs(field and place(change.provider) or {}) do
      if #list == most then return list end
      list[#list + 1] = {
        time = change.time, provider = own, model = change.model, field = field, old = change.old, new = change.new,
        alert = change.alert, source = change.source,
      }
    end
  end
  return list
end

return importing
