-- What the gateway tells of itself: models, limits, past requests, health, readiness, metrics. Reads only.
local access = require "moongate.access"
local address = require "moongate.address"
local clock = require "moongate.core.clock"
local exchange = require "moongate.exchange"
local gate = require "moongate.core.gate"
local json = require "moongate.core.json"
local ledger = require "moongate.core.ledger"
local live = require "moongate.live"
local metrics = require "moongate.core.metrics"
local near = require "moongate.near"
local overview = require "moongate.overview"
local anthropic = require "moongate.surfaces.anthropic"
local gemini = require "moongate.surfaces.gemini"
local ollama = require "moongate.surfaces.ollama"
local openai = require "moongate.surfaces.openai"
local spend_alarm = require "moongate.spend_alarm"

local inspect = {}

local JSON = { ["content-type"] = "application/json" }

local function reply(handle, value)
  handle:reply(200, JSON, json.encode(value))
end

-- Whoever may ask for what callers may see: a caller, or the admin. nil after it was refused.
---@param handle table
---@param state moongate.state
---@param surface moongate.surface|nil
---@return table|nil
function inspect.known(handle, state, surface)
  if state.callers:is_admin(handle) then return { is_admin = true } end
  local caller, refusal = state.callers:of(handle)
  if not caller then
    exchange.refuse(handle, refusal, nil, surface)
    return nil
  end
  return caller
end

local known = inspect.known

local function model_entry(entry)
  local target = entry.target
  if not target then return { id = entry.id, owned_by = entry.owned_by } end
  return {
    id = entry.id, owned_by = target.provider, provider = target.provider, context_length = target.context_length,
    max_output = target.max_output, cost = target.cost, free = target.free, is_local = target.is_local,
    tools = target.tools, vision = target.vision, strengths = json.array(target.strengths), quality = target.quality,
    deprecated = target.deprecated, replacement = target.replacement,
  }
end

-- What the caller may use; nil after it was refused.
local function entries_for(handle, caller, state, surface)
  local entries, refusal = access.models(state.policies, caller, state.registry)
  if refusal then exchange.refuse(handle, refusal, nil, surface) end
  return entries
end

-- Who asks with Anthropic's version header is Anthropic's client.
local function openai_or_anthropic(handle)
  return handle:header "anthropic-version" and anthropic or openai
end

local function no_provider(handle, state, name, surface)
  exchange.refuse(handle, {
    status = 404, code = "provider_not_found", type = "invalid_request_error",
    message = string.format('there is no provider "%s" here%s',
      string.sub(string.gsub(name, "[^\32-\126]", "?"), 1, 100), near.hint(name, near.names(state.config.providers))),
  }, nil, surface)
end

