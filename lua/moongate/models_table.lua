-- The operator's own model table (`models_table`): a CSV file or a SQLite table, one row for a model of a provider.
-- Once it is there, the gateway knows only these. Reads no file itself: it is given what does.

local csv = require "moongate.csv"
local near = require "moongate.near"
local table_rows = require "moongate.table_rows"

local models_table = {}

local MOST_BYTES, MOST_ROWS, MOST_SECONDS = 64 * 1024 * 1024, 100000, 10
local MOST_PROBLEMS = 20
local MOST_USD, MOST = 1e6, 2 ^ 53 - 1
local LONGEST_SHOWN = 60

local REQUIRED = { "model_id", "provider_id", "is_free_tier", "cost" }
local COLUMNS = { "model_id", "provider_id", "is_free_tier", "cost", "name", "context_length", "priority" }

local is_column = {}
for _, name in ipairs(COLUMNS) do is_column[name] = true end

local FREE = { ["1"] = true, ["true"] = true, yes = true, ["0"] = false, ["false"] = false, no = false }

local BLANK = 32

local function trimmed(value)
  local first, last = string.byte(value, 1), string.byte(value, -1)
  if not first or first > BLANK and last > BLANK then return value end
  return string.match(value, "^%s*(.-)%s*$")
end

local function shown(value)
  if value == "" then return "found nothing" end
  if #value > LONGEST_SHOWN then
    value = string.gsub(string.sub(value, 1, LONGEST_SHOWN), "[\192-\255][\128-\191]*$", "") .. "..."
  end
  return string.format('found "%s"', (string.gsub(value, "%c", "?")))
end

-- Digits as people and databases write them, and nothing that only a programmer calls a number.
local function decimal(value)
  local digits = string.match(value, "^%+?([%d.]+)$") or string.match(value, "^%+?([%d.]+)[eE][+-]?%d+$")
  local number = digits and tonumber(value)
  if not number or number == math.huge then return nil end
  -- What is too small to be held is not nothing.
  if number == 0 and string.find(digits, "[1-9]") then return nil end
  return number
end

local readers = {}

function readers.model_id(value)
  if value == "" or #value > 127 or string.find(value, "[%c%s]") then
    return nil, "expected a model's name of at most 127 bytes, without blanks"
  end
  if value == "auto" then return nil, 'expected a model\'s name; "auto" is kept for "let the policy choose"' end
  return value
end

function readers.provider_id(value, providers, names)
  if providers[value] then return value end
  local hint = near.hint(value, names)
  if hint == "" then hint = "; there are: " .. table.concat(names, ", ") end
  return nil, "expected one of the configuration's providers" .. hint
end

function readers.is_free_tier(value)
  local free = FREE[string.lower(value)]
  if free == nil then return nil, "expected 1, 0, true, false, yes or no" end
  return free
end

-- What is no price, or one below zero, is not known; and unknown is not zero.
function readers.cost(value)
  local number = decimal(value)
  if not number then return false end
  if number > MOST_USD then return nil, "expected USD per million tokens, at most 1000000" end
  return { input = number, output = number }
end

function readers.name(value)
  return value ~= "" and value or nil
end

function readers.context_length(value)
  if value == "" then return nil end
  local number = decimal(value)
  if number and number >= 1 and number <= MOST and number % 1 == 0 then return number end
  return nil, "expected a whole number of tokens above 0"
end

function readers.priority(value)
  if value == "" then return nil end
  local number = decimal(value)
  if number and number <= 100 then return number end
  return nil, "expected a number from 0 to 100"
end

