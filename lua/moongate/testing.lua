-- Specs of your own for policies: `local testing = require "moongate.testing"` in busted or plain LuaJIT, without a
-- gateway. Runs a policy file by the very modules that the gateway decides with (loader, sandbox, router, hooks), on
-- made-up requests and candidates, with a frozen clock and fixed chance; a policy that fails raises here. Only the
-- gateway's C budget is missing: time is bounded to a second, memory and nesting are not.
if not rawget(_G, "jit") then error("moongate.testing runs under LuaJIT: busted --lua=luajit", 0) end

local deadline = require "moongate.testing.deadline"

-- What is C in the gateway, where this is not it. Answers whether the gateway's own is there.
local function stand_in(name, module)
  if pcall(require, name) then return true end
  package.loaded[name] = module
  return false
end

local guarded = stand_in("moongate.core.guard", deadline)
stand_in("moongate.core.json", require "moongate.testing.json")

local access = require "moongate.access"
local candidates_of = require "moongate.candidates"
local faults = require "moongate.faults"
local money = require "moongate.money"
local near = require "moongate.near"
local policies = require "moongate.policies"
local reasons = require "moongate.reasons"
local router = require "moongate.router"
local sample = require "moongate.sample"
local task_of = require "moongate.task"
local text_of = require "moongate.text"
local time = require "moongate.time"

---@class moongate.testing
---@field now number the frozen clock, unix seconds: 2026-01-01 12:00 UTC until you set another
---@field guarded boolean whether the gateway's C budget is in force
---@field logged string[] what the last call logged
local testing = { now = 1767268800, guarded = guarded, logged = {} }

local MILLISECONDS, BYTES = 1000, 256 * 1024 * 1024
local ROLES = { access = true, billing = true, task = true }

-- Fields of a request with their defaults; false: it is there when you say so.
local REQUEST = {
  model = "auto", surface = "chat", stream = false, messages = false, text_length = false, estimated_tokens = false,
  tools = false, images = false, json_schema = false, max_tokens = false, privacy = false, priority = false,
  latency_pref = false, max_cost = false, task = false, headers = false, caller = false, now = false, seed = 1,
}
local FLAGS = { "stream", "tools", "images", "json_schema", "privacy" }
local CALLER = { name = "test", org = "", tier = "" }
local USAGE = { input = 1000, cached = 0, cache_write = 0, output = 500, reasoning = 0, total = false }
local FREE, PAID = { input = 0, output = 0 }, { input = 1, output = 2 }
-- Facts of a candidate that follow from others.
local DERIVED = { estimated_cost = "cost", score = "the policy" }

