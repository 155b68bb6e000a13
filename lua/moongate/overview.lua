-- How a provider stands, as /v1/limits and the gauges of /metrics tell it: of each limit the word that is trusted most
-- (see moongate.trust), be it the provider's own or what the configuration says and the counters have.
local clock = require "moongate.core.clock"
local json = require "moongate.core.json"
local live = require "moongate.live"
local reading = require "moongate.reading"
local readings = require "moongate.readings"
local store = require "moongate.core.store"
local trust = require "moongate.trust"

local overview = {}

-- Behind the reset that the provider named, its window has begun anew; without one, an old word says nothing.
local function entry_of_learnt(told)
  local remaining, from_checker = told.remaining, told.source == "checker"
  if not live.stands(told) and not from_checker then remaining = told.reset_s and told.limit or nil end
  local entry = {
    metric = told.metric, window = told.window, limit = told.limit, remaining = remaining, reset_s = told.reset_s,
    source = told.source, model = told.model ~= "" and told.model or nil, age_s = told.age_s,
    stands = live.stands(told) and not from_checker,
  }
  if from_checker then entry.stale = true end -- of the gateway's last run, or of a checker that is no more
  if told.metric == readings.MONEY then
    entry.metric = "dollars"
    entry.limit = entry.limit and entry.limit / readings.MICRO
    entry.remaining = entry.remaining and entry.remaining / readings.MICRO
  end
  if told.window == readings.NO_WINDOW and from_checker then entry.window = "subscription" end
  return entry
end

-- Behind its reset a meter says nothing, until it is asked again.
local function entry_of_meter(meter, checked_at, stale, age)
  local over = meter.resets_at and meter.resets_at <= clock.now()
  return {
    metric = meter.metric, window = meter.window, limit = meter.limit, used = not over and meter.used or nil,
    remaining = over and meter.limit or not over and meter.remaining or nil,
    reset_s = meter.resets_at and math.max(0, meter.resets_at - clock.now()),
    status = over and "ok" or meter.status, source = "checker", stale = stale, checked_at = checked_at, age_s = age,
    stands = not (over or stale),
  }
end

local function entry_of_limit(target, limit, own)
  local used, reset_s = store.used {
    key = live.counter(target, limit, own), window = limit.window, zone = limit.zone, max = limit.max,
  }
  return {
    metric = limit.metric, window = limit.window, limit = limit.max, remaining = math.max(0, limit.max - used),
    reset_s = reset_s, source = limit.documented and "documentation" or "config", stands = true,
    model = own and target.upstream_id or nil, count = math.min(used, limit.max), named = own and target.model or nil,
  }
end

local function key_of(entry)
  return (entry.model or "") .. "\n" .. entry.metric .. "\n" .. entry.window
end

