-- What one attempt draws on: the claims to reserve before it, and the amounts to settle after it.
local live = require "moongate.live"
local money = require "moongate.money"

local claims = {}

local MICRO = 1000000

-- What a claim of each kind takes: estimated before, real after.
local function amount_of(kind, figures)
  if kind == "requests" then return figures.requests end
  if kind == "caller_requests" then return figures.served end
  if kind == "tokens" then return figures.tokens end
  if kind == "billed_tokens" then return figures.billed_tokens end
  if kind == "microusd" then return figures.cost_microusd end
  return 0 -- a unit of the provider's own, known only from its answer
end

-- What costs money is refused rather than guessed while the gateways cannot count together.
local STRICT = { billed_tokens = true, microusd = true }

local function add(list, kind, key, limit)
  list[#list + 1] = {
    kind = kind, key = key, window = limit.window, zone = limit.zone, max = limit.max, sliding = limit.sliding,
    strict = STRICT[kind],
  }
end

local function add_target(list, target)
  for limit, own in live.limits(target) do add(list, limit.metric, live.counter(target, limit, own), limit) end
end

local function add_budget(list, owner, budget)
  if not budget then return end
  if budget.billed_tokens then
    add(list, "billed_tokens", owner .. ":billed_tokens", { window = budget.window, max = budget.billed_tokens })
  end
  if budget.usd then
    local max = math.floor(budget.usd * MICRO + 0.5)
    add(list, "microusd", owner .. ":microusd", { window = budget.window, max = max })
  end
end

local function add_caller(list, caller, config)
  local owner = "key:" .. caller.key_id
  if caller.rpm then
    add(list, "caller_requests", owner .. ":requests", { window = "minute", sliding = true, max = caller.rpm })
  end
  if caller.tpm then
    add(list, "tokens", owner .. ":tokens", { window = "minute", sliding = true, max = caller.tpm })
  end
  add_budget(list, owner, caller.budget)
  local org = config.orgs and config.orgs[caller.org]
  add_budget(list, "org:" .. caller.org, org and org.budget)
end

-- The claims of an attempt at target, with the estimate as their amounts.
---@param target table
---@param caller moongate.caller
---@param request table
---@param config table
---@return table[] claims
---@return integer tokens estimated
function claims.of(target, caller, request, config)
  local list = {}
  add_caller(list, caller, config)
  add_target(list, target)
  local input, output = request.estimated_tokens or 0, request.max_tokens or money.assumed_output
  if request.surface == "embeddings" then output = 0 end
  if request.operation == "count" then input, output = 0, 0 end -- it takes a request, and nothing else
  if target.max_output then output = math.min(output, target.max_output) end
  local tokens = input + output
  local cost = money.cost({ input = input, output = output }, target.cost) or 0
  local estimate = { requests = 1, served = 1, tokens = tokens, billed_tokens = tokens, cost_microusd = cost }
  for _, claim in ipairs(list) do claim.amount = amount_of(claim.kind, estimate) end
  return list, tokens
end

-- What the store is asked for: the claims of an attempt, and whose own word counts too.
---@param target table
---@param caller moongate.caller
---@param request table
---@param config table
---@return { claims: table[], provider: string, model: string, tokens: integer }
function claims.call(target, caller, request, config)
  local list, tokens = claims.of(target, caller, request, config)
  return { claims = list, provider = target.provider, model = target.upstream_id, tokens = tokens }
end

-- The real amounts, in the order of the claims.
---@param list table[]
---@param figures table requests, served, tokens, billed_tokens, cost_microusd
---@return integer[]
function claims.amounts(list, figures)
  local amounts = {}
  for i, claim in ipairs(list) do amounts[i] = amount_of(claim.kind, figures) end
  return amounts
end

-- Whether a claim that blocked is the caller's own (a refusal) or the target's (the next rung).
---@param blocked string what the store says: "key:..." or "provider:..."
---@return boolean
function claims.is_callers(blocked)
  return string.find(blocked, "^key:") ~= nil or string.find(blocked, "^org:") ~= nil
end

-- The figure of the claim that blocked; nil if it is none of these.
---@param list table[]
---@param blocked string
---@return number|nil
function claims.figure(list, blocked)
  for _, claim in ipairs(list) do
    if claim.key .. " " .. claim.window == blocked then return claim.max end
  end
  return nil
end

return claims
