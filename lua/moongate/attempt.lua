-- One rung of the ladder, tried once: reserve, call the provider, read its answer up to the first content, and either
-- hand it on to the caller or say why not. What follows from a failure is decided by moongate.failures; who is tried
-- next by moongate.climb.
local claims = require "moongate.claims"
local core = require "moongate.core.attempt"
local core_headers = require "moongate.core.limit_headers"
local json = require "moongate.core.json"
local log = require "moongate.core.log"
local failures = require "moongate.failures"
local health = require "moongate.core.health"
local limit_headers = require "moongate.limit_headers"
local limits = require "moongate.limits"
local meter = require "moongate.meter"
local metrics = require "moongate.core.metrics"
local protocols = require "moongate.protocols"
local providers = require "moongate.providers"
local requests = require "moongate.surfaces.requests"
local spend_alarm = require "moongate.spend_alarm"
local spending = require "moongate.spending"
local standing = require "moongate.standing"
local store = require "moongate.core.store"
local clock = require "moongate.core.clock"
local translation = require "moongate.translation"

local attempt = {}

-- Frames held back until the first content; a provider that sends more of them says nothing.
local MOST_HELD_BYTES = 1024 * 1024
local LATER = nil -- a member that is to come: room is kept for it; a nil that is written out keeps none

local turns = 0

