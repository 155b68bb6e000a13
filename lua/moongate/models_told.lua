-- Models, imports and changes as lines for people. Pure.

local grid = require "moongate.grid"

local models_told = {}

local MOST_CHANGES = 40 -- under an import
local UNKNOWN = "?"

local function is_number(value) return type(value) == "number" end

-- USD per million tokens, as short as it is exact.
local function price(value)
  if value == -1 then return "unknown" end
  if not is_number(value) then return UNKNOWN end
  return value == 0 and "0" or string.format("%.6g", value)
end

local function size(tokens)
  if not is_number(tokens) then return UNKNOWN end
  if tokens >= 1e6 then return string.format("%.3gM", tokens / 1e6) end
  if tokens >= 1000 then return string.format("%.4gk", tokens / 1000) end
  return string.format("%d", tokens)
end

local function note_of(entry)
  local parts = {}
  if entry.deprecated then
    parts[1] = entry.deprecated .. (entry.replacement and ", use " .. entry.replacement or "")
  elseif entry.retires then
    parts[1] = "until " .. entry.retires
  end
  if not entry.target then parts[#parts + 1] = "provider not configured" end
  return table.concat(parts, "; ")
end

---@param entries moongate.catalogue_entry[]
---@param known integer how many there are in all
---@param columns integer|nil
---@return string[]
function models_told.list(entries, known, columns)
  if known == 0 then
    return { "no model is known: configure providers, or moongate models import https://openrouter.ai/api/v1/models" }
  end
  if #entries == 0 then return { string.format("none of the %d models that are known is such a one", known) } end
  local rows = {}
  for i, entry in ipairs(entries) do
    local cost = type(entry.cost) == "table" and entry.cost or {}
    rows[i] = {
      entry.id, entry.provider, price(cost.input), price(cost.output), size(entry.context_length),
      entry.free and "free" or "", entry.source .. (entry.prices_from and entry.prices_from ~= entry.source
        and "+" .. entry.prices_from or ""), note_of(entry),
    }
  end
  return grid.lines({ "MODEL", "PROVIDER", "IN $/M", "OUT $/M", "CONTEXT", "FREE", "FROM", "NOTE" }, rows,
    { right = { [3] = true, [4] = true, [5] = true }, cuttable = { 1, 2, 7, 8 }, columns = columns })
end

local function value_of(value)
  if value == nil or type(value) == "userdata" then return "-" end
  if is_number(value) then return string.format("%.10g", value) end
  return tostring(value)
end

local function priced(change, value)
  if string.find(change.field, "^cost%.") and value == -1 then return "unknown" end
  return value_of(value)
end

-- "openrouter/x/y: cost.input 0.5 -> 5 (10 times as much)"
local function in_words(change)
  local name = change.provider .. "/" .. change.model
  if change.field == "model" then return name .. ": " .. tostring(change.new) end
  local times = change.alert and is_number(change.old) and change.old > 0
    and string.format(" (%.3g times as much)", change.new / change.old) or ""
  return string.format("%s: %s %s -> %s%s", name, change.field, priced(change, change.old), priced(change, change.new),
    times)
end

local function count(number, what)
  return string.format("%d %s", number, what)
end

---@param report moongate.import_report
---@param columns integer|nil
---@return string[]
function models_told.report(report, columns)
  local lines = {}
  local function add(text) lines[#lines + 1] = columns and grid.cut(text, columns) or text end
  lines[1] = string.format("%s %s from %s (%s): %s, %s, %s, %s as before",
    report.dry_run and "would import" or "imported", count(report.models, report.models == 1 and "model" or "models"),
    report.origin, report.source, count(report.added, "new"), count(report.changed, "changed"),
    count(report.removed, "gone"), count(report.same, ""))
  lines[1] = string.gsub(lines[1], "%s+", " ")
  if report.skipped > 0 then
    local reasons = {}
    for reason, number in pairs(report.skipped_why or {}) do
      reasons[#reasons + 1] = string.format("%d: %s", number, reason)
    end
    table.sort(reasons)
    add(string.format("%d passed over (%s)", report.skipped, table.concat(reasons, "; ")))
  end
  add(string.format("%d of them are at providers of the configuration", report.usable))
  local shown = 0
  for _, change in ipairs(report.changes) do
    -- Of an import that was made, the trail tells what is new and what is gone.
    local is_shown = change.alert or change.field ~= "model" or report.dry_run
    if is_shown and shown < MOST_CHANGES then
      shown = shown + 1
      add((change.alert and "  PRICE JUMP " or "  ") .. in_words(change))
    end
  end
  if report.change_count > shown and shown > 0 then
    add(string.format("  ... %d changes in all%s", report.change_count,
      report.dry_run and "; --json tells more of them" or "; moongate models changes lists them"))
  end
  for _, problem in ipairs(report.problems or {}) do
    if problem.what == "configuration" then
      lines[#lines + 1] = "it is kept, but not in force: the configuration does not load: " .. problem.message
    end
  end
  return lines
end

---@param changes moongate.model_change[]
---@param since number
---@param columns integer|nil
---@return string[]
function models_told.changes(changes, since, columns)
  if #changes == 0 then
    return { "nothing has changed since " .. os.date("!%Y-%m-%d %H:%M UTC", math.floor(since)) }
  end
  local rows = {}
  for i, change in ipairs(changes) do
    rows[i] = {
      os.date("!%Y-%m-%d %H:%M", math.floor(change.time)), change.source, change.provider .. "/" .. change.model,
      change.field, change.field == "model" and "" or priced(change, change.old), priced(change, change.new),
      change.alert and "JUMP" or "",
    }
  end
  return grid.lines({ "TIME (UTC)", "SOURCE", "MODEL", "FIELD", "OLD", "NEW", "" }, rows,
    { right = { [5] = true, [6] = true }, cuttable = { 3, 4, 5, 6 }, columns = columns })
end

return models_told
