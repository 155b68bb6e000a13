-- GET /admin/overview: how the gateway stands as a whole, for the dashboard. Moments are told as unix seconds, not as
-- how long until then: so what has not changed reads the same.
local clock = require "moongate.core.clock"
local gate = require "moongate.core.gate"
local health = require "moongate.core.health"
local inspect = require "moongate.inspect"
local json = require "moongate.core.json"
local live = require "moongate.live"
local metrics = require "moongate.core.metrics"
local overview = require "moongate.overview"
local passing = require "moongate.passing"
local store = require "moongate.core.store"
local task = require "moongate.task"

local board = {}

local JSON = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
-- One reading serves all who ask in the same moment.
local MOMENT = 0.9

local function in_future(seconds, now)
  return seconds and seconds > 0 and math.floor(now + seconds + 0.5) or nil
end

local function in_words(reason)
  return reason ~= "" and (string.gsub(reason, "_", " ")) or "no quota"
end

-- An entry of moongate.overview with moments in the place of ages and waits.
local function limit_of(entry, now)
  local limit = {}
  for name, value in pairs(entry) do limit[name] = value end
  limit.age_s, limit.reset_s, limit.checked_at, limit.stands = nil, nil, nil, nil
  limit.reset_at = in_future(entry.reset_s, now)
  local seen = entry.checked_at or entry.age_s and now - entry.age_s
  limit.seen_at = seen and math.floor(seen + 0.5)
  return limit
end

-- { max, current, source }: who says so is the one whose limit it is.
local function per_minute(told, limits, metric)
  local source
  for _, limit in ipairs(limits) do
    local fits = limit.metric == metric and limit.window == "minute" and limit.limit == told.max
    if fits and (not source or limit.source ~= "config") then source = limit.source end
  end
  return { max = told.max, current = told.current, source = source }
end

-- When a limit of the whole provider that is used up has room again; nil if there is none such.
local function used_up(limits)
  local until_when
  for _, limit in ipairs(limits) do
    local is_spent = not limit.model and limit.remaining and limit.remaining <= 0 and not limit.stale
    if is_spent then until_when = math.max(until_when or 0, limit.reset_at or 0) end
  end
  return until_when
end

-- A target is out; the first of a provider's that is back is the provider's own return, if all of them are out.
local function bar(out, own, target, until_when, why)
  out[#out + 1] = { target = target.id, ["until"] = until_when, reason = why }
  if not own.back_at or until_when and until_when < own.back_at then own.back_at, own.why = until_when, why end
end

-- The targets of each provider, and which of all are out: { target, until, reason }.
local function targets_of(state, now)
  local by_provider, out = {}, {}
  for name in pairs(state.config.providers) do
    by_provider[name] = { count = 0, barred = 0, slowest = nil, errors = 0 }
    local wait, reason = store.exhausted(name)
    if wait > 0 then
      out[#out + 1] = { target = name, ["until"] = in_future(wait, now), reason = in_words(reason) }
    end
  end
  for _, target in ipairs(state.registry.targets) do
    local own = by_provider[target.provider]
    local wait, reason = store.exhausted(target.id)
    local open, latency, errors, open_s = health.state(target.id)
    own.count = own.count + 1
    if wait > 0 or open then own.barred = own.barred + 1 end
    if wait > 0 then bar(out, own, target, in_future(wait, now), in_words(reason)) end
    if open then bar(out, own, target, in_future(open_s, now), passing.left_alone) end
    if latency then own.latency = math.min(own.latency or latency, latency) end
    own.errors = math.max(own.errors, errors or 0)
  end
  table.sort(out, function(a, b) return a.target < b.target end)
  return by_provider, out
end

-- green: there is capacity; amber: little, or not everywhere; red: throttled.
local function pulse_of(told, own, spent)
  if told.status == "exhausted" or spent or own.count > 0 and own.barred == own.count then return "red" end
  if told.status ~= "ok" or own.barred > 0 or told.stale then return "amber" end
  return "green"
end

local function rounded(number, steps)
  return number and math.floor(number * steps + 0.5) / steps
end

local function provider_of(state, name, own, view, now)
  local told, limits = overview.provider(state, name, view), {}
  for i, entry in ipairs(told.limits) do limits[i] = limit_of(entry, now) end
  local spent, checker = used_up(limits), told.checker
  local all_out = own.count > 0 and own.barred == own.count
  local back_at = in_future(told.exhausted_for_s, now) or spent and spent > 0 and spent
  back_at = back_at or all_out and own.back_at or nil
  if checker then checker.age_s = nil end
  local provider = state.config.providers[name]
  return {
    provider = name, pulse = pulse_of(told, own, spent), status = told.status, back_at = back_at,
    reason = told.reason and in_words(told.reason) or spent and "a limit is used up" or all_out and own.why or nil,
    rpm = per_minute(told.rpm, limits, "requests"), tpm = per_minute(told.tpm, limits, "tokens"),
    credits = told.credits, limits = json.array(limits), checker = checker, models = own.count, barred = own.barred,
    latency_ms = rounded(own.latency, 10), error_rate = rounded(own.errors, 1000),
    protocol = provider.protocol, is_local = provider.is_local, free = provider.free,
  }
end

-- What has been counted since the start, on all workers.
local function counts()
  local requests, failed = 0, 0
  for count, labels in string.gmatch(metrics.read "moongate_requests_total", "(%d+) %S+ ([^\n]*)\n") do
    requests = requests + tonumber(count)
    if string.find(labels, 'status="[45]') then failed = failed + tonumber(count) end
  end
  local function sum(name)
    local total = 0
    for value in string.gmatch(metrics.read(name), "(%-?%d+) [^\n]*\n") do total = total + tonumber(value) end
    return total
  end
  return {
    requests = requests, failed = failed, cost_microusd = sum "moongate_cost_microusd_total",
    streams_open = sum "moongate_streams_open", tokens = sum "moongate_tokens_total",
  }
end

---@param state moongate.state
---@return table
function board.read(state)
  local now, gateway = clock.now(), gate.state()
  local status, problems = inspect.readiness(state, gateway)
  local by_provider, out = targets_of(state, now)
  local providers, view, names = {}, live.view(), {}
  for name in pairs(state.config.providers) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do providers[i] = provider_of(state, name, by_provider[name], view, now) end
  return {
    status = status, problems = json.array(problems), started_at = gateway.started_at,
    workers = gateway.workers, policy = state.config.policy, policies = json.array(state.policies:routing_names()),
    policies_generation = state.policies:generation(), tasks = json.array(task.types),
    zero_spend = state.config.zero_spend, providers = json.array(providers), out = json.array(out),
    models = #state.registry.targets, counts = counts(),
  }
end

local latest = { text = nil, state = nil, at = -math.huge }

-- The same as JSON; what another has read within the second is good enough.
---@param state moongate.state
---@return string
function board.text(state)
  local now = clock.monotonic()
  if latest.state ~= state or now - latest.at > MOMENT or now < latest.at then
    latest = { text = json.encode(board.read(state)), state = state, at = now }
  end
  return latest.text
end

function board.overview(handle, state)
  handle:reply(200, JSON, json.encode(board.read(state)))
end

return board
