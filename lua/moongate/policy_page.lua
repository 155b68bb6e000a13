-- GET /admin/policies: the files of the policies folder, which version of each is in force, how it does, and what was
-- last wrong with it.
local json = require "moongate.core.json"
local metrics = require "moongate.core.metrics"
local notice = require "moongate.notice"

local policy_page = {}

local JSON = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }

-- Of a metric by policy, summed over its other labels: value and seconds.
local function by_policy(name)
  local values, seconds = {}, {}
  for value, time, labels in string.gmatch(metrics.read(name), "(%d+) (%S+) ([^\n]*)\n") do
    local policy = string.match(labels, 'policy="([^"]*)"')
    if policy then
      values[policy] = (values[policy] or 0) + tonumber(value)
      seconds[policy] = (seconds[policy] or 0) + tonumber(time)
    end
  end
  return values, seconds
end

-- The newer of what kept a file from loading and of what went wrong in a call.
local function last_error(past, fault)
  local problem = past and past.error
  if not problem or fault and fault.at > problem.at then
    return fault and { at = fault.at, file = fault.file, line = fault.line, message = fault.message, kind = fault.kind }
  end
  return {
    at = problem.at, file = problem.file, line = problem.line, message = problem.message, kind = "load",
    mended_at = problem.mended_at,
  }
end

---@param state moongate.state
---@return table[]
function policy_page.list(state)
  local calls, seconds = by_policy "moongate_policy_seconds"
  local faults, last, list = by_policy "moongate_policy_faults_total", notice.faults(), {}
  for _, file in ipairs(state.policies:files()) do
    local label, past = string.gsub(file.path, "%.lua$", ""), file.past
    local count = calls[label] or 0
    list[#list + 1] = {
      file = file.path, role = file.role, policy = label, version = file.version,
      saved_version = file.saved_version ~= file.version and file.saved_version or nil, calls = count,
      faults = faults[label] or 0, mean_ms = count > 0 and 1000 * seconds[label] / count or nil,
      loaded_at = past and past.loaded_at, is_broken = past and past.error and not past.error.mended_at or false,
      last_error = last_error(past, last[label]),
      is_default = file.path == "routing/" .. state.config.policy .. ".lua",
    }
  end
  return list
end

function policy_page.policies(handle, state)
  handle:reply(200, JSON, json.encode { policies = json.array(policy_page.list(state)) })
end

return policy_page
