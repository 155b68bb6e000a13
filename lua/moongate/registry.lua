-- Every target (one model at one provider) that the config and the built-in provider tables name, and how a requested
-- name finds its targets: "auto", an alias, a model's id, or "provider/model". Immutable once built.

local defaults = require "moongate.defaults"
local deprecation = require "moongate.deprecation"
local imported = require "moongate.imported"
local near = require "moongate.near"
local patterns = require "moongate.patterns"
local providers = require "moongate.providers"
local table_rows = require "moongate.table_rows"

---@class registry
---@field targets table[] in the order of the config
---@field by_id table<string, table>
---@field by_model table<string, table[]>
---@field alone table<string, table[]> by id the list of that target alone, where somebody has asked for it
---@field also table<string, table[]> by what a model is called elsewhere, where nothing else is called so here
---@field aliases table<string, table> { order, balanced, targets = { target... }, weights, places }
---@field policy string the default routing policy
---@field on_fault string
---@field zero_spend boolean|nil
---@field varied boolean whether priorities differ
local registry = {}
registry.__index = registry

local MIDDLE = 50 -- quality and priority where nothing is stated
local TABLE_CONTEXT = 4096 -- of a model table's row where nothing is stated

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- True when every stated price is 0 and both directions are stated.
local function costs_nothing(cost)
  if not (cost and cost.input == 0 and cost.output == 0) then return false end
  return (cost.cached_input or 0) == 0 and (cost.cache_write or 0) == 0
end

-- The first that is stated; false is a statement.
local function stated(a, b, c)
  if a ~= nil then return a end
  if b ~= nil then return b end
  return c
end

-- Whether no call can cost money, for sure. Free means nothing unless the price is known to be zero; what is local, or
-- needs no network, costs nothing unless it has a price (of the latter a list may say that its price varies). Of a row
-- of a model table both have to be stated.
local function is_safe(provider, free, cost, is_tabled, varies)
  if is_tabled then return free == true and costs_nothing(cost) end
  local is_here = provider.is_local or provider.protocol == "mock" and not varies
  if cost == nil then return is_here end
  return costs_nothing(cost) and (is_here or free == true)
end

local function is_embedding(id, strengths)
  for _, strength in ipairs(strengths) do
    if strength == "embedding" or strength == "embeddings" then return true end
  end
  if string.find(string.lower(id), "embed", 1, true) then return true end
  return nil
end

-- A "no" of the operator for the whole provider outweighs what the built-in table says of a model.
local function is_free(model, provider, known, cost)
  if model.free ~= nil then return model.free end
  if provider.free == false then return false end
  return stated(known.free, provider.free, costs_nothing(cost))
end

-- A price table with the prices of cached tokens in it, where the provider's built-in table tells their share.
local function whole_cost(cost, builtin)
  if not cost then return nil end
  local function share(stated_price, part)
    if stated_price or not (part and cost.input) then return stated_price end
    return cost.input * part
  end
  return {
    input = cost.input, output = cost.output,
    cached_input = share(cost.cached_input, builtin.cache_read),
    cache_write = share(cost.cache_write, builtin.cache_write),
  }
end

