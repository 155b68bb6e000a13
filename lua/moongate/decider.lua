-- The policies in force on this worker, as the router and the others ask them: each call bounded, timed and counted.
local clock = require "moongate.core.clock"
local gate = require "moongate.core.gate"
local json = require "moongate.core.json"
local log = require "moongate.core.log"
local meter = require "moongate.meter"
local metrics = require "moongate.core.metrics"
local notice = require "moongate.notice"
local policies = require "moongate.policies"

local decider = {}

local MEGABYTE = 1024 * 1024

---@class moongate.decider
---@field set table see moongate.policies
local methods = {}
methods.__index = methods

local function say(policy, text)
  log.write("info", "a policy says", string.sub(json.encode { policy = policy, text = text }, 2, -2))
end

-- What /ready is to say of the policies of this worker.
local function publish(set)
  local problems = {}
  for i, fault in ipairs(set:switched_off()) do
    problems[i] = { what = "policy", file = fault.file, line = fault.line, message = fault.message }
  end
  gate.report(json.encode(json.array(problems)))
end

---@return moongate.decider
function decider.new()
  -- By path: { loaded_at, error = { at, file, line, message, mended_at } }.
  local self = setmetatable({ past = {}, installs = 0 }, methods)

  local function switched(label, fault)
    publish(self.set)
    local level, event = "info", "a policy is switched on again"
    if fault then level, event = "error", "a policy is switched off" end
    log.write(level, event, string.sub(json.encode { policy = label, error = fault and fault.message }, 2, -2))
  end

  self.set = policies.new { log = say, switched = switched }
  return self
end

-- What one call may use.
---@param milliseconds number
---@param megabytes number
function methods:bound(milliseconds, megabytes)
  self.set.milliseconds, self.set.bytes = milliseconds, megabytes * MEGABYTE
end

-- Notes when each file went live, and what kept it from that.
local function remember(self, report)
  local now, wrong = clock.now(), {}
  local function past_of(path)
    self.past[path] = self.past[path] or {}
    return self.past[path]
  end
  for _, problem in ipairs(report.problems) do
    local path = problem.policy and problem.policy .. ".lua" or string.gsub(problem.file, "^policies/", "")
    local past = past_of(path)
    local last = past.error
    local is_new = not last or last.mended_at or last.message ~= problem.message or last.line ~= problem.line
    if is_new then past.error = { at = now, file = problem.file, line = problem.line, message = problem.message } end
    wrong[path] = true
  end
  for _, path in ipairs(report.loaded) do past_of(path).loaded_at = now end
  for _, path in ipairs(report.removed) do self.past[path] = nil end
  for path, past in pairs(self.past) do
    if past.error and not wrong[path] then past.error.mended_at = past.error.mended_at or now end
  end
  self.installs = self.installs + 1
end

function methods:install(files)
  local report = self.set:install(files)
  remember(self, report)
  publish(self.set)
  return report
end

function methods:routing(name) return self.set:routing(name) end
function methods:billing() return self.set:billing() end
function methods:access() return self.set:access() end
function methods:task() return self.set:task() end
function methods:protocol(name) return self.set:protocol(name) end
function methods:checker(name) return self.set:checker(name) end
function methods:hooks() return self.set:hooks() end
function methods:routing_names() return self.set:routing_names() end

-- How often files were installed: the same on every worker.
---@return integer
function methods:generation() return self.installs end

-- All files as they were installed last: { path, role, version (that is in force, nil: none), saved_version, past }.
---@return table[]
function methods:files()
  local list = {}
  for path, file in pairs(self.set.sources) do
    local unit = self.set.units[path]
    local is_live = unit and not unit.policy.broken
    list[#list + 1] = {
      path = path, role = unit and unit.place or string.match(path, "^([^/.]+)"), past = self.past[path],
      version = unit and is_live and unit.version or not unit and string.find(path, "^lib/") and file.version or nil,
      saved_version = file.version,
    }
  end
  table.sort(list, function(a, b) return a.path < b.path end)
  return list
end

-- Counts and tells of a fault. That a policy is switched off has been told.
---@param fault moongate.fault
function methods:count(fault) -- luacheck: no unused args
  meter.add("moongate_policy_faults_total", 1, "policy", fault.policy, "kind", fault.kind)
  if fault.kind == "off" then return end
  notice.fault(fault)
  log.write("warn", "a policy failed", string.sub(json.encode {
    policy = fault.policy, kind = fault.kind, file = fault.file, line = fault.line, error = fault.message,
  }, 2, -2))
end

local series_of = {} -- by label: what its seconds are counted under

local function report(label, started, fine, first, second, third, fourth, fifth)
  if fine or first.kind ~= "off" then
    local series = series_of[label] or meter.series("moongate_policy_seconds", "policy", label)
    series_of[label] = series
    metrics.observe(series, clock.monotonic() - started)
  end
  if not fine then methods:count(first) end
  return fine, first, second, third, fourth, fifth
end

-- Calls a policy or one of its functions: true and its results, or false and the fault.
---@param policy moongate.policy|function
---@return boolean
---@return any
---@return any
function methods:call(policy, first, second, third)
  local label = type(policy) == "table" and policy.label or self.set.origins[policy].label
  return report(label, clock.monotonic(), self.set:call(policy, first, second, third))
end

-- As call, for one result; one that problem_of finds a fault with is one. See set:ask in moongate.policies.
---@param policy moongate.policy
---@param fn function
---@param problem_of fun(result: any): string|nil
---@return boolean
---@return any
function methods:ask(policy, fn, problem_of, first, second, third)
  return report(policy.label, clock.monotonic(), self.set:ask(policy, fn, problem_of, first, second, third))
end

-- Runs a function of the host's in a policy's name and budget. See set:within in moongate.policies.
---@param policy moongate.policy
---@param work function
---@return boolean
---@return any
---@return any
function methods:within(policy, work, subject, b, c, d, e, f)
  return report(policy.label, clock.monotonic(), self.set:within(policy, work, subject, b, c, d, e, f))
end

return decider