-- Every word there is on the provider's limits; that on a model's by its name there.
local function words(state, name)
  local list, shared = {}, false
  local found = readings.of(name)
  local asked = found and found.checked_at
  for _, told in ipairs(store.learnt(name)) do
    if not (asked and told.source == "checker") then list[#list + 1] = entry_of_learnt(told) end
  end
  if asked then
    local stale, age = readings.is_stale(found)
    for _, meter in ipairs(found.meters) do list[#list + 1] = entry_of_meter(meter, asked, stale, age) end
  end
  for _, target in ipairs(state.registry.targets) do
    if target.provider == name then
      for limit, own in live.limits(target) do
        if own or not shared then list[#list + 1] = entry_of_limit(target, limit, own) end
      end
      shared = true
    end
  end
  return list
end

-- One entry a limit, and all the words there are. Where a source does not say what remains, our own count does.
local function entries(state, name)
  local all, counts = words(state, name), {}
  for _, entry in ipairs(all) do counts[key_of(entry)] = entry.count end
  local list = trust.best(all, function(entry) return entry.stands end)
  for _, entry in ipairs(list) do
    local count = counts[key_of(entry)]
    if count and entry.stands and entry.limit and not entry.remaining then
      entry.remaining = math.max(0, entry.limit - count)
    end
    entry.told_by, entry.source = entry.source, trust.shown(entry.source)
    entry.model, entry.named, entry.count = entry.named or entry.model, nil, nil
  end
  return list, all
end

-- The entry of a metric's minute that is trusted most, that of the whole provider before one of a model's.
local function per_minute(list, metric)
  local best, least
  for _, entry in ipairs(list) do
    if entry.metric == metric and entry.window == "minute" and entry.limit then
      local worth = 2 * trust.rank(entry.told_by) + (entry.model and 1 or 0) + (entry.stands and 0 or 100)
      if not least or worth < least then best, least = entry, worth end
    end
  end
  return best
end

-- { max, current }: current is what is used.
local function shown(entry)
  if not entry then return { max = json.null, current = json.null } end
  local used = entry.remaining and math.max(0, entry.limit - entry.remaining)
  return { max = entry.limit, current = used or json.null }
end

-- The longest wait of the provider; of its models only if none of them can serve.
local function exhaustion(state, name)
  local seconds, reason = store.exhausted(name)
  local soonest, why, any_free
  for _, target in ipairs(state.registry.targets) do
    if target.provider == name then
      local wait, told = store.exhausted(target.id)
      if wait <= 0 then any_free = true end
      if wait > 0 and (not soonest or wait < soonest) then soonest, why = wait, told end
    end
  end
  if seconds <= 0 and not any_free and soonest then return soonest, why end
  return seconds, reason
end

-- The smallest share that is left, whoever says so; a provider's word counts until its window is over.
local function tightest(list)
  local share
  for _, entry in ipairs(list) do
    -- What a checker found has a status of its own.
    if entry.stands and entry.source ~= "checker" and entry.limit and entry.limit > 0 and entry.remaining then
      share = math.min(share or 1, entry.remaining / entry.limit)
    end
  end
  return share
end

-- Nothing left of a limit is for a moment, unless it is exhausted for good: by its wait, or as its checker says.
local function status_of(wait, share, list)
  if wait > 0 then return "exhausted" end
  local status = share and reading.status(math.max(share, 1e-9)) or "ok"
  for _, entry in ipairs(list) do
    if entry.status and not entry.stale then status = reading.worse(status, entry.status) end
  end
  return status
end

-- What its checker says of itself; nil where it has none.
local function checker_of(name)
  local found = readings.of(name)
  if not found then return nil end
  local stale, age = readings.is_stale(found)
  return {
    name = found.checker, status = found.status or json.null, checked_at = found.checked_at or json.null,
    age_s = age or json.null, stale = stale, reason = found.reason,
  }
end

---@param state moongate.state
---@param name string
---@param view moongate.view
---@return table
function overview.provider(state, name, view)
  local list, all = entries(state, name)
  local wait, reason = exhaustion(state, name)
  local status, checker = status_of(wait, tightest(all), all), checker_of(name)
  local rpm, tpm = per_minute(list, "requests"), per_minute(list, "tokens")
  local first = rpm or tpm or list[1]
  for _, entry in ipairs(list) do entry.stands = nil end
  return {
    provider = name, rpm = shown(rpm), tpm = shown(tpm),
    credits = view:balance(name) or json.null, status = status, exhausted_for_s = math.ceil(wait),
    reason = wait > 0 and reason or nil, limits = json.array(list), source = first and first.source or json.null,
    checker = checker, checked_at = checker and checker.checked_at, stale = checker and checker.stale,
  }
end

-- The gauges that are read, not counted.
---@param state moongate.state
---@param store_up boolean
---@return string
function overview.gauges(state, store_up)
  local lines = {
    "# HELP moongate_store_up 1 when the store keeps what it is given, else 0.", "# TYPE moongate_store_up gauge",
    "moongate_store_up " .. (store_up and 1 or 0),
    "# HELP moongate_quota_remaining What is left of a provider's tightest limit of that metric.",
    "# TYPE moongate_quota_remaining gauge",
  }
  local names = {}
  for name in pairs(state.config.providers) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local least = {}
    local _, all = entries(state, name)
    for _, entry in ipairs(all) do
      local metric = entry.metric .. "_" .. entry.window
      if entry.remaining then least[metric] = math.min(least[metric] or entry.remaining, entry.remaining) end
    end
    local metrics = {}
    for metric in pairs(least) do metrics[#metrics + 1] = metric end
    table.sort(metrics)
    for _, metric in ipairs(metrics) do
      local series = 'moongate_quota_remaining{provider="%s",metric="%s"} %.14g'
      lines[#lines + 1] = string.format(series, name, metric, least[metric])
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

return overview
