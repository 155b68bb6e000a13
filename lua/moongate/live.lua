-- How every target stands at this moment: the facts that the router hands to policies, read from the store and from
-- the targets' health when somebody asks. A view holds still what it has read: one request sees one world, and what it
-- saw can be recorded.
local by_target = require "moongate.by_target"
local clear = require "table.clear"
local clock = require "moongate.core.clock"
local decision = require "moongate.decision"
local gauge = require "moongate.core.gauge"
local new_table = require "table.new"
local quota = require "moongate.quota"
local readings = require "moongate.readings"
local seen = require "moongate.seen"
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

-- reset_s: nil or false where it was not told.
local function holds(reset_s, age_s, source)
  if reset_s then return reset_s > 0 end
  return age_s < (source == "checker" and CHECKED or 60)
end

-- Whether what a provider told still holds: until its window is over.
---@param told { reset_s: number|nil, age_s: number, source: string|nil }
---@return boolean
function live.stands(told) return holds(told.reset_s, told.age_s, told.source) end

-- What reads how a target stands, see core/bind/gauge.c.
local gauge_of = by_target(function(target)
  local limits = {}
  for limit, is_own in live.limits(target) do
    limits[#limits + 1] = {
      key = live.counter(target, limit, is_own), window = limit.window, zone = limit.zone, sliding = limit.sliding,
    }
  end
  return gauge.of {
    index = target.index, id = target.id, provider = target.provider, model = target.upstream_id, limits = limits,
  }
end)

local NOTHING = {}
local PARTS = 7 -- of a word of a provider's

-- What a gauge writes into, and the places of the words in it that are trusted most, by the names of their limits: of
-- those for all models of a provider, and of those for this one.
local words, of_all, of_model = {}, {}, {}

-- What the provider itself told counts too, as long as it stands: what remains, by the name of the limit, as the source
-- has it that is trusted most. And whether that holds for this model alone. See `told` in core/bind/gauge.c.
local function remains_of(how)
  local last, by_model = how.told(words)
  if last == 0 then return NOTHING, by_model end
  local remains = {}
  clear(of_all)
  clear(of_model)
  for at = 1, last, PARTS do
    local source = words[at + 2]
    local name = holds(words[at + 5], words[at + 6], source) and quota.known_name(words[at], words[at + 1])
    if name then
      local best = words[at + 3] and of_model or of_all
      local before = best[name]
      if not (before and trust.rank(words[before + 2]) <= trust.rank(source)) then
        best[name], remains[name] = at, true
      end
    end
  end
  for name in next, remains do
    local one, other = of_all[name], of_model[name]
    local least = words[(one or other) + 4]
    if one and other then least = math.min(least, words[other + 4]) end
    remains[name] = least
  end
  return remains, by_model
end

-- What nobody asks for may be a moment old: { when, what its provider told }.
local MOMENT = 1
local last_heard = by_target(function() return { -math.huge } end)

local function heard_of(target, now)
  local last = last_heard(target)
  if now - last[1] > MOMENT or now < last[1] then
    last[1], last[2] = now, (remains_of(gauge_of(target)))
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

local WAIT, WHY, OPEN, LATENCY_MS, ERROR_RATE = seen.wait, seen.why, seen.open, seen.latency_ms, seen.error_rate
local OPEN_S, COUNTS, TOLD, BALANCE, GAUGE = seen.open_s, seen.counts, seen.told, seen.balance, seen.gauge
local INDEX = seen.index

---@class moongate.view see router.plan
---@field seen (table|false)[] by a target's index, as far as read: see moongate.seen
---@field told table<string, table>|false of many targets: what providers told, by their names, where that is the same
---  for all their models
---@field is_whole boolean all of it has been read, of every target that was offered
local view = { random = math.random }
local meta = { __index = view }

---@return moongate.view
function live.view()
  local room = { false, false, false, false, false, false, false, false }
  return setmetatable({ seen = room, told = false, is_whole = false }, meta)
end

-- One of which nothing has been read.
local function begin(self, target)
  local own = new_table(GAUGE, 0)
  own[INDEX], own[GAUGE] = target.index, gauge_of(target)
  self.seen[target.index] = own
  return own
end

-- One of which all has been read that is its own.
local function read(self, target)
  local how = gauge_of(target)
  local own = how.read()
  own[GAUGE] = how
  self.seen[target.index] = own
  return own
end

-- Reads how these stand, in one go, where they are so few that all of it is recorded. Of many, what is asked for is.
function view:begin(targets)
  if #targets > decision.most_whole then
    self.told = {}
    return
  end
  for i = 1, #targets do read(self, targets[i]) end
end

function view:exhausted(target)
  local own = self.seen[target.index] or begin(self, target)
  local wait = own[WAIT]
  if not wait then
    wait, own[WHY] = own[GAUGE].exhausted()
    own[WAIT] = wait
  end
  return wait, own[WHY] or ""
end

local function counts(self, target)
  local own = self.seen[target.index] or begin(self, target)
  if not own[COUNTS] then own[COUNTS] = own[GAUGE].counts() end
  return own
end

local function health(self, target)
  local own = self.seen[target.index] or begin(self, target)
  if not own[ERROR_RATE] then
    own[OPEN], own[LATENCY_MS], own[ERROR_RATE], own[OPEN_S] = own[GAUGE].health()
  end
  return own
end

local function told(self, target, how)
  local by_provider = self.told
  local same = by_provider and by_provider[target.provider]
  if same then return same end
  local remains, by_model = remains_of(how)
  if by_provider and not by_model then by_provider[target.provider] = remains end
  return remains
end

-- A fresh table each time, the asker's own.
function view:left(target)
  local own = counts(self, target)
  if not own[TOLD] then own[TOLD] = told(self, target, own[GAUGE]) end
  return quota.left(decision.left(target, own[COUNTS], own[TOLD]))
end

function view:used(target) return quota.used(decision.used(target, counts(self, target)[COUNTS])) end
function view:latency_ms(target) return health(self, target)[LATENCY_MS] or nil end
function view:error_rate(target) return health(self, target)[ERROR_RATE] end
function view:open(target) return health(self, target)[OPEN] end
function view:open_s(target) return health(self, target)[OPEN_S] end

-- Of a target's provider; the target, if it is told, remembers it.
function view:balance(provider, target)
  if not target then return readings.balance(provider) end
  local own = self.seen[target.index] or begin(self, target)
  if own[BALANCE] == nil then own[BALANCE] = readings.balance(provider) or false end
  return own[BALANCE] or nil
end

-- Reads what nobody has asked for yet, in the moment of the decision: another policy may want to know it.
function view:complete(targets)
  local now, are_readings = clock.monotonic(), readings.are_there()
  for i = 1, #targets do
    local target = targets[i]
    local own = self.seen[target.index] or read(self, target)
    if not own[WAIT] then view.exhausted(self, target) end
    if not own[ERROR_RATE] then health(self, target) end
    if not own[COUNTS] then counts(self, target) end
    if own[BALANCE] == nil then own[BALANCE] = are_readings and readings.balance(target.provider) or false end
    if not own[TOLD] then own[TOLD] = heard_of(target, now) end
  end
  self.is_whole = true
end

-- Of a target's words each may be there or not: compiled, what reads them takes twice as long where targets are many
-- (`make bench-growth BENCH_ONLY=models`), and no less where they are few.
for _, each in ipairs { remains_of, told, begin, view.left } do jit.off(each) end

return live
