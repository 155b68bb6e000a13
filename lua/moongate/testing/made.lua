-- What moongate.testing makes up: requests, callers, usage, and candidates with the live facts that the gateway would
-- have of them. Everything has a default; a name that nobody would read raises.
local candidates_of = require "moongate.candidates"
local facts_of = require "moongate.facts"
local near = require "moongate.near"
local quota = require "moongate.quota"
local text_of = require "moongate.text"
local time = require "moongate.time"

local made = {}

-- Fields of a request with their defaults; false: it is there when you say so.
local REQUEST = {
  model = "auto", surface = "chat", stream = false, messages = false, text_length = false, estimated_tokens = false,
  tools = false, images = false, json_schema = false, max_tokens = false, privacy = false, priority = false,
  latency_pref = false, max_cost = false, task = false, headers = false, caller = false, policy = false, now = false,
  affinity = false, seed = 1,
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
  return names
end

-- A misspelt field would test nothing.
local function check_names(what, given, known)
  for name in pairs(given) do
    if known[name] == nil then error(near.missing(what, name, names_of(known)), 3) end
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

-- Unix seconds of a number, or of "2026-11-20 23:00" in UTC.
local function moment(value)
  if type(value) ~= "string" then return value end
  return time.rfc3339(value) or time.rfc3339(value .. ":00")
    or error('now is a number or a text like "2026-11-20 23:00"', 3)
end

---@param caller table|nil
---@return moongate.caller
function made.caller(caller) return facts_of.guard("caller", with_defaults("a caller", caller, CALLER)) end

-- A request: a text is what the user says.
---@param facts string|table|nil
---@param now number what it is by default
---@return moongate.request
function made.request(facts, now)
  if type(facts) == "string" then facts = { messages = { { role = "user", content = facts } } } end
  local request = with_defaults("a request", facts, REQUEST)
  request.messages = request.messages or { { role = "user", content = "Hello." } }
  request.text_length = request.text_length or #text_of.of(request.messages)
  request.estimated_tokens = request.estimated_tokens or math.ceil(request.text_length / 4) + 4 * #request.messages
  request.headers = request.headers or {}
  request.caller = made.caller(request.caller)
  request.now = moment(request.now) or now
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
  if facts.free == nil and facts.cost then target.free = target.costs_nothing end
  return target
end

-- The live facts of targets, as the gateway would have them.
local function view_of(given)
  local function wait_of(facts)
    if facts.retry_in then return facts.retry_in end
    return (facts.exhausted or facts.status == "exhausted") and 60 or 0
  end
  local function fact(name)
    return function(_, target) return given[target][name] end
  end
  local function copied(name)
    return function(_, target)
      local values = {}
      for limit, value in pairs(given[target][name] or {}) do values[limit] = value end
      return quota[name](values)
    end
  end
  return {
    exhausted = function(_, target) return wait_of(given[target]), "" end, left = copied "left", used = copied "used",
    latency_ms = fact "latency_ms", error_rate = fact "error_rate",
    open = function(_, target) return given[target].status == "failing" end,
    balance = function(_, provider)
      for _, facts in pairs(given) do
        if facts.balance and provider_and_model(facts) == provider then return facts.balance end
      end
    end,
    random = math.random,
  }
end

local given_of = setmetatable({}, { __mode = "k" }) -- by list

-- The targets behind made-up candidates, and the view of them.
---@param list table[]
---@return table[]
---@return table
function made.targets(list)
  local targets, given = {}, {}
  for i, facts in ipairs(given_of[list] or list) do
    targets[i] = target_of(facts, i)
    given[targets[i]] = facts
  end
  return targets, view_of(given)
end

-- A list of candidates as policies get it.
---@param list table[]
---@param request moongate.request
---@return moongate.candidates
function made.candidates(list, request)
  local targets, view = made.targets(list)
  local own = { request = request, view = view, task = function() return request.task or "chat" end }
  local candidates = candidates_of.new(targets, own)
  given_of[candidates] = list
  return candidates
end

---@param usage table|nil
---@return moongate.usage
function made.usage(usage)
  usage = with_defaults("a usage", usage, USAGE)
  usage.total = usage.total or usage.input + usage.cached + usage.cache_write + usage.output + usage.reasoning
  return facts_of.guard("usage", usage)
end

-- The target of a model ("groq/llama", or its facts), and the model as access and billing see it.
---@param model string|table
---@return table
---@return moongate.model
function made.model(model)
  local target = target_of(type(model) == "table" and model or { id = model }, 1)
  return target, facts_of.model(target)
end

return made
