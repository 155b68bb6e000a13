-- Decides recorded requests again, with a policy in another's place, and sums up what would have been different. Takes
-- rows of the ledger one by one and keeps none of them: a million will do. Touches no file, no network, no clock.

local decision = require "moongate.decision"
local json = require "moongate.core.json"
local money = require "moongate.money"
local router = require "moongate.router"

local replay = {}
replay.__index = replay

local DEPTH = 100
local MOST_SHOWN = 10

local LOST = "the gateway died while it was under way"
local EARLY = "refused before a policy was asked"
local BARE = "no decision is recorded with it"
local BROKEN = "its record cannot be read"
local UNKNOWN_WORLD = "decided under a configuration that is recorded nowhere any more"

---@class moongate.replay.options
---@field policies table a set of moongate.policies with the changed file in it
---@field place "routing"|"access" where the changed file stands
---@field name string the routing policy that it is
---@field is_new boolean|nil no policy had that name: it then stands in the place of every other
---@field world string|nil what the present configuration says: decision.world
---@field hash string|nil of that

-- The task of a recorded request is what it was found to be: what was said is gone.
local function with_task(policies)
  local own = setmetatable({}, { __index = policies })
  local known
  local stub = { name = "task", label = "task" }
  function own.set_task(name) known = name end
  function own.task() return stub end
  function own.ask(_, policy, ...)
    if policy == stub then return true, known end
    return policies:ask(policy, ...)
  end
  return own
end

---@param options moongate.replay.options
function replay.new(options)
  local self = setmetatable({
    place = options.place, name = options.name, is_new = options.is_new, policies = with_task(options.policies),
    registries = {}, waiting = {}, left = 0, rows = 0, decided = 0, differing = 0, unpriced = 0, guessed = 0,
    refused = { before = 0, after = 0 }, spent = { before = 0, after = 0 }, providers = {}, unable = {}, shown = {},
    faults = 0,
  }, replay)
  if options.world then self:learn(options.hash, options.world) end
  return self
end

-- What a configuration said, by its hash.
function replay:learn(hash, text)
  if self.registries[hash] == nil then self.registries[hash] = decision.registry(text) or false end
end

local function unable(self, reason)
  self.unable[reason] = (self.unable[reason] or 0) + 1
end

local function count_provider(self, when, name)
  local own = self.providers[name] or { before = 0, after = 0 }
  own[when] = own[when] + 1
  self.providers[name] = own
end

-- Whether the changed file could decide it another way.
local function concerns(self, document, node)
  if self.is_new or self.place == "access" then return true end
  local runs = document:find(node, "runs")
  if not runs or document:size(runs) == 0 then return false end
  for _, run in document:items(runs) do
    if document:value(run) == self.name then return true end
  end
  return false
end

local function usage_of(row)
  return {
    input = row.input_tokens, cached = row.cached_tokens, cache_write = row.cache_write_tokens,
    output = row.output_tokens, reasoning = row.reasoning_tokens,
  }
end

-- Micro-dollars at another target: for the tokens that were used, else for those that were foreseen.
local function cost_at(self, target, row, request)
  local usage, tokens = usage_of(row), 0
  for _, count in pairs(usage) do tokens = tokens + count end
  local cost
  if row.provider ~= "" and tokens > 0 then
    cost = money.cost(usage, target.cost)
    if not cost and (target.free or target.is_local) then cost = 0 end
  else
    self.guessed = self.guessed + 1
    cost = money.estimate(target, request)
    cost = cost and math.ceil(cost * 1e6 - 1e-6)
  end
  if not cost then self.unpriced = self.unpriced + 1 end
  return cost or 0
end

local function note_both(self, provider, cost, is_refused)
  for _, when in ipairs { "before", "after" } do
    count_provider(self, when, provider)
    self.spent[when] = self.spent[when] + cost
    if is_refused then self.refused[when] = self.refused[when] + 1 end
  end
end

local function ids_of(ladder)
  local ids = {}
  for i, target in ipairs(ladder) do ids[i] = target.id end
  return json.array(ids)
end

local function is_before(first, second)
  if first.weight ~= second.weight then return first.weight > second.weight end
  return first.time < second.time
end

-- Among those that differ most: by money, then those with another first rung, then the earlier ones.
local function show(self, entry)
  local list = self.shown
  local at = #list
  while at > 0 and is_before(entry, list[at]) do at = at - 1 end
  if at >= MOST_SHOWN then return end
  table.insert(list, at + 1, entry)
  list[MOST_SHOWN + 1] = nil
end

local function differs(before, after)
  if #before ~= #after then return true end
  for i = 1, #before do
    if before[i] ~= after[i] then return true end
  end
  return false
end

