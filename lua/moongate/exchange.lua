-- The life of one request, top to bottom: admit, plan the ladder, climb it, relay the answer, settle, tell.
-- Everything that waits (the store, providers, the caller) yields to the worker's loop.
local answers = require "moongate.answers"
local callers = require "moongate.callers"
local climb = require "moongate.climb"
local conversation = require "moongate.conversation"
local clock = require "moongate.core.clock"
local hooks = require "moongate.hooks"
local json = require "moongate.core.json"
local live = require "moongate.live"
local record = require "moongate.record"
local relay = require "moongate.relay"
local router = require "moongate.router"
local spending = require "moongate.spending"
local surfaces = require "moongate.surfaces"
local wishes = require "moongate.surfaces.wishes"

local exchange = {}

-- Deeper than any surface allows, so that its own check can say where.
local JSON_DEPTH = 200
local LATER = nil -- a member that is to come: room is kept for it; a nil that is written out keeps none
local LARGEST_SEED = 2 ^ 31 - 1
local JSON = { ["content-type"] = "application/json" }
-- What a body may call itself. curl says of every body that it is a form.
local JSON_KINDS = { ["application/json"] = true, ["text/plain"] = true, ["application/x-www-form-urlencoded"] = true }

---@class moongate.surface an API that callers speak: how its bodies are read and its answers written
---@field name string|nil as the ledger tells it; without one, the operation
---@field speaks string|nil the format of its answers: a provider's that has the same goes on as it is
---@field reads string|nil the format of its bodies, where that is another
---@field parse fun(document: table, headers: table, operation: string, path: table|nil): table|nil, table|nil the
---  request, or a refusal; `request.document` is what goes to the provider, where that is not the caller's own body;
---  path is what the address itself says
---@field chat function (document, request) -> moongate.chat, or nil and a refusal
---@field embedding nil|function (document, request) -> moongate.embedding_call, or nil and a refusal
---@field reply function (call, moongate.chat_reply, row) -> the body of a whole answer
---@field vectors nil|function (call, moongate.embedding_reply, row) -> the same for embeddings
---@field counted nil|function (call, tokens) -> the body of a count
---@field writer function (call) -> { event(self, moongate.chat_event), finish(self, usage) }: the bytes of a stream
---@field stream_type nil|string|fun(call): string content type of streams
---@field error function (status, message, type, code, param, request id) -> the body of an error
---@field error_event function (status, message, type, code, writer) -> the last event of a stream that failed;
---  writer is the stream's, where it has one

---@class moongate.call everything about one request while it is under way
---@field handle table the caller's connection
---@field state moongate.state
---@field surface moongate.surface
---@field operation "chat"|"embeddings"|"count" what the provider is asked for
---@field document table what goes to a provider that speaks the same
---@field body table|nil the document of what the caller sent, which often is the same
---@field reader moongate.surface|nil what the document is read by, where that is not the surface
---@field request table
---@field caller moongate.caller
---@field plan table
---@field served table|nil the target whose answer is handed on
---@field attempts moongate.attempt[]
---@field calls integer upstream calls begun
---@field upstream_seconds number

local function is_json(kind)
  if kind == nil or JSON_KINDS[kind] then return true end
  kind = string.lower(string.match(kind, "^%s*([^;%s]*)"))
  return JSON_KINDS[kind] or string.find(kind, "%+json$") ~= nil
end

-- Who calls and what for; or why it is refused.
---@param handle table
---@param state moongate.state
---@param surface moongate.surface
---@param operation "chat"|"embeddings"|"count"
---@param caller moongate.caller|nil where it is known already
---@param path table|nil what the address says: { model, stream, ... }
---@return moongate.call|nil
---@return table|nil refusal
function exchange.admit(handle, state, surface, operation, caller, path)
  local refusal
  if not caller then caller, refusal = state.callers:of(handle) end
  if not caller then return nil, refusal end
  if not is_json(handle:header "content-type") then
    return nil, {
      status = 415, code = "unsupported_media_type",
      message = "the body must be JSON: send content-type: application/json",
    }
  end
  local document, fault = json.scan(handle:take_body(), JSON_DEPTH)
  if not document then
    local message = string.format("the body is not valid JSON: %s (line %d, column %d)", fault.message, fault.line,
      fault.column)
    return nil, { status = 400, code = "invalid_json", message = message }
  end
  local request
  request, refusal = surface.parse(document, wishes.headers(handle), operation, path)
  if request then refusal = state.config.zero_spend and spending.refusal(document) or nil end
  if refusal then
    document:close()
    return nil, refusal
  end
  request.surface = operation == "embeddings" and operation or surface.name or operation
  request.privacy = request.privacy or caller.privacy
  -- All that decisions may go by comes from here: what is decided once can be decided again.
  request.now, request.seed = clock.now(), request.seed or math.random(1, LARGEST_SEED)
  local call = exchange.new_call(handle, state, surface, operation, caller, request, request.document or document)
  call.body = document
  request.conversation = conversation.of(call.document, caller)
  request.affinity = conversation.target(request.conversation)
  if request.privacy then handle:keep_private() end
  return call
