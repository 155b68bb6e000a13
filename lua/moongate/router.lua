-- Turns a request into a ladder: the requested name to its targets, the gates, the routing policy, and the targets in
-- the order in which they shall be tried. Decides only: calls no provider, changes nothing, keeps no state.

local access = require "moongate.access"
local candidates = require "moongate.candidates"
local chance = require "moongate.chance"
local deprecation = require "moongate.deprecation"
local faults = require "moongate.faults"
local gates = require "moongate.gates"
local list = require "moongate.list"
local near = require "moongate.near"
local new_table = require "table.new"
local reasons = require "moongate.reasons"
local task = require "moongate.task"

local router = {}

local LONGEST_WORDS = 500 -- of a policy, in a refusal
local MOST_HOPS = 4      -- from policy to policy by their second results
local LAST_RESORT = "in the order of the config"
local LONGEST_TASK = 64

---@class plan
---@field policy string name@version
---@field ladder table[] targets, best first
---@field task string worked out when read
---@field reason string one sentence, worked out when read
---@field candidates table[] one record each, worked out when read
---@field faults table[] { policy, kind, message }: policies that failed on the way
---@field seed number|nil what chance was drawn from: the same again gives the same plan
---@field name string what it is served under, be it an alias or "auto"; targets are all that this names
---@field replaced table|nil { asked, name, words }: what was asked for is deprecated, and name stands in its place
---@field verdicts table|nil what the access policy says of them
---@field view moongate.view what it was made by
---@field asked moongate.asked

local lazy = {
  task = function(plan)
    local task_type = plan.asked:task()
    rawset(plan, "task", task_type)
    return task_type
  end,
  reason = reasons.sentence,
  candidates = reasons.records,
  seed = function(plan) return plan.request.seed end,
}

local plan_meta = {
  __index = function(plan, name)
    local work_out = lazy[name]
    return work_out and work_out(plan)
  end,
}

local function shown(name)
  local text = string.gsub(tostring(name), "%c", "?")
  if #text > 80 then text = string.sub(text, 1, 77) .. "..." end
  return text
end

