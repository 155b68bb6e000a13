-- Answers there and back: what a surface writes, the protocol of the same format reads as what was to be said, whole
-- and streamed, however the bytes are cut; and what one format's protocol has read, another format's surface can tell.
require "spec.support.core"
local chats = require "spec.support.chats"
local json = require "moongate.core.json"
local property = require "spec.support.property"

local CASES = 200
local same, sums_up, write, call_of = property.same, property.sums_up, property.write, property.call

local function read(format, text, dice)
  return property.read(format, dice:cut(text, dice:pick { 1, 5, 40, 4000 }))
end

for _, format in ipairs(chats.FORMATS) do
  local protocol, surface = chats.sides(format)
  local says = chats.SAYS[format]

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
      local read_events, usage = read(format, text, dice)
      local gathered = chats.gather(read_events)
      same(chats.said(reply, says), chats.said(gathered, says), text)
      same(chats.used(reply.usage, says), chats.used(usage, says), text)
      sums_up(usage)
      gathered.usage = usage
      check_whole(gathered)
    end))

    it("loses nothing of what comes mixed", property(CASES, function(dice)
      local loose = chats.both(says, { folds = {}, lacks = {}, finishes = says.finishes, one = true })
      local reply = chats.reply(dice, loose, format)
      local events = chats.mixed(dice, reply)
      local text = write(surface, events, reply.usage)
      same(chats.said(chats.gather(events), loose), chats.said(chats.gather(read(format, text, dice)), loose), text)
    end))
  end)
end

describe("an answer of one format", function()
  for _, from in ipairs(chats.FORMATS) do
    for _, into in ipairs(chats.FORMATS) do
      it("is told in another: " .. from .. " as " .. into, property(CASES / 10, function(dice)
        local says = chats.both(chats.SAYS[from], chats.SAYS[into])
        local reply = chats.reply(dice, says, from)
        local _, surface = chats.sides(from)
        local theirs, other = chats.sides(into)
        local text = write(surface, chats.events(dice, reply), reply.usage)
        local events, usage = read(from, text, dice)
        local again = write(other, events, usage)
        local told, used = read(into, again, dice)
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

describe("an answer in another frame", function()
  it("of Gemini's is one array", property(CASES, function(dice)
    local protocol, surface = chats.sides "gemini"
    local reply = chats.reply(dice, chats.SAYS.gemini, "gemini")
    local text = write(surface, chats.events(dice, reply), reply.usage, { framing = "json" })
    local reader, events = protocol.reader(), {}
    for _, document in ipairs(assert(json.decode(text))) do
      for _, event in ipairs(reader { document = document }) do events[#events + 1] = event end
    end
    same(chats.said(reply, chats.SAYS.gemini), chats.said(chats.gather(events), chats.SAYS.gemini), text)
  end))

  it("of Ollama's has no message", property(CASES, function(dice)
    local protocol, surface = chats.sides "ollama"
    local says = chats.both(chats.SAYS.ollama, { folds = {}, lacks = { image = true }, finishes = { length = true } })
    local reply = chats.reply(dice, says, "ollama")
    local text = write(surface, chats.events(dice, reply), reply.usage, { generate = true })
    same(chats.said(reply, says), chats.said(chats.gather(read("ollama", text, dice)), says), text)
    text = surface.reply(call_of { generate = true }, reply)
    same(chats.said(reply, says), chats.said(protocol.reply(json.decode(text)), says), text)
  end))
end)
