-- The policies in force on this worker, as the router and the others ask them: each call bounded, timed and counted.
local clock = require "moongate.core.clock"
local json = require "moongate.core.json"
local log = require "moongate.core.log"
local meter = require "moongate.meter"
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

---@return moongate.decider
function decider.new()
  return setmetatable({ set = policies.new { log = say } }, methods)
end

-- What one call may use.
---@param milliseconds number
---@param megabytes number
function methods:bound(milliseconds, megabytes)
  self.set.milliseconds, self.set.bytes = milliseconds, megabytes * MEGABYTE
end

function methods:install(files) return self.set:install(files) end
function methods:routing(name) return self.set:routing(name) end
function methods:billing() return self.set:billing() end
function methods:routing_names() return self.set:routing_names() end

local function report(label, started, fine, first, ...)
  meter.observe("moongate_policy_seconds", clock.monotonic() - started, "policy", label)
  if not fine then
    meter.add("moongate_policy_faults_total", 1, "policy", label, "kind", first.kind)
    log.write("warn", "a policy failed", string.sub(json.encode {
      policy = label, kind = first.kind, file = first.file, line = first.line, error = first.message,
    }, 2, -2))
  end
  return fine, first, ...
end

-- Calls a policy or one of its functions: true and its results, or false and the fault.
---@param policy moongate.policy|function
---@return boolean
---@return any
function methods:call(policy, ...)
  local label = type(policy) == "table" and policy.label or self.set.labels[policy].label
  return report(label, clock.monotonic(), self.set:call(policy, ...))
end

return decider
