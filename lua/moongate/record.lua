-- What is written down of a request: its ledger row, its counters, its log line. A request that ends in any way is
-- settled here exactly once.
local allowance = require "moongate.allowance"
local billing = require "moongate.billing"
local by_target = require "moongate.by_target"
local candidates = require "moongate.candidates"
local clock = require "moongate.core.clock"
local conversation = require "moongate.conversation"
local decision = require "moongate.decision"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"
local ledger = require "moongate.core.ledger"
local log = require "moongate.core.log"
local meter = require "moongate.meter"
local metrics = require "moongate.core.metrics"
local money = require "moongate.money"
local notice = require "moongate.notice"
local prompts = require "moongate.prompts"
local reasons = require "moongate.reasons"
local spend_alarm = require "moongate.spend_alarm"
local standing = require "moongate.standing"
local usage_of = require "moongate.usage"

local record = {}

-- Candidates whose fate is kept with a row; the ladder itself is always whole.
local MOST_EXPLAINED = 50
local LATER = nil -- a member that is to come: room is kept for it; a nil that is written out keeps none
-- What a request has used that nobody served.
local NOTHING = { input = 0, output = 0 }

-- How often what the configuration says of the targets is written down again.
local WORLD_SECONDS = 3600

-- When to ask again while the ledger cannot be written.
local RETRY_SECONDS = 5

-- As the ledger and the counters name it.
local function surface_of(call)
  return call.surface and call.surface.name or call.operation
end

---@class moongate.row of a request, what is not known before it is decided or at an end; see core/bind/ledger.c
---@field row_id string|nil once it is open
---@field time number
---@field policy string
---@field task string
---@field model string as asked for, then the one that served it
---@field provider string|nil
---@field outcome string|nil
---@field usage moongate.usage|nil
---@field billed_tokens integer|nil
---@field cost_microusd integer|nil
---@field savings_microusd integer|nil
---@field latency_ms integer|nil
---@field status integer|nil once it is closed

local function new_row(call)
  local plan = call.plan
  return {
    time = clock.now(), policy = plan and plan.policy or "", task = plan and plan.task or "",
    model = call.request.model or "auto", row_id = LATER, provider = LATER, outcome = LATER, usage = LATER,
    billed_tokens = LATER, cost_microusd = LATER, savings_microusd = LATER, latency_ms = LATER, status = LATER,
  }
end

-- The ledger is told of rows member by member, in its own order.
local function write_opened(call, row)
  local caller = call.caller
  return ledger.open(call.id, row.time, caller.org, caller.name, caller.label, caller.tier, surface_of(call),
    row.policy, row.task, row.model, call.request.estimated_tokens)
end

local function write_closed(call, row, detail)
  local caller, usage = call.caller, row.usage
  return ledger.close(row.row_id, call.id, row.time, caller.org, caller.name, caller.label, caller.tier,
    surface_of(call), row.policy, row.task, row.model, usage.input, row.provider, row.outcome, detail, usage.cached,
    usage.cache_write, usage.output, usage.reasoning, row.billed_tokens, row.cost_microusd, row.savings_microusd,
    row.latency_ms, row.status, call.calls, usage.estimated or false)
end

-- The same by name, for who looks on.
local function named(call, row)
  local caller, usage = call.caller, row.usage
  local estimated
  if row.provider then estimated = usage.estimated or false end
  return {
    request_id = call.id, time = row.time, org = caller.org, key = caller.name, label = caller.label,
    tier = caller.tier, surface = surface_of(call), policy = row.policy, task = row.task, model = row.model,
    input_tokens = usage.input, provider = row.provider, outcome = row.outcome, cached_tokens = usage.cached,
    output_tokens = usage.output, reasoning_tokens = usage.reasoning, billed_tokens = row.billed_tokens,
    cost_microusd = row.cost_microusd, savings_microusd = row.savings_microusd, latency_ms = row.latency_ms,
    status = row.status, attempts = call.calls, estimated = estimated,
  }
end

local function view_of(plan)
  local runs = plan.runs
  for i = 1, #runs do
    if runs[i].view then return runs[i].view end
  end
  return nil
end

-- In the moment of the decision: what it knew, what another policy would have asked, and how the rungs stood.
local function witness(call)
  local plan = call.plan
  if not plan then return end
  local view = view_of(plan)
  if view and view.complete and #plan.offered <= decision.most_whole then view:complete(plan.offered) end
  standing.note(plan, call.caller, call.state, MOST_EXPLAINED)
end

-- Notes the request before its first call: what dies under way is found as lost at the next start.
---@param call moongate.call
function record.open(call)
  witness(call)
  local row = new_row(call)
  call.row, row.row_id = row, write_opened(call, row)
  if call.request.stream then meter.add("moongate_streams_open", 1) end
end