local function list_models(handle, state, surface)
  local caller = known(handle, state, surface)
  if not caller then return end
  local provider, list = address.values(handle:query()).provider, {}
  if provider and not state.config.providers[provider] then return no_provider(handle, state, provider, surface) end
  local entries = entries_for(handle, caller, state, surface)
  if not entries then return end
  for _, entry in ipairs(entries) do
    local fits = not provider or (entry.target and entry.target.provider == provider)
    if fits then list[#list + 1] = model_entry(entry) end
  end
  handle:reply(200, JSON, surface.models(list))
end

function inspect.models(handle, state) list_models(handle, state, openai_or_anthropic(handle)) end
function inspect.gemini_models(handle, state) list_models(handle, state, gemini) end
function inspect.ollama_models(handle, state) list_models(handle, state, ollama) end

local function one_model(handle, state, id, surface)
  local caller = known(handle, state, surface)
  if not caller then return end
  local entries = entries_for(handle, caller, state, surface)
  if not entries then return end
  for _, entry in ipairs(entries) do
    if entry.id == id then return handle:reply(200, JSON, surface.model(model_entry(entry))) end
  end
  exchange.refuse(handle, {
    status = 404, code = "model_not_found", type = "invalid_request_error",
    message = string.format('there is no model "%s" here%s', id, near.hint(id, state.registry:names())),
  }, nil, surface)
end

function inspect.model(handle, state, id) one_model(handle, state, id, openai_or_anthropic(handle)) end
function inspect.gemini_model(handle, state, id) one_model(handle, state, id, gemini) end

-- Ollama's clients ask for a model by a body.
function inspect.ollama_model(handle, state)
  local body = json.decode(handle:body())
  local name = type(body) == "table" and (body.model or body.name)
  if type(name) ~= "string" then
    return exchange.refuse(handle, { status = 400, message = "model: expected the name of a model" }, nil, ollama)
  end
  one_model(handle, state, name, ollama)
end

function inspect.ollama_version(handle) handle:reply(200, JSON, ollama.version()) end

function inspect.limits(handle, state)
  if not known(handle, state) then return end
  local list, view = {}, live.view()
  for i, name in ipairs(near.names(state.config.providers)) do list[i] = overview.provider(state, name, view) end
  reply(handle, json.array(list))
end

function inspect.provider_limits(handle, state, name)
  if not known(handle, state) then return end
  if state.config.providers[name] then return reply(handle, overview.provider(state, name, live.view())) end
  no_provider(handle, state, name)
end

-- A past request: for the key that made it, and for the admin.
function inspect.request(handle, state, id)
  local caller = known(handle, state)
  if not caller then return end
  local row = ledger.find(id)
  -- Names are the operator's: two orgs may have a key of the same one.
  local is_own = row and row.key == caller.name and row.org == caller.org
  if not row or not (caller.is_admin or is_own) then
    return exchange.refuse(handle, {
      status = 404, code = "request_not_found", type = "invalid_request_error",
      message = "there is no request of that id, or it is not this key's",
    })
  end
  local detail = row.detail ~= "" and json.decode(row.detail) or {}
  row.detail = nil
  row.attempts, row.explanation = json.array(detail.attempts or {}), detail.explanation
  reply(handle, row)
end

-- These three are open to this machine, and to whoever has a key or the admin token.
local function open_to(handle, state)
  local peer = handle:peer()
  if string.find(peer, "^127%.") or string.find(peer, "^%[::1%]") then return true end
  return known(handle, state) ~= nil
end

function inspect.health(handle, state)
  if not open_to(handle, state) then return end
  reply(handle, { status = "ok" })
end

-- Each worker tells of its own policies; what several tell of one file is one problem.
local function add_reports(problems, reports)
  local told = {}
  for _, report in ipairs(reports) do
    for _, problem in ipairs(json.decode(report)) do
      if not told[problem.file] then problems[#problems + 1] = problem end
      told[problem.file] = true
    end
  end
end

-- How fit the gateway is to serve, in a word, and what is wrong.
---@param state moongate.state
---@param now table what gate.state answers
---@return "ready"|"degraded"|"draining"
---@return table[]
function inspect.readiness(state, now)
  local problems = {}
  for _, problem in ipairs(json.decode(now.problems)) do
    -- Some are told for a while only.
    local is_over = problem["until"] and problem["until"] < clock.now()
    problem["until"] = nil
    if not is_over then problems[#problems + 1] = problem end
  end
  add_reports(problems, now.reports)
  for _, problem in ipairs(spend_alarm.problems(state.registry.targets)) do problems[#problems + 1] = problem end
  if now.store_problem then table.insert(problems, { what = "store", message = now.store_problem }) end
  if now.starved then
    table.insert(problems, {
      what = "connections", message = "callers are turned away: no more files may be open; raise the limit (ulimit -n)",
    })
  end
  if next(state.config.providers) == nil then
    table.insert(problems, {
      what = "configuration",
      message = "no provider is configured: set a key variable such as OPENAI_API_KEY, or write a moongate.lua",
    })
  end
  return now.draining and "draining" or #problems > 0 and "degraded" or "ready", problems
end

function inspect.ready(handle, state)
  if not open_to(handle, state) then return end
  local now = gate.state()
  local status, problems = inspect.readiness(state, now)
  handle:reply(now.draining and 503 or 200, JSON, json.encode { status = status, problems = json.array(problems) })
end

function inspect.metrics(handle, state)
  if not open_to(handle, state) then return end
  local text = metrics.text() .. overview.gauges(state, gate.state().store_problem == nil)
  handle:reply(200, { ["content-type"] = "text/plain; version=0.0.4; charset=utf-8" }, text)
end

return inspect
