-- One measurement: a load on a subject, and what the kernel counted meanwhile.
local cast = require "spec.bench.cast"
local json = require "dkjson"
local proc = require "spec.bench.proc"
local process = require "spec.support.process"
local subject = require "spec.bench.subject"

local measure = {}

---@class bench.record
---@field requests integer that were answered
---@field errors integer answers that were not 200, broken, cut short, or never came
---@field per_second number
---@field cpu number microseconds of the subject's CPU for each request; of a stream, for each chunk
---@field busy number share of one processor that the subject had
---@field foreign number processors that others used meanwhile
---@field waited number share of the time that the subject was ready to run and did not
---@field p50 number microseconds of a whole answer
---@field p99 number
---@field first_p50 number to the first byte of the body
---@field first_p99 number
---@field transit_p50 number age of a stream's chunk when it arrives
---@field transit_p99 number
---@field before number kilobytes at rest
---@field peak number kilobytes at most

-- Runs the load client against a port; what it tells.
---@param options { mode: string, port: integer, body: string, processors: string }
---@return table
function measure.load(options)
  local command = { "taskset", "-c", options.processors, cast.programs .. "/load", options.mode,
    "port=" .. options.port, "body=" .. options.body }
  if not options.keys then command[#command + 1] = "header=Authorization: Bearer " .. subject.key end
  for _, name in ipairs { "connections", "seconds", "rate", "repeats", "ramp", "keys" } do
    if options[name] then command[#command + 1] = name .. "=" .. options[name] end
  end
  local status, output, errors = process.run(command, { seconds = 200 })
  local told = status == 0 and json.decode(output)
  assert(told, ("the load on port %d failed: %s%s"):format(options.port, errors, output))
  return told
end

-- Measures a scenario on a subject. `stage` has the mock, other programs of ours that take part, paths of bodies, the
-- places of all, and how long a load lasts.
---@param scenario bench.scenario
---@param who bench.subject
---@param stage { mock: bench.subject, others: bench.subject[], paths: table<string, string>, places: table,
---  seconds: number, repeats: integer|nil }
---@return bench.record
function measure.once(scenario, who, stage)
  local streams = scenario.kind == "streams" or scenario.kind == "memory"
  local function ours()
    local sum = who == stage.mock and 0 or (who:cpu())
    sum = sum + stage.mock:cpu()
    for _, other in ipairs(stage.others) do sum = sum + other:cpu() end
    return sum
  end
  who:forget_peak()
  local record = { before = who:memory("VmRSS") }
  local all_before, busy_before = ours(), proc.busy()
  local cpu_before, waited_before = who:cpu()
  local told = measure.load { mode = streams and "streams" or scenario.kind, port = who.port,
    body = stage.paths[scenario.body], processors = stage.places.callers, connections = scenario.connections,
    seconds = not streams and stage.seconds or nil, rate = scenario.rate, keys = scenario.keys,
    repeats = streams and math.min(stage.repeats or 9, scenario.repeats) or nil,
    ramp = streams and (scenario.ramp or 1000) or nil }
  local cpu, waited = who:cpu()
  local wall = told.seconds * 1e9
  record.requests = told.completed
  record.errors = told.failed + told.refused + told.cut_short + told.unanswered
  record.per_second = told.completed / told.seconds
  record.cpu = (cpu - cpu_before) / 1000 / math.max(1, streams and told.events or told.completed)
  record.busy, record.waited = (cpu - cpu_before) / wall, (waited - waited_before) / wall
  record.foreign = math.max(0, proc.busy() - busy_before - (ours() - all_before) - told.cpu * 1000) / wall
  record.p50, record.p99 = told.latency.p50, told.latency.p99
  record.first_p50, record.first_p99 = told.first_byte.p50, told.first_byte.p99
  record.transit_p50, record.transit_p99 = told.transit.p50, told.transit.p99
  record.peak = who:memory("VmHWM")
  who:note(streams and 0 or told.completed - told.refused, streams and told.completed or 0)
  return record
end

return measure
