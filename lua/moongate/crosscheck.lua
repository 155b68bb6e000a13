-- What the parts of a moongate.lua must be to each other: a model's provider exists, an alias leads somewhere, a key's
-- tier is there, "no keys" stays on this machine. Reports like a shape does: report(path, message).

local checkers = require "moongate.checkers"
local defaults = require "moongate.defaults"
local near = require "moongate.near"
local places = require "moongate.places"
local registry = require "moongate.registry"
local schema = require "moongate.schema"

local crosscheck = {}

local function dangling(kind, name, names)
  return "there is no " .. kind .. ' "' .. name .. '"' .. near.hint(name, names)
end

-- True for an address that only this machine reaches.
---@param addr string "127.0.0.1:8080"
---@return boolean
function crosscheck.is_loopback(addr)
  local host = schema.address(addr)
  return host ~= nil and (host == "localhost" or host == "::1" or string.find(host, "^127%.%d+%.%d+%.%d+$") ~= nil)
end

local function check_listeners(config, report)
  if config.auth ~= "none" then return end
  for _, listener in ipairs(config.listen) do
    if not crosscheck.is_loopback(listener.addr) then
      report("auth", '"none" is allowed on loopback listeners only, and listen has ' .. listener.addr)
    end
  end
end

local function check_providers(given, config, known, report)
  local is_protocol = {}
  for protocol in pairs(known.protocols) do is_protocol[protocol] = true end
  local own_names = known.own_protocols and known.own_protocols(config.policies) or {}
  for _, own in ipairs(own_names) do is_protocol[own] = true end
  local protocols = near.names(is_protocol)
  for name, provider in pairs(config.providers) do
    local path = places.below("providers", name)
    local builtin = known.provider(provider.like or name)
    if provider.like and not builtin then
      report(path .. ".like", dangling("built-in provider", provider.like, known.providers))
    end
    if not provider.protocol then
      report(path, "needs a protocol, or like = a built-in provider" .. near.hint(name, known.providers))
    elseif not is_protocol[provider.protocol] then
      local where = given.providers[name].protocol and path .. ".protocol" or path
      report(where, string.format('there is no protocol "%s"%s; there are: %s', provider.protocol,
        near.hint(provider.protocol, protocols), table.concat(protocols, ", ")))
    elseif provider.protocol ~= "mock" and not provider.base_url then
      local _, variable = nil, nil
      if builtin then _, variable = defaults.address(builtin, known.env) end
      report(path, "needs a base_url" .. (variable and " (or the environment variable " .. variable .. ")" or ""))
    end
    local own = given.providers[name]
    if own.quirks and provider.protocol and provider.protocol ~= "openai" then
      report(path .. ".quirks", 'are for the protocol "openai", not "' .. provider.protocol .. '"')
    end
    if own.api_key and own.api_keys then report(path .. ".api_keys", "is there twice: as api_key too") end
    if #provider.keys == 0 and not own.base_url and builtin and builtin.env and not provider.is_local
      and provider.protocol ~= "mock" then
      local variable = type(builtin.env) == "table" and builtin.env[1] or builtin.env
      report(path, "needs an api_key (or the environment variable " .. variable .. ")")
    end
    for _, limit in ipairs(provider.limits) do
      if limit.zone and known.is_zone and not known.is_zone(limit.zone) then
        report(path .. ".limits." .. limit.name .. ".zone", 'this system has no time zone "' .. limit.zone .. '"')
      end
    end
  end
end

-- known.own_checkers(folder), if there, lists the operator's own.
local function check_checkers(config, known, report)
  local names, is_there = checkers.names(), {}
  local own = {}
  for _, name in ipairs(known.own_checkers and known.own_checkers(config.policies) or {}) do
    own[name] = true
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do is_there[name] = true end
  for name, provider in pairs(config.providers) do
    local checker, path = provider.checker, places.below("providers", name) .. ".checker"
    if checker and not checker.name then
      report(path, 'needs the name of a checker first, like { "openrouter", interval = 60 }')
    elseif checker and not is_there[checker.name] then
      report(path, dangling("checker", checker.name, names) .. "; there are: " .. table.concat(names, ", "))
    elseif checker and not own[checker.name] then
      for _, option in ipairs(checkers.get(checker.name).needs or {}) do
        if checker[option] == nil then report(path, "the checker " .. checker.name .. " needs " .. option) end
      end
    end
  end
