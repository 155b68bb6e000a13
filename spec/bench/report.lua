-- What was measured, as Markdown: ratios first, medians with their spread. Pure: reads records, writes text.
local figures = require "spec.bench.figures"

local report = {}

local LABELS = { direct = "no gateway", nginx = "nginx", haproxy = "HAProxy", ["nginx-lua"] = "nginx + Lua",
  moongate = "moongate", ["moongate-second"] = "moongate, sync=second", ["moongate-2"] = "two workers",
  ["nginx-tls"] = "nginx", ["moongate-tls"] = "moongate" }
local PEERS = { "nginx-lua", "haproxy", "nginx" }
-- With its ledger synced with each answer, as it comes, and within a second.
local OURS = { "moongate", "moongate-second" }

local function row(cells) return "| " .. table.concat(cells, " | ") .. " |" end

-- A heading and a table, or nothing where no row has anything to say.
local function add_table(lines, title, heads, rows)
  if #rows == 0 then return end
  lines[#lines + 1] = "### " .. title
  lines[#lines + 1] = ""
  lines[#lines + 1] = row(heads)
  lines[#lines + 1] = "|" .. ("---|"):rep(#heads)
  for _, cells in ipairs(rows) do lines[#lines + 1] = row(cells) end
  lines[#lines + 1] = ""
end

local function of_kind(run, ...)
  local wanted = {}
  for _, kind in ipairs { ... } do wanted[kind] = true end
  local list = {}
  for _, scenario in ipairs(run.scenarios) do
    local records = run.records[scenario.name]
    local is_main = records.moongate and not records["moongate-2"] -- the others have tables of their own
    if wanted[scenario.kind] and is_main then list[#list + 1] = scenario end
  end
  return list
end

-- Ratios of one to each peer, then the figures of all.
local function compared_row(scenario, records, who, field)
  local cells = { scenario.text .. (who == "moongate" and "" or "; sync=second") }
  for _, peer in ipairs(PEERS) do
    cells[#cells + 1] = figures.spread(figures.ratios(records[who], records[peer], field))
  end
  cells[2] = "**" .. cells[2]:gsub("^[^ ]+", "%0**", 1)
  for _, name in ipairs { who, unpack(PEERS) } do
    local median = figures.median(figures.values(records[name], field))
    cells[#cells + 1] = median and figures.number(median) or "–"
  end
  return cells
end

local function compared(run, scenarios, field)
  local rows = {}
  for _, scenario in ipairs(scenarios) do
    local records = run.records[scenario.name]
    for _, who in ipairs(OURS) do
      if records[who] then rows[#rows + 1] = compared_row(scenario, records, who, field) end
    end
  end
  return rows
end

local function compared_heads(what)
  return { what, "moongate : nginx + Lua", ": HAProxy", ": nginx", "moongate", "nginx + Lua", "HAProxy", "nginx" }
end

local function added(run, scenario, fields)
  local rows = {}
  local records = run.records[scenario.name]
  for _, name in ipairs { "moongate", "moongate-second", unpack(PEERS) } do
    local cells = { scenario.text, LABELS[name] }
    for _, field in ipairs(fields) do
      cells[#cells + 1] = figures.spread(figures.differences(records[name], records.direct, field))
    end
    if records[name] then rows[#rows + 1] = cells end
  end
  return rows
end

local function concat_rows(run, scenarios, fields)
  local rows = {}
  for _, scenario in ipairs(scenarios) do
    for _, cells in ipairs(added(run, scenario, fields)) do rows[#rows + 1] = cells end
  end
  return rows
end

local function memory(run)
  local rows = {}
  for _, scenario in ipairs(of_kind(run, "memory")) do
    for _, name in ipairs { "moongate", unpack(PEERS) } do
      local records = run.records[scenario.name][name]
      rows[#rows + 1] = records and { LABELS[name],
        figures.spread(figures.values(records, function(r) return r.before / 1024 end)),
        figures.spread(figures.values(records, function(r) return r.peak / 1024 end)),
        figures.spread(figures.values(records, function(r) return (r.peak - r.before) / scenario.connections end)) }
    end
  end
  return rows
end

local function tls(run)
  local records = run.records["tls-64"]
  if not (records and records["nginx-tls"] and records["moongate-tls"]) then return {} end
  local rows = {}
  for _, field in ipairs { "cpu", "per_second" } do
    rows[#rows + 1] = { field == "cpu" and "CPU, µs a request" or "requests/s",
      figures.spread(figures.ratios(records["moongate-tls"], records["nginx-tls"], field)),
      figures.spread(figures.values(records["moongate-tls"], field)),
      figures.spread(figures.values(records["nginx-tls"], field)) }
  end
  return rows
end

local function workers(run)
  local records = run.records["workers-2"]
  if not (records and records["moongate-2"]) then return {} end
  local rows = { { "CPU a request", figures.spread(figures.ratios(records["moongate-2"], records.moongate, "cpu")) } }
  if run.has_room_for_two then
    rows[2] = { "requests/s", figures.spread(figures.ratios(records["moongate-2"], records.moongate, "per_second")) }
  end
  return rows
end

-- What a reader has to know to believe it, or not to.
local function caveats(run)
  local lines, noisy, all, errors = {}, 0, 0, {}
  for _, scenario in ipairs(run.scenarios) do
    for name, records in pairs(run.records[scenario.name]) do
      for _, record in pairs(records) do
        all = all + 1
        if record.foreign > 0.1 then noisy = noisy + 1 end
        if record.errors > 0 then errors[#errors + 1] = ("%s %s: %d"):format(name, scenario.name, record.errors) end
      end
    end
  end
  if noisy > all / 10 then
    lines[#lines + 1] = ("**Warning: in %d of %d measurements others used more than a tenth of a processor. Ratios"
      .. " within a round still hold roughly, latencies and throughput do not.**"):format(noisy, all)
  end
  lines[#lines + 1] = #errors == 0 and ("%d measurements, no error."):format(all)
    or "**Errors: " .. table.concat(errors, "; ") .. ".**"
  for _, text in ipairs(run.notes) do lines[#lines + 1] = text end
  return lines
end

-- The whole report.
---@param run { scenarios: bench.scenario[], records: table<string, table<string, table<integer, bench.record>>>,
---  notes: string[], head: string, has_room_for_two: boolean }
---@return string
function report.text(run)
  local lines = { run.head, "" }
  add_table(lines, "CPU a request, µs", compared_heads "work", compared(run, of_kind(run, "closed", "rate"), "cpu"))
  add_table(lines, "CPU a chunk of a stream, µs", compared_heads "work", compared(run, of_kind(run, "streams"), "cpu"))
  add_table(lines, "Requests a second, one worker", compared_heads "work",
    compared(run, of_kind(run, "closed"), "per_second"))
  add_table(lines, "Latency added to no gateway at a fixed rate, µs", { "work", "", "p50", "p99" },
    concat_rows(run, of_kind(run, "rate"), { "p50", "p99" }))
  add_table(lines, "Delay added to streams, µs", { "work", "", "first byte p50", "p99", "chunk p50", "p99" },
    concat_rows(run, of_kind(run, "streams"), { "first_p50", "first_p99", "transit_p50", "transit_p99" }))
  add_table(lines, "Memory of 1,000 streams", { "", "at rest, MB", "at most, MB", "KB a stream" }, memory(run))
  add_table(lines, "TLS to the provider", { "", "moongate : nginx", "moongate", "nginx" }, tls(run))
  add_table(lines, "Two workers : one", { "", "" }, workers(run))
  for _, line in ipairs(caveats(run)) do lines[#lines + 1] = line end
  return table.concat(lines, "\n") .. "\n"
end

return report
