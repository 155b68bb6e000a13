-- What grows, and how: a request's CPU, memory and start against the number of models, keys, streams, rows of the
-- ledger and bytes of a body: `make bench-growth`. The sizes of one case are measured in turn, round by round.
--
--   BENCH_ONLY=models,rows    those cases
--   BENCH_ROWS=10000000       a ledger of so many rows at most (a million else)
--   BENCH_QUICK=1             short, without the largest sizes
package.path = "./?.lua;" .. package.path
local bodies = require "spec.bench.bodies"
local cast = require "spec.bench.cast"
local figures = require "spec.bench.figures"
local growth_cases = require "spec.bench.growth_cases"
local measure = require "spec.bench.measure"
local proc = require "spec.bench.proc"
local process = require "spec.support.process"
local socket = require "socket"

local quick = (os.getenv("BENCH_QUICK") or "") ~= ""
local only = os.getenv("BENCH_ONLY") or ""
local rounds, seconds = quick and 2 or 3, quick and 0.5 or 2
local most_rows = tonumber(os.getenv("BENCH_ROWS")) or 1e6

local places = cast.places(proc.processors())
local mock = cast.mock(places):start()
local folder = process.folder()

local function say(...) io.stderr:write(table.concat({ ... }), "\n") end

local function write(name, text)
  local path = folder .. "/" .. name .. ".json"
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

-- Starts the gateway of one size, and notes what starting took.
local function open(case, size)
  local who = case.gateway(size, places, mock)
  local began = socket.gettime()
  who:start()
  local point = { size = size, who = who, start = (socket.gettime() - began) * 1000, records = {} }
  measure.once({ kind = "closed", body = "1k", connections = 4 }, who, { mock = mock, others = {}, places = places,
    paths = { ["1k"] = write("warm", bodies.chat(1024)) }, seconds = 0.5 })
  point.rest = who:memory("VmRSS") / 1024
  return point
end

local function measure_point(case, point)
  local scenario = case.scenario(point.size)
  local record = measure.once(scenario, point.who, { mock = mock, others = {}, places = places,
    paths = { [scenario.body] = write(case.name .. point.size, case.body(point.size)) }, seconds = seconds })
  if scenario.kind == "streams" then record.cpu = record.cpu * case.events end
  record.memory = (record.peak - record.before) / (scenario.kind == "streams" and point.size or 1)
  point.records[#point.records + 1] = record
  if case.after then point.after = case.after(point.who, point.after) end
  say(("  %-8s %9d  %9.1f us  %8.0f/s  others %3.0f%%  errors %d"):format(case.name, point.size, record.cpu,
    record.per_second, record.foreign * 100, record.errors))
end

-- The power by which something grows from the last size but one to the last: 0 is not at all, 1 is as the size does.
local function power(points, field)
  local a, b = points[#points - 1], points[#points]
  if not a then return 0 end
  return math.log(b[field] / a[field]) / math.log(b.size / a.size)
end

-- The machine's noise is allowed for.
local function verdict(name, found, allowed)
  return ("%s with the power %.2f%s"):format(name, found, found <= allowed + 0.2 and ""
    or allowed == 0 and " (**it should not grow**)" or " (**it should grow as the number at most**)")
end

local function tell(case, points)
  io.write("### ", case.title, "\n\n| ", case.unit, " | CPU µs ", case.per, " | memory at rest, MB | ",
    case.memory or "memory added, KB", " | start, ms | ", case.after_title or "errors", " |\n",
    "|---|---|---|---|---|---|\n")
  for _, point in ipairs(points) do
    local errors = 0
    for _, record in ipairs(point.records) do errors = errors + record.errors end
    point.cpu = figures.median(figures.values(point.records, "cpu"))
    io.write(("| %s | %s | %s | %s | %s | %s |\n"):format(figures.number(point.size),
      figures.spread(figures.values(point.records, "cpu")), figures.number(point.rest),
      figures.spread(figures.values(point.records, "memory")), figures.number(point.start),
      point.after and table.concat(point.after, ", then ") or errors))
  end
  io.write("\nAt the end it grows: ", table.concat({ verdict("CPU", power(points, "cpu"), case.power),
    verdict("memory at rest", power(points, "rest"), 1), verdict("start", power(points, "start"), 1) }, ", "), ".\n\n")
end

local known = {}
for _, case in ipairs(growth_cases.list(most_rows, quick)) do
  known[#known + 1] = case.name
  if only == "" or (("," .. only .. ","):find("," .. case.name .. ",", 1, true)) then
    say(case.title)
    local points = {}
    for index, size in ipairs(case.sizes) do points[index] = open(case, size) end
    for round = 1, case.rounds or rounds do
      for turn = 1, #points do measure_point(case, points[(turn + round - 2) % #points + 1]) end
    end
    tell(case, points)
    for _, point in ipairs(points) do point.who:stop() end
    known.ran = true
  end
end
mock:stop()
if not known.ran then
  say("BENCH_ONLY=", only, " fits no case; there are ", table.concat(known, ", "))
  os.exit(2)
end
