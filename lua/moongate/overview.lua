-- How a provider stands, as /v1/limits and the gauges of /metrics tell it: what it told of its limits where it did,
-- else what the configuration says and the counters have.
local json = require "moongate.core.json"
local live = require "moongate.live"
local store = require "moongate.core.store"

local overview = {}

-- Behind the reset that the provider named, its window has begun anew; without one, an old word says nothing.
local function entry_of_learnt(told)
  local remaining = told.remaining
  if not live.stands(told) then remaining = told.reset_s and told.limit or nil end
  return {
    metric = told.metric, window = told.window, limit = told.limit, remaining = remaining, reset_s = told.reset_s,
    source = told.source, model = told.model ~= "" and told.model or nil, age_s = told.age_s,
  }
end

local function entry_of_limit(target, limit, own)
  local used, reset_s = store.used {
    key = live.counter(target, limit, own), window = limit.window, zone = limit.zone, max = limit.max,
  }
  return {
    metric = limit.metric, window = limit.window, limit = limit.max, remaining = math.max(0, limit.max - used),
    reset_s = reset_s, source = "config", model = own and target.model or nil,
  }
end

local function entries(state, name)
  local list, shared = {}, false
  for _, told in ipairs(store.learnt(name)) do list[#list + 1] = entry_of_learnt(told) end
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

-- { max, current } of a metric's minute: the provider's own word first, then its configured limit; current is what is
-- used.
local function per_minute(list, metric)
  local best
  for _, entry in ipairs(list) do
    if entry.metric == metric and entry.window == "minute" and entry.limit then
      local rank = (entry.source == "config" and 0 or 2) + (entry.model and 0 or 1)
      if not best or rank > best.rank then best = { rank = rank, entry = entry } end
    end
  end
  if not best then return { max = json.null, current = json.null } end
  local entry = best.entry
  return { max = entry.limit, current = entry.remaining and entry.limit - entry.remaining or json.null }
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

-- The smallest share that is left; a provider's word counts until its window is over.
local function tightest(list)
  local share
  for _, entry in ipairs(list) do
    local stands = entry.source == "config" or live.stands(entry)
    if stands and entry.limit and entry.limit > 0 and entry.remaining then
      share = math.min(share or 1, entry.remaining / entry.limit)
    end
  end
  return share
end

local function status_of(wait, share)
  if wait > 0 then return "exhausted" end
  if share and share <= 0.05 then return "critical" end
  return share and share <= 0.2 and "warning" or "ok"
end

---@param state moongate.state
---@param name string
---@param view moongate.view
---@return table
function overview.provider(state, name, view)
  local list = entries(state, name)
  local wait, reason = exhaustion(state, name)
  local share = tightest(list)
  return {
    provider = name, rpm = per_minute(list, "requests"), tpm = per_minute(list, "tokens"),
    credits = view.balance(name) or json.null, status = status_of(wait, share), exhausted_for_s = math.ceil(wait),
    reason = wait > 0 and reason or nil, limits = json.array(list), source = list[1] and list[1].source or json.null,
  }
end

-- The gauges that are read, not counted.
---@param state moongate.state
---@param view moongate.view
---@param store_up boolean
---@return string
function overview.gauges(state, view, store_up)
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
    for _, entry in ipairs(overview.provider(state, name, view).limits) do
      local metric = entry.metric .. "_" .. entry.window
      if entry.remaining then least[metric] = math.min(least[metric] or entry.remaining, entry.remaining) end
    end
    local metrics = {}
    for metric in pairs(least) do metrics[#metrics + 1] = metric end
    table.sort(metrics)
    for _, metric in ipairs(metrics) do
      local series = 'moongate_quota_remaining{provider="%s",metric="%s"} %d'
      lines[#lines + 1] = string.format(series, name, metric, least[metric])
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

return overview
