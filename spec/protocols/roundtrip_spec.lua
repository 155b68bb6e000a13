-- Answers there and back: what a surface writes, the protocol of the same format reads as what was to be said, whole
-- and streamed, however the bytes are cut; and what one format's protocol has read, another format's surface can tell.
require "spec.support.core"
local chats = require "spec.support.chats"
local json = require "moongate.core.json"
local property = require "spec.support.property"
local stream_of = require "spec.support.cutter"

local CASES = 300
local same, sums_up = property.same, property.sums_up

local function call_of(more)
  local request = { now = 1700000000, model = "m", include_usage = true, estimated_tokens = 7 }
  for name, value in pairs(more or {}) do request[name] = value end
  return { id = "req_0123abcd", request = request, target = { model = "served" } }
end

-- What a surface makes of a stream, as its protocol reads it, through whatever cuts.
local function write(surface, events, usage)
  local writer, out = surface.writer(call_of()), {}
  for _, event in ipairs(events) do out[#out + 1] = writer:event(event) end
  out[#out + 1] = writer:finish(usage)
  return table.concat(out)
end

local function read(protocol, text, dice, lines)
  local reader, events, usage, finishes, is_over = protocol.reader(), {}, nil, 0, false
  for _, event in ipairs(stream_of(dice:cut(text, dice:pick { 1, 5, 40, 4000 }), lines)) do
    if event.data then
      local told = protocol.read_event(event, usage)
      assert(told.kind ~= "error", event.data)
      assert(not is_over, "goes on after its end: " .. event.data)
      is_over = told.kind == "end" or told.last or false
      usage = told.usage or usage
      if told.finish then finishes = finishes + 1 end
      for _, each in ipairs(reader(event)) do events[#events + 1] = each end
    end
  end
  assert(finishes > 0, "no finish")
  return events, usage
end

for _, format in ipairs(chats.FORMATS) do
  local protocol, surface = chats.sides(format)
  local says, lines = chats.SAYS[format], format == "ollama"

  local function check_whole(reply)
    local text = surface.reply(call_of(), reply)
    local told = protocol.read_reply(200, {}, text)
    same(nil, told.error)
    sums_up(told.usage)
    same(chats.used(reply.usage, says), chats.used(told.usage, says))
    assert(told.finish, "no finish")
    local own = protocol.reply(told.body, {})
    same(chats.said(reply, says), chats.said(own, says), text)
    return own
  end

  describe("an answer in the format of " .. format, function()
    it("is read as it was told", property(CASES, function(dice)
      check_whole(chats.reply(dice, says, format))
    end))

    it("streams as it was told", property(CASES, function(dice)
      local reply = chats.reply(dice, says, format)
      local events = chats.events(dice, reply)
      local text = write(surface, events, reply.usage)
      local read_events, usage = read(protocol, text, dice, lines)
      local gathered = chats.gather(read_events)
      same(chats.said(reply, says), chats.said(gathered, says), text)
      same(chats.used(reply.usage, says), chats.used(usage, says), text)
      sums_up(usage)
      gathered.usage = usage
      check_whole(gathered)
    end))
  end)
end

describe("an answer of one format", function()
  for _, from in ipairs(chats.FORMATS) do
    for _, into in ipairs(chats.FORMATS) do
      it("is told in another: " .. from .. " as " .. into, property(CASES / 5, function(dice)
        local says = chats.both(chats.SAYS[from], chats.SAYS[into])
        local reply = chats.reply(dice, says, from)
        local protocol, surface = chats.sides(from)
        local theirs, other = chats.sides(into)
        local text = write(surface, chats.events(dice, reply), reply.usage)
        local events, usage = read(protocol, text, dice, from == "ollama")
        local again = write(other, events, usage)
        local told, used = read(theirs, again, dice, into == "ollama")
        same(chats.said(reply, says), chats.said(chats.gather(told), says), text .. again)
        same(chats.used(reply.usage, says), chats.used(used, says))
        sums_up(used)
        local gathered = chats.gather(events)
        gathered.usage = usage
        local whole = other.reply(call_of(), gathered)
        same(chats.said(reply, says), chats.said(theirs.reply(json.decode(whole), {}), says), whole)
      end))
    end
  end
end)
