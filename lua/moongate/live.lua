-- How every target stands at this moment: the facts that the router hands to policies, read from the store and from
-- the targets' health when somebody asks. A view holds still what it has read: one request sees one world, and what it
-- saw can be recorded.
local clock = require "moongate.core.clock"
local decision = require "moongate.decision"
local health = require "moongate.core.health"
local quota = require "moongate.quota"
local readings = require "moongate.readings"
local store = require "moongate.core.store"
local trust = require "moongate.trust"

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

-- What a checker found is asked for again and again: it holds for a while when that fails.
local CHECKED = 900

-- Whether what a provider told still holds: until its window is over.
---@param told { reset_s: number|nil, age_s: number, source: string|nil }
---@return boolean
function live.stands(told)
  if told.reset_s == nil then return told.age_s < (told.source == "checker" and CHECKED or 60) end
  return told.reset_s > 0
end

-- By target: how the store is asked for the counters of its limits.
local claims_of = setmetatable({}, { __mode = "k" })

local function counts_of(target)
  local claims = claims_of[target]
  if not claims then
    claims = {}
    for limit, own in live.limits(target) do
      claims[#claims + 1] = {
        key = live.counter(target, limit, own), window = limit.window, zone = limit.zone, max = limit.max,
        sliding = limit.sliding,
      }
    end
    claims_of[target] = claims
  end
  local counts = {}
  for i = 1, #claims do counts[i] = (store.used(claims[i])) end
  return counts
end

local function says(told)
  return told.remaining ~= nil and live.stands(told)
end

-- What the provider itself told counts too, as long as it stands: what remains, by the name of the limit, as the source
-- has it that is trusted most.
local function told_of(target, learnt)
  local of_all, of_model, remains = {}, {}, {}
  for _, told in ipairs(learnt) do
    local own = told.model == target.upstream_id and of_model or told.model == "" and of_all or nil
    local name = own and says(told) and quota.known_name(told.metric, told.window)
    if name and not (own[name] and trust.rank(own[name].source) <= trust.rank(told.source)) then
      own[name] = told
      remains[name] = told.remaining
    end
  end
  for name in pairs(remains) do
    local one, other = of_all[name], of_model[name]
    remains[name] = one and other and math.min(one.remaining, other.remaining) or (one or other).remaining
  end
  return remains
end

-- What nobody asks for may be a moment old: by target, { when, what its provider told }.
local MOMENT = 1
local heard = setmetatable({}, { __mode = "k" })

local function heard_of(target, now)
  local last = heard[target]
  if not last or now - last[1] > MOMENT or now < last[1] then
    last = { now, told_of(target, store.learnt(target.provider)) }
    heard[target] = last
  end
  return last[2]
end

-- Whether the figure of a limit gives way: it is out of a table that ships with the gateway, and the provider itself
-- has told what remains.
---@param target table
---@param limit table
---@return boolean
function live.yields(target, limit)
  return limit.documented ~= nil and heard_of(target, clock.monotonic())[limit.name] ~= nil
end

---@class moongate.view see router.plan
---@field seen table<table, table> by target, as far as read: wait, why, counts, told, open, latency_ms, error_rate,
---  open_s, balance (false: none)
---@field is_whole boolean|nil all of it has been read, of every target that was offered

---@return moongate.view
function live.view()
  local learnt, seen = {}, {}
  local view = { random = math.random, seen = seen }

  local function of(target)
    local own = seen[target]
    if not own then
      own = {}
      seen[target] = own
    end
    return own
  end

  function view.exhausted(target)
    local own = of(target)
    if not own.wait then
      own.wait, own.why = store.exhausted(target.id)
      local all, why = store.exhausted(target.provider)
      if all > own.wait then own.wait, own.why = all, why end
    end
    return own.wait, own.why
  end

  local function counts(target)
    local own = of(target)
    own.counts = own.counts or counts_of(target)
    return own.counts
  end

  local function told(target)
    local own = of(target)
    if not own.told then
      learnt[target.provider] = learnt[target.provider] or store.learnt(target.provider)
      own.told = told_of(target, learnt[target.provider])
    end
    return own.told
  end

  local function state(target)
    local own = of(target)
    if own.open == nil then
      local open, latency_ms, error_rate, open_s = health.state(target.id)
      own.open, own.open_s = open, open_s
      -- In few digits: what is recorded is what was seen, to the bit.
      own.latency_ms = latency_ms and math.floor(latency_ms * 100 + 0.5) / 100
      own.error_rate = error_rate and math.floor(error_rate * 10000 + 0.5) / 10000
    end
    return own
  end

  function view.left(target) return quota.left(decision.left(target, counts(target), told(target))) end
  function view.used(target) return quota.used(decision.used(target, counts(target))) end
  function view.latency_ms(target) return state(target).latency_ms end
  function view.error_rate(target) return state(target).error_rate end
  function view.open(target) return state(target).open end
  function view.open_s(target) return state(target).open_s end

  -- Of a target's provider; the target, if it is told, remembers it.
  function view.balance(provider, target)
    if not target then return readings.balance(provider) end
    local own = of(target)
    if own.balance == nil then own.balance = readings.balance(provider) or false end
    return own.balance or nil
  end

  -- Reads what nobody has asked for yet, in the moment of the decision: another policy may want to know it.
  function view.complete(targets)
    local now = clock.monotonic()
    for _, target in ipairs(targets) do
      view.exhausted(target)
      counts(target)
      view.balance(target.provider, target)
      state(target).told = of(target).told or heard_of(target, now)
    end
    view.is_whole = true
  end

  return view
end

return live
