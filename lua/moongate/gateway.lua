-- A worker's Lua: its configuration, registry and policies, and the functions that C calls (core/bind/bind.c).
local callers = require "moongate.callers"
local clock = require "moongate.core.clock"
local cors = require "moongate.cors"
local decider = require "moongate.decider"
local exchange = require "moongate.exchange"
local gate = require "moongate.core.gate"
local json = require "moongate.core.json"
local meter = require "moongate.meter"
local polling = require "moongate.polling"
local price_log = require "moongate.price_log"
local providers = require "moongate.providers"
local registry = require "moongate.registry"
local routes = require "moongate.routes"
local syncing = require "moongate.syncing"

local gateway = {}

---@class moongate.state what one worker decides by; replaced as a whole, so a request keeps what it began with
---@field config table
---@field registry table
---@field policies moongate.decider
---@field callers table
---@field is_over boolean|nil another has taken its place
local state = { policies = decider.new() }

-- By which the models that were imported for a configuration are known.
local function digest_of(config) return config.imported and config.imported.digest end

-- A new configuration is in force.
---@param text string JSON written by moongate.control
function gateway.configure(text)
  local config = assert(json.decode(text))
  state.policies:bound(config.limits.policy_ms, config.limits.policy_mb)
  local before = state
  state = {
    config = config,
    registry = registry.new(config, providers.get),
    policies = state.policies,
    callers = callers.new(config),
  }
  -- Large where there is a model table, and of no more use.
  config.models, config.targets, config.rows = nil, nil, nil
  if config.models_table then config.models_table.packed = nil end
  if config.imported then config.imported.packed = nil end
  before.is_over = true -- for whoever stays longer than a request
  -- What an import changed is in the store's trail.
  if before.registry and digest_of(before.config) == digest_of(config) then
    price_log.note(before.registry.targets, state.registry.targets, clock.now())
  end
  polling.configure(state)
  syncing.configure(state)
end

-- New policies are in force; what does not load keeps its last good version.
---@param files { path: string, text: string, version: string }[]
function gateway.install(files)
  local report = state.policies:install(files)
  if gate.state().worker ~= 0 then return end -- every worker loads the same files: one of them counts
  polling.installed()
  for _, path in ipairs(report.loaded) do
    meter.add("moongate_policy_reloads_total", 1, "file", path, "result", "ok")
  end
  for _, problem in ipairs(report.problems) do
    local path = string.match(problem.file, "^policies/(.*)$") or problem.file
    meter.add("moongate_policy_reloads_total", 1, "file", path, "result", "failed")
  end
end

-- Serves one request, from its first line to its last. Runs as a task.
function gateway.serve(handle)
  local preflight, refusal = cors.begin(handle, state.config.cors)
  if preflight then return handle:reply(204, preflight) end
  if refusal then return exchange.refuse(handle, refusal) end
  local handler, rest = routes.find(handle:method(), handle:path())
  if not handler then return exchange.refuse(handle, rest) end
  return handler(handle, state, rest)
end

-- Answers what the connection itself had to refuse (malformed, too large, too slow).
function gateway.refuse(handle, status, message)
  cors.begin(handle, state.config and state.config.cors)
  exchange.refuse(handle, { status = status, message = message })
end

return gateway
