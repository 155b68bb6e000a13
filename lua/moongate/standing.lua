-- Whether a target would be called at this moment. The climb and its attempts ask it rung by rung; whoever explains a
-- plan asks it of the whole ladder beforehand. Asks only: nothing is reserved, and no breaker is tried.
local by_target = require "moongate.by_target"
local claims = require "moongate.claims"
local live = require "moongate.live"
local passing = require "moongate.passing"
local store = require "moongate.core.store"

local standing = {}

---@class moongate.obstacle
---@field skipped string|nil the target is passed over, in words
---@field refusal string|nil the caller's own limit, as the store names it: no other rung is tried
---@field max number|nil of that limit
---@field amount number|nil what the request takes of it
---@field by_tier boolean|nil it is the tier's
---@field wait number|nil seconds
---@field away boolean|nil it was counted without the other gateways

-- Exhausted, itself or its provider.
---@param target table
---@return moongate.obstacle|nil
function standing.exhausted(target)
  local wait, reason = store.exhausted(target.id)
  local all, why = store.exhausted(target.provider)
  if all > wait then wait, reason = all, why end
  return wait > 0 and { skipped = passing.exhausted(reason), wait = wait } or nil
end

-- What an open breaker's target is passed over with.
---@param wait number
---@return moongate.obstacle
function standing.left_alone(wait)
  return { skipped = passing.left_alone, wait = wait }
end

-- What a reservation that was not granted means.
---@param wanted moongate.wanted
---@param blocked string
---@param wait number
---@param away boolean|nil Redis is away
---@return moongate.obstacle
function standing.blocked(wanted, blocked, wait, away)
  away = away or nil
  if claims.is_callers(blocked) then
    local claim = claims.blocking(wanted.claims, blocked) or {}
    return {
      refusal = blocked, wait = wait, max = claim.max, amount = wanted[claim.figure], by_tier = claim.by_tier,
      away = away,
    }
  end
  return { skipped = passing.no_quota(blocked, away), wait = wait }
end

-- Whether less may be asked for where this limit blocks.
---@param wanted moongate.wanted
---@param blocked string
---@return boolean
function standing.may_shrink(wanted, blocked)
  local claim = claims.blocking(wanted.claims, blocked)
  return claim ~= nil and claims.grows(claim)
end

-- What a call of target would meet now; nil: nothing is in its way. In the order in which the climb looks. The view has
-- read most of it for the plan already.
local function obstacle_of(target, caller, request, state, view)
  local wait, why = view:exhausted(target)
  if wait > 0 then return { skipped = passing.exhausted(why), wait = wait } end
  if view:open(target) then return standing.left_alone(view:open_s(target)) end
  local list, lengths, obstacle = claims.list(target, caller, state.config), claims.lengths(request), nil
  for i = 1, #lengths do
    local tokens, billed, cost = claims.estimate(list, target, request, state.policies, lengths[i])
    local fits, blocked, left_s, away = store.fits(list, 1, 1, tokens, billed, cost)
    if fits then return nil end
    local wanted = claims.call(target, caller, request, state, lengths[i])
    obstacle = standing.blocked(wanted, blocked, left_s, away)
    if not standing.may_shrink(wanted, blocked) then break end
  end
  return obstacle
end

-- Where nothing is in anybody's way, what is noted hangs on the first rung alone.
local free = by_target(function(target) return { first = target } end)

-- Notes in the plan how its rungs stand, the first `most` and as many more as it takes to find one that can be called:
-- { [target] = words, first = the rung to be called first, refusal = what the caller is told instead }. It does not
-- change from then on.
---@param plan plan made by a live view
---@param caller moongate.caller
---@param state { config: table, policies: table|nil }
---@param most integer|nil
function standing.note(plan, caller, state, most)
  local view, ladder, noted, first, refusal = plan.view or live.view(), plan.ladder, nil, nil, nil
  for rung = 1, #ladder do
    local target, is_decided = ladder[rung], first or refusal
    if is_decided and rung > (most or math.huge) then break end
    local obstacle = obstacle_of(target, caller, plan.request, state, view)
    if obstacle then noted = noted or {} end
    if obstacle and obstacle.refusal then
      local words = passing.own_limit(caller, obstacle)
      noted[target] = "refused: " .. words
      if not is_decided then refusal = words end
    elseif obstacle then
      noted[target] = "passed over: " .. passing.with_wait(obstacle.skipped, obstacle.wait)
    elseif not is_decided then
      first = target
    end
  end
  if noted then
    noted.first, noted.refusal = first, refusal
  else
    noted = first and free(first) or {}
  end
  plan.standing = noted
end

return standing
