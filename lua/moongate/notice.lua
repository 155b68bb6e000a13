-- What this worker tells the dashboard as it happens: requests that have ended, while somebody looks on, and the last
-- fault of each policy.
local bulletin = require "moongate.core.bulletin"
local clock = require "moongate.core.clock"
local json = require "moongate.core.json"

local notice = {}

-- Of a ledger row: neither what was asked nor how it was decided.
local SHOWN = {
  "request_id", "time", "org", "key", "label", "tier", "surface", "task", "policy", "provider", "model", "outcome",
  "status", "attempts", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "billed_tokens",
  "cost_microusd", "savings_microusd", "estimated", "latency_ms",
}

-- What of a row is shown in a list.
---@param row table
---@return table
function notice.brief(row)
  local brief = {}
  for _, name in ipairs(SHOWN) do
    if row[name] ~= "" then brief[name] = row[name] end
  end
  return brief
end

-- Whether somebody looks on.
---@return boolean
function notice.is_watched() return bulletin.watchers() > 0 end

-- A request has ended.
---@param row table
function notice.ended(row) bulletin.post(json.encode(notice.brief(row))) end

local faults = {} -- by label

-- A policy failed as it decided.
---@param fault moongate.fault
function notice.fault(fault)
  faults[fault.policy] = {
    policy = fault.policy, kind = fault.kind, file = fault.file, line = fault.line, message = fault.message,
    at = clock.now(),
  }
  local list = {}
  for _, each in pairs(faults) do list[#list + 1] = each end
  bulletin.keep(json.encode(json.array(list)))
end

-- The last fault of each policy on any worker, by its label.
---@return table<string, table>
function notice.faults()
  local last = {}
  for _, note in ipairs(bulletin.kept()) do
    for _, fault in ipairs(json.decode(note)) do
      local before = last[fault.policy]
      if not before or before.at < fault.at then last[fault.policy] = fault end
    end
  end
  return last
end

return notice
