-- How the access policy let a request in, as the ledger keeps it with the decision: under which name it is served, and
-- which targets are refused to it and why. So a replay need not ask the policy of today. Pure.

local json = require "moongate.core.json"

local entry = {}

-- Reasons that are kept word for word; a policy may have one for every model.
local MOST_REASONS = 4
local OTHERS = "the access policy says no"

-- Ascending numbers in few characters: "1,5-6,9".
local function ranges(numbers)
  local parts, from = {}, 1
  for i = 1, #numbers do
    if numbers[i + 1] ~= numbers[i] + 1 then
      parts[#parts + 1] = from == i and tostring(numbers[i]) or numbers[from] .. "-" .. numbers[i]
      from = i + 1
    end
  end
  return table.concat(parts, ",")
end

local function refused(verdicts, targets)
  local numbers, reasons = {}, {}
  for _, target in ipairs(targets) do
    local reason = verdicts[target]
    if reason ~= true then
      if not numbers[reason] and #reasons >= MOST_REASONS then reason = OTHERS end
      if not numbers[reason] then numbers[reason], reasons[#reasons + 1] = {}, reason end
      table.insert(numbers[reason], target.index)
    end
  end
  if #reasons == 0 then return nil end
  for i, reason in ipairs(reasons) do
    table.sort(numbers[reason]) -- an alias has an order of its own
    reasons[i] = json.array { reason, ranges(numbers[reason]) }
  end
  return json.array(reasons)
end

-- By verdicts and by targets: what is refused. Neither changes, and most requests ask for all targets there are.
local known = setmetatable({}, { __mode = "k" })

local function refused_once(verdicts, targets)
  local by_targets = known[verdicts] or setmetatable({}, { __mode = "k" })
  known[verdicts] = by_targets
  if by_targets[targets] == nil then by_targets[targets] = refused(verdicts, targets) or false end
  return by_targets[targets] or nil
end

-- What is written down of a plan: false where there is no access policy.
---@param plan plan
---@return table|false
function entry.record(plan)
  if not plan.verdicts then return false end
  local asked = plan.request.model or "auto"
  return { model = plan.name ~= asked and plan.name or nil, no = refused_once(plan.verdicts, plan.targets) }
end

-- How a recorded request was let in, for router.plan; nil where that is not recorded.
---@param recorded table|false|nil what entry.record gave
---@param requested string|nil
---@param registry registry
---@return { name: string, verdicts: table|nil }|nil
function entry.restore(recorded, requested, registry)
  if recorded == nil then return nil end
  if requested == "" then requested = nil end
  local verdicts = {}
  for _, group in ipairs(recorded and recorded.no or {}) do
    for from, to in string.gmatch(group[2], "(%d+)%-?(%d*)") do
      for index = tonumber(from), tonumber(to) or tonumber(from) do verdicts[registry.targets[index]] = group[1] end
    end
  end
  return { name = recorded and recorded.model or requested or "auto", verdicts = recorded and verdicts or nil }
end

return entry
