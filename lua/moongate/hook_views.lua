-- What a hook sees and may act on: the request, a stream event, a whole response. Each hook has its own; a name that is
-- not there is an error, for a guard that misspells one would guard nothing.
local facts_of = require "moongate.facts"
local json = require "moongate.core.json"
local near = require "moongate.near"
local translation = require "moongate.translation"

local views = {}

local MOST_HEADERS, LONGEST_VALUE = 50, 4096
local LONGEST_REASON = 1000

-- The gateway's own, and those that frame a message.
local TAKEN = {
  ["connection"] = true, ["content-encoding"] = true, ["content-length"] = true, ["content-type"] = true,
  ["date"] = true, ["keep-alive"] = true, ["proxy-authenticate"] = true, ["proxy-connection"] = true,
  ["server"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
  ["x-request-id"] = true,
}

local FACTS = {
  "surface", "operation", "stream", "text_length", "estimated_tokens", "tools", "images", "json_schema", "max_tokens",
  "privacy", "priority", "latency_pref", "max_cost", "now",
}
local RESULTS = { "outcome", "status", "usage", "cost_microusd", "billed_tokens", "attempts", "latency_ms" }

local function copy(value)
  if type(value) ~= "table" then return value end
  local fresh = {}
  for name, item in pairs(value) do fresh[name] = copy(item) end
  return fresh
end

local function unknown(what, name, known)
  local names = {}
  for each in pairs(known) do names[#names + 1] = each end
  error(near.missing(what, name, names), 3)
end

local function decided(inner, what)
  if inner.phase == "finish" then error("all is over in finish: there is nothing left to " .. what, 3) end
end

-- The call that a hook's request is of, as long as it lasts: a hook that keeps one shall not hold it, nor act on it.
local function call_of(inner)
  return inner.call or error("this request is over: what a hook keeps of one is of no use in the next", 3)
end

local function new_acts(inner)
  local own = {}

  -- Refuses the request; as a whole answer before anything has gone out, as the last event of a stream after that.
  function own.refuse(_, status, why)
    call_of(inner)
    decided(inner, "refuse")
    local fits = type(status) == "number" and status >= 400 and status <= 599 and status % 1 == 0
    if not fits or type(why) ~= "string" or why == "" then
      error('refuse wants a status from 400 to 599 and the reason: req:refuse(403, "why")', 2)
    end
    why = string.gsub(string.gsub(string.sub(why, 1, LONGEST_REASON), "[\192-\255][\128-\191]*$", ""), "%c", " ")
    inner.act = inner.act or { refusal = { status = status, message = why, code = "refused_by_hook" } }
  end

  -- Answers in the provider's place.
  function own.answer(_, text)
    decided(inner, "answer")
    if type(text) ~= "string" then error('answer wants a text: req:answer("text")', 2) end
    if call_of(inner).operation ~= "chat" then error("only a chat can be answered with a text", 2) end
    inner.act = inner.act or { text = text }
  end

  -- Adds a header to the answer.
  function own.header(_, name, value)
    local call = call_of(inner)
    if call.handle_begun or inner.phase == "finish" then error("the headers of the answer are out already", 2) end
    if type(value) == "number" then value = string.format("%.14g", value) end
    local clean = type(name) == "string" and string.find(name, "^[%w!#%$%%&'%*%+%-%.%^_`|~]+$") and #name <= 100
    if not clean then error("a header's name is made of letters, digits and -", 2) end
    name = string.lower(name)
    if TAKEN[name] or string.find(name, "^x%-moongate%-") then
      error("the header " .. name .. " is the gateway's own", 2)
    end
    if type(value) ~= "string" or #value > LONGEST_VALUE or string.find(value, "[%z\1-\8\10-\31\127]") then
      error("the value of the header " .. name .. " must be a text of one line", 2)
    end
    local headers = call.extra_headers
    if headers[name] == nil then
      if call.extra_count >= MOST_HEADERS then error("more than 50 headers", 2) end
      call.extra_count = call.extra_count + 1
    end
    headers[name] = value
  end

  return own
end

local known_of_request = {
  id = true, asked = true, model = true, provider = true, caller = true, headers = true, task = true, messages = true,
  body = true, state = true, refuse = true, answer = true, header = true,
}
for _, name in ipairs(FACTS) do known_of_request[name] = true end
for _, name in ipairs(RESULTS) do known_of_request[name] = true end

local is_fact, is_result = {}, {}
for _, name in ipairs(FACTS) do is_fact[name] = true end
for _, name in ipairs(RESULTS) do is_result[name] = true end

local computed = {}

function computed.id(call) return call.id end
function computed.asked(call) return call.asked end
function computed.model(call) return call.served and call.served.model or call.request.model end
function computed.provider(call) return call.served and call.served.provider end
function computed.caller(call) return facts_of.guard("caller", copy(call.request.caller)) end
function computed.headers(call) return copy(call.request.headers) end
function computed.task(call) return call.plan and call.plan.task or call.request.task end

local function body_of(call, inner)
  if not call.shown then translation.show(call) end
  if inner.body == nil then inner.body = (call.shown or call.document):value(0) end
  return inner.body
end

function computed.body(call, inner) return body_of(call, inner) end
function computed.messages(call, inner) return body_of(call, inner).messages end

-- The request as one hook sees it, the same table in all phases; `state` is the hook's own. inner is the host's side:
-- { call, phase, act, body }.
---@param inner table
---@return table
function views.request(inner)
  local own = new_acts(inner)
  return setmetatable({ state = {} }, {
    __metatable = "request",
    __index = function(_, name)
      if own[name] then return own[name] end
      local call = call_of(inner)
      if is_fact[name] then return call.request[name] end
      if is_result[name] then
        local value = copy(call.result and call.result[name])
        return name == "usage" and facts_of.guard("usage", value) or value
      end
      local fact = computed[name]
      if not fact then unknown("a request", name, known_of_request) end
      return fact(call, inner)
    end,
    __newindex = function(_, name, value)
      if name ~= "messages" and name ~= "body" then
        error(known_of_request[name] and "of a request only messages and body can be changed; req.state is yours"
          or string.format('a request has no "%s"; req.state is yours', string.sub(tostring(name), 1, 60)), 2)
      end
      local call = call_of(inner)
      if inner.phase ~= "request" then error("the request is on its way: only the request phase can change it", 2) end
      if type(value) ~= "table" then error(name .. " must be a table", 2) end
      if name == "body" then inner.body = value else body_of(call, inner).messages = value end
    end,
  })
end

-- What a hook made of the body: the members that changed, as doc:patch takes them; nil when none did. Runs within the
-- hook's budget. Raw reads only: the tables are the hook's.
---@param document table
---@param body table
---@return table|nil
function views.changes(document, body)
  local changes = {}
  for name, value in next, body do
    if type(name) ~= "string" then error("the names in a body are texts", 0) end
    local node, text = document:find(0, name), json.encode(value)
    if not node or text ~= json.encode(document:value(node)) then changes[name] = text end
  end
  for name in document:items(0) do
    if rawget(body, name) == nil then changes[name] = false end
  end
  return next(changes) ~= nil and changes or nil
end

-- A view of facts, some of which may be written. write(name, value) takes what is written, or says what is wrong.
local function view(what, facts, known, read, write)
  return setmetatable({}, {
    __metatable = what,
    __index = function(_, name)
      if not known[name] then unknown("a " .. what, name, known) end
      if read and read[name] then return read[name]() end
      return facts[name]
    end,
    __newindex = function(_, name, value)
      if not known[name] then unknown("a " .. what, name, known) end
      local wrong = write(name, value)
      if wrong then error(wrong, 2) end
    end,
  })
end

local EVENT = { kind = true, text = true, reasoning = true, index = true, last = true, finish = true, data = true }

-- An event of a stream: facts = { kind, text, reasoning, index, last, finish, data }; what the hook writes is in it
-- afterwards.
---@param facts table
---@return table
function views.event(facts)
  return view("event", facts, EVENT, nil, function(name, value)
    if name ~= "text" and name ~= "reasoning" then return "of an event only text and reasoning can be changed" end
    if facts[name] == nil then return "this event (" .. facts.kind .. ") has no " .. name end
    if type(value) ~= "string" then return "event." .. name .. " must be a text" end
    facts[name] = value
  end)
end

local RESPONSE = {
  text = true, reasoning = true, index = true, body = true, status = true, stream = true, usage = true,
}

-- A whole response, one choice of it: facts = { text, reasoning, index, status, stream, usage }; body() gives the
-- decoded body, or nil.
---@param facts table
---@param body fun(): table|nil
---@return table
function views.response(facts, body)
  return view("response", facts, RESPONSE, { body = body }, function(name, value)
    if name ~= "text" and name ~= "reasoning" then
      return "of a response only text, reasoning and what is in body can be changed"
    end
    if facts[name] == nil then return "this response has no " .. name end
    if type(value) ~= "string" then return "response." .. name .. " must be a text" end
    facts[name] = value
  end)
end

return views