local function next_key(provider)
  if #provider.keys == 0 then return nil end
  turns = turns + 1
  return provider.keys[turns % #provider.keys + 1].key
end

-- What could not be carried over is told once, here.
local function tell_dropped(call, target, dropped)
  if not dropped or #dropped == 0 then return end
  log.write("info", "left out what this provider's format has no place for", string.sub(json.encode {
    request_id = call.id, target = target.id, fields = json.array(dropped),
  }, 2, -2))
end

-- The routes of calls, by what the protocol says that they have in common.
local routes = setmetatable({}, { __mode = "k" })

local function route_of(wire, provider)
  local route = wire.frame and routes[wire.frame]
  if route then return route end
  local times = provider.timeouts
  route = core.route {
    method = wire.method, url = wire.url, headers = wire.headers, lines = wire.lines, http2 = provider.http2,
    ca_file = provider.ca_file, connect = times.connect, first_byte = times.first_byte, idle = times.idle,
  }
  if wire.frame then routes[wire.frame] = route end
  return route
end

local function start(call, target, provider, protocol)
  local total, request = provider.timeouts.total, call.request
  local deadline = math.max(0.001, math.min(total, request.timeout_s or total) - call.handle:elapsed())
  local first_content = request.stream and provider.timeouts.first_content or nil
  local order = {
    operation = call.operation, target = target, provider = provider, key = next_key(provider),
    stream = request.stream, include_usage = request.include_usage, document = LATER,
    -- Nobody looks into the body between the protocol and the wire, but for a bound on what it may spend.
    outgoing = not call.state.config.zero_spend,
  }
  if protocol.reads_headers then order.headers = requests.headers(request, protocol.reads_headers) end
  local unfit = translation.fill(order, call, protocol)
  if unfit then return nil, nil, nil, unfit end
  if protocol.play then
    order.now = clock.now()
    local bounds = { deadline = deadline, first_content = first_content }
    return core.play(call.handle, target.id, protocol.play(order), bounds)
  end
  local wire
  wire, unfit = protocol.build(order)
  if not wire then return nil, nil, nil, unfit end
  tell_dropped(call, target, wire.dropped)
  if call.state.config.zero_spend then wire.body = spending.capped(wire.body, provider) end
  return core.send(call.handle, route_of(wire, provider), target.id, wire.body, deadline, first_content)
end

-- What the config says of a provider, else the built-in table.
local function known(provider, name)
  local builtin = providers.get(provider.like or provider.name)
  return provider[name] or builtin and builtin[name] or nil
end

-- The source of what an answer tells of a limit. What calls have told before, a probe's headers only renew.
local function source_of(call, provider, model, limit)
  if not call.told_by then return limit.source or "header" end
  for _, told in ipairs(store.learnt(provider.name)) do
    local is_same = told.model == model and told.metric == limit.metric and told.window == limit.window
    if is_same and not limit.source and told.source == "header" then return "header" end
  end
  return call.told_by
end

-- The model that a provider's word is about; "": all of them.
local function scope_of(target, provider)
  return known(provider, "limit_scope") == "provider" and "" or target.upstream_id
end

-- What the provider told of its limits goes into the store, on success and on failure.
local function learn(call, target, provider, status, headers, body)
  local reading = limits.read {
    provider = provider.name, like = provider.like, status = status, headers = headers, body = body, now = clock.now(),
  }
  local model = scope_of(target, provider)
  for _, limit in ipairs(reading.limits) do
    store.learn {
      provider = provider.name, model = model, metric = limit.metric, window = limit.window, limit = limit.limit,
      remaining = limit.remaining, reset_s = limit.reset_s, source = source_of(call, provider, model, limit),
    }
  end
  return reading
end

local grammars = {} -- by family, as core.limit_headers has it

local function grammar_of(provider)
  local family = limit_headers.family(provider.like or provider.name)
  local grammar = grammars[family]
  if not grammar then
    grammar = core_headers.grammar(limit_headers.lines(family), limit_headers.has_blanks(family))
    grammars[family] = grammar
  end
  return grammar
end

-- The same of an answer that is one. Most headers are plain: C reads them where they are.
local function learn_of_answer(call, target, provider, status, wire)
  if not call.told_by and wire:learn(grammar_of(provider), provider.name, scope_of(target, provider)) then return end
  learn(call, target, provider, status, wire:headers())
end

-- Whatever became of a call: it may have been charged.
local function look_for_costs(call, target, headers, usage)
  local is_on = call.state.config.zero_spend
  if is_on and headers then spend_alarm.look(is_on, target, spend_alarm.of_headers(headers), call.id) end
  spend_alarm.look(is_on, target, usage, call.id)
end

local function is_stream(wire, protocol)
  local kind = wire:header "content-type"
  return kind ~= nil and string.find(string.lower(kind), protocol.stream_type or "text/event-stream", 1, true) ~= nil
end

---@class moongate.event of a stream
---@field raw string as it came
---@field data string|nil
---@field name string "": it has none
---@field read table|nil how the protocol reads it
---@field document table|nil what the protocol decoded of it

-- The next event of a stream; or nil, a reason and a message.
---@param wire table
---@return moongate.event|nil
---@return string|nil
---@return string|nil
function attempt.event(wire)
  local raw, data, name = wire:event()
  if not raw then return nil, data, name end
  return { raw = raw, data = data, name = name, read = LATER }
end

-- Reads on to the first event that is content. Answers { event, read, held, usage }, or nil and a failure.
local function first_content(wire, protocol, is_direct)
  local held, bytes, usage = { LATER }, 0, nil
  while true do
    local event, reason, message = attempt.event(wire)
    if not event then
      if reason == "end" then reason, message = "cut", "the stream ended before its first content" end
      return nil, { stage = "body", end_name = reason, message = message }
    end
    local read = event.data and protocol.read_event(event, usage, is_direct) or { kind = "lifecycle" }
    usage, event.read = read.usage or usage, read
    if read.kind == "error" then
      return nil, { stage = "body", error = read.error, body = read.body, usage = usage }
    elseif read.kind == "end" then
      return nil, { stage = "body", end_name = "cut", message = "the stream ended before its first content" }
    elseif read.kind == "content" or read.kind == "finish" then
      return {
        event = event, read = read, held = held, usage = usage, status = LATER, target = LATER, provider = LATER,
        protocol = LATER, wire = LATER, began = LATER, wanted = LATER, reservation = LATER, settled = false,
        further = LATER,
      }
    end
    held[#held + 1] = event
    bytes = bytes + #event.raw
    if bytes > MOST_HELD_BYTES then
      return nil, { stage = "body", end_name = "malformed", message = "the stream begins without content" }
    end
  end
end

-- Reads the provider's answer as far as it must be read before it may be handed on.
local function read(call, wire, protocol)
  local status, reason, message = wire:head()
  if not status then return nil, { stage = "head", end_name = reason, message = message } end
  local succeeded = status >= 200 and status < 300
  local is_direct = not call.hooks and translation.is_direct(call, protocol)
  if call.request.stream and succeeded and is_stream(wire, protocol) then
    local begun, failure = first_content(wire, protocol, is_direct)
    if not begun then
      failure.status = status
      return nil, failure
    end
    begun.status = status
    return begun
  end
  local text
  text, reason, message = wire:body()
  if not text then return nil, { stage = "body", status = status, end_name = reason, message = message } end
  local headers = protocol.reads_reply_headers and wire:headers() or nil
  local reply = protocol.read_reply(status, headers, text, is_direct)
  if reply.error or not succeeded then
    return nil, { stage = "body", status = status, error = reply.error, body = reply.body or text,
      usage = reply.usage }
  end
  if call.request.stream then
    return nil, { stage = "body", status = status, end_name = "malformed",
      message = "a stream was asked for and something else came" }
  end
  reply.status, reply.headers, reply.text = status, headers, text
  return reply
end

local outcomes = {} -- the series of each

local function count(outcome)
  local series = outcomes[outcome]
  if not series then
    series = meter.series("moongate_attempts_total", "outcome", outcome)
    outcomes[outcome] = series
  end
  metrics.add(series, 1)
end

---@class moongate.attempt what became of a call
---@field target table
---@field status integer|nil
---@field error string|nil
---@field message string|nil
---@field ms integer

local function note(call, target, status, kind, message, seconds)
  local noted = { target = target, status = status, error = kind, ms = math.floor(seconds * 1000 + 0.5) }
  if message then noted.message = message end
  call.attempts[#call.attempts + 1] = noted
  call.upstream_seconds = call.upstream_seconds + seconds
end

-- Seconds until the target may be tried again; nil: nobody told, and the store doubles its own guess. A window that
-- the provider rolls at a fixed hour is over when ours is.
local function exhausted_for(target, exhaust, reading)
  local guessed = reading and reading.class == "rate_limited" and not reading.retry_after_s
  local told = exhaust.seconds and not guessed
  if told or not exhaust.window then return told and exhaust.seconds or nil end
  local zone
  for _, limits_of in ipairs { target.provider_limits, target.limits } do
    for _, limit in ipairs(limits_of) do
      if limit.window == exhaust.window then zone = zone or limit.zone end
    end
  end
  local _, seconds = store.used { key = "window", window = exhaust.window, zone = zone }
  return math.max(seconds, exhaust.at_least or 0)
end

-- A failed attempt: what it means for the target, and for the request.
local function judge(call, target, provider, failure, seconds)
  local reading
  if failure.headers then reading = learn(call, target, provider, failure.status, failure.headers, failure.body) end
  local verdict = failures.judge {
    stage = failure.stage, end_name = failure.end_name, status = failure.status, reading = reading,
    error = failure.error, limit_scope = known(provider, "limit_scope"), resets = known(provider, "resets"),
  }
  if verdict.exhaust then
    local name = verdict.exhaust.scope == "provider" and target.provider or target.id
    verdict.wait = store.exhaust(name, exhausted_for(target, verdict.exhaust, reading), verdict.kind)
  end
  if verdict.breaker then
    health.failed(target.id, provider.breaker.failures, provider.breaker.open)
  else
    health.released(target.id)
  end
  verdict.status, verdict.error, verdict.end_name = failure.status, failure.error, failure.end_name
  if failure.message and failure.message ~= "" then
    verdict.message = verdict.message .. " (" .. failures.redact(failure.message) .. ")"
  end
  note(call, target, failure.status, verdict.kind, verdict.message, seconds)
  count(verdict.kind)
  return verdict
end

-- Whether a wait ended because nobody waits any more.
---@param reason string|nil
---@return boolean
function attempt.is_cancelled(reason)
  return reason == "client_gone" or reason == "shutdown"
end

-- Calls the provider and reads as far as must be read: the wire, what was found or nil and a failure, when that began
-- and the seconds it took. Nil and why, or what is unfit { message, param }, when nobody was called.
local function ask(call, target, provider, protocol)
  local wire, barred, reason, unfit = start(call, target, provider, protocol)
  if not wire then return nil, reason or barred, unfit end
  local began = clock.monotonic()
  local found, failure = read(call, wire, protocol)
  return wire, found, failure, began, clock.monotonic() - began
end

-- Takes what the attempt is expected to draw on: what was asked for, and the reservation or what is in the way.
local function reserve(call, target)
  local request, caller, state, obstacle = call.request, call.caller, call.state, nil
  local lengths, list = claims.lengths(request), claims.list(target, caller, state.config)
  for i = 1, #lengths do
    local tokens, billed, cost = claims.estimate(list, target, request, state.policies, lengths[i])
    local reservation, blocked, wait, away = store.reserve(list, 1, 1, tokens, billed, cost)
    -- The figures are of use where more may be reserved, or something is in the way.
    if reservation and not request.stream then return list.wanted, reservation end
    local wanted = claims.call(target, caller, request, state, lengths[i])
    if reservation then return wanted, reservation end
    if attempt.is_cancelled(blocked) then return wanted, nil, { cancelled = blocked } end
    obstacle = standing.blocked(wanted, blocked, wait, away)
    if not standing.may_shrink(wanted, blocked) then break end
  end
  return nil, nil, obstacle
end

---@class moongate.answer what may be handed on to the caller: a whole answer, or a stream up to its first content
---@field target table
---@field provider table of the config
---@field protocol table
---@field wire table the call
---@field began number monotonic seconds
---@field status integer
---@field headers table|nil where the protocol reads them
---@field usage moongate.usage|nil as told so far
---@field text string|nil of a whole one, as it came; with what the protocol read in it:
---@field text_length integer|nil bytes
---@field body any
---@field tokens integer|nil of a count
---@field reply moongate.chat_reply|nil in its neutral shape, once somebody asked
---@field event table|nil of a stream: the first content,
---@field read table|nil how it reads,
---@field held table[]|nil and the events before it
---@field wanted moongate.wanted what was reserved,
---@field reservation string under this name
---@field settled boolean
---@field further table[]|nil see moongate.allowance

-- What was found becomes the answer: it has room for the rest, where it was made for that.
local function opened(found, target, provider, protocol, wire, began, wanted, reservation)
  found.target, found.provider, found.protocol, found.wire, found.began = target, provider, protocol, wire, began
  found.wanted, found.reservation, found.settled = wanted, reservation, false
  return found
end

-- Tries target once. Answers what it answered; or nil and an obstacle (moongate.standing: nobody was called),
-- { cancelled } or a verdict of moongate.failures.
---@param call table see moongate.exchange
---@param target table
---@return moongate.answer|nil
---@return table|nil
function attempt.try(call, target)
  local provider = call.state.config.providers[target.provider]
  local protocol = protocols.of(provider, translation.format(call), call.state.policies)
  if not protocol then
    return nil, { skipped = string.format('its protocol "%s" is not in policies/protocols/', provider.protocol) }
  end
  if not health.admit(target.id) then
    local _, _, _, open_s = health.state(target.id)
    return nil, standing.left_alone(open_s)
  end
  local wanted, reservation, obstacle = reserve(call, target)
  if not reservation then
    health.released(target.id)
    return nil, obstacle
  end
  local fine, wire, found, failure, began, seconds = pcall(ask, call, target, provider, protocol)
  if not fine or not wire then
    health.released(target.id)
    store.settle(reservation, wanted.claims)
    if not fine then error(wire, 0) end -- a protocol's own mistake: what was taken is given back first
    local why, unfit = found, failure
    if unfit then return nil, { skipped = unfit.message, unfit = unfit } end
    return nil, { skipped = why, barred = true }
  end
  if found then
    local answer = opened(found, target, provider, protocol, wire, began, wanted, reservation)
    learn_of_answer(call, target, provider, answer.status, wire)
    if call.state.config.zero_spend then look_for_costs(call, target, wire:headers()) end
    health.succeeded(target.id, seconds * 1000)
    store.recovered(target.id)
    store.recovered(target.provider)
    return answer
  end
  failure.headers = failure.status and wire:headers()
  wire:close()
  if attempt.is_cancelled(failure.end_name) then
    health.released(target.id)
    note(call, target, failure.status, "cancelled", failure.end_name, seconds)
    count "cancelled"
    return nil, { cancelled = failure.end_name, target = target, wanted = wanted, reservation = reservation }
  end
  local reached = failure.status ~= nil and failure.status ~= 429
  look_for_costs(call, target, failure.headers, failure.usage)
  store.settle(reservation, wanted.claims, reached and 1 or 0) -- it counts there, whatever came of it
  return nil, judge(call, target, provider, failure, seconds)
end

-- A call that was cancelled, and for which nothing is due: what it took is given back.
---@param ended table { wanted, reservation }
function attempt.give_back(ended)
  if ended.reservation then store.settle(ended.reservation, ended.wanted.claims, 1) end
end

-- An answer that was handed on has come to its end, well or not.
---@param call table
---@param answer table
---@param kind string "ok", or how it failed
function attempt.finished(call, answer, kind, message)
  note(call, answer.target, answer.status, kind ~= "ok" and kind or nil, message, clock.monotonic() - answer.began)
  count(kind)
  if kind ~= "ok" and kind ~= "cancelled" then
    health.failed(answer.target.id, answer.provider.breaker.failures, answer.provider.breaker.open)
  end
end

return attempt
