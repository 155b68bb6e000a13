-- The last part of a request's way: the provider's answer to the caller. Whole, piped in C, or, where hooks look at it,
-- event by event; its end waits for the ledger's row. What is refused here comes back to the exchange.
local answers = require "moongate.answers"
local attempt = require "moongate.attempt"
local completion = require "moongate.completion"
local hook_stream = require "moongate.hook_stream"
local hooks = require "moongate.hooks"
local record = require "moongate.record"
local store = require "moongate.core.store"

local relay = {}

local NOTHING_USED = { input = 0, cached = 0, cache_write = 0, output = 0, reasoning = 0, total = 0 }
local UNREADABLE = { kind = "lifecycle" }

-- What a hook answered instead takes the answer's place; the text of the provider is paid for all the same.
local function replace(call, answer, act)
  if act and act.text then answer.text = completion.whole(call, act.text) end
end

-- The answer as a whole: it goes out once the ledger has its row. Answers a refusal, if a hook has one.
---@param call moongate.call
---@param answer table
---@return table|nil refusal
function relay.whole(call, answer)
  answer.wire:close(true)
  attempt.finished(call, answer, "ok")
  local act = call.hooks and call.hooks.has.response and call.hooks:response(answer) or nil
  local refusal = act and act.refusal
  local kind = refusal and "refused" or "ok"
  local row = record.settle(call, answer, kind, answer.usage, answer.text_length, refusal)
  if refusal then return refusal end
  replace(call, answer, act)
  local body = call.surface.answer and call.surface.answer(call, answer, row) or answer.text
  call.handle:reply(200, answers.headers(call, answer, row), body)
end

-- The answer as a stream. What came before the first content goes out with it; the terminal event waits for the ledger.
local function pipe(call, answer)
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

-- A stream that hooks look at, as the pipe would relay it.
---@class moongate.relay.slow
---@field begun boolean whether anything has gone out
---@field seen table what the pipe would have seen; usage and error are read already
---@field cancelled string|nil why the caller gets nothing more

local function send(call, answer, own, text)
  if text == "" then return true end
  if not own.begun then
    call.handle:begin(200, answers.stream_headers(call, answer))
    own.begun, call.handle_begun = true, true
    text = answer.held .. text
  end
  local sent, reason = call.handle:write(text)
  if not sent then own.cancelled = reason or "client_gone" end
  return sent
end

local function note(seen, event, read)
  if not event.data then return end
  seen.usage = read.usage or seen.usage
  seen.text_bytes = seen.text_bytes + (read.text_length or 0)
  if read.kind == "end" then
    seen.ended, seen.terminal_raw = "terminal", event.raw
  elseif read.kind == "error" then
    seen.ended, seen.error = "error", read.error
  elseif read.kind == "finish" then
    seen.finished = true
  end
end

-- The next event and how it reads; nil at the end, which is then noted.
local function next_event(answer, own)
  local event, reason, message = answer.wire:event()
  if event then return event, event.data and answer.protocol.read_event(event) or UNREADABLE end
  local seen = own.seen
  if attempt.is_cancelled(reason) then
    own.cancelled = reason
  elseif reason == "end" then
    seen.ended = seen.finished and "finished" or "cut"
  else
    seen.ended, seen.failure, seen.message = "cut", reason, message
  end
end

-- Reads the stream to its end through the hooks. Answers what ended it before its time: an act.
local function run_through(call, answer, own, editor)
  local event, read = answer.event, answer.read
  while event do
    note(own.seen, event, read)
    if own.seen.ended then return nil end
    -- The usage of a caller who did not ask for it is not handed on.
    if read.kind ~= "usage" or call.request.include_usage then
      local text, act = editor:event(event, read)
      if act then return act end
      if not send(call, answer, own, text) then return nil end
    end
    event, read = next_event(answer, own)
  end
  return nil
end