end

-- A request under way.
---@param handle table
---@param state moongate.state
---@param surface moongate.surface
---@param operation "chat"|"embeddings"|"count"
---@param caller moongate.caller
---@param request table
---@param document table
---@return moongate.call
function exchange.new_call(handle, state, surface, operation, caller, request, document)
  request.caller = callers.identity(caller)
  request.operation = operation
  return {
    handle = handle, state = state, surface = surface, operation = operation, request = request, caller = caller,
    document = document, id = handle:id(), attempts = { LATER }, calls = 0, upstream_seconds = 0, body = LATER,
    plan = LATER, row = LATER, answer = LATER, served = LATER,
  }
end

-- The ladder of a request that was let in; or why there is none. Calls nobody.
---@param call moongate.call
---@return plan|nil
---@return table|nil refusal
function exchange.plan(call)
  local state = call.state
  return router.plan(call.request, call.caller, state.registry, state.policies, live.view())
end

-- Refuses a request, in the shape of the surface that was called.
---@param handle table
---@param refusal { status: integer, message: string } also type, code, param, retry_after, allow
---@param call moongate.call|nil
---@param surface moongate.surface|nil without one and without a call: that of the path
function exchange.refuse(handle, refusal, call, surface)
  surface = call and call.surface or surface or surfaces.of(handle:path())
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
  call.refused = ended.refusal
  record.refuse(call, ended.refusal)
  exchange.refuse(call.handle, ended.refusal, call)
end

-- Plan, climb, relay.
local function serve(call)
  local refusal
  call.plan, refusal = exchange.plan(call)
  record.faults(call.plan or refusal.plan)
  if not call.plan then return give_up(call, { refusal = refusal }) end
  record.open(call)
  local answer, ended = climb.ladder(call)
  if not answer then return give_up(call, ended) end
  call.answer, call.served = answer, answer.target
  local hand_on = call.request.stream and relay.stream or relay.whole
  refusal = hand_on(call, answer)
  if not refusal then return end
  call.refused = refusal
  exchange.refuse(call.handle, refusal, call)
end

-- How many tokens the request has: a provider that counts is asked, and costs nothing; else it is estimated.
local function count(call)
  local refusal
  call.plan, refusal = exchange.plan(call)
  record.faults(call.plan or refusal.plan)
  if not call.plan then return give_up(call, { refusal = refusal }) end
  local answer, ended = climb.count(call)
  if ended then
    call.handle:calm()
    return exchange.refuse(call.handle, { status = 503, message = "the gateway is stopping" }, call)
  end
  local tokens = answer and answer.tokens or call.request.estimated_tokens
  local headers
  call.answer = answer
  if answer then
    record.open(call)
    local row
    row, refusal = relay.counted(call, answer)
    if refusal then return exchange.refuse(call.handle, refusal, call) end
    headers = answers.headers(call, answer, row)
  else
    headers = answers.estimated_headers(call)
  end
  call.handle:reply(200, headers, call.surface.counted(call, tokens))
end

local function serve_with_hooks(call, work)
  local act = call.hooks:request()
  if act and act.refusal then
    give_up(call, act)
  elseif act then
    call.refused = relay.own(call, act)
    if call.refused then exchange.refuse(call.handle, call.refused, call) end
  else
    work(call)
  end
  call.hooks:finish()
end

-- A mistake of our own costs its request alone: the row is closed, and what was reserved is settled.
---@param call moongate.call
---@param work fun(call: moongate.call, ...)
function exchange.guarded(call, work, ...)
  local fine, fault = xpcall(work, debug.traceback, call, ...)
  if fine then return end
  pcall(record.break_off, call)
  if call.body then call.body:close() end
  error(fault, 0)
end

local function answer(call)
  local handle, operation = call.handle, call.operation
  -- Some calls ask for nothing that a model would have to say.
  if call.request.at_once then return handle:reply(200, JSON, call.request.at_once(call)) end
  local refusal = record.barred()
  if refusal then
    record.turn_away(handle, refusal)
    return exchange.refuse(handle, refusal, call)
  end
  local work = operation == "count" and count or serve
  -- What is only counted is sent all the same.
  local installed = hooks.begin(call)
  if installed then
    call.hooks = installed
    return exchange.guarded(call, serve_with_hooks, work)
  end
  return exchange.guarded(call, work)
end

local function run(handle, state, surface, operation, path)
  local call, refusal = exchange.admit(handle, state, surface, operation, nil, path)
  if not call then
    record.turn_away(handle, refusal)
    return exchange.refuse(handle, refusal, nil, surface)
  end
  answer(call)
  -- Bodies may be large, and the collector does not see them.
  call.body:close()
end

-- The handler of a path.
---@param surface moongate.surface
---@param operation "chat"|"embeddings"|"count"
---@param path table|nil what the address itself says
---@return fun(handle: table, state: moongate.state)
function exchange.handler(surface, operation, path)
  return function(handle, state) return run(handle, state, surface, operation, path) end
end

return exchange
