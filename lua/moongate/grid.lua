-- A table for people: columns as wide as they need to be, the widest names cut where the terminal is too narrow. Pure.

local grid = {}

local GAP, LEAST = 2, 8

-- Characters, not bytes; what is no letter of its own width is rare in names.
local function width_of(text)
  local _, continued = string.gsub(text, "[\128-\191]", "")
  return #text - continued
end

-- The first so many characters, the last of them a dot where there are more.
---@param text string
---@param most integer
---@return string
function grid.cut(text, most)
  if width_of(text) <= most then return text end
  if most < 1 then return "" end
  local at, count = 1, 0
  while count < most - 1 do
    local _, stop = string.find(text, "^[%z\1-\127\192-\255][\128-\191]*", at)
    at, count = (stop or at) + 1, count + 1
  end
  return string.sub(text, 1, at - 1) .. "~"
end

local function padded(text, width, is_right)
  local blanks = string.rep(" ", width - width_of(text))
  return is_right and blanks .. text or text .. blanks
end

-- Makes the columns that may be cut narrower, the widest first, until all fit.
local function fit(widths, cuttable, columns)
  local total = GAP * (#widths - 1)
  for _, width in ipairs(widths) do total = total + width end
  while total > columns do
    local widest
    for _, i in ipairs(cuttable) do
      if widths[i] > LEAST and (not widest or widths[i] > widths[widest]) then widest = i end
    end
    if not widest then return end
    widths[widest], total = widths[widest] - 1, total - 1
  end
end

-- The lines of the table. head: { "NAME", ... }; rows: lists of texts; right: which columns stand at the right;
-- cuttable: which may be cut. columns: how wide the terminal is; nil: as wide as it takes.
---@param head string[]
---@param rows string[][]
---@param options { right: table<integer, boolean>|nil, cuttable: integer[]|nil, columns: integer|nil }
---@return string[]
function grid.lines(head, rows, options)
  local widths, lines, right = {}, {}, options.right or {}
  for i, text in ipairs(head) do widths[i] = width_of(text) end
  for _, row in ipairs(rows) do
    for i = 1, #head do widths[i] = math.max(widths[i], width_of(row[i] or "")) end
  end
  if options.columns then fit(widths, options.cuttable or {}, options.columns) end
  local function add(row)
    local cells = {}
    for i = 1, #head do cells[i] = padded(grid.cut(row[i] or "", widths[i]), widths[i], right[i]) end
    lines[#lines + 1] = (string.gsub(table.concat(cells, string.rep(" ", GAP)), "%s+$", ""))
  end
  add(head)
  for _, row in ipairs(rows) do add(row) end
  return lines
end

return grid
