-- The last part of a request's way: the provider's answer to the caller. Whole; piped in C where both speak the same;
-- or event by event, where hooks look at it or it must be translated. Its end waits for the ledger's row. What is
-- refused here comes back to the exchange.
local allowance = require "moongate.allowance"
local answers = require "moongate.answers"
local attempt = require "moongate.attempt"
local hook_stream = require "moongate.hook_stream"
local hooks = require "moongate.hooks"
local cut_off = require "moongate.cut_off"
local interpreter = require "moongate.interpreter"
local record = require "moongate.record"
local requests = require "moongate.surfaces.requests"
local store = require "moongate.core.store"
local translation = require "moongate.translation"
local usage_of = require "moongate.usage"

local relay = {}

local NOTHING_USED = { input = 0, cached = 0, cache_write = 0, output = 0, reasoning = 0, total = 0 }
local LATER = nil -- an item that is to come: room is kept for it; a nil that is written out keeps none
local UNREADABLE = { kind = "lifecycle" }

local function own_reply(text)
  return { choices = { { blocks = { { kind = "text", text = text } }, finish = "stop" } }, usage = NOTHING_USED }
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
  local usage = usage_of.final(answer.usage, true, call.request.text_length, answer.text_length)
  local row, unkept = record.settle(call, answer, kind, usage, answer.text_length, refusal)
  if refusal or unkept then return refusal or unkept end
  -- What a hook answered takes the answer's place; the text of the provider is paid for all the same.
  if act and act.text then answer.reply = own_reply(act.text) end
  answers.reply(call, answer, row, translation.body(call, answer, row))
end

-- A count that a provider made: a request there, and no tokens.
---@param call moongate.call
---@param answer table
---@return table row
---@return table|nil refusal
function relay.counted(call, answer)
  answer.wire:close(true)
  attempt.finished(call, answer, "ok")
  return record.settle(call, answer, "ok", NOTHING_USED, 0)
end