-- Ends a stream that a hook ended: by a refusal, or by an answer of its own.
local function end_by(call, answer, own, act, editor)
  local handle = call.handle
  if act.text then
    if not own.begun then answer.held = "" end -- the provider's beginning is not its own
    send(call, answer, own, completion.events(call, act.text, own.begun and editor.like or nil))
  end
  if own.cancelled then handle:calm() end
  local kind = own.cancelled and "cancelled" or act.refusal and "refused" or "ok"
  attempt.finished(call, answer, own.cancelled and "cancelled" or "ok")
  local refusal = not own.begun and act.refusal or nil
  record.settle(call, answer, kind, own.seen.usage, own.seen.text_bytes, refusal)
  if refusal then return refusal end
  if act.refusal then
    handle:write(call.surface.error_event(act.refusal.status, act.refusal.message, act.refusal.type, act.refusal.code))
  elseif kind == "ok" then
    handle:write(completion.terminal)
  end
  handle:finish()
end

local function failed(call, own, outcome)
  local error = own.seen.error or {}
  local refusal = {
    status = 502, message = error.message or outcome.message, type = error.type, code = error.code,
  }
  if not own.begun then return refusal end
  call.handle:write(call.surface.error_event(502, refusal.message, refusal.type, refusal.code))
  call.handle:finish()
end

-- The answer as a stream through the hooks, one event at a time: no more is read than the caller takes.
local function through_hooks(call, answer)
  local handle, own = call.handle, { begun = false, seen = { text_bytes = 0 } }
  local editor = hook_stream.new(call.hooks)
  answer.wire:content()
  local act = run_through(call, answer, own, editor)
  local seen = not own.cancelled and own.seen or nil
  if not act and seen then
    local tail
    local outcome = answers.outcome(seen, nil, seen.finished)
    if outcome.kind == "ok" then tail, act = editor:finish() end
    if tail and not send(call, answer, own, tail) then seen = nil end
  end
  if own.cancelled then seen = nil end
  if act then
    answer.wire:close(own.seen.ended == "terminal")
    return end_by(call, answer, own, act, editor)
  end
  local outcome = answers.outcome(seen, own.cancelled, own.seen.finished)
  if outcome.kind == "cancelled" then handle:calm() end
  answer.wire:close(outcome.kind == "ok")
  attempt.finished(call, answer, outcome.kind, outcome.message)
  record.settle(call, answer, outcome.kind, own.seen.usage, own.seen.text_bytes)
  if outcome.kind ~= "ok" and outcome.kind ~= "cancelled" then return failed(call, own, outcome) end
  if own.begun and outcome.kind == "ok" and own.seen.terminal_raw then handle:write(own.seen.terminal_raw) end
  if not own.begun then handle:begin(200, answers.stream_headers(call, answer)) end
  handle:finish()
end

---@param call moongate.call
---@param answer table
---@return table|nil refusal
function relay.stream(call, answer)
  local looked_at = call.hooks and (call.hooks.has.event or call.hooks.has.response)
  if looked_at then return through_hooks(call, answer) end
  return pipe(call, answer)
end

-- An answer that a hook gave before any provider was called. It costs nothing, and the ledger has it; there is no
-- decision of the router's to be kept with it.
---@param call moongate.call
---@param act moongate.act
function relay.own(call, act)
  local label = act.by.label
  local answer = {
    target = { id = "moongate/" .. label, provider = "moongate", model = label, is_local = true },
    text = completion.whole(call, act.text), usage = NOTHING_USED, claims = {}, status = 200,
    reservation = store.reserve { claims = {}, provider = "moongate", model = label, tokens = 0 },
  }
  record.open(call)
  call.row.policy = hooks.name(act.by)
  local row = record.settle(call, answer, "ok", NOTHING_USED, 0)
  call.served, call.plan = answer.target, { policy = hooks.name(act.by), task = call.request.task }
  local handle = call.handle
  if call.request.stream then
    handle:begin(200, answers.stream_headers(call, answer))
    handle:write(completion.events(call, act.text) .. completion.terminal)
    return handle:finish()
  end
  local body = call.surface.answer and call.surface.answer(call, answer, row) or answer.text
  handle:reply(200, answers.headers(call, answer, row), body)
end

return relay
