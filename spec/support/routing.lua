-- Fakes for specs of routing: a config of mocks, a view of live facts from plain tables, and a set of policies without
-- a sandbox.
local quota = require "moongate.quota"
local registry = require "moongate.registry"

local routing = {}

-- A registry of models given as { id =, provider =, ... }; providers by name with what they say of themselves.
function routing.registry(models, given)
  given = given or {}
  local providers = {}
  for _, model in ipairs(models) do
    local own = given.providers and given.providers[model.provider] or {}
    local provider = { name = model.provider, protocol = "mock", keys = {}, limits = {}, is_local = false }
    for name, value in pairs(own) do provider[name] = value end
    providers[model.provider] = provider
  end
  return registry.new({
    providers = providers, models = models, aliases = given.aliases or {},
    policy = given.policy or "auto-cheapest", on_fault = given.on_fault or "default",
    zero_spend = given.zero_spend,
  }, function() return nil end)
end

-- Numbers like math.random's, the same for the same seed.
function routing.random(seed)
  local state = seed or 1
  return function()
    state = (state * 16807) % 2147483647
    return (state - 1) / 2147483646
  end
end

local function copy(values)
  local result = {}
  for name, value in pairs(values or {}) do result[name] = value end
  return result
end

-- A view; facts[target id] = { exhausted =, left =, used =, latency_ms =, error_rate =, open =, open_s = }.
function routing.view(facts, seed)
  facts = facts or {}
  local function of(target) return facts[target.id] or {} end
  return {
    exhausted = function(_, target) return of(target).exhausted or 0, "429" end,
    left = function(_, target) return quota.left(copy(of(target).left)) end,
    used = function(_, target) return quota.used(copy(of(target).used)) end,
    latency_ms = function(_, target) return of(target).latency_ms end,
    error_rate = function(_, target) return of(target).error_rate end,
    open = function(_, target) return of(target).open or false end,
    open_s = function(_, target) return of(target).open_s end,
    balance = function(_, provider) return facts[provider] and facts[provider].balance end,
    random = routing.random(seed),
  }
end

-- The shipped policies, and those given as functions by name.
function routing.policies(own)
  own = own or {}
  local set, loaded = {}, {}
  function set:routing(name)
    if loaded[name] then return loaded[name] end
    local run = own[name]
    if run == false then return nil end
    if not run then
      local path = "policies/routing/" .. name .. ".lua"
      local file = io.open(path)
      if not file then return nil end
      file:close()
      run = dofile(path)
    end
    loaded[name] = { name = name, label = "routing/" .. name, version = "00000000", run = run }
    return loaded[name]
  end
  -- The other roles have no policy here.
  function set:access() end
  function set:task() end
  function set:hooks() return {} end
  function set:routing_names()
    local names = { "auto-cheapest", "balanced", "byok-paid", "free-tier", "local-only" }
    for name in pairs(own) do names[#names + 1] = name end
    return names
  end
  function set:call(fn, ...)
    local results = { pcall(fn, ...) }
    if results[1] then return true, results[2], results[3] end
    return false, { kind = "error", message = tostring(results[2]) }
  end
  return set
end

-- The ids of a ladder, in order.
function routing.ids(targets)
  local ids = {}
  for i, target in ipairs(targets) do ids[i] = target.id end
  return ids
end

return routing