-- What came before the first content, and that, if it goes out too.
local function opening(call, answer, content)
  local parts = { LATER, LATER }
  for _, event in ipairs(answer.held) do
    -- The usage of a caller who did not ask for it is not handed on.
    if event.read.kind ~= "usage" or call.request.include_usage then parts[#parts + 1] = event.raw end
  end
  parts[#parts + 1] = content and content.raw
  return table.concat(parts)
end

-- What a stream has used with so many bytes of text, while it goes on.
local function usage_so_far(call, told, bytes) return usage_of.final(told, false, call.request.text_length, bytes) end

local LAST = { ["end"] = true, finish = true, error = true }

-- Whether what comes next may still go out: it is paid for, or more could be reserved. Figures that come with an
-- answer's end are not held against it: it has been made by then. The second result is why nobody waits any more.
local function has_room(call, bound, read, told, bytes, is_finished)
  if not bound then return true end
  local figures = not (is_finished or LAST[read.kind]) and (read.usage or told) or nil
  if not figures and bound:covers_text(bytes) then return true end
  local usage = usage_so_far(call, figures, bytes)
  if bound:covers(usage) then return true end
  return bound:extend(usage)
end

-- What the provider has told by now of a stream that is piped.
local function told_in(answer, seen)
  if not seen.usage then return answer.usage end
  return answer.protocol.read_event({ data = seen.usage }, answer.usage, true).usage or answer.usage
end

-- Pipes a stream to its end, or as far as it is paid for. Answers what was seen, nil and a reason, or what was seen and
-- "spent".
local function pipe_on(call, answer, bound, first_bytes)
  local wire, protocol, handle = answer.wire, answer.protocol, call.handle
  local marks = answers.marks(call, protocol, bound)
  local seen, reason = wire:pipe(handle, marks, bound and bound:bytes() - first_bytes, bound and bound.tokens)
  while seen and seen.ended == "spent" do
    local event = { data = seen.held, name = "" }
    local told = told_in(answer, seen)
    local bytes = first_bytes + seen.text_bytes + seen.held_bytes
    local read = protocol.read_event(event, told, true)
    local room, cancelled = has_room(call, bound, read, told, bytes, seen.finished)
    if cancelled then return nil, cancelled end
    if not room then return seen, "spent" end
    seen, reason = wire:pipe_on(handle, bound:bytes() - first_bytes, bound.tokens)
  end
  return seen, reason
end

-- Ends a piped stream for which nothing more can be paid: as if the model had reached its longest answer.
local function cut_short(call, answer, bound, seen, bytes)
  answer.wire:close(false)
  attempt.finished(call, answer, "ok", bound:told())
  local told = told_in(answer, seen)
  local usage = usage_so_far(call, told, bytes)
  record.settle(call, answer, "ok", usage, bytes)
  call.handle:write(cut_off.ending(call, answer, seen, usage))
  call.handle:finish()
end

-- The request's body in all its shapes: a stream that only goes on may be long, and needs none of them.
local function let_go(call, bound)
  if call.hooks or bound and not cut_off.prepare(call) then return end
  call.document, call.shown, call.neutral = nil, nil, nil
  if call.body then call.body:close() end
  requests.forget_body(call.request)
end

local NONE = {}

local function keep_data_alone(event)
  event.name, event.raw, event.read = nil, nil, nil
  if event.document then event.document = nil end -- where there was none, a nil would make room for one
end

-- What has gone out before the pipe goes on. An ending of our own looks at its data alone.
local function let_go_of_first(answer, bound)
  answer.read = nil
  if not bound then
    answer.held, answer.event = NONE, nil
    return
  end
  keep_data_alone(answer.event)
  for _, event in ipairs(answer.held) do keep_data_alone(event) end
end

-- The answer as a stream. What came before the first content goes out with it; the terminal event waits for the ledger.
local function pipe(call, answer)
  local handle, protocol, bound = call.handle, answer.protocol, allowance.of(call, answer)
  local first_bytes, is_last, is_finish = answer.read.text_length or 0, answer.read.last, answer.read.kind == "finish"
  local room, reason = has_room(call, bound, answer.read, answer.usage, first_bytes, false)
  answers.begin(call, answer)
  local seen
  if reason then
    seen = nil
  elseif not room then
    handle:write(opening(call, answer))
    return cut_short(call, answer, bound, { held = answer.event.data, is_first = true }, 0)
  elseif is_last then
    handle:write(opening(call, answer))
    seen = { ended = "terminal", terminal_raw = answer.event.raw, text_bytes = 0 }
  else
    handle:write(opening(call, answer, answer.event))
    let_go(call, bound)
    let_go_of_first(answer, bound)
    seen, reason = pipe_on(call, answer, bound, first_bytes)
    if reason == "spent" then return cut_short(call, answer, bound, seen, first_bytes + seen.text_bytes) end
  end
  local outcome = answers.outcome(seen, reason, is_finish and not protocol.scan.needs_terminal)
  if outcome.kind == "cancelled" then handle:calm() end
  seen = seen or answer.wire:piped() or { text_bytes = 0 }
  answer.wire:close(outcome.kind == "ok")
  attempt.finished(call, answer, outcome.kind, outcome.message)
  local usage = told_in(answer, seen)
  local is_whole = outcome.kind == "ok" or seen.finished or is_finish
  local bytes = first_bytes + seen.text_bytes
  usage = usage_of.final(usage, is_whole, call.request.text_length, bytes)
  local _, unkept = record.settle(call, answer, outcome.kind, usage, bytes)
  if outcome.kind == "ok" and unkept then
    handle:write(call.surface.error_event(unkept.status, unkept.message, nil, unkept.code))
  elseif outcome.kind == "ok" then
    if seen.terminal_raw then handle:write(seen.terminal_raw) end
  elseif outcome.kind ~= "cancelled" then
    local error = seen.error and protocol.read_event({ data = seen.error, name = "error" }).error or {}
    handle:write(call.surface.error_event(502, error.message or outcome.message, error.type, error.code))
  end
  handle:finish()
end

-- A stream that is looked at event by event: because hooks do, or because the caller speaks another format.
---@class moongate.relay.slow
---@field begun boolean whether anything has gone out
---@field seen table what the pipe would have seen; usage and error are read already
---@field cancelled string|nil why the caller gets nothing more
---@field editor table makes of events what goes out: moongate.hook_stream or moongate.interpreter
---@field bound moongate.allowance|nil

local function send(call, answer, own, text)
  if text == "" then return true end
  if not own.begun then
    answers.begin(call, answer)
    own.begun, call.handle_begun = true, true
  end
  local sent, reason = call.handle:write(text)
  if not sent then own.cancelled = reason or "client_gone" end
  return sent
end

local function note(seen, event, read)
  if not event.data then return end
  seen.usage = read.usage or seen.usage
  seen.text_bytes = seen.text_bytes + (read.text_length or 0)
  if read.kind == "end" or read.last then
    seen.ended, seen.terminal_raw = "terminal", event.raw
  elseif read.kind == "error" then
    seen.ended, seen.error = "error", read.error
  elseif read.kind == "finish" then
    seen.finished = true
  end
end

-- The next event and how it reads; nil at the end, which is then noted.
local function next_event(answer, own)
  local event, reason, message = attempt.event(answer.wire)
  local seen = own.seen
  if event then return event, event.data and answer.protocol.read_event(event, seen.usage) or UNREADABLE end
  if attempt.is_cancelled(reason) then
    own.cancelled = reason
  elseif reason == "end" then
    seen.ended = seen.finished and not answer.protocol.scan.needs_terminal and "finished" or "cut"
  else
    seen.ended, seen.failure, seen.message = "cut", reason, message
  end
end

-- Reads the stream to its end. Answers what ended it before its time: an act.
local function run_through(call, answer, own)
  local event, read = answer.event, answer.read
  local text, act = own.editor:begin(answer.held, answer.usage)
  own.prelude = text
  while event and not act do
    local room, cancelled = has_room(call, own.bound, read, own.seen.usage,
      own.seen.text_bytes + (read.text_length or 0), own.seen.finished)
    if not room then
      own.cancelled = cancelled
      return { spent = true }
    end
    note(own.seen, event, read)
    if own.seen.ended == "error" then return nil end
    text, act = own.editor:event(event, read, own.seen.usage)
    if act then return act end
    if text ~= "" and own.prelude then text, own.prelude = own.prelude .. text, nil end
    if not send(call, answer, own, text) or own.seen.ended then return nil end
    event, read = next_event(answer, own)
  end
  return act
end

local function used(call, seen)
  local is_whole = seen.ended == "terminal" or seen.ended == "finished" or seen.finished == true
  return usage_of.final(seen.usage, is_whole, call.request.text_length, seen.text_bytes)
end

-- Ends a stream with an error; what has not begun can still be refused.
local function fail(call, own, refusal)
  if not own.begun then return refusal end
  call.handle:write(call.surface.error_event(refusal.status, refusal.message, refusal.type, refusal.code,
    own.editor.writer))
  call.handle:finish()
end

-- Ends a stream that a hook ended: by a refusal, or by an answer of its own.
local function end_by(call, answer, own, act)
  local handle = call.handle
  if act.text then send(call, answer, own, own.editor:instead(act.text)) end
  if own.cancelled then handle:calm() end
  local kind = own.cancelled and "cancelled" or act.refusal and "refused" or "ok"
  attempt.finished(call, answer, own.cancelled and "cancelled" or "ok")
  local refusal = not own.begun and act.refusal or nil
  local _, unkept = record.settle(call, answer, kind, used(call, own.seen), own.seen.text_bytes, refusal)
  if refusal then return refusal end
  local refused = act.refusal or kind == "ok" and unkept or nil
  if refused then return fail(call, own, refused) end
  if kind == "ok" then handle:write(own.editor:terminal({ replaced = true }, own.seen.usage)) end
  handle:finish()
end

-- Ends a stream for which nothing more can be paid: as if the model had reached its longest answer. Hooks have their
-- last word.
local function end_spent(call, answer, own)
  answer.wire:close(false)
  local text, act = own.editor:cut()
  if act then return end_by(call, answer, own, act) end
  send(call, answer, own, (own.prelude or "") .. text)
  local kind = own.cancelled and "cancelled" or "ok"
  if own.cancelled then call.handle:calm() end
  attempt.finished(call, answer, kind, own.bound:told())
  local usage = usage_so_far(call, own.seen.usage, own.seen.text_bytes)
  record.settle(call, answer, kind, usage, own.seen.text_bytes)
  if not own.begun then answers.begin(call, answer) end
  if kind == "ok" then call.handle:write(own.editor:terminal({ cut = true }, usage)) end
  call.handle:finish()
end

local function failed(call, own, outcome)
  local error = own.seen.error or {}
  return fail(call, own, {
    status = 502, message = error.message or outcome.message, type = error.type, code = error.code,
  })
end

-- The answer as a stream, one event at a time: no more is read than the caller takes.
local function step_by_step(call, answer, editor)
  local handle = call.handle
  local own = {
    begun = false, seen = { text_bytes = 0, usage = answer.usage }, editor = editor,
    bound = allowance.of(call, answer),
  }
  answer.wire:content()
  local act = run_through(call, answer, own)
  if act and act.spent then
    if not own.cancelled then return end_spent(call, answer, own) end
    act = nil
  end
  if act and act.broken then
    own.seen.ended, own.seen.error, act = "error", act.broken, nil
  end
  local seen = not own.cancelled and own.seen or nil
  if not act and seen then
    local tail
    local outcome = answers.outcome(seen, nil, false)
    if outcome.kind == "ok" then tail, act = editor:finish() end
    if tail and own.prelude then tail, own.prelude = own.prelude .. tail, nil end
    if tail then send(call, answer, own, tail) end
  end
  if own.cancelled then seen = nil end
  if act then
    answer.wire:close(own.seen.ended == "terminal")
    return end_by(call, answer, own, act)
  end
  local outcome = answers.outcome(seen, own.cancelled, false)
  if outcome.kind == "cancelled" then handle:calm() end
  answer.wire:close(outcome.kind == "ok")
  attempt.finished(call, answer, outcome.kind, outcome.message)
  local _, unkept = record.settle(call, answer, outcome.kind, used(call, own.seen), own.seen.text_bytes)
  if outcome.kind == "ok" and unkept then return fail(call, own, unkept) end
  if outcome.kind ~= "ok" and outcome.kind ~= "cancelled" then return failed(call, own, outcome) end
  if not own.begun then answers.begin(call, answer) end
  if outcome.kind == "ok" then handle:write(editor:terminal(own.seen, used(call, own.seen))) end
  handle:finish()
end

---@param call moongate.call
---@param answer table
---@return table|nil refusal
function relay.stream(call, answer)
  record.keep_decision(call)
  local looked_at = call.hooks and (call.hooks.has.event or call.hooks.has.response)
  local direct = translation.is_direct(call, answer.protocol)
  if direct and not looked_at then return pipe(call, answer) end
  local as_chunks = direct and call.surface.speaks == "openai"
  return step_by_step(call, answer, (as_chunks and hook_stream or interpreter).new(call, answer))
end

-- An answer that no provider gave: a hook's, before any was called. It costs nothing, and the ledger has it; there is
-- no decision of the router's to be kept with it.
---@param call moongate.call
---@param act moongate.act
---@return table|nil refusal
function relay.own(call, act)
  local label = act.by.label
  local unclaimed = { provider = "moongate", model = label }
  local answer = {
    target = { id = "moongate/" .. label, provider = "moongate", model = label, is_local = true },
    reply = own_reply(act.text), usage = NOTHING_USED, wanted = { claims = unclaimed }, status = 200,
    reservation = store.reserve(unclaimed),
  }
  record.open(call)
  call.row.policy = hooks.name(act.by)
  local row, unkept = record.settle(call, answer, "ok", NOTHING_USED, 0)
  call.served, call.plan = answer.target, { policy = hooks.name(act.by), task = call.request.task }
  local handle = call.handle
  if unkept then return unkept end
  if call.request.stream then
    local writer = call.surface.writer(call)
    answers.begin(call, answer)
    local said = writer:event { kind = "text", text = act.text } .. writer:event { kind = "finish", finish = "stop" }
    handle:write(said .. writer:finish(NOTHING_USED))
    return handle:finish()
  end
  answers.reply(call, answer, row, call.surface.reply(call, answer.reply, row))
end

return relay
