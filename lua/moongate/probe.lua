-- One small request to a provider, for the sake of what its answer tells of limits: to the chat model with the smallest
-- context that may be called now. It takes the way of any other attempt (firewall, quota, ledger), for the operator.
local attempt = require "moongate.attempt"
local clock = require "moongate.core.clock"
local exchange = require "moongate.exchange"
local json = require "moongate.core.json"
local live = require "moongate.live"
local near = require "moongate.near"
local openai = require "moongate.surfaces.openai"
local overview = require "moongate.overview"
local passing = require "moongate.passing"
local record = require "moongate.record"
local router = require "moongate.surfaces.router"
local standing = require "moongate.standing"
local store = require "moongate.core.store"
local usage_of = require "moongate.usage"

local probe = {}

local JSON = { ["content-type"] = "application/json" }
-- So many models are named with the reason why they cannot be probed, and so many are tried for it.
local MOST_NAMED, MOST_TRIED = 5, 16
-- What a refusal of these kinds says of limits is what was asked for.
local TELLING = { rate_limited = true, quota_exhausted = true }
local SURFACE = { name = "probe", reads = "openai", chat = openai.chat, error = router.error }

-- The provider's chat models, the one with the smallest context first; whose context is not known comes last.
---@param targets table[]
---@param name string
---@return table[]
function probe.candidates(targets, name)
  local list = {}
  for _, target in ipairs(targets) do
    if target.provider == name and not target.embeddings then list[#list + 1] = target end
  end
  table.sort(list, function(a, b)
    local one, other = a.context_length or math.huge, b.context_length or math.huge
    if one ~= other then return one < other end
    return a.index < b.index
  end)
  return list
end

local function new_call(handle, state, target)
  local body = { model = target.id, messages = json.array { { role = "user", content = "Hi" } }, max_tokens = 1 }
  local document = assert(json.scan(json.encode(body)))
  local request = assert(openai.parse(document, {}, "chat"))
  request.surface, request.privacy, request.now = SURFACE.name, false, clock.now()
  local call = exchange.new_call(handle, state, SURFACE, "chat", state.callers.operator, request, document)
  call.told_by = "probe"
  return call
end

-- Why a target is passed over without a call; nil: it may be tried. C has the last word on what may be called.
local function obstacle(state, target)
  if state.config.zero_spend and not target.costs_nothing then
    return { skipped = "zero_spend is on and it is not known to cost nothing", barred = true }
  end
  return standing.exhausted(target)
end

local function nothing_to_probe(name, told, count, barred, wait)
  local list = table.concat(told, "; ")
  if count > #told then list = list .. string.format("; and %d more", count - #told) end
  if count == 0 then list = "it has no chat model here" end
  local is_barred = count > 0 and barred == count
  return {
    status = is_barred and 403 or count == 0 and 404 or 503, retry_after = wait,
    code = is_barred and "zero_spend" or count == 0 and "no_model" or "nothing_to_probe",
    message = string.format('no model of "%s" can be probed: %s', name, list),
  }
end

-- How many limits were told since then.
local function told_since(name, began)
  local seconds, count = clock.monotonic() - began + 0.01, 0
  for _, word in ipairs(store.learnt(name)) do
    if word.source ~= "checker" and word.age_s <= seconds then count = count + 1 end
  end
  return count
end

local function answer(call, target, began, failure)
  local name, state = target.provider, call.state
  local found, last = overview.provider(state, name, live.view()), call.attempts[#call.attempts]
  found.probe = {
    model = target.model, request_id = call.id, told = told_since(name, began), status = last and last.status,
    error = failure, latency_ms = last and last.ms,
  }
  call.handle:reply(200, JSON, json.encode(found))
end

local function refuse(call, refusal)
  record.refuse(call, refusal)
  exchange.refuse(call.handle, refusal, call)
end

local function failed(call, target, outcome, began)
  local refusal = {
    status = 502, code = "probe_failed", retry_after = outcome.wait,
    message = string.format("%s: %s%s", target.id, outcome.message,
      outcome.kind == "auth" and ": look at the provider's api_key" or ""),
  }
  local is_telling = TELLING[outcome.kind] or outcome.kind ~= "auth" and told_since(target.provider, began) > 0
  if not is_telling then return refuse(call, refusal) end
  record.refuse(call, refusal)
  answer(call, target, began, outcome.message)
end

local function succeeded(call, target, opened, began)
  call.answer, call.served = opened, target
  opened.wire:close(true)
  attempt.finished(call, opened, "ok")
  local usage = usage_of.final(opened.usage, true, call.request.text_length, opened.text_length)
  record.settle(call, opened, "ok", usage, opened.text_length)
  answer(call, target, began)
end

-- Tries the targets in turn until one was called.
local function serve(call, targets, name)
  local told, barred, wait = {}, 0, nil
  for i, target in ipairs(targets) do
    local outcome = obstacle(call.state, target)
    if not outcome and call.tried == MOST_TRIED then outcome = { skipped = "there are too many before it" } end
    if not outcome then
      call.tried, call.calls = call.tried + 1, 1
      call.request.model = target.id
      local began = clock.monotonic()
      local opened
      opened, outcome = attempt.try(call, target)
      if opened then return succeeded(call, target, opened, began) end
      if outcome.cancelled then
        call.handle:calm()
        record.abandon(call, outcome)
        return exchange.refuse(call.handle, { status = 503, message = "the gateway is stopping" }, call)
      end
      if not (outcome.skipped or outcome.refusal) then return failed(call, target, outcome, began) end
      call.calls = 0
    end
    if i <= MOST_NAMED then
      told[i] = target.id .. ": " .. passing.with_wait(outcome.skipped or outcome.refusal, outcome.wait)
    end
    if outcome.barred then barred = barred + 1 end
    if outcome.wait and outcome.wait > 0 then wait = math.min(wait or outcome.wait, outcome.wait) end
  end
  refuse(call, nothing_to_probe(name, told, #targets, barred, wait))
end

-- Probes the provider for the admin. Answers as /v1/limits/<name> does, with what the probe itself met beside it.
---@param handle table
---@param state moongate.state
---@param name string
function probe.run(handle, state, name)
  if not state.config.providers[name] then
    return exchange.refuse(handle, {
      status = 404, code = "provider_not_found",
      message = string.format('there is no provider "%s" here%s', string.sub(string.gsub(name, "[^\32-\126]", "?"), 1,
        100), near.hint(name, near.names(state.config.providers))),
    })
  end
  local targets = probe.candidates(state.registry.targets, name)
  if #targets == 0 then return exchange.refuse(handle, nothing_to_probe(name, {}, 0, 0)) end
  local call = new_call(handle, state, targets[1])
  call.tried = 0
  exchange.guarded(call, function()
    record.open(call)
    serve(call, targets, name)
  end)
end

return probe
