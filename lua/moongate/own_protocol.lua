-- A provider protocol of the operator's own (policies/protocols/<name>.lua), as the exchange takes those that ship:
-- each of its functions runs within a policy's budget, and what it does wrong is a failure of its provider, never of
-- the gateway. It always meets the neutral chat: no caller speaks it.
local own_shapes = require "moongate.own_shapes"

local own_protocol = {}

local LONGEST = 300

local function words(fault)
  local place = fault.file and fault.line and string.format("%s:%d: ", fault.file, fault.line) or ""
  return string.sub("its protocol failed: " .. place .. tostring(fault.message), 1, LONGEST)
end

local function broken(fault)
  return { message = words(fault), type = "malformed" }
end

local function need(value, kind, what)
  if type(value) ~= kind then error(what .. " must be a " .. kind, 0) end
  return value
end

local function build(fn, order)
  local wire, unfit = fn(order)
  if wire == nil then
    local told = type(unfit) == "table" and unfit or { message = unfit }
    local message, param = rawget(told, "message"), rawget(told, "param")
    return nil, {
      message = type(message) == "string" and message or "its protocol cannot carry this request",
      param = type(param) == "string" and param or nil,
    }
  end
  need(wire, "table", "what build returns")
  local headers = {}
  for name, value in next, need(rawget(wire, "headers") or {}, "table", "headers") do
    headers[string.lower(need(name, "string", "a header's name"))] = tostring(value)
  end
  return {
    method = rawget(wire, "method") or "POST", url = need(rawget(wire, "url"), "string", "url"),
    headers = headers, body = need(rawget(wire, "body") or "", "string", "body"), lines = rawget(wire, "lines") == true,
  }
end

-- Its function, called: the first argument of what runs in a policy's name is what it runs for.
local function call(fn, ...) return fn(...) end

-- A protocol of a policy set, or nil if the set has none of that name. It is of one attempt.
---@param policies moongate.policies.set
---@param name string
---@return table|nil
function own_protocol.of(policies, name)
  local policy = policies:protocol(name)
  if not policy then return nil end
  local self = {
    reads_headers = true, reads_reply_headers = true, scan = { needs_terminal = false },
    stream_type = policy.stream_type,
  }
  local operation

  -- What its function answers, made fit by `check`; or nil and what is wrong with it.
  local function ask(fn, check, ...)
    local fine, value = policies:within(policy, call, fn, ...)
    if fine then fine, value = pcall(check, value) end
    if fine then return value end
    return nil, type(value) == "table" and value or { message = value }
  end

  function self.build(order)
    operation = order.operation
    local fine, wire, unfit = policies:within(policy, build, policy.build, order)
    if fine then return wire, unfit end
    return nil, { message = words(wire), fault = true }
  end

  -- A whole answer is read to its end here, while another provider can still be asked.
  function self.read_reply(status, headers, text)
    local read, fault = ask(policy.read_reply, own_shapes.read_reply, status, headers, text)
    if read and not read.error and status >= 200 and status < 300 then
      if operation == "embeddings" then
        read.vectors, fault = ask(policy.vectors, own_shapes.vectors, read.body)
      else
        read.reply, fault = ask(policy.reply, own_shapes.reply, read.body)
        if read.reply then read.reply.usage = read.usage or read.reply.usage end
      end
      self.kept = read.vectors
    end
    if fault then return { error = broken(fault), text_length = 0, body = text } end
    return read
  end

  function self.read_event(event, before)
    local read, fault = ask(policy.read_event, own_shapes.read_event, event, before)
    return read or { kind = "error", error = broken(fault) }
  end

  function self.reply(body)
    local reply, fault = ask(policy.reply, own_shapes.reply, body)
    return reply or error(words(fault), 0)
  end

  -- The events of an event; or nil and the error that the stream ends with.
  function self.reader()
    local fine, read = policies:within(policy, call, policy.reader)
    if fine and type(read) ~= "function" then fine, read = false, { message = "reader must return a function" } end
    return function(event)
      if not fine then return nil, broken(read) end
      local events, fault = ask(read, own_shapes.events, event)
      return events, fault and broken(fault)
    end
  end

  function self.vectors() return self.kept end

  return self
end

return own_protocol
