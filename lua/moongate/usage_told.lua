-- Usage as text: JSON, CSV, lines of JSON, and a table for people. Sums come as digits and stay exact. Pure.
local json = require "moongate.core.json"
local usage_query = require "moongate.usage_query"

local usage_told = {}

local SUMS, COLUMNS = usage_query.sums, usage_query.columns
local AT_ONCE = 50 -- groups or rows without a pause

-- ---- JSON ----

local function sums_of(group)
  local members = {}
  for i, name in ipairs(SUMS) do members[i] = string.format('"%s":%s', name, group[name]) end
  return table.concat(members, ",")
end

-- A group as a JSON object: its dimension, then its sums.
---@param group table
---@param by string
---@return string
function usage_told.group_json(group, by)
  return string.format('{"%s":%s,%s}', by, json.encode(group[by]), sums_of(group))
end

-- A row of the ledger as a JSON object, its members in their order.
---@param row table
---@return string
function usage_told.row_json(row)
  local members = {}
  for i, name in ipairs(COLUMNS) do members[i] = string.format('"%s":%s', name, json.encode(row[name])) end
  return "{" .. table.concat(members, ",") .. "}"
end

local function page_row_json(row)
  return string.format('{"request":%s,"requests":1,%s', json.encode(row.request_id),
    string.sub(usage_told.row_json(row), 2))
end

-- The whole answer as /v1/usage gives it. pause() is called now and then: a long one would hold others up.
---@param totals table
---@param answer table what moongate.core.usage answered
---@param by string
---@param pause fun()
---@return string
function usage_told.json(totals, answer, by, pause)
  local groups = {}
  for item in answer.each do
    groups[#groups + 1] = by == "request" and page_row_json(item) or usage_told.group_json(item, by)
    if #groups % AT_ONCE == 0 then pause() end
  end
  local next_page = by == "request" and answer.is_over and ',"next":' .. json.encode(answer.next) or ""
  return string.format('{"totals":{%s},"groups":[%s]%s}', sums_of(totals), table.concat(groups, ","), next_page)
end

-- ---- CSV ----

-- RFC 4180; a value stays as it is, whatever a spreadsheet makes of it.
local function quoted(value)
  if not string.find(value, '[",\r\n]') then return value end
  return '"' .. string.gsub(value, '"', '""') .. '"'
end

local function plain(value)
  return type(value) == "string" and quoted(value) or json.encode(value)
end

---@param by string
---@return string
function usage_told.csv_header(by)
  return by == "request" and table.concat(COLUMNS, ",") or by .. "," .. table.concat(SUMS, ",")
end

local function csv_line(names, values, first)
  local cells = { first }
  for _, name in ipairs(names) do cells[#cells + 1] = plain(values[name]) end
  return table.concat(cells, ",")
end

---@param group table
---@param by string
---@return string
function usage_told.group_csv(group, by) return csv_line(SUMS, group, quoted(group[by])) end

---@param row table
---@return string
function usage_told.row_csv(row) return csv_line(COLUMNS, row) end

-- ---- a table for people ----

local HEADS = { "REQUESTS", "INPUT", "OUTPUT", "BILLED", "COST", "SAVINGS" }
local LEAST = 8 -- columns of a name, however narrow the terminal

-- "1234567" micro-dollars as "$1.234567".
---@param digits string
---@return string
function usage_told.usd(digits)
  local sign, number = string.match(digits, "^(%-?)(%d+)$")
  number = string.rep("0", 7 - #number) .. number
  return string.format("%s$%s.%s", sign, string.sub(number, 1, -7), string.sub(number, -6))
end

local function cells_of(name, group)
  return {
    name, group.requests, group.input_tokens, group.output_tokens, group.billed_tokens,
    usage_told.usd(group.cost_microusd), usage_told.usd(group.savings_microusd),
  }
end

local function width_of(text)
  local _, continued = string.gsub(text, "[\128-\191]", "")
  return #text - continued
end

-- At most so wide: what is cut off at the end is shown as "..."; control characters have no place on a terminal.
local function fitted(text, width)
  text = string.gsub(text, "[%z\1-\31\127]", "?")
  if width_of(text) <= width then return text .. string.rep(" ", width - width_of(text)) end
  local kept, count = {}, 0
  for character in string.gmatch(text, "[%z\1-\127\192-\255][\128-\191]*") do
    count = count + 1
    if count > width - 3 then break end
    kept[count] = character
  end
  return table.concat(kept) .. "..."
end

local function line_of(cells, widths)
  local parts = { fitted(cells[1], widths[1]) }
  for i = 2, #cells do parts[i] = string.rep(" ", widths[i] - #cells[i]) .. cells[i] end
  return (string.gsub(table.concat(parts, "  "), "%s+$", ""))
end

-- The lines of a table: heads, a line a group, and the totals. Names are cut so that it fits into so many columns, if
-- that is told.
---@param answer table
---@param by string
---@param columns integer|nil
---@return string[]
function usage_told.table(answer, by, columns)
  local lines = { { string.upper(by), unpack(HEADS) } }
  for group in answer.each do
    lines[#lines + 1] = cells_of(group[by] ~= "" and group[by] or "(none)", group)
  end
  lines[#lines + 1] = cells_of("total", answer.totals)
  local widths, others = {}, 0
  for i = 1, #HEADS + 1 do
    widths[i] = 0
    for _, cells in ipairs(lines) do widths[i] = math.max(widths[i], width_of(cells[i])) end
    if i > 1 then others = others + widths[i] + 2 end
  end
  if columns then widths[1] = math.max(LEAST, math.min(widths[1], columns - others)) end
  for i, cells in ipairs(lines) do lines[i] = line_of(cells, widths) end
  return lines
end

-- Where a table of rows has its columns: the model takes what the others leave of so many.
local function row_widths(columns)
  return { 14, 30, columns and math.max(LEAST, columns - 67) or 40, 9, 10 }
end

local function row_line(cells, columns)
  local parts, widths = {}, row_widths(columns)
  for i = 1, 4 do parts[i] = fitted(cells[i], widths[i]) end
  parts[5] = string.rep(" ", widths[5] - #cells[5]) .. cells[5]
  return (string.gsub(table.concat(parts, " "), "%s+$", ""))
end

---@param columns integer|nil
---@return string
function usage_told.row_head(columns)
  return row_line({ "TIME (UTC)", "REQUEST", "MODEL", "OUTCOME", "COST" }, columns)
end

---@param row table
---@param columns integer|nil
---@return string
function usage_told.row_line(row, columns)
  local served = row.provider ~= "" and row.provider .. "/" .. row.model or row.model
  return row_line({
    os.date("!%m-%d %H:%M:%S", math.floor(row.time)), row.request_id, served, row.outcome,
    usage_told.usd(string.format("%.0f", row.cost_microusd)),
  }, columns)
end

return usage_told
