-- The words of most plans are those of the one before: the same policy took the same steps with the same targets, and
-- only figures differ. What was made of a plan is kept here with everything that it hangs on, and given again for
-- another of which all that is the same. It knows no words itself: see reasons.lua.

local candidates = require "moongate.candidates"

local retold = {}

local MOST_TARGETS = 32 -- of more, there is more to compare than is saved
local MOST_POLICIES = 16
-- After so many plans that were all different, so many are not looked at: chance has a hand in them.
local PATIENCE, REST = 8, 100
local STEP = 3 -- places in a trail (see moongate.list) for each
local NOTHING = {}

-- By the list of targets that a request named, and by policy. Stories hold targets, but not that list: it ends with its
-- registry.
local kept = setmetatable({}, { __mode = "k" })

---@class moongate.retold.slot a story, and what it hangs on
---@field story table|nil
---@field steps any[] the trail, but how many there are in the place of those that a step left out
---@field gone any[] their targets and, as far as it is told, how long they have to wait; false: none
---@field ladder table[]
---@field words any[] how each rung stands
---@field offered table[]
---@field refused table[]
---@field refused_why string[]
---@field last integer|nil how long the trail is
---@field is_whole boolean|nil all that were named were offered
---@field run string|nil the policy's name
---@field most integer|nil
---@field arranged string|false|nil
---@field first table|nil the rung to be called first
---@field refusal string|nil
---@field missed integer plans in a row that had another story
---@field resting integer plans that are not looked at

local function slot_of(plan)
  local own = kept[plan.targets]
  if not own or own.policies == MOST_POLICIES and not own.slots[plan.policy] then
    own = { policies = 0, slots = {} }
    kept[plan.targets] = own
  end
  local slot = own.slots[plan.policy]
  if not slot then
    slot = {
      steps = {}, gone = {}, ladder = {}, words = {}, offered = {}, refused = {}, refused_why = {}, missed = 0,
      resting = 0,
    }
    own.policies, own.slots[plan.policy] = own.policies + 1, slot
  end
  return slot
end

-- Each of these answers whether something of a plan is as it was with the one before, and notes it where it is not.

local function is_list(slot, name, list)
  local before, count = slot[name], #list
  local same = #before == count
  for i = 1, count do
    if before[i] ~= list[i] then same = false end
  end
  if same then return true end
  slot[name] = { unpack(list) }
  return false
end

local function are_words(slot, ladder, standing)
  local before, same = slot.words, true
  for rung = 1, #ladder do
    local words = standing[ladder[rung]]
    if before[rung] ~= words then before[rung], same = words, false end
  end
  return same
end

local function is_gone(slot, gone, count)
  local before, same = slot.gone, true
  for i = 1, #gone do
    local target = candidates.owner(gone[i]) or false
    local wait = target and rawget(gone[i], "retry_in")
    wait = type(wait) == "number" and math.ceil(wait)
    if before[count + 1] ~= target or before[count + 2] ~= wait then
      before[count + 1], before[count + 2], same = target, wait, false
    end
    count = count + 2
  end
  return same
end

local function are_steps(slot, trail, last)
  local before, count, same = slot.steps, 0, slot.last == last
  slot.last = last
  for at = 1, last, STEP do
    local gone = trail[at + 2]
    local left_out = gone and #gone
    if before[at] ~= trail[at] or before[at + 1] ~= trail[at + 1] or before[at + 2] ~= left_out then
      before[at], before[at + 1], before[at + 2], same = trail[at], trail[at + 1], left_out, false
    end
    if gone and left_out > 0 then
      same = is_gone(slot, gone, count) and same
      count = count + 2 * left_out
    end
  end
  return same
end

local function is_rest(slot, plan, run, most, standing)
  local is_whole = plan.offered == plan.targets and #plan.refused == 0
  if slot.most == most and slot.run == run.name and slot.arranged == plan.arranged and slot.first == standing.first
    and slot.refusal == standing.refusal and slot.is_whole == is_whole then return true end
  slot.most, slot.run, slot.arranged, slot.first = most, run.name, plan.arranged, standing.first
  slot.refusal, slot.is_whole = standing.refusal, is_whole
  return false
end

-- All that the words of a plan hang on, but figures.
local function is_same(slot, plan, run, most)
  local standing, ladder = plan.standing or NOTHING, plan.ladder
  local same = is_list(slot, "ladder", ladder)
  same = are_words(slot, ladder, standing) and same
  same = are_steps(slot, run.trail, run.last) and same
  same = is_rest(slot, plan, run, most, standing) and same
  if slot.is_whole then return same end
  same = is_list(slot, "offered", plan.offered) and same
  same = is_list(slot, "refused", plan.refused) and same
  return is_list(slot, "refused_why", plan.refused_why) and same
end

-- What make(plan, most) has made of a plan that has the same words, or makes of this one; nil where that is not worth
-- while.
---@generic T
---@param plan plan
---@param most integer|nil
---@param make fun(plan: plan, most: integer|nil): T
---@return T|nil
function retold.story(plan, most, make)
  local targets, run = plan.targets, plan.runs[1]
  -- The list of one may be made for the request, and is quickly told.
  if not targets or #targets == 1 or #targets > MOST_TARGETS then return nil end
  if not run or plan.runs[2] or plan.faults[1] or plan.replaced then return nil end
  local slot = slot_of(plan)
  if slot.resting > 0 then
    slot.resting = slot.resting - 1
    return nil
  end
  local story = slot.story
  slot.story = nil -- an error on the way must not leave another's
  if not is_same(slot, plan, run, most) then story = nil end
  slot.missed = story and 0 or slot.missed + 1
  if slot.missed > PATIENCE then slot.missed, slot.resting = 0, REST end
  slot.story = story or make(plan, most)
  return slot.story
end

return retold
