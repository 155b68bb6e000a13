-- `make fuzz`: runs each target for so many seconds, as many at a time as there are processors, and tells what was
-- covered. New inputs of interest gather in build/fuzz/corpus; what is found goes to spec/fuzz/crashes and stays there,
-- for spec/fuzz/fuzz_spec.lua to replay. Exits with 1 if anything was found.
--
--   luajit spec/fuzz/run.lua SECONDS TARGET...
package.path = "./?.lua;" .. package.path
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local SLACK_S = 120 -- for a last input that is slow, and the leak check

local seconds = assert(tonumber(arg[1]), "how many seconds?")
local width = tonumber(assert(io.popen "nproc"):read "*l")
local folder = process.folder()

local function start(target)
  local corpus = "build/fuzz/corpus/" .. target
  assert(os.execute(("mkdir -p %s spec/fuzz/crashes"):format(corpus)) == 0)
  local options = {
    "-max_total_time=" .. seconds, "-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096",
    "-use_value_profile=1", "-verbosity=1", "-artifact_prefix=spec/fuzz/crashes/" .. target .. "-",
  }
  local command = { "build/fuzz/fuzz-" .. target }
  for _, option in ipairs(options) do command[#command + 1] = option end
  command[#command + 1], command[#command + 2] = corpus, "spec/fuzz/corpus/" .. target
  local log = folder .. "/" .. target
  return { target = target, process = process.start(command, {
    stdout = log .. ".out", stderr = log .. ".err", env = { UBSAN_OPTIONS = "print_stacktrace=1" } }) }
end

-- The figures of a run, and whether it found something.
local function told(job)
  local text = job.process:errors()
  local edges, corpus
  for cov, corp in text:gmatch("cov: (%d+).- corp: (%d+)") do edges, corpus = cov, corp end
  local lines, all = text:match("lua lines: (%d+) of (%d+)")
  local runs = text:match("stat::number_of_executed_units:%s*(%d+)") or "?"
  local total = text:match("Loaded %d+ modules%s+%((%d+) inline 8%-bit counters%)") or "?"
  local share = edges and total ~= "?" and ("%d %%"):format(100 * edges / total) or "?"
  local found = job.process.status ~= 0
  print(("%-18s %9s inputs, %5s kept, edges %6s of %6s (%s)%s  %s"):format(job.target, runs, corpus or "?",
    edges or "?", total, share, lines and (", lua lines %s of %s (%d %%)"):format(lines, all, 100 * lines / all) or "",
    found and "FOUND SOMETHING" or "nothing found"))
  if found then print(text:sub(-6000)) end
  io.flush()
  return found
end

local waiting, running, findings = { unpack(arg, 2) }, {}, 0

-- The first that has ended, taken off the list.
local function ended()
  for index, job in ipairs(running) do
    if job.process:has_ended() then return table.remove(running, index) end
  end
end

while #waiting > 0 or #running > 0 do
  while #running < width and #waiting > 0 do running[#running + 1] = start(table.remove(waiting, 1)) end
  if told(wait.until_(ended, "a target to end", seconds + SLACK_S)) then findings = findings + 1 end
end
process.remove(folder)
print(findings == 0 and "fuzz: nothing found"
  or ("fuzz: %d targets found something; see spec/fuzz/crashes"):format(findings))
os.exit(findings == 0 and 0 or 1)
