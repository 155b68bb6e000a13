-- One request through one hook for moongate.testing: out to a provider that is not there, and an answer back, by the
-- modules that do it in the gateway.
local hook_stream = require "moongate.hook_stream"
local hooks = require "moongate.hooks"
local json = require "moongate.core.json"
local openai = require "protocols.openai"
local surface = require "moongate.surfaces.openai"

---@class moongate.testing.seen what became of the request
---@field body table the body that the provider is sent
---@field messages table[] its messages
---@field refused { status: integer, why: string }|nil what the hook refused it with
---@field answered string|nil what the hook answered in the provider's place
---@field headers table<string, string> what the hook added to the answer's
---@field text string what the caller reads in the end
---@field pieces string[] the same, stream event by stream event

local function frame(choice)
  return json.encode {
    id = "chatcmpl-test", object = "chat.completion", created = 1, model = "test", choices = json.array { choice },
  }
end

local function body_of(request)
  local body = { model = request.model, messages = json.array(request.messages), max_tokens = request.max_tokens }
  if request.stream then body.stream = true end
  return json.encode(body)
end

local function new_call(asked, request)
  return {
    id = "request-1", operation = "chat", request = request, caller = request.caller, calls = 0, handle_begun = false,
    document = assert(json.scan(body_of(request), 100)), state = { policies = asked, config = { on_fault = "refuse" } },
    plan = { task = request.task }, surface = surface,
  }
end

local function texts_in(raw)
  local pieces = {}
  for data in string.gmatch(raw, "data: (%b{})\n") do
    for _, choice in ipairs(json.decode(data).choices or {}) do pieces[#pieces + 1] = choice.delta.content end
  end
  return pieces
end

-- What comes out of a stream of these pieces, and the act that ended it.
local function stream(run, pieces)
  local editor, parts = hook_stream.new(run.call), {}
  local function send(delta, finish)
    local data = frame { index = 0, delta = delta, finish_reason = finish or json.null }
    local event = { name = "", data = data, raw = "data: " .. data .. "\n\n" }
    local text, act = editor:event(event, openai.read_event(event))
    parts[#parts + 1] = text
    run.call.handle_begun = run.call.handle_begun or (text or "") ~= ""
    return act
  end
  for _, piece in ipairs(pieces) do
    local act = send { content = piece }
    if act then return parts, act end
  end
  local act = send({}, "stop")
  if act then return parts, act end
  local tail, last_act = editor:finish()
  parts[#parts + 1] = tail
  return parts, last_act
end

local function whole(run, text)
  local body = frame { index = 0, finish_reason = "stop", message = { role = "assistant", content = text } }
  local usage = { input = 10, cached = 0, cache_write = 0, output = 5, reasoning = 0, total = 15 }
  local answer = {
    text = body, body = json.decode(body), status = 200, headers = {}, protocol = openai, usage = usage,
  }
  local act = run:response(answer)
  return hooks.text_of(json.decode(answer.text).choices[1].message, "content"), act
end

local function note(seen, act)
  if not act then return end
  seen.answered = act.text
  seen.refused = act.refusal and { status = act.refusal.status, why = act.refusal.message }
end

---@param asked table the policies, as hooks ask them
---@param request table
---@param reply string|string[]
---@return moongate.testing.seen
return function(asked, request, reply)
  request.stream = type(reply) == "table"
  local call = new_call(asked, request)
  local run = hooks.begin(call)
  call.hooks = run
  local seen = { headers = call.extra_headers, pieces = {}, text = "" }
  note(seen, run:request())
  if not (seen.refused or seen.answered) then
    seen.body = call.document:value(0)
    seen.messages = seen.body.messages
    call.served, call.calls = { model = "test", provider = "test" }, 1
    local act
    if request.stream then
      local parts
      parts, act = stream(run, reply)
      seen.pieces = texts_in(table.concat(parts))
      seen.text = table.concat(seen.pieces)
    else
      seen.text, act = whole(run, reply)
    end
    note(seen, act)
  end
  if seen.answered then seen.text = seen.text .. (request.stream and seen.answered or "") end
  if seen.answered and not request.stream then seen.text = seen.answered end
  if seen.refused and not request.stream then seen.text = "" end
  call.row = { outcome = seen.refused and "error" or "ok", status = seen.refused and seen.refused.status or 200 }
  run:finish()
  return seen
end
