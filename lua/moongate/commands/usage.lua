-- `moongate usage`: what the ledger's rows add up to, read beside the gateway or without it. Changes nothing.
local clock = require "moongate.core.clock"
local near = require "moongate.near"
local offline = require "moongate.core.offline"
local process = require "moongate.core.process"
local usage_query = require "moongate.usage_query"
local usage_told = require "moongate.usage_told"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate usage [-c moongate.lua] [--by model] [--from 30d] [--to now] [--format table|csv|jsonl]

Requests, tokens, cost and savings out of the ledger, summed up by model, provider, task, key, label, org, tier or day
(UTC); --by request tells every request, one line each, the newest last. The gateway may run meanwhile.

  --from    where it begins: 30m, 24h, 7d or 4w ago, a day such as 2026-11-30 (UTC), a time such as
            2026-11-30T12:00:00Z, or unix seconds; 30 days ago unless told
  --to      where it ends, in the same ways; that moment itself is no longer in it. Without it there is no end
  --format  table (the default), csv, or jsonl: a JSON object a line, with exact numbers and the ledger's names

Every request counts that was let in, also those that ended as error, cancelled or lost.

  moongate usage --by key --from 2026-11-01 --to 2026-12-01 --format csv]]

local OPTIONS = { ["--by"] = "by", ["--from"] = "from", ["--to"] = "to", ["--format"] = "format" }
local FORMATS = { "table", "csv", "jsonl" }
local PAGE_ROWS = 500

-- Also reads the query that is meant.
local function check(given)
  given.format = given.format or "table"
  local is_format = false
  for _, name in ipairs(FORMATS) do is_format = is_format or given.format == name end
  if not is_format then
    return string.format('--format: "%s" is not known%s: expected table, csv or jsonl', given.format,
      near.hint(given.format, FORMATS))
  end
  local query, name, message = usage_query.read(given, clock.now())
  if not query then return string.format("--%s: %s", name, message) end
  given.query = query
  return nil
end

local function since(from)
  return "no request is recorded since " .. os.date("!%Y-%m-%d %H:%M UTC", math.floor(from))
end

-- How each format tells a line of a row and of a group.
local ROW_LINES = { csv = usage_told.row_csv, jsonl = usage_told.row_json, table = usage_told.row_line }
local GROUP_LINES = { csv = usage_told.group_csv, jsonl = usage_told.group_json }

-- Page by page: a long ledger is never in memory.
local function each_row(ledger, query, see)
  local asked = { by = "request", from = query.from, to = query.to, most = PAGE_ROWS }
  local page, reason
  repeat
    page, reason = ledger:usage(asked)
    if not page then error(reason, 0) end
    for row in page.each do see(row) end
    asked.after = page.next
  until not page.is_over
end

local function nothing() end

local function print_rows(ledger, query, format)
  local columns, is_table = offline.columns(), format == "table"
  local tell, some = ROW_LINES[format], false
  each_row(ledger, query, function(row)
    if is_table and not some then process.print(usage_told.row_head(columns)) end
    some = true
    process.print(tell(row, columns))
  end)
  if not is_table then return end
  if not some then return process.print(since(query.from)) end
  local whole, reason = ledger:usage { by = "provider", from = query.from, to = query.to }
  if not whole then error(reason, 0) end
  for _, line in ipairs(usage_told.table({ each = nothing, totals = whole.totals }, "", columns)) do
    process.print(line)
  end
end

local function print_groups(ledger, query, format)
  local answer, reason = ledger:usage(query)
  if not answer then error(reason, 0) end
  if format == "table" and answer.totals.requests == "0" then return process.print(since(query.from)) end
  if format == "table" then
    for _, line in ipairs(usage_told.table(answer, query.by, offline.columns())) do process.print(line) end
    return
  end
  for group in answer.each do process.print(GROUP_LINES[format](group, query.by)) end
end

local function run(options)
  local config = verb.load(options)
  if not config then return 1 end
  if config.store == "memory:" then
    return verb.fail("usage", 'the ledger is in the memory of the gateway (store = "memory:"): ask it for /v1/usage '
      .. 'with the admin token, or set store = "sqlite:moongate.db"')
  end
  local query = options.query
  local ledger, reason = offline.read(config.store)
  if not ledger then return verb.fail("usage", reason) end
  if options.format == "csv" then process.print(usage_told.csv_header(query.by)) end
  local fine, why = pcall(query.by == "request" and print_rows or print_groups, ledger, query, options.format)
  ledger:close()
  if not fine then return verb.fail("usage", tostring(why)) end
  local out, failed = offline.flush()
  return out and 0 or verb.fail("usage", failed)
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({ name = "usage", help = HELP, options = OPTIONS, check = check, run = run }, words)
end

return command
