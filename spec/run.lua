-- Runs every spec: each file in a busted of its own, as many at a time as there are processors, then the SDKs'. Prints
-- what fails where it fails, a line per file, and at the very end `N passed, N failed`; of a single file also what it
-- prints itself, such as tables of figures.
--
--   luajit spec/run.lua [FILE_spec.lua | FOLDER]...
package.path = "./?.lua;" .. package.path
local process = require "spec.support.process"
local socket = require "socket"
local valgrind = require "spec.support.valgrind"

local folder = process.folder()

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

-- Those that start whole gateways first, and of all the large ones before the small: so no processor is left alone
-- with a long one at the end.
local function starts_gateways(path)
  return path:match("^spec/sdk/") or path:match("^spec/gateway/") or path:match("^spec/browser/")
end

local function weight(path, size)
  return starts_gateways(path) and size + 1e9 or size
end

local function jobs()
  local places = #arg > 0 and table.concat(arg, " ") or "spec"
  local found = lines_of("find " .. places .. " -name node_modules -prune -o -name '*_spec.lua' -printf '%s %p\n'")
  local seen, list = {}, {}
  for _, line in ipairs(found) do
    local size, path = line:match("^(%d+) (.*)$")
    if not seen[path] then list[#list + 1] = { path = path, weight = weight(path, tonumber(size)) } end
    seen[path] = true
  end
  table.sort(list, function(a, b) return a.weight > b.weight end)
  return list
end

local function start(job, number)
  job.tally = ("%s/%d"):format(folder, number)
  job.began = socket.gettime()
  -- As in a gateway unless it is told otherwise, nothing is compiled: Debian's snapshot of the compiler has faults
  -- that spoil a run now and then.
  local command = { "luajit", "-joff", "/usr/bin/busted", "--ignore-lua", "-o", "spec/support/report.lua", job.path }
  if valgrind.is_on then command[#command + 1] = "--exclude-tags=" .. valgrind.tag end
  -- What is to be looked at is the gateway where there is one, and else the C modules that the spec calls itself.
  local starts_only = starts_gateways(job.path) or job.path:match("^spec/faults/") or job.path:match("^spec/bench/")
  if not starts_only then
    for index, word in ipairs(valgrind.words) do table.insert(command, index, word) end
  end
  job.process = process.start(command,
    { env = { MOONGATE_TALLY = job.tally, LD_PRELOAD = os.getenv("MOONGATE_PRELOAD") or false },
      stdout = job.tally .. ".out", stderr = job.tally .. ".err" })
end

local list = jobs()
local totals = { passed = 0, failed = 0, skipped = 0 }

local function finish(job)
  local counts = read(job.tally)
  local passed, failed, skipped = (counts or ""):match("^(%d+) (%d+) (%d+)")
  passed, failed, skipped = tonumber(passed) or 0, tonumber(failed) or 0, tonumber(skipped) or 0
  -- It died before it could count, or after it had counted only successes: either is a failure.
  local ended_well = counts and (job.process.status == 0 or failed > 0)
  if not ended_well then failed = failed + 1 end
  totals.passed, totals.failed, totals.skipped =
    totals.passed + passed, totals.failed + failed, totals.skipped + skipped
  io.write(("%-6s %s  %d in %.1f s\n"):format(failed == 0 and "ok" or "FAILED", job.path, passed + failed + skipped,
    socket.gettime() - job.began))
  if failed > 0 or skipped > 0 or #list == 1 then io.write(job.process:output()) end
  if failed > 0 then
    io.write(job.process:errors())
    if not ended_well then
      io.write(("%s ended with %s\n"):format(job.path, job.process.status or "signal " .. job.process.signal))
    end
  end
  io.flush()
end

local width = tonumber(os.getenv("MOONGATE_JOBS") or lines_of("nproc")[1])
local under_way, next_job = {}, 1
while next_job <= #list or #under_way > 0 do
  while #under_way < width and next_job <= #list do
    start(list[next_job], next_job)
    under_way[#under_way + 1] = list[next_job]
    next_job = next_job + 1
  end
  for index = #under_way, 1, -1 do
    if under_way[index].process:has_ended() then finish(table.remove(under_way, index)) end
  end
  socket.sleep(0.005)
end
process.remove(folder)

local skipped = totals.skipped > 0 and (", %d skipped"):format(totals.skipped) or ""
print(("%d passed, %d failed%s"):format(totals.passed, totals.failed, skipped))
os.exit(totals.failed == 0 and totals.passed > 0 and 0 or 1)
