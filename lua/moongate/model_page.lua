-- GET /admin/models: every target that there is, what it costs and how it does, and the prices that have changed since
-- the start.
local health = require "moongate.core.health"
local json = require "moongate.core.json"
local price_log = require "moongate.price_log"

local model_page = {}

local JSON = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }

local function model_of(target)
  local open, latency, errors = health.state(target.id)
  return {
    id = target.id, model = target.model, provider = target.provider, upstream_id = target.upstream_id,
    cost = target.cost, free = target.free, is_local = target.is_local, context_length = target.context_length,
    max_output = target.max_output, tools = target.tools, vision = target.vision, quality = target.quality,
    strengths = json.array(target.strengths or {}), latency_ms = latency, error_rate = errors, open = open,
  }
end

function model_page.models(handle, state)
  local models, aliases = {}, {}
  for i, target in ipairs(state.registry.targets) do models[i] = model_of(target) end
  for name in pairs(state.registry.aliases) do aliases[#aliases + 1] = name end
  table.sort(aliases)
  handle:reply(200, JSON, json.encode {
    models = json.array(models), aliases = json.array(aliases), changes = json.array(price_log.changes()),
  })
end

return model_page
