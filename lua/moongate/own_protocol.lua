-- A provider protocol of the operator's own (policies/protocols/<name>.lua), as the exchange takes those that ship:
-- each of its functions runs within a policy's budget, and what it does wrong is a failure of its provider, never of
-- the gateway. It always meets the neutral chat: no caller speaks it.
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

-- A protocol of a policy set, or nil if the set has none of that name.
---@param policies moongate.policies.set
---@param name string
---@return table|nil
function own_protocol.of(policies, name)
  local policy = policies:protocol(name)
  if not policy then return nil end
  local self = { scan = { needs_terminal = false }, stream_type = policy.stream_type }

  function self.build(order)
    local fine, wire, unfit = policies:within(policy, build, policy.build, order)
    if fine then return wire, unfit end
    return nil, { message = words(wire), fault = true }
  end

  function self.read_reply(status, headers, text)
    local fine, read = policies:within(policy, policy.read_reply, status, headers, text)
    if fine and type(read) == "table" then return read end
    local fault = fine and { message = "read_reply must return a table" } or read
    return { error = broken(fault), text_length = 0, body = text }
  end

  function self.read_event(event, before)
    local fine, read = policies:within(policy, policy.read_event, event, before)
    if fine and type(read) == "table" then return read end
    return { kind = "error", error = broken(fine and { message = "read_event must return a table" } or read) }
  end

  function self.reply(body)
    local fine, reply = policies:within(policy, policy.reply, body)
    if fine and type(reply) == "table" and type(reply.choices) == "table" then return reply end
    error(words(fine and { message = "reply must return a table with choices" } or reply), 0)
  end

  function self.reader()
    local fine, read = policies:within(policy, policy.reader)
    return function(event)
      if not fine or type(read) ~= "function" then return {} end
      local well, events = policies:within(policy, read, event)
      return well and type(events) == "table" and events or {}
    end
  end

  function self.vectors(body)
    local fine, reply = policies:within(policy, policy.vectors, body)
    if fine and type(reply) == "table" then return reply end
    error(words(fine and { message = "vectors must return a table" } or reply), 0)
  end

  return self
end

return own_protocol
