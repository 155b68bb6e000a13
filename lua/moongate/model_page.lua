-- GET /admin/models: every target that there is, what it costs and how it does, and the prices that have changed.
local clock = require "moongate.core.clock"
local health = require "moongate.core.health"
local json = require "moongate.core.json"
local orders = require "moongate.core.orders"
local price_log = require "moongate.price_log"

local model_page = {}

local JSON = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
local SINCE_SECONDS, MOST_CHANGES = 90 * 86400, 1000

local trails = setmetatable({}, { __mode = "k" }) -- by configuration: an import brings another one into force

local function model_of(target)
  local open, latency, errors = health.state(target.id)
  return {
    id = target.id, model = target.model, provider = target.provider, upstream_id = target.upstream_id,
    cost = target.cost, free = target.free, is_local = target.is_local, context_length = target.context_length,
    max_output = target.max_output, tools = target.tools, vision = target.vision, quality = target.quality,
    strengths = json.array(target.strengths or {}), latency_ms = latency, error_rate = errors, open = open,
  }
end

-- What imports have changed of prices; or {} and why it cannot be told.
local function trail_of(config)
  if not trails[config] then
    local order = json.encode { since = math.max(0, clock.now() - SINCE_SECONDS), most = MOST_CHANGES }
    local answer = json.decode(orders.ask("prices", order) or "{}")
    if not answer.changes then
      return {}, type(answer.error) == "table" and answer.error.message or "the gateway is stopping"
    end
    trails[config] = answer.changes
  end
  return trails[config]
end

function model_page.models(handle, state)
  local models, aliases = {}, {}
  for i, target in ipairs(state.registry.targets) do models[i] = model_of(target) end
  for name in pairs(state.registry.aliases) do aliases[#aliases + 1] = name end
  table.sort(aliases)
  local trail, fault = trail_of(state.config)
  handle:reply(200, JSON, json.encode {
    models = json.array(models), aliases = json.array(aliases),
    changes = json.array(price_log.all(trail, state.registry.targets)), changes_fault = fault,
  })
end

return model_page