-- model is what the config says of it, known what the built-in table of its provider does.
local function new_target(model, provider, known, builtin)
  local id = model.id or known.id
  local cost = whole_cost(stated(model.cost, known.cost), builtin) -- false: stated to be unknown
  local strengths = model.strengths or known.strengths or {}
  local free, varies = is_free(model, provider, known, cost), cost == nil and known.cost == false
  local deprecated = stated(model.deprecated, known.deprecated)
  return {
    id = provider.name .. "/" .. id, model = id, provider = provider.name,
    upstream_id = model.upstream_id or known.upstream_id or id,
    protocol = provider.protocol, is_local = provider.is_local or false,
    free = free, cost = cost, costs_nothing = is_safe(provider, free, cost, model.tabled, varies),
    tabled = model.tabled,
    context_length = model.context_length or known.context_length or (model.tabled and TABLE_CONTEXT or nil),
    max_output = model.max_output or known.max_output,
    strengths = strengths,
    quality = model.quality or known.quality or provider.quality or MIDDLE,
    rank = model.quality or provider.quality or known.quality or MIDDLE,
    latency_ms = model.latency_ms or known.latency_ms,
    tools = stated(model.tools, known.tools), vision = stated(model.vision, known.vision),
    json_schema = stated(model.json_schema, known.json_schema),
    embeddings = stated(model.embeddings, known.embeddings, is_embedding(id, strengths)),
    priority = model.priority or known.priority or MIDDLE,
    limits = model.limits or defaults.limits(known.limits, true), provider_limits = provider.limits,
    deprecated = deprecated or nil, retired_at = deprecation.moment(deprecated),
    replacement = model.replacement or known.replacement, also = known.also ~= id and known.also or nil,
    pool = model.pool or provider.pool, weight = 1, keyed = #provider.keys > 0 or provider.protocol == "mock",
  }
end

-- What the built-in table says of the provider's models, in its order, and by every name they have. At another
-- address than the table's, an account's limits mean nothing and a name may be another model's.
local function known_models(provider, builtin)
  local list, by_name = {}, {}
  for i, model in ipairs(builtin.models or {}) do
    local entry = {}
    for field, value in pairs(model) do entry[field] = value end
    if provider.builtin_address then
      by_name[entry.upstream_id or entry.id] = entry
      by_name[entry.id] = entry
    else
      entry.limits = nil
    end
    list[i] = entry
  end
  return list, by_name
end

local nothing = {}

-- A row of a model table, and nothing else said of it, has little of its own: the rest it has from its kind, one for
-- each of a provider's answers to whether a row is free, and costs nothing.
local OWN = { id = true, model = true, upstream_id = true, cost = true, context_length = true, priority = true }

local function kind_of(self, model, provider, builtin)
  local name = string.format("%s\n%s\n%s", provider.name, tostring(model.free),
    tostring(is_safe(provider, model.free, model.cost or nil, true)))
  local kind = self.kinds[name]
  if not kind then
    local facts = new_target(model, provider, nothing, builtin)
    for field in pairs(OWN) do facts[field] = nil end
    kind = { __index = facts, costs = {} }
    self.kinds[name] = kind
  end
  return kind
end

local function new_row(self, model, provider, builtin)
  local kind, cost = kind_of(self, model, provider, builtin), nil
  if model.cost then
    cost = kind.costs[model.cost] or whole_cost(model.cost, builtin)
    kind.costs[model.cost] = cost
  end
  return setmetatable({
    id = provider.name .. "/" .. model.id, model = model.id, upstream_id = model.id, cost = cost,
    context_length = model.context_length or TABLE_CONTEXT, priority = model.priority or MIDDLE,
    index = #self.targets + 1,
  }, kind)
end

-- Whole prices, one table for all rows that have the same.
local function shared_cost(self, cost, builtin)
  if not cost then return nil end
  local name = string.format("%s %s %s %s", cost.input, cost.output, cost.cached_input, cost.cache_write)
  local costs = self.costs[builtin] or {}
  self.costs[builtin] = costs
  costs[name] = costs[name] or whole_cost(cost, builtin)
  return costs[name]
end