end

-- True when every model has its provider.
local function check_models(config, report)
  local names, seen, sound = near.names(config.providers), {}, true
  for i, model in ipairs(config.models) do
    local path = places.below("models", i)
    if not config.providers[model.provider] then
      sound = false
      report(path .. ".provider", dangling("provider", model.provider, names))
    end
    local id = model.provider .. "/" .. model.id
    if seen[id] then
      report(path .. ".id", '"' .. model.id .. '" is there twice at ' .. model.provider
        .. " (first as models[" .. seen[id] .. "])")
    end
    seen[id] = seen[id] or i
  end
  return sound
end

-- Whether every model that there will be is known now: a model table is all there is, once it was read. A provider
-- without a list may have any.
local function is_closed(config, known)
  if config.models_table then return config.models_table.rows ~= nil end
  local configured = {}
  for _, model in ipairs(config.models) do configured[model.provider] = true end
  for name, provider in pairs(config.providers) do
    local builtin = known.provider(provider.like or name)
    local has_list = builtin and builtin.models and #builtin.models > 0
    if not (configured[name] or has_list or provider.protocol == "mock") then return false end
  end
  return true
end

-- That aliases and agents lead to models that there are.
---@param config table
---@param known table
---@param report fun(path: string, message: string)
function crosscheck.names(config, known, report)
  if next(config.aliases) == nil and next(config.agents) == nil or not is_closed(config, known) then return end
  local all = registry.new(config, known.provider)
  for name, alias in pairs(config.aliases) do
    for i, target in ipairs(alias.targets) do
      if not (all.by_model[target.model] or all.by_id[target.model] or all.also[target.model]) then
        report(places.below("aliases", name) .. "[" .. i .. "].model",
          dangling("model", target.model, all:names()))
      end
    end
  end
  for name, agent in pairs(config.agents) do
    if agent.model and not all:resolve(agent.model) then
      report(places.below("agents", name) .. ".model", dangling("model", agent.model, all:names()))
    end
  end
end

local function check_keys(config, report)
  local tiers, seen = near.names(config.tiers), {}
  for i, key in ipairs(config.keys) do
    local path = places.below("keys", i)
    if key.tier and not config.tiers[key.tier] then report(path .. ".tier", dangling("tier", key.tier, tiers)) end
    if seen[key.name] then report(path .. ".name", 'there are two keys named "' .. key.name .. '"') end
    seen[key.name] = true
  end
end

-- known.policies(folder), if there, lists the routing policies by name.
local function check_policies(config, known, report)
  local names = known.policies and known.policies(config.policies)
  if not names then return end
  local there = {}
  for _, name in ipairs(names) do there[name] = true end
  local function check(path, name)
    if name and not there[name] then report(path, dangling("routing policy", name, names)) end
  end
  check("policy", config.policy)
  for i, key in ipairs(config.keys) do check(places.below("keys", i) .. ".policy", key.policy) end
  for name, tier in pairs(config.tiers) do check(places.below("tiers", name) .. ".policy", tier.policy) end
end

-- Everything but the names of models. given is the file's own table, config the filled one. Answers whether every model
-- has its provider, so that crosscheck.names can go on.
---@param given table
---@param config table
---@param known table
---@param report fun(path: string, message: string)
---@return boolean
function crosscheck.run(given, config, known, report)
  check_listeners(config, report)
  check_providers(given, config, known, report)
  check_checkers(config, known, report)
  check_keys(config, report)
  check_policies(config, known, report)
  return check_models(config, report)
end

return crosscheck
