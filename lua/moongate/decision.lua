-- A decision of the router as the ledger keeps it: what the policy saw, so that it can be made again bit for bit. What
-- the configuration says of the targets is kept once an hour and worker, and named by its hash in between; of a request
-- never what it says. Pure: a recorded decision comes back as the request, the caller, the targets and the view it had.

local by_target = require "moongate.by_target"
local entry = require "moongate.entry"
local json = require "moongate.core.json"
local new_table = require "table.new"
local quota = require "moongate.quota"
local registry_of = require "moongate.registry"

local decision = {}

-- So many candidates are recorded whole, read or not, that another policy may read what this one did not.
decision.most_whole = 32
-- So many rows of a model table are not written out, only what the table was.
local MOST_WRITTEN = 1000
-- Longer than this, the targets are not written into rows: then only the present configuration can be replayed.
local LONGEST_WORLD = 64 * 1024

local CALLER = { "name", "org", "tier", "label", "policy", "privacy" }
-- What a policy may read of a request that is not recorded.
local UNRECORDED = { messages = true, headers = true }
-- Of a target, what no decision hangs on.
local ASIDE = { upstream_id = true }

-- ---- what the configuration says ----

local function sorted_keys(value)
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- JSON whose members are in the order of their names: the same text for the same value in every process.
local function canonical(value, aside)
  if type(value) ~= "table" then return json.encode(value) end
  local parts = {}
  if #value > 0 or next(value) == nil then
    for i, item in ipairs(value) do parts[i] = canonical(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for _, name in ipairs(sorted_keys(value)) do
    if not (aside and aside[name]) then
      parts[#parts + 1] = json.encode(name) .. ":" .. canonical(value[name])
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function alias_text(alias)
  local targets = {}
  for i, target in ipairs(alias.targets) do
    targets[i] = { index = target.index, weight = alias.weights[target], place = alias.places[target] }
  end
  return canonical { order = alias.order or false, balanced = alias.balanced or false, targets = targets }
end

-- A large model table is told by its digest, beside what it leans on: its rows' kinds, and the targets of which more is
-- said elsewhere. It can be told apart, not read back.
local function is_digested(registry)
  return registry.table_digest ~= nil and #registry.targets > MOST_WRITTEN
end

local function table_text(registry)
  local parts = { json.encode(registry.table_digest) }
  for _, name in ipairs(sorted_keys(registry.kinds)) do
    parts[#parts + 1] = canonical { name = name, facts = registry.kinds[name].__index }
  end
  for _, target in ipairs(registry.targets) do
    if getmetatable(target) == nil then parts[#parts + 1] = canonical(target, ASIDE) end
  end
  return table.concat(parts, ",")
end

local worlds = setmetatable({}, { __mode = "k" })

-- Everything that decisions know of the configuration, as text. It is worked out once.
---@param registry registry
---@return string
function decision.world(registry)
  if worlds[registry] then return worlds[registry] end
  local targets, aliases = {}, {}
  if is_digested(registry) then
    targets[1] = table_text(registry)
  else
    for i, target in ipairs(registry.targets) do targets[i] = canonical(registry_of.whole(target), ASIDE) end
  end
  for i, name in ipairs(sorted_keys(registry.aliases or {})) do
    aliases[i] = json.encode(name) .. ":" .. alias_text(registry.aliases[name])
  end
  worlds[registry] = string.format('{"policy":%s,"on_fault":%s,%s"targets":[%s],"aliases":{%s}}',
    canonical(registry.policy or false), canonical(registry.on_fault or false),
    registry.zero_spend and '"zero_spend":true,' or "", table.concat(targets, ","), table.concat(aliases, ","))
  return worlds[registry]
end

local function lists_of(target)
  for _, name in ipairs { "limits", "provider_limits", "strengths" } do target[name] = target[name] or {} end
  return target
end

-- The registry that a world tells of.
---@param text string
---@return registry|nil
function decision.registry(text)
  local world = json.decode(text)
  if type(world) ~= "table" or type(world.targets) ~= "table" then return nil end
  local self = registry_of.new({
    providers = {}, models = {}, aliases = {}, policy = world.policy or nil, on_fault = world.on_fault or nil,
    zero_spend = world.zero_spend,
  }, function() return nil end)
  for i, target in ipairs(world.targets) do
    self.targets[i], self.by_id[target.id] = lists_of(target), target
    local same = self.by_model[target.model] or {}
    same[#same + 1], self.by_model[target.model] = target, same
    registry_of.know_also(self, target)
    if target.priority ~= world.targets[1].priority then self.varied = true end
  end
  for name, alias in pairs(world.aliases) do
    local own = { order = alias.order, balanced = alias.balanced, targets = {}, weights = {}, places = {} }
    for i, each in ipairs(alias.targets) do
      local target = self.targets[each.index]
      own.targets[i], own.weights[target], own.places[target] = target, each.weight, each.place
    end
    self.aliases[name] = own
  end
  return self
end

-- ---- how targets stood ----

-- The limits of a target: the shared ones first, then the model's own.
local limits_of = by_target(function(target)
  local all = {}
  for _, list in ipairs { target.provider_limits, target.limits } do
    for _, limit in ipairs(list) do all[#all + 1] = limit end
  end
  return all
end)

local NOTHING = {}

-- What is left, from what is used of each limit (in the order of the limits) and what the provider told (by name); over
-- that, what is only documented does not count.
---@param target table
---@param counts number[]
---@param told table<string, number>|nil
---@return table<string, number>
function decision.left(target, counts, told)
  local left, all = new_table(0, #counts), limits_of(target)
  for i = 1, #counts do
    local limit = all[i]
    local name, rest = limit.name, limit.max - counts[i]
    local before = left[name]
    if rest < 0 then rest = 0 end
    if (not before or rest < before) and not (limit.documented and told and told[name]) then left[name] = rest end
  end
  for name, rest in next, told or NOTHING do
    if not left[name] or rest < left[name] then left[name] = rest end
  end
  return left
end

-- What is used, from the same.
---@param target table
---@param counts number[]
---@return table<string, number>
function decision.used(target, counts)
  local sums, all = {}, limits_of(target)
  for i = 1, #counts do
    local name = all[i].name
    sums[name] = math.max(sums[name] or 0, counts[i])
  end
  return sums
end

-- ---- recording ----

-- What a view has read of the targets (see moongate.seen): of one that is whole, only what is unusual.
local function add_facts(offered, view)
  local whole = view.is_whole
  for i = 1, #offered do
    local seen = view[offered[i].index]
    if seen then json.add_seen(seen, whole) end
  end
end

local add_head = json.form("", { '{"world":', ',"whole":', ',"access":', ',"looked":' }, "")

local add_members = json.form('"request":{', {
  ',"model":', ',"surface":', ',"stream":', ',"text_length":', ',"estimated_tokens":', ',"tools":', ',"images":',
  ',"json_schema":', ',"max_tokens":', ',"privacy":', ',"priority":', ',"latency_pref":', ',"max_cost":', ',"task":',
  ',"policy":', ',"affinity":', ',"now":', ',"seed":',
}, "}")

-- What is not there, or does not hold, is left out. `behind` is the text that follows.
local function add_request(request, behind)
  add_members(request.model, request.surface, request.stream or nil, request.text_length, request.estimated_tokens,
    request.tools or nil, request.images or nil, request.json_schema or nil, request.max_tokens, request.privacy or nil,
    request.priority, request.latency_pref, request.max_cost, request.task, request.policy, request.affinity,
    request.now, request.seed, behind)
end

-- A copy, since patterns may be anybody's table; nil where they permit everything.
local function patterns_of(list)
  if not list or (#list == 1 and list[1] == "*") then return nil end
  local copied = {}
  for i, pattern in ipairs(list) do copied[i] = pattern end
  return json.array(copied)
end

local callers = setmetatable({}, { __mode = "k" })

-- A caller does not change.
local function caller_text(caller)
  if not callers[caller] then
    local own = { models = patterns_of(caller.models), tier_models = patterns_of(caller.tier_models) }
    for _, name in ipairs(CALLER) do
      if caller[name] ~= false then own[name] = caller[name] end
    end
    callers[caller] = ',"caller":' .. json.encode(own) .. ',"facts":{'
  end
  return callers[caller]
end

-- Which policies ran, and what became of it.
local function places_of(plan)
  local runs, places = {}, {}
  for i, run in ipairs(plan.runs) do runs[i] = run.name end
  for i, target in ipairs(plan.ladder) do places[i] = target.index end
  return json.write("", ',"runs":', json.array(runs), ',"ladder":', json.array(places), ",")
end

-- Adds to the text that was begun what is needed to make a plan again: written in one go, since every request has it
-- with its row. hash names the world; view is the one that the plan was made by; story is what is the same of all plans
-- like it, where there are such.
---@param plan table
---@param caller table
---@param hash string
---@param view moongate.view|nil
---@param looked string[]|nil what the policy read that is not recorded
---@param story moongate.story|nil
function decision.add(plan, caller, hash, view, looked, story)
  local places = story and story.places or places_of(plan)
  if story then story.places = places end
  add_head(hash, view and view.is_whole, entry.record(plan), looked, places)
  add_request(plan.request, caller_text(caller))
  if view then add_facts(plan.offered, view) end
  json.add "}}"
end

-- The text of a world, if it is short enough to be kept with a row.
---@param registry registry
---@return string|nil
function decision.kept_world(registry)
  if is_digested(registry) then return nil end
  local text = decision.world(registry)
  return #text <= LONGEST_WORLD and text or nil
end

-- ---- making it again ----

-- The request that it was. missed(what) is told when something is read that was not recorded.
---@param recorded table
---@param missed fun(what: string)
---@return table
function decision.request(recorded, missed)
  local given, caller = recorded.request, recorded.caller
  local request = { caller = { name = caller.name, org = caller.org, tier = caller.tier } }
  for _, name in ipairs { "stream", "tools", "images", "json_schema", "privacy" } do request[name] = false end
  for name, value in pairs(given) do request[name] = value end
  return setmetatable(request, {
    __index = function(_, name)
      if not UNRECORDED[name] then return nil end
      missed("request." .. name)
      return {}
    end,
  })
end

-- The caller that it was.
---@param recorded table
---@return table
function decision.caller(recorded)
  local caller = { org = "", tier = "", label = "", privacy = false, models = { "*" } }
  for name, value in pairs(recorded.caller) do caller[name] = value end
  return caller
end

-- How the access policy of that time let it in; nil for a record that is older than that was kept.
---@param recorded table
---@param registry registry
---@return table|nil
function decision.entry(recorded, registry)
  return entry.restore(recorded.access, recorded.request.model, registry)
end

local ANY = {}

-- The view that it had.
---@param recorded table
---@param missed fun(what: string)
---@return moongate.view
function decision.view(recorded, missed)
  local facts, whole = recorded.facts, recorded.whole
  local view = { random = function() missed "its dice" return 0 end }

  -- A fact of a target; what is not there was usual where all was recorded.
  local function read(target, name, usual, what)
    local value = (facts[tostring(target.index)] or ANY)[name]
    if value ~= nil then return value end
    if not whole then missed("c." .. what) end
    return usual
  end

  local function counts(target, what)
    local used = read(target, "used", nil, what)
    if used then return used end
    used = {}
    for i = 1, #target.provider_limits + #target.limits do used[i] = 0 end
    return used
  end

  local function health(name, usual, what)
    return function(_, target)
      local own = facts[tostring(target.index)] or ANY
      -- Health is read as one: where there is an error rate, the rest is known too.
      if own.errors == nil and not whole then missed("c." .. what) end
      if own[name] ~= nil then return own[name] end
      return usual
    end
  end

  function view:exhausted(target) return read(target, "wait", 0, "exhausted"), "" end -- luacheck: no self
  function view:left(target) -- luacheck: no self
    return quota.left(decision.left(target, counts(target, "left"), (facts[tostring(target.index)] or ANY).told))
  end
  function view:used(target) return quota.used(decision.used(target, counts(target, "used"))) end
  view.latency_ms = health("ms", nil, "latency_ms")
  view.error_rate = health("errors", 0, "error_rate")
  view.open = health("open", false, "status")
  view.open_s = health("open_s", 0, "status")
  function view:balance(_, target) return target and read(target, "balance", nil, "balance") or nil end
  return view
end

return decision