-- A model that an import alone tells of has little of its own, too. Its provider's being free says nothing of one that
-- has a price. It keeps the name that its list has; in what it is as a rung a provider's name stands once.
local function new_imported(self, row, provider, builtin)
  local id, cost = row.upstream_id or row.id, shared_cost(self, row.cost, builtin)
  local free = provider.free ~= false and stated(row.free, costs_nothing(cost))
  local safe = is_safe(provider, free, cost, false, row.cost == false)
  local embeddings = stated(row.embeddings, is_embedding(id, nothing))
  local name = string.format("%s\n%s\n%s\n%s\n%s\n%s\n%s", provider.name, free, safe, row.tools, row.vision,
    row.json_schema, embeddings)
  local kind = self.kinds[name]
  if not kind then
    local facts = new_target({ free = free, cost = cost }, provider, { id = id, tools = row.tools, vision = row.vision,
      json_schema = row.json_schema, embeddings = embeddings }, builtin)
    facts.id, facts.model, facts.upstream_id, facts.cost, facts.costs_nothing = nil, nil, nil, nil, safe
    kind = { __index = facts }
    self.kinds[name] = kind
  end
  return setmetatable({
    id = provider.name .. "/" .. id, model = row.id, upstream_id = id, cost = cost, also = row.upstream_id,
    context_length = row.context_length, max_output = row.max_output, priority = row.priority, quality = row.quality,
    rank = row.quality and (provider.quality or row.quality), deprecated = row.deprecated,
    retired_at = deprecation.moment(row.deprecated), replacement = row.replacement, index = #self.targets + 1,
  }, kind), kind
end

-- All that is known of a target, in one table: what it has from its kind, too.
---@param target table
---@return table
function registry.whole(target)
  local kind = getmetatable(target)
  if not kind then return target end
  local facts = {}
  for field, value in pairs(kind.__index) do facts[field] = value end
  for field, value in pairs(target) do facts[field] = value end
  return facts
end