local function compare(self, row, before, plan, refusal, request)
  local after = plan and plan.ladder or {}
  local provider, cost = row.provider, row.cost_microusd
  if not differs(before, after) then return note_both(self, provider, cost, #before == 0) end
  self.differing = self.differing + 1
  local other = after[1]
  local new_provider, new_cost = provider, cost
  if not other then
    new_provider, new_cost = "", 0
  elseif other ~= before[1] then
    new_provider, new_cost = other.provider, cost_at(self, other, row, request)
  end
  count_provider(self, "before", provider)
  count_provider(self, "after", new_provider)
  self.spent.before, self.spent.after = self.spent.before + cost, self.spent.after + new_cost
  if #before == 0 then self.refused.before = self.refused.before + 1 end
  if not other then self.refused.after = self.refused.after + 1 end
  local weight = math.abs(new_cost - cost) + (before[1] ~= other and 0.5 or 0)
  if #self.shown < MOST_SHOWN or weight >= self.shown[MOST_SHOWN].weight then
    show(self, {
      weight = weight, request_id = row.request_id, time = row.time, model = request.model or "auto",
      before = { ladder = ids_of(before), cost_microusd = cost },
      after = { ladder = ids_of(after), cost_microusd = new_cost },
      reason = plan and plan.reason or refusal.message,
    })
  end
end

local function ladder_of(registry, recorded)
  local ladder = {}
  for i, index in ipairs(recorded.ladder) do ladder[i] = registry.targets[index] end
  return ladder
end

-- The policy that the request was decided by stays so but for its file; one of a new name decides all.
local function choose(self, request, caller, registry)
  if not self.is_new then return end
  local chosen = request.policy or caller.policy or registry.policy
  if chosen == "local-only" then request.privacy = true end
  request.policy = self.name
end

local function decide(self, row, recorded, registry)
  local missed
  local function miss(what) missed = missed or what end
  local request, caller = decision.request(recorded, miss), decision.caller(recorded)
  local before = ladder_of(registry, recorded)
  choose(self, request, caller, registry)
  self.policies.set_task(row.task ~= "" and row.task or "chat")
  -- The access policy of that time, unless it is the one to try.
  local entry = self.place ~= "access" and decision.entry(recorded, registry) or nil
  local plan, refusal = router.plan(request, caller, registry, self.policies, decision.view(recorded, miss), entry)
  if missed then return unable(self, "the policy reads " .. missed .. ", which is not recorded") end
  local made = plan or refusal.plan
  for _, fault in ipairs(made and made.faults or {}) do
    self.faults = self.faults + 1
    self.fault = self.fault or fault.message
  end
  self.decided = self.decided + 1
  compare(self, row, before, plan, refusal, request)
end

-- In the second walk: whether the row is one of those that the first one left over.
local function take_left(self, hash)
  if (self.waiting[hash] or 0) == 0 then return false end
  self.waiting[hash], self.left = self.waiting[hash] - 1, self.left - 1
  return true
end

local function take(self, row, again)
  if row.detail == "" then
    if not again then unable(self, row.outcome == "lost" and LOST or BARE) end
    return
  end
  local document = json.scan(row.detail, DEPTH)
  local node = document and document:find(0, "decision")
  if not node then
    if not again then unable(self, row.policy == "" and EARLY or BARE) end
    return
  end
  local hash = document:value(document:find(node, "world"))
  local world = document:find(0, "world")
  if world then self:learn(hash, document:text(world)) end
  if not concerns(self, document, node) then
    if again then return end
    self.decided = self.decided + 1
    return note_both(self, row.provider, row.cost_microusd, document:size(document:find(node, "ladder")) == 0)
  end
  local registry = self.registries[hash]
  if again then
    if not take_left(self, hash) then return end
  elseif not registry then
    self.waiting[hash], self.left = (self.waiting[hash] or 0) + 1, self.left + 1
    return
  end
  decide(self, row, document:value(node), registry)
end

-- Takes a row. Those before the row that tells of their configuration are left for a second walk in the same order
-- (again = true).
---@param row table
---@param again boolean|nil
function replay:add(row, again)
  if not again then self.rows = self.rows + 1 end
  local left = self.left
  if pcall(take, self, row, again) then return end
  -- What makes no sense is met in both walks.
  if not again or self.left < left then unable(self, BROKEN) end
end

-- How many rows are left for a second walk; those whose configuration never turned up are given up.
---@return integer
function replay:left_over()
  for hash, count in pairs(self.waiting) do
    if not self.registries[hash] then
      self.unable[UNKNOWN_WORLD] = (self.unable[UNKNOWN_WORLD] or 0) + count
      self.waiting[hash], self.left = nil, self.left - count
    end
  end
  return self.left
end

local function by_count(first, second)
  if first.count ~= second.count then return first.count > second.count end
  return first.reason < second.reason
end

-- What came of it, as plain data.
---@return table
function replay:report()
  local reasons, providers, undecided = {}, {}, 0
  for reason, count in pairs(self.unable) do
    reasons[#reasons + 1] = { reason = reason, count = count }
    undecided = undecided + count
  end
  table.sort(reasons, by_count)
  for name, counts in pairs(self.providers) do
    providers[#providers + 1] = { provider = name, before = counts.before, after = counts.after }
  end
  table.sort(providers, function(first, second)
    if first.after ~= second.after then return first.after > second.after end
    return first.provider < second.provider
  end)
  local shown = {}
  for i, entry in ipairs(self.shown) do
    shown[i] = {
      request_id = entry.request_id, time = entry.time, model = entry.model, before = entry.before,
      after = entry.after, reason = entry.reason,
    }
  end
  return {
    requests = self.rows, replayed = self.decided, differences = self.differing,
    not_replayed = { total = undecided, reasons = json.array(reasons) },
    refusals = self.refused, providers = json.array(providers),
    usd = { before = self.spent.before / 1e6, after = self.spent.after / 1e6 },
    unpriced = self.unpriced, estimated = self.guessed,
    faults = { count = self.faults, first = self.fault }, differ_most = json.array(shown),
  }
end

return replay