local function unknown_model(name, registry)
  local names = registry:near(name)
  for i, each in ipairs(names) do names[i] = '"' .. each .. '"' end
  return {
    status = 404, code = "model_not_found", type = "invalid_request_error",
    message = string.format('there is no model "%s" here%s', shown(name),
      #names > 0 and "; near it: " .. table.concat(names, ", ") or ""),
  }
end

local function unknown_policy(name, policies)
  return {
    status = 400, code = "policy_not_found", type = "invalid_request_error",
    message = string.format('there is no routing policy "%s"%s', shown(name),
      near.hint(name, policies:routing_names(), 3)),
  }
end

local full_names = setmetatable({}, { __mode = "k" })

local function full_name(policy)
  local name = full_names[policy]
  if not name then
    name = policy.version and policy.name .. "@" .. policy.version or policy.name
    full_names[policy] = name
  end
  return name
end

-- Only local targets will do, because ...; nil when others may serve too.
local function local_because(request, caller, policy_name)
  if request.privacy then return "privacy is asked for" end
  if caller.privacy then return "this key is private" end
  if policy_name == "local-only" then return 'the policy "local-only" keeps requests on this machine' end
  return nil
end

local FEW = 8 -- rungs that are quicker looked through than noted

-- Whether the first rungs have a target already; seen, by its place, is nil where they are few.
local function is_rung(targets, count, target, seen)
  if seen then return seen[target.index] end
  for i = 1, count do
    if targets[i] == target then return true end
  end
  return false
end

-- The targets behind what a policy returned; nil and what is wrong with it. Raw reads only: it is a script's table.
local function read_ladder(ladder, most)
  if type(ladder) ~= "table" then
    return nil, "returned " .. (ladder == nil and "nothing" or "a " .. type(ladder)) .. ", not a list of candidates"
  end
  local count = #ladder
  if count > 2 * most + 100 then return nil, "returned more rungs than there are candidates" end
  local targets, rungs, seen = new_table(count, 0), 0, count > FEW and new_table(count, 0) or nil
  for i = 1, count do
    local target = candidates.target(rawget(ladder, i))
    if not target then return nil, "returned something that is no candidate of this request, at position " .. i end
    if not is_rung(targets, rungs, target, seen) then
      rungs = rungs + 1
      targets[rungs] = target
      if seen then seen[target.index] = true end
    end
  end
  return targets
end

local NONE = {}

-- Adds to a list of the plan's, which are all one while they are empty.
local function note(plan, name, item)
  local all = plan[name]
  if all == NONE then
    plan[name] = { item }
  else
    all[#all + 1] = item
  end
end

-- Runs one policy. Answers its ladder and its second result; or nil and the fault.
local function run(plan, policies, policy, weights)
  local own = {
    name = policy.name, view = plan.view, request = plan.request, facts = plan.asked, weights = weights, trail = false,
    last = 0, all = false, scores = false, over = false, empty = false, __index = false, __metatable = "list",
  }
  note(plan, "runs", own)
  plan.policy = full_name(policy)
  local offered, shown_request = candidates.new(plan.offered, own), candidates.request(plan.request, plan.asked)
  local fine, ladder, second = policies:call(policy.run, shown_request, offered)
  local targets, wrong
  if fine then targets, wrong = read_ladder(ladder, #plan.offered) end
  candidates.close(own)
  candidates.close_request(shown_request)
  if not fine then return nil, ladder end
  if not targets then
    local file = "policies/" .. policy.label .. ".lua"
    return nil, { kind = "result", policy = policy.label, file = file, message = wrong }
  end
  if #targets == 0 then own.empty = true end
  return targets, type(second) == "string" and string.sub(second, 1, LONGEST_WORDS) or nil
end

-- Runs a policy and those it falls through to. Answers the ladder and, if it is empty, the last one's words; or nil
-- and the fault, noted in the plan.
local function follow(plan, policies, policy, weights)
  local been
  for _ = 1, MOST_HOPS do
    local ladder, second = run(plan, policies, policy, weights)
    if not ladder then
      note(plan, "faults", { policy = full_name(policy), kind = second.kind, message = faults.in_words(second) })
      return nil
    end
    if #ladder > 0 or not second then return ladder, second end
    been = been or {}
    been[policy.name] = true
    local following = not been[second] and policies:routing(second)
    if not following then return ladder, second end
    policy = following
  end
  return {}
end

-- Among equals higher priority is picked more often: sorting is stable, so it is enough to draw the first order.
local function by_priority(targets, facts)
  return list.new(targets, { facts = facts }):shuffle("priority", function(target) return target.priority end)
end

-- An alias that states an order or weights arranges what the policy let through; providers of one model stay in the
-- policy's order.
local function arrange(plan, alias)
  local first = {} -- per place in the alias: its rank
  if alias.order then
    for _, target in ipairs(plan.ladder) do first[alias.places[target]] = alias.places[target] end
    plan.arranged = "in the order of the alias"
  else
    local places, weights, there = {}, {}, {}
    for _, target in ipairs(plan.ladder) do
      local place = alias.places[target]
      if not there[place] then
        there[place] = true
        places[#places + 1] = place
        weights[place] = alias.weights[target]
      end
    end
    table.sort(places)
    local boxed = {}
    for i, place in ipairs(places) do boxed[i] = { place = place, weight = weights[place] } end
    for rank, box in ipairs(list.new(boxed, { facts = plan.asked }):shuffle()) do first[box.place] = rank end
    plan.arranged = "by the weights of the alias"
  end
  plan.ladder = list.new(plan.ladder):sort("alias", function(target) return first[alias.places[target]] end)
end

-- The wait until the first target that is exhausted or failing may be tried again; nil when that is not known.
local function soonest(targets, view)
  local least
  for _, target in ipairs(targets) do
    local wait = math.max(view:exhausted(target) or 0, view.open_s and view:open_s(target) or 0)
    if wait > 0 and (not least or wait < least) then least = wait end
  end
  return least and math.ceil(least)
end

local function nothing_usable(plan, words, view)
  local dropped = reasons.dropped(plan)
  local message = words or "nothing usable for this request"
  if dropped ~= "" then message = message .. ": " .. dropped end
  return {
    status = 503, code = "no_candidate", type = "server_error", message = message,
    retry_after = soonest(plan.offered, view), plan = plan,
  }
end

local function refuse_fault(plan)
  local fault = plan.faults[#plan.faults]
  local refusal = faults.refusal("routing policy", fault.policy, fault.message)
  refusal.plan = plan
  return refusal
end

-- What serves when policies fail and the config says to go on: the default policy, else the config's own order.
local function fall_back(plan, policies, registry, failed, weights)
  local default = registry.policy ~= failed and policies:routing(registry.policy) or nil
  if default then
    local ladder, words = follow(plan, policies, default, weights)
    if ladder then return ladder, words end
  end
  local ladder = {}
  for _, target in ipairs(plan.offered) do
    if (plan.view:exhausted(target) or 0) == 0 then ladder[#ladder + 1] = target end
  end
  plan.policy = LAST_RESORT
  note(plan, "runs", { name = LAST_RESORT, trail = NONE, last = 0 })
  return ladder
end

-- The policy that decides: the request's, else the key's, else the config's; nil and its name when there is none.
local function choose(request, caller, registry, policies)
  local name = request.policy or caller.policy or registry.policy
  return policies:routing(name), name
end

local function not_a_task(name)
  local is_text = type(name) == "string"
  if is_text and #name <= LONGEST_TASK and string.find(name, "^[\33-\126][\32-\126]*$") then return nil end
  return "must return a short text, the type of the task, and returned "
    .. (is_text and "another text" or name == nil and "nothing" or "a " .. type(name))
end

---@class moongate.asked what policies are told beside the request, and the metatable of what they see of it; their
---  lists are drawn and scored by it, too
---@field request table
---@field policies table
---@field view moongate.view
---@field privacy boolean
---@field caller table|nil where the request has none
local asked = {}
local asked_meta = { __index = asked }

local function own_task(facts) return facts.asked.request.task end

-- What the request is for: in its own words, else the task policy's, else the built-in classifier's.
local function classify(self)
  local request, policies = self.request, self.policies
  local policy = policies:task()
  if policy and not task.is_known(request.task) then
    local facts = setmetatable({ asked = self, task = own_task }, { __index = self })
    local seen = candidates.request(request, facts)
    local fine, name = policies:ask(policy, policy.run, not_a_task, seen)
    candidates.close_request(seen)
    if fine then return name end
  end
  return task.classify(request)
end

---@return string
function asked:task()
  local known = self.known_task
  if not known then
    known = classify(self)
    self.known_task = known
  end
  return known
end

-- Chance as the request's seed has it, so that the plan can be made again; the view's own without one.
---@return number
function asked:random()
  local dice = self.dice
  if not dice then
    local seed = self.request.seed
    dice = seed == nil and self.view.random or chance.new(string.format("plan %.17g", seed))
    self.dice = dice
  end
  return dice()
end

-- What was asked for, in words.
local function asked_for(name)
  return name == "auto" and "this request" or '"' .. shown(name) .. '"'
end

-- Plans a request. policies is a set of moongate.policies; view gives the live facts of targets: exhausted, left, used,
-- latency_ms, error_rate, open (each of a target), balance (of a provider's name), random; perhaps open_s, and begin,
-- which is told what is offered before anybody asks.
---@param request table
---@param caller table
---@param registry registry
---@param policies table
---@param view table
---@param entry table|nil what the access policy said when it was asked before: { name, verdicts }, see moongate.entry
---@return plan|nil
---@return table|nil refusal { status, code, type, message, retry_after }
function router.plan(request, caller, registry, policies, view, entry)
  local name, verdicts, refusal
  if entry then
    name, verdicts = entry.name, entry.verdicts
  else
    name, refusal = access.resolve(policies, caller, request.model, registry)
  end
  if not name then return nil, refusal end
  local replaced
  name, replaced = deprecation.follow(registry, name, request.now)
  if not name then return nil, replaced end
  local targets, alias = registry:resolve(name)
  if not targets then return nil, unknown_model(name, registry) end

  local policy, policy_name = choose(request, caller, registry, policies)
  if not policy and request.policy then return nil, unknown_policy(policy_name, policies) end

  if not entry then verdicts, refusal = access.verdicts(policies, caller, targets) end
  if refusal then return nil, refusal end
  local asked_of = setmetatable({
    request = request, policies = policies, view = view, privacy = request.privacy or caller.privacy or false,
    known_task = false, dice = false, __index = false, __metatable = "request",
  }, asked_meta)
  if not request.caller then asked_of.caller = { name = caller.name, org = caller.org, tier = caller.tier } end
  local plan = setmetatable({
    request = request, runs = NONE, faults = NONE, ladder = NONE, policy = policy and full_name(policy) or policy_name,
    name = name, targets = targets, view = view, asked = asked_of, offered = NONE, refused = NONE,
    refused_why = NONE, verdicts = verdicts or false, standing = false, arranged = false,
  }, plan_meta)
  if replaced then plan.replaced = replaced end
  local lists, owners = gates.lists(caller, name, verdicts ~= nil)
  local because, zero_spend = local_because(request, caller, policy_name), registry.zero_spend
  local asks_each = #lists > 0 or verdicts or because or zero_spend or #targets == 1 -- one is quicker asked itself
  if not asks_each and gates.are_open(targets, request) then
    plan.offered = targets
  else
    plan.offered, plan.refused, plan.refused_why, refusal = gates.pass(targets, request, {
      lists = lists, owners = owners, verdicts = verdicts, caller = caller, local_because = because,
      zero_spend = zero_spend, asked = asked_for, name = name,
    })
  end
  if refusal then
    refusal.plan = plan
    return nil, refusal
  end
  if #targets == 0 then
    local behind = alias and ' behind "' .. shown(name) .. '"' or ""
    return nil, nothing_usable(plan, "no model is configured" .. behind, view)
  end

  if registry.varied and #plan.offered > 1 then plan.offered = by_priority(plan.offered, plan.asked) end
  if view.begin then view:begin(plan.offered) end
  local weights = alias and alias.weights
  if policies:task() then plan.asked:task() end -- a policy's budget cannot hold another's
  local ladder, words
  if policy then
    ladder, words = follow(plan, policies, policy, weights)
  else
    note(plan, "faults", { policy = policy_name, kind = "missing", message = "there is no such routing policy" })
  end
  if not ladder then
    if registry.on_fault == "refuse" then return nil, refuse_fault(plan) end
    ladder, words = fall_back(plan, policies, registry, policy_name, weights)
  end

  plan.ladder = ladder
  if #ladder == 0 then return nil, nothing_usable(plan, words, view) end
  if alias and #ladder > 1 and (alias.order or alias.balanced) then arrange(plan, alias) end
  return plan
end

return router
