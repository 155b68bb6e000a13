-- The access policy (policies/access.lua): which model a requested name stands for, and whether a caller may use a
-- target. Its verdicts are pure, so they are kept. Where there is none, the gates go by the tiers. A policy that fails
-- refuses: nobody gets past a broken door.
local facts = require "moongate.facts"
local faults = require "moongate.faults"
local patterns = require "moongate.patterns"

local access = {}

-- Verdicts kept of one version of the policy; all are forgotten when there would be more.
local MOST_KEPT = 200000
-- Targets that the policy is asked about within one budget.
local GROUP = 250
local LONGEST_REASON = 300
local SILENT = "the access policy says no"

-- By policy, so that a new version begins with nothing: { count, by caller -> by target -> true or the reason }.
local kept = setmetatable({}, { __mode = "k" })

local function refuse(policy, fault)
  local name = policy.version and policy.label .. "@" .. policy.version or policy.label
  return faults.refusal("access policy", name, faults.in_words(fault))
end

-- The policy in force; or why nobody may pass: its file never loaded.
local function standing(policies)
  local policy = policies:access()
  if not (policy and policy.broken) then return policy end
  policies:count(policy.broken)
  return nil, refuse(policy, policy.broken)
end

local function article(value)
  return value == nil and "nothing" or "a " .. type(value)
end

local function in_a_line(reason)
  if type(reason) ~= "string" or reason == "" then return SILENT end
  reason = string.gsub(string.sub(reason, 1, LONGEST_REASON), "%c", " ")
  return (string.gsub(reason, "[\192-\255][\128-\191]*$", ""))
end

-- What is kept for a caller: people with one name in one org and tier are the same to the policy.
local function kept_for(policy, caller)
  local store = kept[policy]
  if not store or store.count > MOST_KEPT then
    store = { count = 0, callers = {} }
    kept[policy] = store
  end
  local id = table.concat({ caller.name or "", caller.org or "", caller.tier or "" }, "\n")
  local verdicts = store.callers[id]
  if not verdicts then
    -- Targets of a configuration that is gone go with it.
    verdicts = setmetatable({}, { __mode = "k" })
    store.callers[id] = verdicts
    store.count = store.count + 1
  end
  return verdicts, store
end

-- Runs within the policy's budget. What it has found out stays, also if it is cut off. Everything that the policy gets
-- is its own.
local function judge(policy, caller, targets, verdicts, from, to)
  for i = from, to do
    local target = targets[i]
    if verdicts[target] == nil then
      local allowed, reason = policy.validate(facts.shown("caller", caller), facts.model(target))
      if allowed ~= true and allowed ~= false then
        error("must return true, or false and a reason, and returned " .. article(allowed), 0)
      end
      verdicts[target] = allowed or in_a_line(reason)
    end
  end
end

-- What the policy says of each target: by target, true or the reason why not. nil where there is no access policy; nil
-- and the refusal if it fails.
---@param policies table
---@param caller table
---@param targets table[]
---@return table<table, true|string>|nil
---@return table|nil
function access.verdicts(policies, caller, targets)
  local policy, refusal = standing(policies)
  if not policy then return nil, refusal end
  local verdicts, store = kept_for(policy, caller)
  local first = 1
  while targets[first] and verdicts[targets[first]] ~= nil do first = first + 1 end
  for from = first, #targets, GROUP do
    local to = math.min(from + GROUP - 1, #targets)
    local fine, fault = policies:within(policy, judge, policy, caller, targets, verdicts, from, to)
    if not fine then return nil, refuse(policy, fault) end
    store.count = store.count + to - from + 1
  end
  return verdicts
end

-- What is wrong with the name that resolve returned; nil: nothing.
local function not_a_name(name, requested, registry)
  if name == nil then return nil end
  if type(name) ~= "string" then return "resolve must return the name of a model, and returned " .. article(name) end
  -- A name that the caller made up is the caller's mistake.
  if name == requested or registry:resolve(name) then return nil end
  return string.format('resolve returned "%s", which is no model here', in_a_line(name))
end

local function ask_resolve(policies, policy, caller, requested, registry)
  local function wrong(name) return not_a_name(name, requested, registry) end
  local fine, name = policies:ask(policy, policy.resolve, wrong, facts.shown("caller", caller), requested)
  if not fine then return nil, refuse(policy, name) end
  return name or requested or "auto"
end

-- The name that the request is served under: the policy's resolve may say another than was asked for. nil and the
-- refusal if it fails, or names what is not here.
---@param policies table
---@param caller table
---@param requested string|nil
---@param registry registry
---@return string|nil
---@return table|nil
function access.resolve(policies, caller, requested, registry)
  if requested == "" then requested = nil end
  local policy, refusal = standing(policies)
  if refusal then return nil, refusal end
  if not (policy and policy.resolve) then return requested or "auto" end
  return ask_resolve(policies, policy, caller, requested, registry)
end

-- Whether any of the targets behind a listed name will do.
local function opens(entry, registry, verdicts)
  for _, target in ipairs(registry:resolve(entry.id) or {}) do
    if verdicts[target] == true then return true end
  end
  return false
end

-- What /v1/models lists for a caller; nil and the refusal if the policy fails. The admin sees all there is.
---@param policies table
---@param caller table
---@param registry registry
---@return table[]|nil
---@return table|nil
function access.models(policies, caller, registry)
  local entries = registry:models(caller.models)
  if caller.is_admin then return entries end
  local verdicts, refusal = access.verdicts(policies, caller, registry.targets)
  if refusal then return nil, refusal end
  local list, by_tier = {}, {}
  if not verdicts and not patterns.everything(caller.tier_models) then
    for _, entry in ipairs(registry:models(caller.tier_models)) do by_tier[entry.id] = true end
  else
    by_tier = nil
  end
  for _, entry in ipairs(entries) do
    local seen
    if verdicts then seen = opens(entry, registry, verdicts) else seen = not by_tier or by_tier[entry.id] end
    if seen then list[#list + 1] = entry end
  end
  if #list == 1 and list[1].id == "auto" then return {} end
  return list
end

return access
