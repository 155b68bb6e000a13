-- How every target stands at this moment: the facts that the router hands to policies, read from the store and from
-- the targets' health when somebody asks. A view holds still what it has read: one request sees one world, and what it
-- saw can be recorded.
local by_target = require "moongate.by_target"
local clock = require "moongate.core.clock"
local decision = require "moongate.decision"
local gauge = require "moongate.core.gauge"
local quota = require "moongate.quota"
local readings = require "moongate.readings"
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
local CHECKED, TOLD = 900, 60

local function lasts(source) return source == "checker" and CHECKED or TOLD end

-- Whether what a provider told still holds: until its window is over.
---@param told { reset_s: number|nil, age_s: number, source: string|nil }
---@return boolean
function live.stands(told)
  if told.reset_s then return told.reset_s > 0 end
  return told.age_s < lasts(told.source)
end

-- What the provider itself told counts too, as long as it stands: of each limit that has a name, as the source has it
-- that is trusted most.
gauge.meaning(function(metric, window, source)
  return quota.known_name(metric, window), trust.rank(source), lasts(source)
end)

-- What reads how a target stands, see core/bind/gauge.c.
local gauge_of = by_target(function(target)
  local limits = {}
  for limit, is_own in live.limits(target) do
    limits[#limits + 1] = {
      name = limit.name, max = limit.max, documented = limit.documented, key = live.counter(target, limit, is_own),
      window = limit.window, zone = limit.zone, sliding = limit.sliding,
    }
  end
  return gauge.of {
    index = target.index, id = target.id, provider = target.provider, model = target.upstream_id, limits = limits,
  }
end)

-- Whether a figure gives way may be told as it was a moment ago: { when, what its provider told }.
local MOMENT = 1
local last_heard = by_target(function() return { -math.huge } end)

local function heard_of(target, now)
  local last = last_heard(target)
  if now - last[1] > MOMENT or now < last[1] then last[1], last[2] = now, gauge.remains(gauge_of(target)) end
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
---@field [integer] userdata|false by a target's index what has been read of it: see core/bind/gauge.c
---@field is_fine boolean all that has been read may be called: neither exhausted, nor with an open breaker
---@field is_whole boolean all of it has been read, of every target that was offered
local view = { random = math.random }
local meta = { __index = view }

---@return moongate.view
function live.view()
  local empty = { false, false, false, false, false, false, false, false, is_fine = true, is_whole = false }
  return setmetatable(empty, meta)
end

-- One of which nothing has been read.
local function begin(self, target)
  local own = gauge.begin(gauge_of(target))
  self[target.index], self.is_fine = own, false
  return own
end

-- One of which all has been read that is its own.
local function read(self, target)
  local own, is_fine = gauge.read(gauge_of(target))
  self[target.index] = own
  if not is_fine then self.is_fine = false end
end

-- Reads how these stand, in one go, where they are so few that all of it is recorded. Of many, what is asked for is.
function view:begin(targets)
  if #targets > decision.most_whole then return end
  for i = 1, #targets do read(self, targets[i]) end
end

function view:exhausted(target)
  local own = self[target.index]
  if own and self.is_fine then return 0, "" end
  return gauge.exhausted(own or begin(self, target))
end

function view:open(target)
  local own = self[target.index]
  if own and self.is_fine then return false end
  return (gauge.health(own or begin(self, target)))
end

-- Open, latency in ms, error rate, seconds until an open breaker lets one through.
local function health(self, target) return gauge.health(self[target.index] or begin(self, target)) end

function view:latency_ms(target) return (select(2, health(self, target))) end
function view:error_rate(target) return (select(3, health(self, target))) end
function view:open_s(target) return (select(4, health(self, target))) end

-- A fresh table each time, the asker's own.
function view:left(target)
  local left, own = gauge.left(self[target.index] or begin(self, target))
  self[target.index] = own
  return quota.left(left)
end

function view:used(target)
  return quota.used(decision.used(target, gauge.counts(self[target.index] or begin(self, target))))
end

-- Of a target's provider; the target, if it is told, remembers it.
function view:balance(provider, target)
  if not target then return readings.balance(provider) end
  local own = self[target.index] or begin(self, target)
  local is_known, balance = gauge.balance(own)
  if is_known then return balance end
  balance = readings.balance(provider)
  gauge.note_balance(own, balance)
  return balance
end

-- Reads what nobody has asked for yet, in the moment of the decision: another policy may want to know it.
function view:complete(targets)
  local are_readings = readings.are_there()
  for i = 1, #targets do
    local target = targets[i]
    local own = self[target.index]
    if not own then
      read(self, target)
    elseif not self.is_fine then
      self[target.index] = gauge.complete(own)
    end
    if are_readings then view.balance(self, target.provider, target) end
  end
  self.is_whole = true
end

return live
