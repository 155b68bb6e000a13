-- Properties: what must hold for anything that is made up from a seed. MOONGATE_SEED starts at another one, and makes
-- a failure tell all it knows.
local assert = require "luassert"
local chats = require "spec.support.chats"
local json = require "moongate.core.json"
local stream_of = require "spec.support.cutter"

local FIRST = tonumber(os.getenv "MOONGATE_SEED") or 1

local function trace(wrong)
  return debug.traceback(type(wrong) == "table" and wrong.message or tostring(wrong), 2)
end

local property = {}

-- Holds two values against each other.
---@param expected any
---@param got any
---@param about string|nil what it is read from
function property.same(expected, got, about)
  if pcall(assert.same, expected, got) then return end
  about = os.getenv "MOONGATE_SEED" and about or ""
  error(about .. "\nexpected " .. json.encode(expected) .. "\ngot      " .. json.encode(got), 2)
end

-- That the classes of usage are what they should be.
---@param usage moongate.usage
function property.sums_up(usage)
  local sum = 0
  for _, name in ipairs { "input", "cached", "cache_write", "output", "reasoning" } do
    assert(usage[name] >= 0, name)
    sum = sum + usage[name]
  end
  assert(sum == usage.total, "classes add up to " .. sum .. ", not " .. usage.total)
end

-- A call that is answered. more: what else its request says.
---@param more table|nil
---@return moongate.call
function property.call(more)
  local request = { now = 1700000000, model = "m", include_usage = true, estimated_tokens = 7 }
  for name, value in pairs(more or {}) do request[name] = value end
  return { id = "req_0123abcd", request = request, target = { model = "served" } }
end

-- What a surface makes of a stream.
---@param surface table
---@param events moongate.chat_event[]
---@param usage moongate.usage|nil
---@param more table|nil
---@return string
function property.write(surface, events, usage, more)
  local writer, out = surface.writer(property.call(more)), {}
  for _, event in ipairs(events) do out[#out + 1] = writer:event(event) end
  out[#out + 1] = writer:finish(usage)
  return table.concat(out)
end

-- What a protocol reads of a stream that comes in pieces: there is a finish, and nothing after its end.
---@param format string
---@param pieces string[]
---@return moongate.chat_event[]
---@return moongate.usage|nil
function property.read(format, pieces)
  local protocol = chats.sides(format)
  local reader, events, usage, finish, is_over = protocol.reader(), {}, nil, nil, false
  for _, event in ipairs(stream_of(pieces, format == "ollama")) do
    if event.data then
      local told = protocol.read_event(event, usage)
      assert(told.kind ~= "error", event.data)
      assert(not is_over, "goes on after its end: " .. event.data)
      is_over, usage, finish = told.kind == "end" or told.last or false, told.usage or usage, told.finish or finish
      for _, each in ipairs(reader(event)) do events[#events + 1] = each end
    end
  end
  assert(finish, "no finish")
  return events, usage
end

-- Tells what was read in every format, whole and, of a stream's events, as a stream: it must be the same each time.
---@param reply moongate.chat_reply
---@param usage moongate.usage|nil
---@param events moongate.chat_event[]|nil
function property.told_alike(reply, usage, events)
  reply.usage = usage
  for _, format in ipairs(chats.FORMATS) do
    local protocol, surface = chats.sides(format)
    local says = chats.SAYS[format]
    local whole = surface.reply(property.call(), reply)
    property.same(chats.said(reply, says), chats.said(protocol.reply(json.decode(whole), {}), says), whole)
    if events then
      local text = property.write(surface, events, usage)
      local again, used = property.read(format, { text })
      property.same(chats.said(reply, says), chats.said(chats.gather(again), says), text)
      if usage then property.same(chats.used(usage, says), chats.used(used, says), text) end
    end
  end
end

-- The body of a test: a check for so many seeds. Says for which it fails.
local function always(_, cases, check)
  return function()
    for seed = FIRST, FIRST + cases - 1 do
      local fine, why = xpcall(check, trace, chats.dice(seed))
      if not fine then error("seed " .. seed .. ": " .. why, 0) end
    end
  end
end

return setmetatable(property, { __call = always })
