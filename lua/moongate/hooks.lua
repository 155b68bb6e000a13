-- The hooks (policies/hooks/) of one request: runs their phases in name order, each call bounded, and takes over what
-- they changed or decided. A hook that fails is left out of the rest of the request, or refuses it, as the
-- configuration or the hook itself says. Where none is installed there is nothing to run and nothing to pay.
local facts_of = require "moongate.facts"
local faults = require "moongate.faults"
local json = require "moongate.core.json"
local openai = require "moongate.surfaces.openai"
local requests = require "moongate.surfaces.requests"
local translation = require "moongate.translation"
local views = require "moongate.hook_views"

local hooks = {}

local JSON_DEPTH = 100
-- What follows from the body, and is worked out anew when a hook changed it.
local BODY_FACTS = { "text_length", "estimated_tokens", "images", "tools", "json_schema", "max_tokens" }

---@class moongate.hooks the hooks of one request
---@field call moongate.call
---@field entries { policy: moongate.policy, req: table, inner: table, out: boolean|nil }[]
---@field has table<string, boolean> which phases there are
local run = {}
run.__index = run

---@class moongate.act what a hook decided: { refusal } or { text }, and who
---@field refusal table|nil
---@field text string|nil
---@field by moongate.policy

-- The hooks of a request; nil where there are none.
---@param call moongate.call
---@return moongate.hooks|nil
function hooks.begin(call)
  local installed = call.state.policies:hooks()
  if #installed == 0 then return nil end
  call.extra_headers, call.extra_count, call.asked = {}, 0, call.request.model
  local _ = call.request.headers -- read while there are some: hooks may ask for them after the answer
  local self = setmetatable({ call = call, entries = {}, has = {} }, run)
  for i, policy in ipairs(installed) do
    local inner = { call = call }
    self.entries[i] = { policy = policy, req = views.request(inner), inner = inner }
    for _, phase in ipairs { "event", "response" } do
      if policy[phase] then self.has[phase] = true end
    end
    -- One that looks at whole responses only must not be got round by asking for a stream.
    if policy.response and not policy.event then self.has.whole = true end
  end
  return self
end

---@param policy moongate.policy
---@return string
function hooks.name(policy)
  return policy.label .. "@" .. policy.version
end

-- A hook failed: the act that follows, or nil when the request goes on without it.
function run:fail(entry, fault)
  entry.out, entry.inner.act = true, nil
  local rule = entry.policy.on_fault or self.call.state.config.on_fault
  if rule ~= "refuse" then return nil end
  return { refusal = faults.refusal("hook", hooks.name(entry.policy), faults.in_words(fault)), by = entry.policy }
end

-- What a hook left behind is wrong: a fault like any other.
function run:reject(entry, message)
  local label = entry.policy.label
  local fault = { kind = "result", policy = label, file = "policies/" .. label .. ".lua", message = message }
  self.call.state.policies:count(fault)
  return self:fail(entry, fault)
end

-- A hook whose file never loaded: the same.
function run:absent(entry)
  self.call.state.policies:count(entry.policy.broken)
  return self:fail(entry, entry.policy.broken)
end

-- Runs work(entry.policy[phase], entry.req, ...) within a hook's budget. Answers whether it went well, its result, and
-- the act that follows.
function run:step(entry, phase, work, ...)
  entry.inner.phase = phase
  local policy = entry.policy
  local fine, result = self.call.state.policies:within(policy, work, policy[phase], entry.req, ...)
  if not fine then return false, nil, self:fail(entry, result) end
  local act = entry.inner.act
  if act then act.by = policy end
  return true, result, act
end

-- Each hook that has the phase and has not failed.
function run:with(phase)
  local i = 0
  return function()
    repeat i = i + 1 until not self.entries[i] or (self.entries[i].policy[phase] and not self.entries[i].out)
    return self.entries[i]
  end
end

local function ask_request(fn, req, inner, document)
  fn(req)
  return inner.body ~= nil and views.changes(document, inner.body) or nil
end

-- Puts the body as a hook left it in the request's place; what is wrong with it, if anything.
local function take_over(call, changes)
  local document, fault = json.scan(call.shown:patch(changes), JSON_DEPTH)
  if not document then return "left a body that cannot be sent: " .. fault.message end
  local operation = call.operation == "embeddings" and "embeddings" or "chat"
  local request, parsed, refusal = call.request, openai.parse(document, {}, operation)
  if not parsed then return "left a body that cannot be sent: " .. refusal.message end
  if parsed.stream ~= request.stream then return "cannot change stream: the caller waits for what it asked for" end
  for _, name in ipairs(BODY_FACTS) do request[name] = parsed[name] end
  if changes.model ~= nil then request.model = parsed.model end
  if changes.stream_options ~= nil then request.include_usage = parsed.include_usage end
  translation.replace(call, document)
  requests.take_messages(request, parsed)
  return nil
end

-- Before anything is decided: the hooks may change the body, refuse, or answer.
---@return moongate.act|nil
function run:request()
  local call = self.call
  for _, entry in ipairs(self.entries) do
    local act = entry.policy.broken and self:absent(entry)
    if act then return act end
  end
  local refusal = self:with "request"() and translation.show(call)
  if refusal then return { refusal = refusal } end
  for entry in self:with "request" do
    local fine, changes, act = self:step(entry, "request", ask_request, entry.inner, call.shown)
    if fine and changes and not act then
      -- Nothing can be put into the place of what leans on something that its provider keeps.
      local unread = translation.unread(call)
      local wrong = not unread and take_over(call, changes)
      act = unread and { refusal = unread } or wrong and self:reject(entry, wrong) or nil
    end
    if act then return act end
  end
  for _, entry in ipairs(self.entries) do entry.inner.body = nil end -- from here on all see what is sent
  return nil
