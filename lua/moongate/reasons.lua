-- Puts into words what the router did: why each candidate is on the ladder or not, and the whole in a sentence. Only
-- reads what the router and the list steps noted; nothing here is done before somebody asks.

local by_target = require "moongate.by_target"
local candidates = require "moongate.candidates"
local digits = require "moongate.digits"
local json = require "moongate.core.json"
local money = require "moongate.money"
local new_table = require "table.new"
local passing = require "moongate.passing"
local retold = require "moongate.retold"

local reasons = {}

local MOST_NAMED = 10 -- candidates, or steps, named in one sentence
local MOST_FIGURES = 1000
local STEP = 3 -- places in a trail (see moongate.list) for each
local NOTHING = {}

-- Why the step at this place of a trail left a candidate out.
local function of_step(trail, at, candidate)
  local kind, name = trail[at], trail[at + 1]
  if kind == "take" then return "beyond the first " .. name end
  local reason = kind == "keep" and 'fails "' .. name .. '"' or name
  -- Only a policy that asked for it has the wait on its candidate.
  local wait = rawget(candidate, "retry_in")
  return passing.with_wait(reason, type(wait) == "number" and wait or nil)
end

-- What became of each target that was offered, by its place: false on the ladder; else the step's place in the trail
-- that left it out, and by the negative place the candidate. `out` targets are not on the ladder.
local function fates_of(plan, run, out)
  local ladder = plan.ladder
  local fates = new_table(0, #ladder + 2 * out)
  for rung = 1, #ladder do fates[ladder[rung].index] = false end
  for at = 1, run and run.last or 0, STEP do
    local gone = run.trail[at + 2]
    for i = 1, gone and #gone or 0 do
      local target = candidates.owner(gone[i])
      if target and fates[target.index] == nil then
        fates[target.index], fates[-target.index] = at, gone[i]
      end
    end
  end
  return fates
end

local HOW = { shuffle = "shuffled by ", prefer = "preferring " }

-- What put them in that order: " (by quality, preferring the quick)".
local function orders(plan, run)
  local told, trail, count = nil, run and run.trail, 0
  for at = 1, run and run.last or 0, STEP do
    if not trail[at + 2] and count <= MOST_NAMED then
      local words = count == MOST_NAMED and "and more" or (HOW[trail[at]] or "by ") .. trail[at + 1]
      told, count = told and told .. ", " .. words or words, count + 1
    end
  end
  if plan.arranged then told = told and told .. ", " .. plan.arranged or plan.arranged end
  return told and " (" .. told .. ")" or ""
end

local rungs = setmetatable({}, {
  __index = function(known, number)
    local text = "rung " .. digits.whole(number)
    if number <= MOST_FIGURES then known[number] = text end
    return text
  end,
})

-- Whom the first call goes to, where that is not the first rung.
local function of_first(plan)
  local standing = plan.standing
  if not standing or standing.first == plan.ladder[1] then return nil end
  if standing.refusal then return standing.refusal end
  if not standing.first then return "every rung is passed over" end
  return standing.first.id .. " is called first, what stands before it is passed over"
end

local function scores_of(run)
  local scores = {}
  for candidate, value in pairs(run.scores) do scores[candidates.owner(candidate) or 0] = value end
  return scores
end

-- Tells of the targets that the request named, the ladder first: tell(into, plan, target, kept, reason, score) of each.
local function each_verdict(plan, most, tell, into)
  local run, ladder, offered, refused = plan.runs[#plan.runs], plan.ladder, plan.offered, plan.refused
  local scores = run and run.scores and scores_of(run) or NOTHING
  local left, out = most or math.huge, #offered - #ladder
  local standing = plan.standing or NOTHING
  for rung = 1, math.min(left, #ladder) do
    local target, reason = ladder[rung], rungs[rung]
    local words = standing[target] -- where that was looked at: why it would not be called
    if words then reason = reason .. ", " .. words end
    tell(into, plan, target, true, reason, scores[target])
  end
  left = left - #ladder
  local fates = out > 0 and left > 0 and fates_of(plan, run, out)
  for i = 1, fates and #offered or 0 do
    local target = offered[i]
    local at = fates[target.index]
    if left <= 0 then break end
    if at ~= false then
      tell(into, plan, target, false, at and of_step(run.trail, at, fates[-target.index])
        or "not in the ladder that the policy returned", scores[target])
      left = left - 1
    end
  end
  for i = 1, math.min(left, #refused) do tell(into, plan, refused[i], false, plan.refused_why[i]) end
end

local function add_dropped(parts, _, target, kept, reason)
  if not kept then parts[#parts + 1] = "dropped " .. target.id .. ": " .. reason end
end

-- "dropped groq/llama-3.3-70b: exhausted (41 s left); ..." for all that are not on the ladder.
---@param plan table
---@return string
function reasons.dropped(plan)
  local parts = {}
  each_verdict(plan, #plan.ladder + MOST_NAMED, add_dropped, parts)
  local more = #plan.offered + #plan.refused - #plan.ladder - #parts
  if more > 0 then parts[#parts + 1] = "and " .. more .. " more" end
  return table.concat(parts, "; ")
end

-- How the record of a target begins, as JSON, where it is kept and where it is not: it is told with every request.
local beginnings = by_target(function(target)
  local function beginning(kept)
    return json.write(',{"id":', "", target.id, ',"provider":', target.provider, ',"model":', target.model, ',"kept":',
      kept, ',"reason":')
  end
  return { [true] = beginning(true), [false] = beginning(false) }
end)

local function add_record(_, plan, target, kept, reason, score)
  json.add(beginnings(target)[kept], "", reason, ',"score":', score, ',"estimated_cost":',
    money.estimate(target, plan.request), "}")
end

-- One record a candidate: { id, provider, model, score, kept, reason, estimated_cost }. most bounds how many.
---@param plan table
---@param most integer|nil
---@return table[]
function reasons.records(plan, most)
  json.begin "["
  each_verdict(plan, most, add_record)
  json.add "]"
  return json.decode(json.finish())
end

-- The plan in one sentence.
---@param plan table
---@return string
function reasons.sentence(plan)
  local parts, replaced, runs = {}, plan.replaced, plan.runs
  if replaced then
    parts[1] = string.format('"%s" %s, "%s" stands in its place', replaced.asked, replaced.words, replaced.name)
  end
  for i = 1, #plan.faults do
    local fault = plan.faults[i]
    parts[#parts + 1] = fault.policy .. " failed (" .. fault.message .. ")"
  end
  for i = 1, #runs - 1 do
    if runs[i].empty then parts[#parts + 1] = runs[i].name .. " had nothing to offer" end
  end
  local first = plan.ladder[1]
  if first then
    local total = #plan.offered + #plan.refused
    parts[#parts + 1] = plan.policy .. " put " .. first.id .. " first of " .. digits.whole(#plan.ladder)
      .. orders(plan, runs[#runs]) .. ", " .. digits.whole(total - #plan.ladder) .. " of " .. digits.whole(total)
      .. " candidates left out"
    parts[#parts + 1] = of_first(plan)
  else
    parts[#parts + 1] = plan.policy .. " left nothing"
  end
  return table.concat(parts, "; ")
end

-- Adds the record of a candidate to a story that is made.
local function note_record(story, plan, target, kept, reason)
  local texts, told = story.texts, story.told
  texts[#texts + 1] = { json.write(story.text, beginnings(target)[kept], reason), ',"score":' }
  texts[#texts + 1] = { "", ',"estimated_cost":' }
  story.text, told[#told + 1] = "}", target
end

---@class moongate.story of all plans with the same words
---@field told table[] targets, in their order
---@field add fun(task: string, seed: number|nil, ...: number|nil) adds it, with score and estimated cost of each told
---@field places string|nil see moongate.decision

local function new_story(plan, most)
  local ids = {}
  for i, target in ipairs(plan.ladder) do ids[i] = target.id end
  local story = {
    told = {}, texts = { json.write('{"policy":', "", plan.policy, ',"task":'), ',"seed":' },
    text = json.write("", ',"reason":', plan.reason, ',"ladder":', json.array(ids), ',"candidates":['),
  }
  each_verdict(plan, most, note_record, story)
  return { add = json.form("", story.texts, story.text .. "]}"), told = story.told, places = nil }
end

-- What is the same of all plans like this one; nil where there are none, or few.
---@param plan table
---@param most integer|nil
---@return moongate.story|nil
function reasons.story(plan, most) return retold.story(plan, most, new_story) end

local filled = {} -- the figures of a story that is told

local function add_story(story, plan)
  local told, run, request = story.told, plan.runs[1], plan.request
  local scores = run.scores and scores_of(run) or NOTHING
  filled[1], filled[2] = plan.task, plan.seed
  for i = 1, #told do
    local target = told[i]
    filled[2 * i + 1], filled[2 * i + 2] = scores[target], money.estimate(target, request)
  end
  story.add(unpack(filled, 1, 2 * #told + 2))
end

-- Adds the whole to the text that was begun: { policy, task, seed, reason, ladder = { id... }, candidates = { record...
-- } }. Written in one go, since every request has it with its row.
---@param plan table
---@param most integer|nil how many candidates at most
---@param story moongate.story|nil the plan's, where it has one
function reasons.add(plan, most, story)
  if story then
    add_story(story, plan)
    return
  end
  local ladder = plan.ladder
  json.add('{"policy":', "", plan.policy, ',"task":', plan.task, ',"seed":', plan.seed, ',"reason":', plan.reason,
    ',"ladder":[')
  for i = 1, #ladder do json.add("", ",", ladder[i].id) end
  json.add '],"candidates":['
  each_verdict(plan, most, add_record)
  json.add "]}"
end

-- The same as plain data.
---@param plan table
---@param most integer|nil
---@return table
function reasons.explain(plan, most)
  json.begin()
  reasons.add(plan, most)
  return json.decode(json.finish())
end

return reasons