-- Counts and tells of policies that answered nonsense; those that failed outright were counted when they did.
---@param plan table|nil
function record.faults(plan)
  local faults = plan and plan.faults
  for i = 1, faults and #faults or 0 do
    local fault = faults[i]
    if fault.kind == "result" or fault.kind == "missing" then
      local label = "routing/" .. string.match(fault.policy, "^[^@]*")
      meter.add("moongate_policy_faults_total", 1, "policy", label, "kind", fault.kind)
      notice.fault { policy = label, kind = fault.kind, message = fault.message }
      log.write("warn", "a policy failed", string.sub(json.encode {
        policy = label, kind = fault.kind, error = fault.message,
      }, 2, -2))
    end
  end
end

local hashes = setmetatable({}, { __mode = "k" }) -- by registry
local written = {} -- by hash: when its world was last written down

local function in_hex(byte) return string.format("%02x", string.byte(byte)) end

local function hash_of(registry)
  if not hashes[registry] then
    local digest = string.sub(keys.hash(decision.world(registry)), 1, 6)
    hashes[registry] = string.gsub(digest, ".", in_hex)
  end
  return hashes[registry]
end

-- The world that a row is to carry, now and then.
local function world_due(registry, hash)
  local now = clock.now()
  if written[hash] and now - written[hash] < WORLD_SECONDS then return nil end
  written[hash] = now
  return decision.kept_world(registry)
end

-- Adds what the row tells of the decision, behind its attempts: nothing of it changes once the row is open.
local function add_decision(call)
  local plan = call.plan
  local story = reasons.story(plan, MOST_EXPLAINED)
  json.add '],"decision":'
  decision.add(plan, call.caller, hash_of(call.state.registry), view_of(plan), candidates.looked(plan.request), story)
  json.add ',"explanation":'
  reasons.add(plan, MOST_EXPLAINED, story)
end

-- Writes down the decision before the row is closed, and lets go of all that it was made by: a stream that goes on for
-- long needs the text alone.
---@param call moongate.call
function record.keep_decision(call)
  local plan = call.plan
  json.begin()
  add_decision(call)
  call.decided = json.finish()
  call.plan = { policy = plan.policy, task = plan.task, replaced = plan.replaced }
end

local add_attempt = json.form(",{", {
  ',"provider":', ',"model":', ',"status":', ',"error":', ',"message":', ',"ms":',
}, "}")

-- Writes what the row tells beside its figures, as JSON: json.written has it then.
local function add_detail(call)
  local attempts = call.attempts
  json.begin '{"attempts":['
  for i = 1, #attempts do
    local attempt = attempts[i]
    local target = attempt.target
    add_attempt(target.provider, target.model, attempt.status, attempt.error, attempt.message, attempt.ms)
  end
  if not call.plan then
    json.add "]}"
    return
  end
  if call.decided then json.add(call.decided) else add_decision(call) end
  local registry = call.state.registry
  local world = world_due(registry, hash_of(registry))
  json.add(world and ',"world":' .. world .. "}" or "}")
end

local tally -- of what every request is counted under

local function new_tally()
  local function tokens(kind) return meter.series("moongate_tokens_total", "kind", kind) end
  return metrics.tally({
    meter.series "moongate_request_seconds", meter.series "moongate_upstream_seconds",
    meter.series "moongate_overhead_seconds",
  }, {
    tokens "input", tokens "cached_input", tokens "cache_write", tokens "output", tokens "reasoning",
    meter.series "moongate_billed_tokens_total", meter.series "moongate_cost_microusd_total",
  })
end

-- By target: the series of its good answers, by surface.
local answered_of = by_target(function() return {} end)

local function series_of(call, row, target)
  local surface, status = surface_of(call), row.status
  local kept = target and target.index and status == 200 and answered_of(target)
  if kept and kept[surface] then return kept[surface] end
  local series = meter.series("moongate_requests_total", "surface", surface, "provider", row.provider or "", "model",
    row.provider and row.model or "", "status", status)
  if kept then kept[surface] = series end
  return series
end

local function count(call, row, target)
  metrics.add(series_of(call, row, target), 1)
  tally = tally or new_tally()
  local seconds, upstream = call.handle:elapsed(), call.upstream_seconds
  local overhead = seconds > upstream and seconds - upstream or 0
  if not (row.billed_tokens and row.provider) then return tally(seconds, upstream, overhead) end
  local usage = row.usage
  tally(seconds, upstream, overhead, usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning,
    row.billed_tokens, row.cost_microusd)
end

local function tell(call, row, refusal)
  local level = refusal and refusal.status >= 500 and "warn" or "info"
  if not log.is_on(level) then return end
  local messages, left_out = prompts.of(call)
  local replaced, caller, usage = call.plan and call.plan.replaced, call.caller, row.usage
  log.write(level, "request", json.write("", '"request_id":', call.id, ',"key":', caller.name, ',"label":',
    caller.label ~= "" and caller.label or nil, ',"surface":', surface_of(call), ',"asked":', call.request.model,
    ',"provider":', row.provider, ',"model":', row.model, ',"policy":', row.policy, ',"outcome":', row.outcome,
    ',"status":', row.status, ',"attempts":', call.calls, ',"input_tokens":', usage.input,
    ',"cached_tokens":', usage.cached, ',"output_tokens":', usage.output, ',"reasoning_tokens":',
    usage.reasoning, ',"billed_tokens":', row.billed_tokens, ',"cost_microusd":', row.cost_microusd,
    ',"estimated":', usage.estimated or nil, ',"latency_ms":', row.latency_ms, ',"error":',
    refusal and refusal.message or nil, ',"replaced":', replaced and replaced.asked or nil,
    ',"messages":', messages, ',"messages_left_out":', left_out, ""))