end

-- The field in which a message or a delta has its thoughts.
---@param message table
---@return string
function hooks.reasoning_field(message)
  return type(message.reasoning) == "string" and message.reasoning_content == nil and "reasoning" or "reasoning_content"
end

---@param message table
---@param name string
---@return string|nil
function hooks.text_of(message, name)
  local value = message[name]
  if type(value) == "string" then return value end
  if type(value) ~= "table" then return nil end
  local parts = {}
  for _, part in ipairs(value) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return table.concat(parts)
end

-- Shows each choice of a whole answer; answers the body's new text, or nil when it is as it was.
local function ask_response(fn, req, body, facts)
  local before, changed
  local function show()
    before = before or json.encode(body)
    return body
  end
  local choices = type(body.choices) == "table" and body.choices or { {} }
  for i = 1, #choices do
    local message = type(choices[i]) == "table" and type(choices[i].message) == "table" and choices[i].message
    local field = message and hooks.reasoning_field(message) or nil
    local seen = {
      text = message and (hooks.text_of(message, "content") or "") or nil, index = i - 1, status = facts.status,
      reasoning = field and hooks.text_of(message, field), stream = false, usage = facts.usage,
    }
    local text, reasoning = seen.text, seen.reasoning
    fn(req, views.response(seen, show))
    if seen.text ~= text then message.content, changed = seen.text, true end
    if seen.reasoning ~= reasoning then message[field], changed = seen.reasoning, true end
  end
  if not (before or changed) then return nil end
  local after = json.encode(body)
  return after ~= before and after or nil
end

local CHOSEN = { text = "text", reasoning = "thinking" }

-- Says a choice's new text in the place of its first, and nothing in that of the others.
local function put(blocks, kind, text)
  local kept, place = {}, nil
  for _, block in ipairs(blocks) do
    if block.kind ~= kind then
      kept[#kept + 1] = block
    elseif not place then
      place = #kept + 1
      kept[place] = { kind = kind, text = text }
    end
  end
  if not place then table.insert(kept, kind == "thinking" and 1 or #kept + 1, { kind = kind, text = text }) end
  return kept
end

local function said(blocks, kind)
  local parts = {}
  for _, block in ipairs(blocks) do
    if block.kind == kind then parts[#parts + 1] = block.text end
  end
  return table.concat(parts)
end

-- The same for an answer in another format than OpenAI's: true if a choice was changed.
local function ask_reply(fn, req, reply, facts)
  local changed = false
  local function show() error("body is there only where caller and provider both speak OpenAI's format", 0) end
  for i, choice in ipairs(reply.choices) do
    local seen = {
      text = said(choice.blocks, "text"), reasoning = said(choice.blocks, "thinking"), index = i - 1,
      status = facts.status, stream = false, usage = facts.usage,
    }
    if seen.reasoning == "" then seen.reasoning = nil end
    local before = { text = seen.text, reasoning = seen.reasoning }
    fn(req, views.response(seen, show))
    for name, kind in pairs(CHOSEN) do
      if seen[name] ~= before[name] then choice.blocks, changed = put(choice.blocks, kind, seen[name]), true end
    end
  end
  return changed
end

-- A whole answer in another format, before it goes out.
function run:neutral_response(answer)
  for entry in self:with "response" do
    local reply = answer.reply or answer.protocol.reply(answer.body)
    reply.usage = answer.usage or reply.usage
    local facts = { status = answer.status, usage = facts_of.shown("usage", answer.usage) }
    local fine, changed, act = self:step(entry, "response", ask_reply, reply, facts)
    if fine and changed and not act then answer.reply = reply end
    if act then return act end
  end
  return nil
end

-- A whole answer, before it goes out: the hooks may change it, refuse, or answer in its place.
---@param answer table see moongate.attempt; its text is replaced
---@return moongate.act|nil
function run:response(answer)
  local surface = self.call.surface
  local is_openai = answer.protocol.speaks == "openai" and (surface.reads or surface.speaks) == "openai"
  if self.call.operation == "chat" and not is_openai then return self:neutral_response(answer) end
  for entry in self:with "response" do
    local body = json.decode(answer.text)
    local facts = { status = answer.status, usage = facts_of.shown("usage", answer.usage) }
    local fine, text, act = self:step(entry, "response", ask_response, body, facts)
    if fine and text and not act then
      local read = answer.protocol.read_reply(answer.status, answer.headers, text)
      if read.error then
        act = self:reject(entry, "left a response that is none: " .. read.error.message)
      else
        answer.text, answer.body = text, read.body
      end
    end
    if act then return act end
  end
  return nil
end

local function ask_finish(fn, req) fn(req) end

-- What finish sees of a request that is over.
local function result_of(call)
  local row = call.row or {}
  local used = row.usage or {}
  local usage = {
    input = used.input or 0, cached = used.cached or 0, cache_write = used.cache_write or 0,
    output = used.output or 0, reasoning = used.reasoning or 0,
  }
  usage.total = usage.input + usage.cached + usage.cache_write + usage.output + usage.reasoning
  return {
    outcome = row.outcome or (call.refused and "error" or "ok"),
    status = call.refused and call.refused.status or row.status, usage = usage,
    cost_microusd = row.cost_microusd or 0, billed_tokens = row.billed_tokens or 0, attempts = call.calls,
    latency_ms = row.latency_ms,
  }
end

-- All is over.
function run:finish()
  self.call.result = result_of(self.call)
  for entry in self:with "finish" do self:step(entry, "finish", ask_finish) end
  for _, entry in ipairs(self.entries) do entry.inner.call, entry.inner.body = nil, nil end
end

return hooks