local function names_of(known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- A misspelt field would test nothing.
local function check_names(what, given, known)
  for name in pairs(given) do
    if known[name] == nil then
      error(string.format('%s has no "%s"%s', what, tostring(name), near.hint(tostring(name), names_of(known))), 3)
    end
  end
end

local function with_defaults(what, given, defaults)
  given = given or {}
  check_names(what, given, defaults)
  local full = {}
  for name, value in pairs(defaults) do
    if value ~= false then full[name] = value end
  end
  for name, value in pairs(given) do full[name] = value end
  return full
end

-- ---- made-up requests and candidates ----

-- Unix seconds of a number, or of "2026-11-20 23:00" in UTC.
local function moment(value)
  if type(value) ~= "string" then return value end
  return time.rfc3339(value) or time.rfc3339(value .. ":00")
    or error('now is a number or a text like "2026-11-20 23:00"', 3)
end

-- A request as policies see it: a text is what the user says.
---@param facts string|table|nil
---@return moongate.request
function testing.request(facts)
  if type(facts) == "string" then facts = { messages = { { role = "user", content = facts } } } end
  local request = with_defaults("a request", facts, REQUEST)
  request.messages = request.messages or { { role = "user", content = "Hello." } }
  request.text_length = request.text_length or #text_of.of(request.messages)
  request.estimated_tokens = request.estimated_tokens or math.ceil(request.text_length / 4) + 4 * #request.messages
  request.headers = request.headers or {}
  request.caller = with_defaults("a caller", request.caller, CALLER)
  request.now = moment(request.now) or testing.now
  for _, name in ipairs(FLAGS) do request[name] = request[name] or false end
  return request
end

local FACTS = {}
for _, name in ipairs(candidates_of.facts()) do FACTS[name] = true end

local function provider_and_model(facts)
  local provider, model = facts.provider, facts.model
  if facts.id and not provider then provider, model = string.match(facts.id, "^([^/]+)/(.+)$") end
  model = model or facts.id
  if not (provider and model) then error('a candidate needs an id like "groq/llama-3.3-70b"', 4) end
  if string.sub(model, 1, #provider + 1) == provider .. "/" then model = string.sub(model, #provider + 2) end
  return provider, model
end

local function target_of(facts, index)
  check_names("a candidate", facts, FACTS)
  for name, from in pairs(DERIVED) do
    if facts[name] ~= nil then error(string.format("the %s of a candidate comes from %s", name, from), 3) end
  end
  local provider, model = provider_and_model(facts)
  local target = {
    index = index, protocol = "openai", free = false, is_local = false, quality = 50, priority = 50, weight = 1,
    context_length = 131072, max_output = 8192, tools = true, vision = true, json_schema = true, embeddings = false,
    strengths = {}, keyed = true, limits = {}, provider_limits = {},
  }
  for name, value in pairs(facts) do target[name] = value end
  target.provider, target.model, target.id = provider, model, provider .. "/" .. model
  target.rank = facts.rank or target.quality
  if facts.cost == nil then target.cost = (target.free or target.is_local) and FREE or PAID end
  target.cost = target.cost or nil
  target.costs_nothing = target.cost ~= nil and target.cost.input == 0 and target.cost.output == 0
  return target
end

-- The live facts of targets, as the gateway would have them.
local function view_of(given)
  local function wait_of(facts)
    if facts.retry_in then return facts.retry_in end
    return (facts.exhausted or facts.status == "exhausted") and 60 or 0
  end
  local function fact(name)
    return function(target) return given[target][name] end
  end
  return {
    exhausted = function(target) return wait_of(given[target]), "" end, left = fact "left", used = fact "used",
    latency_ms = fact "latency_ms", error_rate = fact "error_rate",
    open = function(target) return given[target].status == "failing" end,
    balance = function(provider)
      for _, facts in pairs(given) do
        if facts.balance and provider_and_model(facts) == provider then return facts.balance end
      end
    end,
    random = math.random,
  }
end

local given_of = setmetatable({}, { __mode = "k" })

local function targets_of(list)
  local targets, given = {}, {}
  for i, facts in ipairs(given_of[list] or list) do
    targets[i] = target_of(facts, i)
    given[targets[i]] = facts
  end
  return targets, view_of(given)
end

-- Candidates from their facts; each needs an id, all else has a default. `left = { rpd = 0 }`, `exhausted = true` and
-- `status = "failing"` say how it stands; a price is { input = 1, output = 2 } unless it is free, and `cost = false`
-- means unknown. Answers a list with the methods that policies use.
---@param list table[]
---@return moongate.candidates
function testing.candidates(list)
  local targets, view = targets_of(list)
  local request = testing.request()
  local made = candidates_of.new(targets, { request = request, view = view, task = function() return "chat" end })
  given_of[made] = list
  return made
end

-- ---- policies ----

local sets = setmetatable({}, { __mode = "k" }) -- by policy

local function read(path)
  local file, reason = io.open(path, "rb")
  if not file then return nil, reason end
  local text = file:read "*a"
  file:close()
  return text
end

-- The folder of policies that a file is in, and its path below it.
local function split(path)
  local folder, below = string.match(path, "^(.-)([^/]+/[^/]+%.lua)$")
  local place = below and string.match(below, "^[^/]+")
  if place == "routing" or place == "hooks" then return folder, below end
  folder, below = string.match(path, "^(.-)([^/]+%.lua)$")
  if below and ROLES[string.sub(below, 1, -5)] then return folder, below end
  error(path .. ": a policy is access.lua, billing.lua, task.lua, or a file in routing/ or hooks/", 3)
end

-- Every script of the folder, as the gateway reads them; text stands for the file's own.
local function files_of(folder, below, text)
  local files, quoted = {}, "'" .. string.gsub(folder == "" and "." or folder, "'", "'\\''") .. "'"
  local pipe = assert(io.popen("find " .. quoted .. " -name '*.lua' 2>/dev/null"))
  for path in pipe:lines() do
    local name = string.gsub(string.sub(path, math.max(#folder, 1) + 1), "^/+", "")
    local content = name ~= below and read(path)
    if content then files[#files + 1] = { path = name, text = content, version = sample.hash(content) } end
  end
  pipe:close()
  files[#files + 1] = { path = below, text = text, version = sample.hash(text) }
  return files
end

-- Loads a policy of any role as the gateway does, with what it requires from lib/, and runs its checks. Raises what
-- `moongate check` would say of it. A text may be given in the file's place.
---@param path string "policies/routing/night.lua"
---@param text string|nil
---@return moongate.policy
function testing.load(path, text)
  local folder, below = split(path)
  local content = text or assert(read(path))
  local set = policies.new {
    milliseconds = MILLISECONDS, bytes = BYTES, seed = 1,
    log = function(_, line) table.insert(testing.logged, line) end,
  }
  -- What has no clock of its own sees the frozen one.
  setmetatable(set.host, { __index = function(_, name) return name == "now" and testing.now or nil end })
  for _, problem in ipairs(set:install(files_of(folder, below, content)).problems) do
    local is_own = problem.file == "policies/" .. below
    if is_own or string.find(problem.file, "^policies/lib/") then
      error(faults.in_words(problem), 2)
    end
  end
  local policy = set:at(below)
  sets[policy] = set
  return policy
end

-- The set of a policy as router, access and hooks ask it; what fails there raises in the spec.
local function ask(policy, role)
  local set = sets[policy] or error("load the policy first: testing.load \"policies/routing/night.lua\"", 3)
  testing.logged = {}
  local asked = { routing_names = function() return set:routing_names() end }
  local function raise(fine, fault, ...)
    if not fine then error(faults.in_words(fault), 0) end
    return fine, fault, ...
  end
  for _, name in ipairs { "call", "ask", "within" } do
    asked[name] = function(_, ...) return raise(set[name](set, ...)) end
  end
  function asked.routing(_, name) return name == policy.name and policy or set:routing(name) end
  function asked.access() return role == "access" and policy or nil end
  function asked.task() return nil end
  function asked.hooks() return { policy } end
  function asked.count(_, fault) error(faults.in_words(fault), 0) end
  return asked
end

-- ---- routing ----

-- What a step left out: by id, the words of `moongate explain`.
local function dropped_by(step, run, plan)
  local dropped, words = {}, {}
  local alone = {
    request = plan.request, ladder = {}, offered = plan.offered, refused = {}, refused_why = {},
    runs = { { owner = run.owner, trail = { step } } },
  }
  for _, record in ipairs(reasons.records(alone)) do words[record.id] = record.reason end
  for _, candidate in ipairs(step.gone or {}) do
    local target = run.owner[candidate]
    if target then dropped[target.id] = words[target.id] end
  end
  return dropped
end

local function steps_of(plan)
  local steps, refused = {}, {}
  for i, target in ipairs(plan.refused or {}) do refused[target.id] = plan.refused_why[i] end
  if next(refused) then steps[1] = { kind = "gate", name = "before any policy", dropped = refused } end
  for _, run in ipairs(plan.runs) do
    for _, step in ipairs(run.trail) do
      steps[#steps + 1] = { kind = step.kind, name = step.name, dropped = dropped_by(step, run, plan) }
    end
  end
  return steps
end

-- Runs a routing policy, behind the gateway's own gates (privacy, max_cost, what a model cannot do) and on into the
-- policies of its folder that it falls through to. Answers the ids of the ladder, the steps { kind, name, dropped = by
-- id, why }, and the whole in a sentence: the reason of the ladder, or of the refusal.
---@param policy moongate.policy
---@param request string|table|nil see testing.request
---@param candidates table see testing.candidates
---@return string[] ladder
---@return table[] steps
---@return string reason
function testing.run(policy, request, candidates)
  request = testing.request(request)
  local targets, view = targets_of(candidates)
  local caller = { name = request.caller.name, org = request.caller.org, tier = request.caller.tier }
  local registry = { policy = policy.name, on_fault = "refuse", resolve = function() return targets end }
  request.policy = policy.name
  local plan, refusal = router.plan(request, caller, registry, ask(policy, "routing"), view)
  plan = plan or refusal.plan
  if plan.faults[1] then error(plan.faults[1].message, 2) end
  local ladder = {}
  for i, target in ipairs(plan.ladder) do ladder[i] = target.id end
  return ladder, steps_of(plan), refusal and refusal.message or plan.reason
end

-- ---- access, billing, task ----

local function model_of(model)
  local target = target_of(type(model) == "table" and model or { id = model }, 1)
  return target, {
    id = target.model, provider = target.provider, is_local = target.is_local, free = target.free, cost = target.cost,
  }
end

-- Asks an access policy whether a caller may use a model ("groq/llama", or its facts as in testing.candidates).
---@param policy moongate.policy
---@param caller table|nil
---@param model string|table
---@return boolean
---@return string|nil reason
function testing.access(policy, caller, model)
  local target = model_of(model)
  local verdicts = access.verdicts(ask(policy, "access"), with_defaults("a caller", caller, CALLER), { target })
  if verdicts[target] == true then return true end
  return false, verdicts[target]
end

-- The name that a request is served under.
---@param policy moongate.policy
---@param caller table|nil
---@param requested string|nil
---@return string
function testing.resolve(policy, caller, requested)
  local anything = { resolve = function() return {} end }
  return access.resolve(ask(policy, "access"), with_defaults("a caller", caller, CALLER), requested, anything)
end

-- The multiplier of a billing policy.
---@param policy moongate.policy
---@param caller table|nil
---@param model string|table
---@param usage table|nil
---@return number
function testing.billing(policy, caller, model, usage)
  usage = with_defaults("a usage", usage, USAGE)
  usage.total = usage.total or usage.input + usage.cached + usage.cache_write + usage.output + usage.reasoning
  local _, shown = model_of(model)
  local _, multiplier = ask(policy):call(policy.run, with_defaults("a caller", caller, CALLER), shown, usage)
  if money.is_multiplier(multiplier) then return multiplier end
  error("a billing policy returns a number from 0 to 1000000, and returned " .. tostring(multiplier), 2)
end

-- The task type that a task policy gives.
---@param policy moongate.policy
---@param request string|table|nil
---@return string
function testing.task(policy, request)
  request = testing.request(request)
  local more = { privacy = request.privacy, caller = request.caller }
  function more.task() return task_of.classify(request) end
  local _, name = ask(policy):call(policy.run, candidates_of.request(request, more))
  if type(name) == "string" and name ~= "" then return name end
  error("a task policy returns the type of the task, and returned " .. tostring(name), 2)
end

-- ---- hooks ----

-- Sends a request through a hook and an answer back: a text for a whole one, a list of texts for a stream. See
-- moongate.testing.hook for what it answers.
---@param policy moongate.policy
---@param request string|table|nil
---@param reply string|string[]|nil
---@return moongate.testing.seen
function testing.hook(policy, request, reply)
  return require("moongate.testing.hook")(ask(policy), testing.request(request), reply or "Hello.")
end

return testing