-- Notes what else a target may be asked for as.
---@param self table
---@param target table
function registry.know_also(self, target)
  if not target.also then return end
  local same = self.also[target.also] or {}
  same[#same + 1] = target
  self.also[target.also] = same
end

local function add(self, target)
  if self.by_id[target.id] then return end
  target.index = #self.targets + 1
  self.targets[target.index] = target
  self.by_id[target.id] = target
  local same = self.by_model[target.model] or {}
  same[#same + 1] = target
  self.by_model[target.model] = same
  registry.know_also(self, target)
  if target.priority ~= self.targets[1].priority then self.varied = true end
end

-- The list of one target, by its id.
local function alone(self, id)
  local list = self.alone[id]
  if not list and self.by_id[id] then
    list = { self.by_id[id] }
    self.alone[id] = list
  end
  return list
end

local function find(self, name) return self.by_model[name] or alone(self, name) or self.also[name] end

local function new_alias(self, alias)
  local result = { order = alias.order, balanced = false, targets = {}, weights = {}, places = {} }
  for place, each in ipairs(alias.targets) do
    if each.weight then result.balanced = true end
    for _, target in ipairs(find(self, each.model) or nothing) do
      if not result.places[target] then
        result.targets[#result.targets + 1] = target
        result.places[target] = place
        result.weights[target] = each.weight or 1
      end
    end
  end
  return result
end

-- Adds the models that imports alone tell of; to on_row, where it is given, see registry.new.
local function add_imported(self, list, config, tables, on_row)
  for row in list:others() do
    local provider = config.providers[row.provider]
    if provider then
      local target, kind = new_imported(self, row, provider, tables[row.provider])
      if on_row and not self.by_id[target.id] then
        on_row(kind.__index, target.upstream_id)
        self.by_id[target.id] = target
      elseif not on_row then
        add(self, target)
      end
    end
  end
end

-- Builds it. builtin(name) gives a built-in provider table or nil. Where on_row is given, it gets what only a model
-- table or an import tells of (its upstream name), and what such targets share; the registry is then without them.
---@param config table
---@param builtin fun(name: string): table|nil
---@param on_row nil|fun(facts: table, model: string)
---@return registry
function registry.new(config, builtin, on_row)
  local large = config.models_table or config.imported
  local self = setmetatable({
    targets = {}, by_id = {}, by_model = {}, alone = {}, also = {}, aliases = {}, varied = false, kinds = {},
    costs = {}, table_digest = large and large.digest,
    policy = config.policy, on_fault = config.on_fault, zero_spend = config.zero_spend,
  }, registry)
  local configured, tables, shipped, known = {}, {}, {}, {}
  for name, provider in pairs(config.providers) do
    local mock = provider.protocol == "mock"
    tables[name] = not mock and builtin(provider.like or name) or nothing
    shipped[name], known[name] = known_models(provider, tables[name])
    if mock then shipped[name] = { { id = "mock" } } end
  end
  -- A model table is all that there is.
  local list = not config.models_table and imported.read(config.imported and config.imported.packed) or nil
  local function with_imported(name, model, builtin_model)
    if not list then return builtin_model end
    return imported.over(list:of(name, model.upstream_id or model.id, model.id), builtin_model)
  end
  local function known_of(model)
    local own = known[model.provider]
    return with_imported(model.provider, model, own[model.upstream_id or model.id] or own[model.id])
  end
  local function add_model(model)
    local name = model.provider
    add(self, new_target(model, config.providers[name], known_of(model) or nothing, tables[name]))
    configured[name] = true
  end
  if config.models_table then
    for model, is_plain in table_rows.each(config) do
      local provider, shared = config.providers[model.provider], tables[model.provider]
      if not is_plain or known_of(model) or is_embedding(model.id, nothing) then
        add_model(model)
      elseif on_row then
        on_row(kind_of(self, model, provider, shared).__index, model.id)
      else
        add(self, new_row(self, model, provider, shared))
      end
    end
  else
    for _, model in ipairs(config.models) do add_model(model) end
    for _, name in ipairs(sorted(config.providers)) do
      for _, model in ipairs(configured[name] and nothing or shipped[name]) do
        add(self, new_target(nothing, config.providers[name], with_imported(name, model, model), tables[name]))
      end
    end
    if list then add_imported(self, list, config, tables, on_row) end
  end
  for _, kind in pairs(self.kinds) do kind.costs = nil end
  self.costs = nil
  for name, alias in pairs(config.aliases) do self.aliases[name] = new_alias(self, alias) end
  return self
end

-- The targets of a requested name, and its alias if it is one; nil when nothing is called so.
---@param name string
---@return table[]|nil targets
---@return table|nil alias
function registry:resolve(name)
  if name == "auto" then return self.targets end
  local alias = self.aliases[name]
  if alias then return alias.targets, alias end
  return find(self, name)
end

-- Aliases and models by name, and, with_targets, every "provider/model"; alphabetically.
---@param with_targets boolean|nil
---@return string[]
function registry:names(with_targets)
  local names = {}
  for name in pairs(self.aliases) do names[name] = true end
  for name in pairs(self.by_model) do names[name] = true end
  for name in pairs(with_targets and self.by_id or nothing) do names[name] = true end
  return sorted(names)
end

-- The names nearest to one that resolves to nothing.
---@param name string
---@return string[]
function registry:near(name)
  return near.find(name, self:names(string.find(name, "/", 1, true) ~= nil), 3)
end

-- What /v1/models lists for a key with these patterns: { id, owned_by, target } by id, "auto" first.
---@param permitted string[]|nil
---@return table[]
function registry:models(permitted)
  local list = {}
  for name in pairs(self.aliases) do
    if patterns.permit(permitted, name) then list[#list + 1] = { id = name, owned_by = "moongate" } end
  end
  for name, targets in pairs(self.by_model) do
    if not self.aliases[name] then
      for _, target in ipairs(targets) do
        if patterns.permit(permitted, name) or patterns.permit(permitted, target.id) then
          list[#list + 1] = { id = name, owned_by = target.provider, target = target }
          break
        end
      end
    end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  if #list > 0 then table.insert(list, 1, { id = "auto", owned_by = "moongate" }) end
  return list
end

-- The price table of a model, for a baseline: as configured anywhere, else as the built-in tables have it; nil when
-- unknown.
---@param name string
---@return table|nil
function registry:cost(name)
  local targets = find(self, name) or nothing
  for i = 1, #targets do
    if targets[i].cost then return targets[i].cost end
  end
  return providers.cost(name)
end

return registry
