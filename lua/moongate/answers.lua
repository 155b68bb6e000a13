-- What goes with an answer: its headers, what the pipe has to look for in a stream, and how a stream ended.
local digits = require "moongate.digits"
local exchange = require "moongate.core.exchange"
local own_limits = require "moongate.own_limits"

local answers = {}

-- Adds what hooks added; the gateway's own names are not among them.
local function add_extra(call, headers)
  local extra = call and call.extra_headers
  if not extra then return end
  for name, value in pairs(extra) do headers[name] = value end
end

-- Adds to the headers of any answer what does not come with every one.
local function add_rest(call, headers)
  local replaced = call.plan.replaced
  if replaced then headers["x-moongate-deprecated"] = replaced.asked .. " " .. replaced.words end
  add_extra(call, headers)
  own_limits.add(call.caller, call.surface.speaks, headers)
  return headers
end

local NAMES = {
  "content-type", "x-moongate-provider", "x-moongate-model", "x-moongate-policy", "x-moongate-attempts",
  "x-moongate-cost-usd", "x-moongate-billed-tokens",
}

-- In the order of the names.
local function values(call, answer, settled)
  local target = answer.target
  return "application/json", target.provider, target.model, call.plan.policy, digits.whole(call.calls),
    digits.dollars(settled.cost_microusd), digits.whole(settled.billed_tokens)
end

local function under(names, ...)
  local headers = {}
  for i, name in ipairs(names) do headers[name] = select(i, ...) end
  return headers
end

-- The headers of a whole answer.
---@param call moongate.call
---@param answer table
---@param settled { cost_microusd: integer, billed_tokens: integer }
---@return table<string, string>
function answers.headers(call, answer, settled)
  return add_rest(call, under(NAMES, values(call, answer, settled)))
end

local forms = {} -- by the names that they begin with; those of own_limits follow

local function form_of(first)
  local form = forms[first]
  if not form then
    local names = {}
    for _, list in ipairs { first, own_limits.names } do
      for _, name in ipairs(list) do names[#names + 1] = name end
    end
    form = exchange.form(names)
    forms[first] = form
  end
  return form
end

-- Whether an answer has nothing but what the form has, as nearly all do: no table is made for it.
local function fits_form(call)
  return not (call.plan.replaced or call.extra_headers or call.surface.speaks == "anthropic")
end

-- Replies with a whole answer.
---@param call moongate.call
---@param answer table
---@param settled { cost_microusd: integer, billed_tokens: integer }
---@param body string
function answers.reply(call, answer, settled, body)
  if not fits_form(call) then return call.handle:reply(200, answers.headers(call, answer, settled), body) end
  local kind, provider, model, policy, attempts, cost, billed = values(call, answer, settled)
  call.handle:answer(form_of(NAMES), body, kind, provider, model, policy, attempts, cost, billed,
    own_limits.values(call.caller))
end

-- The headers of a count that nobody but the gateway made.
---@param call moongate.call
---@return table<string, string>
function answers.estimated_headers(call)
  local headers = {
    ["content-type"] = "application/json", ["x-moongate-estimated"] = "true",
    ["x-moongate-policy"] = call.plan.policy, ["x-moongate-attempts"] = digits.whole(call.calls),
  }
  add_extra(call, headers)
  own_limits.add(call.caller, call.surface.speaks, headers)
  return headers
end

local STREAM_NAMES = {
  "content-type", "cache-control", "x-accel-buffering", "x-moongate-provider", "x-moongate-model",
  "x-moongate-policy", "x-moongate-attempts",
}

-- In the order of those names. A buffering proxy in between would hold the stream back.
local function stream_values(call, answer)
  local kind, target = call.surface.stream_type or "text/event-stream; charset=utf-8", answer.target
  return type(kind) == "function" and kind(call) or kind, "no-cache", "no", target.provider, target.model,
    call.plan.policy, digits.whole(call.calls)
end

---@param call moongate.call
---@param answer table
---@return table<string, string>
function answers.stream_headers(call, answer)
  return add_rest(call, under(STREAM_NAMES, stream_values(call, answer)))
end

-- Begins the answer as a stream.
---@param call moongate.call
---@param answer table
function answers.begin(call, answer)
  if not fits_form(call) then return call.handle:begin(200, answers.stream_headers(call, answer)) end
  local kind, caching, buffering, provider, model, policy, attempts = stream_values(call, answer)
  call.handle:start(form_of(STREAM_NAMES), kind, caching, buffering, provider, model, policy, attempts,
    own_limits.values(call.caller))
end

-- The headers of a refusal; what was decided before it is told too.
---@param refusal table
---@param call moongate.call|nil
---@return table<string, string>
function answers.refusal_headers(refusal, call)
  local headers = { ["content-type"] = "application/json" }
  add_extra(call, headers)
  if refusal.retry_after then headers["retry-after"] = string.format("%d", math.ceil(refusal.retry_after)) end
  if refusal.allow then headers.allow = refusal.allow end
  if call then own_limits.add(call.caller, call.surface.speaks, headers) end
  if call and call.plan then
    headers["x-moongate-policy"] = call.plan.policy
    headers["x-moongate-attempts"] = digits.whole(call.calls)
    local last = call.attempts[#call.attempts]
    if last then
      headers["x-moongate-provider"], headers["x-moongate-model"] = last.target.provider, last.target.model
    end
  end
  return headers
end

-- By a protocol's scan: its marks. All streams that are under way share them.
local marks_of = setmetatable({}, { __mode = "k" })

-- What the pipe looks for in this protocol's stream events.
---@param call moongate.call
---@param protocol table
---@param bound moongate.allowance|nil
---@return table
function answers.marks(call, protocol, bound)
  local scan, hides = protocol.scan, not call.request.include_usage
  local known = marks_of[scan]
  if not known then
    known = {}
    marks_of[scan] = known
  end
  local which = (hides and "hides" or "shows") .. (bound and " and keeps" or "")
  local marks = known[which]
  if not marks then
    marks = {
      terminal = scan.terminal, usage = scan.usage_mark, error = scan.error_mark, finish = scan.finish_mark,
      hollow = scan.hollow_mark, text = scan.text_marks, failed = scan.failed, last = scan.last_mark,
      hide_usage = hides, counts = scan.count_marks, keep = bound and scan.keep or nil,
    }
    known[which] = marks
  end
  return marks
end

-- How a piped stream ended: { kind, message }. seen is nil when it was cancelled, for the reason given.
---@param seen table|nil
---@param reason string|nil
---@param finished boolean whether the finish was seen before the pipe began
---@return { kind: string, message: string|nil }
function answers.outcome(seen, reason, finished)
  if not seen then
    local message = reason == "client_gone" and "the caller left" or "the gateway is stopping"
    return { kind = "cancelled", message = message }
  end
  if seen.ended == "terminal" or seen.ended == "finished" then return { kind = "ok" } end
  if seen.ended == "error" then
    return { kind = "stream_error", message = "the provider ended the stream with an error" }
  end
  if finished and not seen.failure then return { kind = "ok" } end
  if seen.failure == "idle_timeout" then
    return { kind = "timeout", message = "the provider fell silent in mid-stream" }
  end
  if seen.failure == "total_timeout" then
    return { kind = "timeout", message = "the time for this request is used up" }
  end
  return { kind = "cut", message = "the provider's stream broke off before its end" }
end

return answers
