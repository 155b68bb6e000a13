-- GET /v1/status: how the providers stand in short, the free one that would be called first, and the same in one line,
-- for status bars.
local deprecation = require "moongate.deprecation"
local clock = require "moongate.core.clock"
local gate = require "moongate.core.gate"
local inspect = require "moongate.inspect"
local json = require "moongate.core.json"
local live = require "moongate.live"
local overview = require "moongate.overview"
local quota = require "moongate.quota"
local status_told = require "moongate.status_told"

local status_page = {}

local JSON = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }

-- Whether a request would go there and cost nothing, as far as is known now.
local function is_usable(target, view)
  if (view:exhausted(target) or 0) > 0 or view:open(target) then return false end
  for _, left in pairs(view:left(target)) do
    if left <= 0 then return false end
  end
  return true
end

-- The free targets of each provider: the best of all, the best of those that can be used now.
local function free_targets(state, view, now)
  local best, usable = {}, {}
  local function offer(list, target)
    local last = list[target.provider]
    if not last or target.quality > last.quality then list[target.provider] = target end
  end
  for _, target in ipairs(state.registry.targets) do
    local is_free = target.free and (target.costs_nothing or not state.config.zero_spend) and not target.embeddings
    if is_free and not deprecation.is_over(target, now) then
      offer(best, target)
      if is_usable(target, view) then offer(usable, target) end
    end
  end
  return best, usable
end

-- Of the limits that concern that model (nil: any), the one of which the smallest share is left.
local function tightest(limits, model)
  local found, least
  for _, limit in ipairs(limits) do
    local concerns = not limit.model or not model or limit.model == model
    if concerns and not limit.stale and limit.limit and limit.limit > 0 and limit.remaining then
      local share = limit.remaining / limit.limit
      local is_tighter = not least or share < least or share == least and limit.remaining < found.remaining
      if is_tighter then found, least = limit, share end
    end
  end
  if not found then return nil end
  return {
    name = quota.name(found.metric, found.window), metric = found.metric, window = found.window, limit = found.limit,
    remaining = found.remaining, left = math.floor(least * 1000 + 0.5) / 1000, reset_s = found.reset_s,
    model = found.model, source = found.source,
  }
end

local function by_rank(a, b)
  if (a.free_rank ~= nil) ~= (b.free_rank ~= nil) then return a.free_rank ~= nil end
  if a.free_rank and a.free_rank ~= b.free_rank then return a.free_rank > b.free_rank end
  return a.provider < b.provider
end

---@param state moongate.state
---@return table { status, problems, line, free, providers }
function status_page.read(state)
  local now, view = clock.now(), live.view()
  local best, usable = free_targets(state, view, now)
  local providers = {}
  for name in pairs(state.config.providers) do
    local told = overview.provider(state, name, view)
    local target = usable[name] or best[name]
    providers[#providers + 1] = {
      provider = name, status = told.status, exhausted_for_s = told.exhausted_for_s, reason = told.reason,
      free = best[name] ~= nil, usable = usable[name] ~= nil, free_rank = target and target.quality,
      model = target and target.model, quota = tightest(told.limits, target and target.model), credits = told.credits,
    }
  end
  table.sort(providers, by_rank)
  local status, problems = inspect.readiness(state, gate.state())
  local answer = { status = status, problems = json.array(problems), providers = json.array(providers) }
  answer.line, answer.free = status_told.line(providers)
  return answer
end

function status_page.get(handle, state)
  if not inspect.known(handle, state) then return end
  handle:reply(200, JSON, json.encode(status_page.read(state)))
end

return status_page
