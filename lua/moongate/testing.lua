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
stand_in("moongate.core.words", require "moongate.testing.words")

local access = require "moongate.access"
local candidates_of = require "moongate.candidates"
local facts_of = require "moongate.facts"
local faults = require "moongate.faults"
local made = require "moongate.testing.made"
local money = require "moongate.money"
local policies = require "moongate.policies"
local reasons = require "moongate.reasons"
local router = require "moongate.router"
local sample = require "moongate.sample"
local task_of = require "moongate.task"

---@class moongate.testing
---@field now number the frozen clock, unix seconds: 2026-01-01 12:00 UTC until you set another
---@field guarded boolean whether the gateway's C budget is in force
---@field logged string[] what the last call logged
local testing = { now = 1767268800, guarded = guarded, logged = {} }

local MILLISECONDS, BYTES = 1000, 256 * 1024 * 1024
local ROLES = { access = true, billing = true, task = true }

-- ---- made-up things ----

-- A request as policies see it: a text is what the user says. Fields are those of moongate.request; now may be written
-- as "2026-11-20 23:00", in UTC.
---@param facts string|table|nil
---@return moongate.request
function testing.request(facts) return facts_of.guard("request", made.request(facts, testing.now)) end

-- Candidates from their facts, those of moongate.candidate; each needs an id, all else has a default.
-- `left = { rpd = 0 }`, `exhausted = true`, `retry_in = 41` and `status = "failing"` say how it stands; a price is
-- { input = 1, output = 2 } unless it is free or local, and `cost = false` means unknown.
---@param list table[]
---@return moongate.candidates
function testing.candidates(list) return made.candidates(list, testing.request()) end

-- ---- policies ----

local sets = {} -- by policy

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
local function dropped_by(kind, name, gone, plan)
  local dropped, words = {}, {}
  local alone = {
    request = plan.request, ladder = {}, offered = plan.offered, refused = {}, refused_why = {},
    runs = { { trail = { kind, name, gone }, last = 3 } },
  }
  for _, record in ipairs(reasons.records(alone)) do words[record.id] = record.reason end
  for _, candidate in ipairs(gone or {}) do
    local target = candidates_of.owner(candidate)
    if target then dropped[target.id] = words[target.id] end
  end
  return dropped
end

local function steps_of(plan)
  local steps, refused = {}, {}
  for i, target in ipairs(plan.refused or {}) do refused[target.id] = plan.refused_why[i] end
  if next(refused) then steps[1] = { kind = "gate", name = "before any policy", dropped = refused } end
  for _, run in ipairs(plan.runs) do
    for at = 1, run.last, 3 do
      local kind, name, gone = unpack(run.trail, at, at + 2)
      steps[#steps + 1] = { kind = kind, name = name, dropped = dropped_by(kind, name, gone, plan) }
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
  request = made.request(request, testing.now)
  local targets, view = made.targets(candidates)
  local caller = { name = request.caller.name, org = request.caller.org, tier = request.caller.tier }
  local registry = { policy = policy.name, on_fault = "refuse", resolve = function() return targets end }
  request.policy = policy.name
  local asked = ask(policy, "routing")
  if request.task and not task_of.is_known(request.task) then
    -- A type that a task policy would have found.
    function asked.task() return asked end
    function asked.ask() return true, request.task end
  end
  local plan, refusal = router.plan(request, caller, registry, asked, view)
  plan = plan or refusal.plan
  if plan.faults[1] then error(plan.faults[1].message, 2) end
  local ladder = {}
  for i, target in ipairs(plan.ladder) do ladder[i] = target.id end
  return ladder, steps_of(plan), refusal and refusal.message or plan.reason
end

-- ---- access, billing, task ----

-- Asks an access policy whether a caller may use a model ("groq/llama", or its facts as in testing.candidates).
---@param policy moongate.policy
---@param caller table|nil
---@param model string|table
---@return boolean
---@return string|nil reason
function testing.access(policy, caller, model)
  local target = made.model(model)
  local verdicts = access.verdicts(ask(policy, "access"), made.caller(caller), { target })
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
  return access.resolve(ask(policy, "access"), made.caller(caller), requested, anything)
end

-- The multiplier of a billing policy.
---@param policy moongate.policy
---@param caller table|nil
---@param model string|table
---@param usage table|nil
---@return number
function testing.billing(policy, caller, model, usage)
  local _, shown = made.model(model)
  local _, multiplier = ask(policy):call(policy.run, made.caller(caller), shown, made.usage(usage))
  if money.is_multiplier(multiplier) then return multiplier end
  error("a billing policy returns a number from 0 to 1000000, and returned " .. tostring(multiplier), 2)
end

-- The task type that a task policy gives.
---@param policy moongate.policy
---@param request string|table|nil
---@return string
function testing.task(policy, request)
  request = made.request(request, testing.now)
  local more = { privacy = request.privacy, caller = request.caller }
  function more.task() return task_of.classify(request) end
  local _, name = ask(policy):call(policy.run, (candidates_of.request(request, more)))
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
  return require("moongate.testing.hook")(ask(policy), made.request(request, testing.now), reply or "Hello.")
end

return testing
