-- What one attempt draws on: the claims to reserve before it, and the amounts to settle after it. The claims of a
-- caller at a target are made once and belong to nobody: only their amounts are a request's own.
local billing = require "moongate.billing"
local by_target = require "moongate.by_target"
local live = require "moongate.live"
local money = require "moongate.money"

local claims = {}

local MICRO = 1000000

-- Which figure of a call a claim of each kind takes, estimated before, real after; and the place at which the store is
-- told it. A unit of the provider's own is known only from its answer: nothing is taken.
local FIGURES = {
  requests = "requests", caller_requests = "served", tokens = "tokens", billed_tokens = "billed_tokens",
  microusd = "cost_microusd",
}
local PLACES = { requests = 1, served = 2, tokens = 3, billed_tokens = 4, cost_microusd = 5 }

-- What costs money is refused rather than guessed while the gateways cannot count together.
local STRICT = { billed_tokens = true, microusd = true }

local function add(list, kind, key, limit, by_tier)
  local figure = FIGURES[kind]
  list[#list + 1] = {
    kind = kind, key = key, window = limit.window, zone = limit.zone, max = limit.max, sliding = limit.sliding,
    strict = STRICT[kind], by_tier = by_tier, figure = figure, place = PLACES[figure],
  }
end

local function add_target(list, target, yielding)
  for limit, own in live.limits(target) do
    add(list, limit.metric, live.counter(target, limit, own), limit)
    if yielding[limit] then list[#list].max = nil end -- counted, and the provider's own word holds
  end
end

-- A limit of a key that its tier has too is one counter: the lower figure holds.
local function add_lower(list, kind, key, limit, by_tier)
  for _, claim in ipairs(list) do
    if claim.key == key and claim.window == limit.window then
      if limit.max < claim.max then claim.max, claim.by_tier = limit.max, by_tier end
      return
    end
  end
  add(list, kind, key, limit, by_tier)
end

local function add_budget(list, owner, budget, by_tier)
  if not budget then return end
  if budget.billed_tokens then
    add_lower(list, "billed_tokens", owner .. ":billed_tokens",
      { window = budget.window, max = budget.billed_tokens }, by_tier)
  end
  if budget.usd then
    local max = math.floor(budget.usd * MICRO + 0.5)
    add_lower(list, "microusd", owner .. ":microusd", { window = budget.window, max = max }, by_tier)
  end
end

local function add_caller(list, caller, config)
  local owner, by_tier = "key:" .. caller.key_id, caller.by_tier or {}
  if caller.rpm then
    add(list, "caller_requests", owner .. ":requests", { window = "minute", sliding = true, max = caller.rpm },
      by_tier.rpm)
  end
  if caller.tpm then
    add(list, "tokens", owner .. ":tokens", { window = "minute", sliding = true, max = caller.tpm }, by_tier.tpm)
  end
  add_budget(list, owner, caller.budget)
  add_budget(list, owner, caller.tier_budget, true)
  local org = config.orgs and config.orgs[caller.org]
  add_budget(list, "org:" .. caller.org, org and org.budget)
end

local NO_TOKENS = { embeddings = true, count = true }

-- The tokens that a request is expected to have at most. output: how many, where the caller set no bound.
---@param target table
---@param request table
---@param output integer|nil
---@return integer input
---@return integer output
local function expected(target, request, output)
  local input = request.estimated_tokens or 0
  output = request.max_tokens or output or money.assumed_output
  if request.surface == "embeddings" then output = 0 end
  if request.operation == "count" then input, output = 0, 0 end -- it takes a request, and nothing else
  if target.max_output then output = math.min(output, target.max_output) end
  return input, output
end

local function has(list, kind)
  for _, claim in ipairs(list) do
    if claim.kind == kind then return true end
  end
  return false
end

-- Lists that are kept; all are forgotten when there would be more.
local MOST_KEPT = 20000
-- By caller: its own claims, and of each target the lists by the number of the limits that yield.
local callers, count

local function forget() callers, count = setmetatable({}, { __mode = "k" }), 0 end
forget()

local function told(list)
  list.is_billed, list.is_paid = has(list, "billed_tokens"), has(list, "microusd")
  return list
end

local function nothing() return {} end

local function kept_of(caller, config)
  local kept = callers[caller]
  if not kept then
    local own = {}
    add_caller(own, caller, config)
    kept = { own = told(own), lists_of = by_target(nothing) }
    callers[caller] = kept
  end
  return kept
end

-- Of a target, for all callers: limits that are only documented, and its claims by the number of those that yield.
local claims_of = by_target(function(target)
  local documented = {}
  for limit in live.limits(target) do
    if limit.documented then documented[#documented + 1] = limit end
  end
  return { documented = documented, claims = {} }
end)

-- Which of these give way now, and a number for them.
local function yielding_of(target, documented)
  local yielding, number = {}, 0
  for i, limit in ipairs(documented) do
    if live.yields(target, limit) then yielding[limit], number = true, number + 2 ^ i end
  end
  return yielding, number
end

local NONE = {}

-- The caller's claims, then the target's, which are the same tables in all lists.
local function joined(own, targets, target)
  local length = #own
  local list = { is_billed = own.is_billed or targets.is_billed, is_paid = own.is_paid or targets.is_paid }
  for i = 1, length do list[i] = own[i] end
  for i = 1, #targets do list[length + i] = targets[i] end
  list.provider, list.model, list.wanted = target.provider, target.upstream_id, { claims = list }
  return list
end

-- The claims of a caller at a target, as they stand now, and whose own word counts too (see core/bind/store.c); in
-- `wanted`, them as a moongate.wanted without figures.
---@param target table
---@param caller moongate.caller
---@param config table
---@return table[]
function claims.list(target, caller, config)
  if count > MOST_KEPT then forget() end
  local kept, of = kept_of(caller.unlabelled or caller, config), claims_of(target)
  local lists, yielding, number = kept.lists_of(target), NONE, 0
  if #of.documented > 0 then yielding, number = yielding_of(target, of.documented) end
  local list = lists[number]
  if not list then
    local targets = of.claims[number]
    if not targets then
      targets = {}
      add_target(targets, target, yielding)
      of.claims[number] = told(targets)
    end
    list = joined(kept.own, targets, target)
    lists[number], count = list, count + 1
  end
  return list
end

-- What a usage is billed as, and what it costs. The billing policy is asked, and prices are read, only where a claim
-- of the list takes it.
---@param list table[]
---@param target table
---@param request table whose caller is billed
---@param policies table|nil
---@param usage moongate.usage
---@return integer billed_tokens
---@return integer cost_microusd
function claims.charged(list, target, request, policies, usage)
  return list.is_billed and billing.tokens(policies, request.caller, target, usage) or 0,
    list.is_paid and money.cost(usage, target.cost) or 0
end

-- What a request would take of these claims at a target.
---@param list table[]
---@param target table
---@param request table
---@param policies table|nil
---@param length integer|nil of the answer in tokens, where the caller set no bound
---@return integer tokens
---@return integer billed_tokens
---@return integer cost_microusd
---@return integer input
---@return integer output
function claims.estimate(list, target, request, policies, length)
  local input, output = expected(target, request, length)
  local total, billed, cost = input + output, 0, 0
  if list.is_billed or list.is_paid then
    billed, cost = claims.charged(list, target, request, policies,
      { input = input, cached = 0, cache_write = 0, output = output, reasoning = 0, total = total })
  end
  return total, billed, cost, input, output
end

---@class moongate.wanted what the store is asked for: the claims of an attempt, and the figures that they take
---@field claims table[]
---@field requests integer this and all below only of a stream, which may come to want more, or where a claim blocks
---@field served integer
---@field tokens integer
---@field billed_tokens integer
---@field cost_microusd integer
---@field input integer tokens of the prompt, as estimated
---@field output integer tokens of the answer that are expected at most

-- The claims of an attempt at target, with the estimate as their figures.
---@param target table
---@param caller moongate.caller
---@param request table
---@param state { config: table, policies: table|nil }
---@param length integer|nil see claims.estimate
---@return moongate.wanted
function claims.call(target, caller, request, state, length)
  local list = claims.list(target, caller, state.config)
  local tokens, billed, cost, input, output = claims.estimate(list, target, request, state.policies, length)
  return {
    claims = list, requests = 1, served = 1, tokens = tokens, billed_tokens = billed, cost_microusd = cost,
    input = input, output = output,
  }
end

local ASSUMED = { money.assumed_output }

-- How long an answer is expected to be, the longest first. What says nothing of it, and can be ended when its
-- reservation is used up, may begin with less.
---@param request table
---@return (integer|nil)[]
function claims.lengths(request)
  local is_open = request.stream and not request.max_tokens and not NO_TOKENS[request.operation]
  return is_open and money.lengths or ASSUMED
end

-- Whether a claim that blocked is the caller's own (a refusal) or the target's (the next rung).
---@param blocked string what the store says: "key:..." or "provider:..."
---@return boolean
function claims.is_callers(blocked)
  return string.find(blocked, "^key:") ~= nil or string.find(blocked, "^org:") ~= nil
end

local GROWING = { tokens = true, billed_tokens = true, microusd = true }

-- Whether a claim is the caller's own, and grows with the answer.
---@param claim table
---@return boolean
function claims.grows(claim)
  return GROWING[claim.kind] == true and claims.is_callers(claim.key)
end

-- Those of a list that grow with the answer, as a list. A list of claims does not change: it is made once.
---@param list table[]
---@return table[]
function claims.growing(list)
  local growing = list.growing
  if growing then return growing end
  growing = { is_billed = list.is_billed, is_paid = list.is_paid }
  for _, claim in ipairs(list) do
    if claims.grows(claim) then growing[#growing + 1] = claim end
  end
  list.growing = growing
  return growing
end

-- The claim that blocked; nil if it is none of these.
---@param list table[]
---@param blocked string
---@return table|nil
function claims.blocking(list, blocked)
  for _, claim in ipairs(list) do
    if claim.key .. " " .. claim.window == blocked then return claim end
  end
  return nil
end

return claims
