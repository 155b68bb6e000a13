-- Puts into words what the router did: why each candidate is on the ladder or not, and the whole in a sentence. Only
-- reads what the router and the list steps noted; nothing here is done before somebody asks.

local money = require "moongate.money"
local passing = require "moongate.passing"

local reasons = {}

local MOST_NAMED = 10 -- candidates, or steps, named in one sentence

-- Why a step left a candidate out.
local function of_step(step, candidate)
  if step.kind == "take" then return "beyond the first " .. step.name end
  local reason = step.kind == "keep" and 'fails "' .. step.name .. '"' or step.name
  -- Only a policy that asked for it has the wait on its candidate.
  local wait = rawget(candidate, "retry_in")
  return passing.with_wait(reason, type(wait) == "number" and wait or nil)
end

-- Which step of a run left which target out: by target, the step and its candidate.
local function left_out_of(run)
  local steps, candidates = {}, {}
  for _, step in ipairs(run.trail) do
    for _, candidate in ipairs(step.gone or {}) do
      local target = run.owner[candidate]
      if target and not steps[target] then steps[target], candidates[target] = step, candidate end
    end
  end
  return steps, candidates
end

local function orders(run)
  local names = {}
  for _, step in ipairs(run.trail) do
    if not step.gone and #names > MOST_NAMED then
      names[#names] = "and more"
    elseif not step.gone then
      names[#names + 1] = step.kind == "shuffle" and "shuffled by " .. step.name
        or (step.kind == "prefer" and "preferring " or "by ") .. step.name
    end
  end
  return names
end

-- Why a target is on the ladder; and where that was looked at, why it would not be called.
local function of_rung(plan, rung, target)
  local words = plan.standing and plan.standing[target]
  return "rung " .. rung .. (words and ", " .. words or "")
end

-- Whom the first call goes to, where that is not the first rung.
local function of_first(plan)
  local standing = plan.standing
  if not standing or standing.first == plan.ladder[1] then return nil end
  if standing.refusal then return standing.refusal end
  if not standing.first then return "every rung is passed over" end
  return standing.first.id .. " is called first, what stands before it is passed over"
end

-- What is known of the targets that the request named: { target, kept, reason, score }, the ladder first.
local function verdicts(plan, most)
  most = most or math.huge
  local run, list, on_ladder = plan.runs[#plan.runs], {}, {}
  local steps, candidates
  local scores = {}
  for candidate, value in pairs(run and run.trail.scores or {}) do scores[run.owner[candidate] or 0] = value end
  for rung, target in ipairs(plan.ladder) do
    if #list >= most then return list end
    on_ladder[target] = true
    list[#list + 1] = { target = target, kept = true, score = scores[target], reason = of_rung(plan, rung, target) }
  end
  for _, target in ipairs(plan.offered) do
    if #list >= most then return list end
    if not on_ladder[target] then
      if run and not steps then steps, candidates = left_out_of(run) end
      local step = steps and steps[target]
      list[#list + 1] = {
        target = target, kept = false, score = scores[target],
        reason = step and of_step(step, candidates[target]) or "not in the ladder that the policy returned",
      }
    end
  end
  for i, target in ipairs(plan.refused) do
    if #list >= most then return list end
    list[#list + 1] = { target = target, kept = false, reason = plan.refused_why[i] }
  end
  return list
end

-- "dropped groq/llama-3.3-70b: exhausted (41 s left); ..." for all that are not on the ladder.
---@param plan table
---@return string
function reasons.dropped(plan)
  local parts = {}
  for _, verdict in ipairs(verdicts(plan, #plan.ladder + MOST_NAMED)) do
    if not verdict.kept then parts[#parts + 1] = "dropped " .. verdict.target.id .. ": " .. verdict.reason end
  end
  local more = #plan.offered + #plan.refused - #plan.ladder - #parts
  if more > 0 then parts[#parts + 1] = "and " .. more .. " more" end
  return table.concat(parts, "; ")
end

-- One record a candidate: { id, provider, model, score, kept, reason, estimated_cost }. most bounds how many.
---@param plan table
---@param most integer|nil
---@return table[]
function reasons.records(plan, most)
  local records = {}
  for i, verdict in ipairs(verdicts(plan, most)) do
    local target = verdict.target
    records[i] = {
      id = target.id, provider = target.provider, model = target.model, score = verdict.score, kept = verdict.kept,
      reason = verdict.reason, estimated_cost = money.estimate(target, plan.request),
    }
  end
  return records
end

-- The plan in one sentence.
---@param plan table
---@return string
function reasons.sentence(plan)
  local parts, replaced = {}, plan.replaced
  if replaced then
    parts[1] = string.format('"%s" %s, "%s" stands in its place', replaced.asked, replaced.words, replaced.name)
  end
  for _, fault in ipairs(plan.faults) do parts[#parts + 1] = fault.policy .. " failed (" .. fault.message .. ")" end
  for i = 1, #plan.runs - 1 do
    local run = plan.runs[i]
    if run.empty then parts[#parts + 1] = run.name .. " had nothing to offer" end
  end
  local run = plan.runs[#plan.runs]
  local ordered = run and orders(run) or {}
  if plan.arranged then ordered[#ordered + 1] = plan.arranged end
  local how = #ordered > 0 and " (" .. table.concat(ordered, ", ") .. ")" or ""
  local first = plan.ladder[1]
  if first then
    local total = #plan.offered + #plan.refused
    parts[#parts + 1] = string.format("%s put %s first of %d%s, %d of %d candidates left out", plan.policy, first.id,
      #plan.ladder, how, total - #plan.ladder, total)
    parts[#parts + 1] = of_first(plan)
  else
    parts[#parts + 1] = plan.policy .. " left nothing"
  end
  return table.concat(parts, "; ")
end

-- The whole as plain data: { policy, task, seed, reason, ladder = { id... }, candidates = { record... } }.
---@param plan table
---@param most integer|nil how many candidates at most
---@return table
function reasons.explain(plan, most)
  local ladder = {}
  for i, target in ipairs(plan.ladder) do ladder[i] = target.id end
  return {
    policy = plan.policy, task = plan.task, seed = plan.seed, reason = plan.reason, ladder = ladder,
    candidates = reasons.records(plan, most),
  }
end

return reasons