end

-- Why nothing can be begun that the ledger would have to keep; nil while it can.
---@param otherwise string|nil the reason where the ledger tells none
---@return table|nil refusal
function record.barred(otherwise)
  local why = ledger.refuses() or otherwise
  if not why then return nil end
  return {
    status = 503, code = "ledger_unavailable", retry_after = RETRY_SECONDS,
    message = "the ledger cannot be written, so nothing can be billed: " .. why,
  }
end

-- Closes the row; returns once the ledger has it: true, or false if it cannot have it now.
local function close(call, row, status, refusal, target)
  row.latency_ms = math.floor(call.handle:elapsed() * 1000 + 0.5)
  add_detail(call)
  if call.request.stream and call.row then meter.add("moongate_streams_open", -1) end
  row.status = status
  local kept = write_closed(call, row, json.written)
  count(call, row, target)
  tell(call, row, refusal)
  if notice.is_watched() then notice.ended(named(call, row)) end
  return kept
end

local function billed(call, target, usage)
  local tokens, fault = billing.tokens(call.state.policies, call.request.caller, target, usage)
  if fault then meter.add("moongate_policy_faults_total", 1, "policy", "billing", "kind", fault) end
  return tokens
end

local function fill(row, call, target, usage)
  row.provider, row.model, row.usage = target.provider, target.model, usage
  row.billed_tokens = billed(call, target, usage)
  row.cost_microusd = money.cost(usage, target.cost) or 0
  local baseline = call.state.registry:cost(call.state.config.premium_baseline)
  row.savings_microusd = money.savings(usage, baseline, row.cost_microusd) or 0
end

local function give_amounts(answer, row, usage)
  answer.settled = true
  allowance.settle(answer, 1, 1, usage.total, row.billed_tokens, row.cost_microusd)
end

local OUTCOMES = { ok = "ok", cancelled = "cancelled" }

-- Settles an answer that was handed on: with what it has used, or what was delivered where nobody told.
---@param call moongate.call
---@param answer table see moongate.attempt
---@param kind string "ok", "cancelled", or how the stream failed
---@param usage table|nil
---@param delivered_bytes integer
---@param refusal table|nil what the caller gets instead of it
---@return table row
---@return table|nil unkept a refusal: the row is not on the disk, so the answer must not end as if all were well
function record.settle(call, answer, kind, usage, delivered_bytes, refusal)
  local row = call.row
  usage = usage or usage_of.estimate(call.request.text_length, delivered_bytes)
  fill(row, call, answer.target, usage)
  spend_alarm.look(call.state.config.zero_spend, answer.target, usage, call.id)
  row.outcome = OUTCOMES[kind] or "error"
  if kind == "ok" then conversation.served(call.request.conversation, answer.target) end
  give_amounts(answer, row, usage)
  if close(call, row, refusal and refusal.status or 200, refusal, answer.target) then return row end
  return row, record.barred "the disk did not take the row"
end

-- The caller left before there was anything to hand on. A provider that was called has read the prompt.
---@param call moongate.call
---@param ended table { cancelled, target, wanted, reservation }
function record.abandon(call, ended)
  local row = call.row
  row.outcome = "cancelled"
  if ended.target then
    local usage = usage_of.estimate(call.request.text_length, 0)
    fill(row, call, ended.target, usage)
    give_amounts(ended, row, usage)
  else
    row.usage = NOTHING
  end
  close(call, row, 499)
end

-- The gateway failed inside, wherever that was: what was begun is brought to an end.
---@param call moongate.call
function record.break_off(call)
  local answer, row = call.answer, call.row
  if answer and answer.reservation and not answer.settled then
    answer.settled = true
    allowance.settle(answer, 1)
  end
  if not row or row.status then return end
  row.outcome, row.usage = "error", row.usage or { input = call.request.estimated_tokens }
  close(call, row, 500, { status = 500, message = "the gateway failed inside" })
end

-- A request that was admitted but got no answer.
---@param call moongate.call
---@param refusal table
function record.refuse(call, refusal)
  call.plan = call.plan or refusal.plan
  if not call.row then witness(call) end
  local row = call.row or new_row(call)
  row.outcome, row.usage = "error", NOTHING
  close(call, row, refusal.status, refusal)
end

-- A request that never got as far as a caller and a body that could be read: a log line is all it leaves.
---@param handle table
---@param refusal table
function record.turn_away(handle, refusal)
  meter.add("moongate_requests_total", 1, "surface", "", "provider", "", "model", "", "status", refusal.status)
  log.write("info", "request refused", string.sub(json.encode {
    request_id = handle:id(), path = handle:path(), status = refusal.status, error = refusal.message,
  }, 2, -2))
end

return record
