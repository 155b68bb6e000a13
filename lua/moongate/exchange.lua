-- The life of one request, top to bottom: admit, plan the ladder, climb it, relay the answer, settle, tell.
-- Everything that waits (the store, providers, the caller) yields to the worker's loop.
local answers = require "moongate.answers"
local attempt = require "moongate.attempt"
local climb = require "moongate.climb"
local json = require "moongate.core.json"
local live = require "moongate.live"
local record = require "moongate.record"
local router = require "moongate.router"
local openai = require "moongate.surfaces.openai"

local exchange = {}

local JSON_DEPTH = 100
-- What a body may call itself. curl says of every body that it is a form.
local JSON_KINDS = { ["application/json"] = true, ["text/plain"] = true, ["application/x-www-form-urlencoded"] = true }

---@class moongate.surface an API that callers speak: how its bodies are read and its answers written
---@field name string as the ledger tells it
---@field parse fun(document: table, headers: table, operation: string): table|nil, table|nil the request, or a refusal;
---  `request.document` is what goes to the provider, where that is not the caller's own body
---@field error function (status, message, type, code, param, request id) -> the body of an error
---@field error_event function (status, message, type, code) -> the last event of a stream that failed
---@field answer nil|function (call, answer, row) -> the body of a whole answer; without it, the provider's goes on

---@class moongate.call everything about one request while it is under way
---@field handle table the caller's connection
---@field state moongate.state
---@field surface moongate.surface
---@field operation "chat"|"embeddings" what the provider is asked for
---@field document table
---@field request table
---@field caller moongate.caller
---@field plan table
---@field attempts table[]
---@field calls integer upstream calls begun
---@field upstream_seconds number

local function is_json(kind)
  kind = kind and string.lower(string.match(kind, "^%s*([^;%s]*)"))
  return kind == nil or JSON_KINDS[kind] or string.find(kind, "%+json$") ~= nil
end

-- Who calls and what for; or why it is refused.
local function admit(handle, state, surface, operation)
  local caller, refusal = state.callers:of(handle)
  if not caller then return nil, refusal end
  if not is_json(handle:header "content-type") then
    return nil, {
      status = 415, code = "unsupported_media_type",
      message = "the body must be JSON: send content-type: application/json",
    }
  end
  local document, fault = json.scan(handle:body(), JSON_DEPTH)
  if not document then
    local message = string.format("the body is not valid JSON: %s (line %d, column %d)", fault.message, fault.line,
      fault.column)
    return nil, { status = 400, code = "invalid_json", message = message }
  end
  local request
  request, refusal = surface.parse(document, handle:headers(), operation)
  if not request then return nil, refusal end
  request.caller = { name = caller.name, org = caller.org, tier = caller.tier }
  request.privacy = request.privacy or caller.privacy
  if request.privacy then handle:keep_private() end
  return {
    handle = handle, state = state, surface = surface, operation = operation, request = request, caller = caller,
    document = request.document or document, id = handle:id(), attempts = {}, calls = 0, upstream_seconds = 0,
  }
end

-- The answer as a whole: it goes out once the ledger has its row.
local function relay_whole(call, answer)
  answer.wire:close(true)
  attempt.finished(call, answer, "ok")
  local row = record.settle(call, answer, "ok", answer.usage, answer.text_length)
  local body = call.surface.answer and call.surface.answer(call, answer, row) or answer.text
  call.handle:reply(200, answers.headers(call, answer, row), body)
end

-- The answer as a stream. What came before the first content goes out with it; the terminal event waits for the ledger.
local function relay_stream(call, answer)
  local handle, first = call.handle, answer.read
  handle:begin(200, answers.stream_headers(call, answer))
  handle:write(answer.held .. answer.event.raw)
  local seen, reason = answer.wire:pipe(handle, answers.marks(call, answer.protocol))
  local outcome = answers.outcome(seen, reason, first.kind == "finish")
  if outcome.kind == "cancelled" then handle:calm() end
  seen = seen or answer.wire:piped()
  answer.wire:close(outcome.kind == "ok")
  attempt.finished(call, answer, outcome.kind, outcome.message)
  local usage = seen.usage and answer.protocol.read_event { data = seen.usage }.usage or first.usage
  record.settle(call, answer, outcome.kind, usage, (first.text_length or 0) + seen.text_bytes)
  if outcome.kind == "ok" then
    if seen.terminal_raw then handle:write(seen.terminal_raw) end
  elseif outcome.kind ~= "cancelled" then
    local error = seen.error and answer.protocol.read_event { data = seen.error }.error or {}
    handle:write(call.surface.error_event(502, error.message or outcome.message, error.type, error.code))
  end
  handle:finish()
end

-- Refuses a request, in the shape of the surface that was called.
---@param handle table
---@param refusal { status: integer, message: string } also type, code, param, retry_after, allow
---@param call moongate.call|nil
---@param surface moongate.surface|nil without one and without a call: OpenAI's
function exchange.refuse(handle, refusal, call, surface)
  surface = call and call.surface or surface or openai
  local body = surface.error(refusal.status, refusal.message, refusal.type, refusal.code, refusal.param, handle:id())
  handle:reply(refusal.status, answers.refusal_headers(refusal, call), body)
end

-- Ends a call that has no answer to hand on.
local function give_up(call, ended)
  if ended.cancelled then
    call.handle:calm()
    record.abandon(call, ended)
    -- Only at the end of the process is anybody left to read it.
    return exchange.refuse(call.handle, { status = 503, message = "the gateway is stopping" }, call)
  end
  record.refuse(call, ended.refusal)
  exchange.refuse(call.handle, ended.refusal, call)
end

local function run(handle, state, surface, operation)
  local call, refusal = admit(handle, state, surface, operation)
  if not call then
    record.turn_away(handle, refusal)
    return exchange.refuse(handle, refusal, nil, surface)
  end
  call.plan, refusal = router.plan(call.request, call.caller, state.registry, state.policies, live.view())
  record.faults(call.plan or refusal.plan)
  if not call.plan then return give_up(call, { refusal = refusal }) end
  record.open(call)
  local answer, ended = climb.ladder(call)
  if not answer then return give_up(call, ended) end
  if call.request.stream then return relay_stream(call, answer) end
  return relay_whole(call, answer)
end

-- The handler of a path.
---@param surface moongate.surface
---@param operation "chat"|"embeddings"
---@return fun(handle: table, state: moongate.state)
function exchange.handler(surface, operation)
  return function(handle, state) return run(handle, state, surface, operation) end
end

return exchange
