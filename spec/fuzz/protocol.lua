-- Fuzz target: what a provider says in one format. "200 {...}" is a whole reply with its status, anything else a
-- stream. Whatever it is, it is read without an error, its usage adds up, and it can be told in every format.
local format = ...
local json = require "moongate.core.json"

local FORMATS = { "openai", "openai_responses", "anthropic", "gemini", "ollama" }

local function sides(name)
  local surface = name == "openai_responses" and "responses" or name
  return require("protocols." .. name), require("moongate.surfaces." .. surface)
end

local protocol = sides(format)

local function call()
  return { id = "req_0123abcd", target = { model = "served" },
    request = { now = 1700000000, model = "m", include_usage = true, estimated_tokens = 7 } }
end

local function check_usage(usage)
  if not usage then return end
  local sum = 0
  for _, name in ipairs { "input", "cached", "cache_write", "output", "reasoning" } do
    assert(usage[name] >= 0 and usage[name] % 1 == 0, name)
    sum = sum + usage[name]
  end
  assert(sum == usage.total, "the classes of usage add up")
end

local function tell(reply, events, usage)
  for _, name in ipairs(FORMATS) do
    local _, surface = sides(name)
    if reply then
      assert(json.decode(surface.reply(call(), reply)), "a reply is JSON")
    else
      local writer = surface.writer(call())
      for _, event in ipairs(events) do writer:event(event) end
      assert(#writer:finish(usage) > 0)
    end
  end
end

local function read_reply(status, text)
  local told = protocol.read_reply(status, {}, text)
  check_usage(told.usage)
  if told.error then return assert(told.error.message) end
  local reply = protocol.reply(told.body, {})
  check_usage(reply.usage)
  tell(reply)
end

-- Events as core/net/sse.c cuts them, which has a target of its own.
local function events_of(text)
  local events = {}
  if format == "ollama" then
    for line in string.gmatch(text, "[^\n]+") do events[#events + 1] = { data = line } end
    return events
  end
  local event, lines = {}, nil
  for line in string.gmatch(text .. "\n\n", "([^\n]*)\n") do
    local data, name = string.match(line, "^data: ?(.*)$"), string.match(line, "^event: ?(.*)$")
    if data then lines = (lines and lines .. "\n" or "") .. data end
    if name then event.name = name end
    if line == "" and (lines or event.name) then
      event.data = lines
      events[#events + 1] = event
      event, lines = {}, nil
    end
  end
  return events
end

local function read_stream(text)
  local reader, list, usage = protocol.reader(), {}, nil
  for _, event in ipairs(events_of(text)) do
    if event.data then
      local told = protocol.read_event(event, usage)
      assert(told.kind)
      usage = told.usage or usage
      check_usage(told.usage)
      for _, each in ipairs(reader(event)) do list[#list + 1] = each end
    end
  end
  tell(nil, list, usage)
end

return function(bytes)
  local status, text = string.match(bytes, "^(%d%d%d) (.*)$")
  if status then return read_reply(tonumber(status), text) end
  read_stream(bytes)
end