local function listed(names)
  local shown_names = {}
  for i = 1, math.min(#names, 30) do shown_names[i] = string.sub(names[i], 1, LONGEST_SHOWN) end
  if #names > 30 then shown_names[31] = "..." end
  return table.concat(shown_names, ", ")
end

-- The place of each column by its name; or nil and what is wrong with the header.
local function find_columns(header)
  local places, names = {}, {}
  for i, each in ipairs(header) do
    local name = string.lower(trimmed(each))
    names[i] = trimmed(each)
    if is_column[name] then
      if places[name] then return nil, 'has the column "' .. name .. '" twice' end
      places[name] = i
    end
  end
  if #names == 1 and string.find(names[1], "[;\t|]") then
    local mark = string.match(names[1], "[;\t|]")
    local called = ({ [";"] = "semicolons", ["\t"] = "tabs", ["|"] = "bars" })[mark]
    return nil, "its values are separated by " .. called .. ": save it with commas"
  end
  local missing = {}
  for _, name in ipairs(REQUIRED) do
    if not places[name] then missing[#missing + 1] = '"' .. name .. '"' .. near.hint(name, names) end
  end
  if #missing == 0 then return places end
  return nil, string.format("lacks the column%s %s; it has: %s", #missing > 1 and "s" or "",
    table.concat(missing, ", "), listed(names))
end

local FIELDS = { provider_id = "provider", model_id = "id", is_free_tier = "free" }

local NEVER_TWICE = { model_id = true, name = true }

-- The columns that are there: where, and what was read of each text before: but for their names, rows are much alike.
local function columns_of(places)
  local columns = {}
  for _, name in ipairs(COLUMNS) do
    if places[name] then
      columns[#columns + 1] = {
        name = name, field = FIELDS[name] or name, at = places[name], known = not NEVER_TWICE[name] and {} or nil,
      }
    end
  end
  return columns
end

-- The sound rows (lists of texts) as table_rows has them; or nil and what is wrong, at most 20 of it. place(i) gives
-- file, line (or nil) and, where there are no lines, the name of row i; place(0) that of the header. Each row that was
-- read is let go: what is left of it is its line. is_utf8: they are known to be.
local function pack(header, rows, providers, place, is_utf8)
  local problems, more = {}, 0
  local function report(row, column, message)
    if #problems >= MOST_PROBLEMS then
      more = more + 1
      return
    end
    local file, line, name = place(row)
    if name and column then column = name .. ": " .. column end
    problems[#problems + 1] = { file = file, line = line, key = column or name, message = message }
  end
  local places, fault = find_columns(header)
  if not places then
    report(0, nil, fault)
    return nil, problems
  end
  if #rows == 0 then
    report(0, nil, "has no rows: the gateway would know no model at all")
    return nil, problems
  end
  local lines, seen, names, columns = {}, {}, near.names(providers), columns_of(places)
  for i, row in ipairs(rows) do
    local model, sound = {}, true
    if #row ~= #header then
      report(i, nil, string.format("has %d values where the header has %d columns", #row, #header))
      sound = false
    else
      for _, column in ipairs(columns) do
        local raw = row[column.at]
        local found = column.known and column.known[raw]
        if found then
          model[column.field] = found[1]
        else
          local text = trimmed(raw)
          local value, expected
          if not is_utf8 and csv.malformed(text) then
            expected, text = "expected UTF-8", string.gsub(text, "[\128-\255]", "?")
          else
            value, expected = readers[column.name](text, providers, names)
          end
          if expected then
            report(i, column.name, expected .. ", and " .. shown(text))
            sound = false
          elseif column.known then
            column.known[raw] = { value }
          end
          model[column.field] = value
        end
      end
    end
    rows[i] = row.line or 0
    if sound then
      local id = model.provider .. "/" .. model.id
      if seen[id] then
        local _, line, name = place(seen[id])
        report(i, "model_id", string.format('"%s" is there twice at %s, first in %s', model.id, model.provider,
          name or "line " .. line))
      end
      seen[id] = seen[id] or i
      lines[#lines + 1] = table_rows.line(model)
    end
  end
  if #problems == 0 then return table.concat(lines, "\n") .. "\n", nil, nil, #lines end
  if more > 0 then
    local last = problems[#problems]
    last.message = last.message .. string.format(" (and %d more)", more)
  end
  return nil, problems
end

local function read_csv(path, providers, files)
  local text, reason = files.read(path, MOST_BYTES)
  if not text then return nil, nil, reason end
  local records, fault = csv.read(text, MOST_ROWS + 1)
  if not records then return nil, { { file = path, line = fault.line, message = fault.message } } end
  local header = table.remove(records, 1)
  if not header then
    return nil, { { file = path, message = "is empty: its first line names the columns " .. listed(REQUIRED) } }
  end
  return pack(header, records, providers, function(row)
    local record = records[row] or header
    return path, type(record) == "number" and record or record.line
  end, true)
end

local function read_sqlite(path, name, providers, files)
  local header, rows = files.sheet(path, name, { rows = MOST_ROWS, bytes = MOST_BYTES, seconds = MOST_SECONDS })
  if not header then return nil, nil, rows end
  return pack(header, rows, providers, function(row)
    return path, nil, row == 0 and name or string.format("%s, row %d", name, row)
  end)
end

-- Reads the table into the configuration: models_table.packed, see table_rows, and rows, their number. files = {
-- read(path, most bytes), sheet(path, table, limits) }. Answers nil, or what is wrong: problems with a place in the
-- table, or one sentence on why it cannot be read at all.
---@param config table filled
---@param files table
---@return problem[]|string|nil
function models_table.apply(config, files)
  local chosen = config.models_table
  local packed, problems, reason, count
  if chosen.csv then
    packed, problems, reason, count = read_csv(chosen.csv, config.providers, files)
  else
    packed, problems, reason, count = read_sqlite(chosen.sqlite, chosen.table, config.providers, files)
  end
  if not packed then return problems or (chosen.csv or chosen.sqlite) .. ": " .. reason end
  chosen.packed, chosen.rows = packed, count
  return nil
end

return models_table
