-- Medians and spreads of what several rounds measured. Two subjects are compared within a round, where they had the
-- same machine, and the median is taken of that. Pure.
local figures = {}

-- nil of an empty list.
---@param values number[]
---@return number|nil
function figures.median(values)
  if #values == 0 then return nil end
  local sorted = { unpack(values) }
  table.sort(sorted)
  local middle = #sorted / 2
  if #sorted % 2 == 1 then return sorted[math.ceil(middle)] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

-- A number as one reads it: about three digits, thousands set apart.
---@param value number
---@return string
function figures.number(value)
  local size = math.abs(value)
  local text = (size >= 100 and "%.0f" or size >= 10 and "%.1f" or "%.2f"):format(value)
  local sign, whole, rest = text:match("^(%-?)(%d+)(.*)$")
  whole = whole:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. whole .. rest
end

-- "median (least–most)"; the spread is left out where it would say the same.
---@param values number[]
---@return string
function figures.spread(values)
  local median = figures.median(values)
  if not median then return "–" end
  local text = figures.number(median)
  local least, most = figures.number(math.min(unpack(values))), figures.number(math.max(unpack(values)))
  return least == most and text or ("%s (%s–%s)"):format(text, least, most)
end

-- The members of two lists of records, joined round by round.
---@param left table<integer, table> round -> record
---@param right table<integer, table>
---@param field string
---@param join fun(left: number, right: number): number
---@return number[]
function figures.joined(left, right, field, join)
  local values = {}
  for round, record in pairs(left or {}) do
    local other = (right or {})[round]
    if other and record[field] and other[field] then values[#values + 1] = join(record[field], other[field]) end
  end
  return values
end

---@param left table<integer, table>
---@param right table<integer, table>
---@param field string
---@return number[]
function figures.ratios(left, right, field)
  return figures.joined(left, right, field, function(a, b) return a / b end)
end

---@return number[]
function figures.differences(left, right, field)
  return figures.joined(left, right, field, function(a, b) return a - b end)
end

-- One field of each record.
---@param records table<integer, table>
---@param field string|fun(record: table): number
---@return number[]
function figures.values(records, field)
  local values = {}
  for _, record in pairs(records or {}) do
    values[#values + 1] = type(field) == "function" and field(record) or record[field]
  end
  return values
end

return figures
