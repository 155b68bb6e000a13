-- How every target stands at this moment: the facts that the router hands to policies, read from the store and from
-- the targets' health when somebody asks. A view holds still what it has read: one request sees one world.
local health = require "moongate.core.health"
local quota = require "moongate.quota"
local store = require "moongate.core.store"

local live = {}

-- The counter of a limit: shared by all targets of a pool or provider, or the model's own.
---@param target table
---@param limit table
---@param own boolean the model's own limit
---@return string
function live.counter(target, limit, own)
  if own then return "model:" .. target.id .. ":" .. limit.metric end
  if target.pool then return "pool:" .. target.pool .. ":" .. limit.metric end
  return "provider:" .. target.provider .. ":" .. limit.metric
end

-- Every limit of a target: (limit, own) for its provider's or pool's, then for the model's own.
---@param target table
---@return fun(): table|nil, boolean|nil
function live.limits(target)
  local shared, i = #target.provider_limits, 0
  return function()
    i = i + 1
    if i <= shared then return target.provider_limits[i], false end
    return target.limits[i - shared], true
  end
end

local function used(target, limit, own)
  local key = live.counter(target, limit, own)
  return (store.used { key = key, window = limit.window, zone = limit.zone, max = limit.max })
end

local function lower(left, name, rest)
  if not left[name] or rest < left[name] then left[name] = rest end
end

-- What the provider itself told counts too, until its window is over.
local function lower_by_learnt(left, learnt, target)
  for _, told in ipairs(learnt) do
    local concerns = told.model == "" or told.model == target.upstream_id
    local stands = told.reset_s == nil and told.age_s < 60 or (told.reset_s or 0) > 0
    if concerns and stands and told.remaining and quota.parse(quota.name(told.metric, told.window)) then
      lower(left, quota.name(told.metric, told.window), told.remaining)
    end
  end
end

---@class moongate.view see router.plan

---@return moongate.view
function live.view()
  local learnt, seen = {}, {}
  local view = { random = math.random }

  function view.exhausted(target)
    local seconds, reason = store.exhausted(target.id)
    local all, why = store.exhausted(target.provider)
    if all > seconds then return all, why end
    return seconds, reason
  end

  function view.left(target)
    local left = {}
    for limit, own in live.limits(target) do
      lower(left, limit.name, math.max(0, limit.max - used(target, limit, own)))
    end
    learnt[target.provider] = learnt[target.provider] or store.learnt(target.provider)
    lower_by_learnt(left, learnt[target.provider], target)
    return quota.left(left)
  end

  function view.used(target)
    local sums = {}
    for limit, own in live.limits(target) do
      sums[limit.name] = math.max(sums[limit.name] or 0, used(target, limit, own))
    end
    return quota.used(sums)
  end

  local function state(target)
    local found = seen[target.id]
    if not found then
      local open, latency_ms, error_rate, open_s = health.state(target.id)
      found = { open = open, latency_ms = latency_ms, error_rate = error_rate, open_s = open_s }
      seen[target.id] = found
    end
    return found
  end

  function view.latency_ms(target) return state(target).latency_ms end
  function view.error_rate(target) return state(target).error_rate end
  function view.open(target) return state(target).open end
  function view.open_s(target) return state(target).open_s end
  function view.balance() return nil end
  return view
end

return live
