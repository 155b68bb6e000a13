-- Broken replies, streams and requests of every format: members gone, of another type, cut short, doubled, disordered.
-- Nothing that reads them raises an error, and what is read of them can be told in every format.
require "spec.support.core"
local chats = require "spec.support.chats"
local json = require "moongate.core.json"
local property = require "spec.support.property"
local requests = require "spec.support.requests"
local stream_of = require "spec.support.cutter"
local transcripts = require "spec.support.transcripts"

local CASES = 200
local call_of = property.call
local PROVIDERS = { openai_responses = "openai" }

-- ---- breaking ----

local ODD = { json.null, true, false, 0, -1, 1e300, 0.5, "", "x", "{}", { {} }, { "x" }, { text = 1 }, {}, { "x", {} } }

-- All members, always in the same order.
local function places_in(document, places)
  local names = {}
  for name in pairs(document) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    places[#places + 1] = { holder = document, name = name }
    if type(document[name]) == "table" then places_in(document[name], places) end
  end
  return places
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local own = {}
  for name, each in pairs(value) do own[name] = copy(each) end
  return json.is_array(value) and json.array(own) or own
end

-- Takes some members away, or puts odd things in their place.
local function break_some(dice, document)
  for _ = 1, dice:upto(4) do
    local places = places_in(document, {})
    if #places == 0 then return document end
    local place = dice:pick(places)
    local is_list = json.is_array(place.holder)
    if dice:chance(30) then
      if is_list then table.remove(place.holder, place.name) else place.holder[place.name] = nil end
    elseif dice:chance(20) and is_list then
      table.insert(place.holder, copy(place.holder[place.name]))
    else
      place.holder[place.name] = copy(dice:pick(ODD))
    end
  end
  return document
end

local function cut_short(dice, text) return string.sub(text, 1, dice:upto(#text) - 1) end

local function broken(dice, text)
  if dice:chance(10) then return cut_short(dice, text) end
  local document = json.decode(text)
  return type(document) == "table" and json.encode(break_some(dice, document)) or text
end

-- ---- reading ----

local function check_usage(usage)
  if usage then property.sums_up(usage) end
end

local function read_whole(protocol, text)
  local told = protocol.read_reply(200, {}, text)
  check_usage(told.usage)
  assert(told.text_length >= 0)
  if told.error then return nil end
  local reply = protocol.reply(told.body, {})
  check_usage(reply.usage)
  return reply
end

local function read_stream(protocol, events)
  local reader, list, usage = protocol.reader(), {}, nil
  for _, event in ipairs(events) do
    local told = protocol.read_event(event, usage)
    usage = told.usage or usage
    check_usage(told.usage)
    assert(told.kind)
    for _, each in ipairs(reader(event)) do list[#list + 1] = each end
  end
  return list, usage
end

local function tell_everywhere(reply, events, usage)
  for _, format in ipairs(chats.FORMATS) do
    local _, surface = chats.sides(format)
    if reply then assert(json.decode(surface.reply(call_of(), reply))) end
    local writer = surface.writer(call_of())
    for _, event in ipairs(events or {}) do writer:event(event) end
    assert(#writer:finish(usage) > 0)
  end
end

local function disturb(dice, events)
  local list = {}
  for _, event in ipairs(events) do
    local own = { name = event.name, data = event.data }
    if own.data and dice:chance(15) then own.data = broken(dice, own.data) end
    if own.data and not dice:chance(8) then list[#list + 1] = own end
    if own.data and dice:chance(8) then list[#list + 1] = { name = own.name, data = own.data } end
    if #list > 1 and dice:chance(15) then
      local other = dice:upto(#list)
      list[#list], list[other] = list[other], list[#list]
    end
  end
  return list
end

for _, format in ipairs(chats.FORMATS) do
  local protocol, surface = chats.sides(format)
  local says, lines = chats.SAYS[format], format == "ollama"

  describe("what comes broken in the format of " .. format, function()
    it("is no trouble as a whole reply", property(CASES, function(dice)
      local reply = chats.reply(dice, says, format)
      local text = surface.reply(call_of(), reply)
      if dice:chance(40) then text = dice:pick(transcripts[format].replies) end
      tell_everywhere(read_whole(protocol, broken(dice, text)))
    end))

    it("is no trouble as a stream", property(CASES, function(dice)
      local events
      if dice:chance(40) then
        events = {}
        for i, data in ipairs(dice:pick(transcripts[format].streams)) do events[i] = { data = data } end
      else
        local reply = chats.reply(dice, says, format)
        events = stream_of({ property.write(surface, chats.events(dice, reply), reply.usage) }, lines)
      end
      tell_everywhere(nil, read_stream(protocol, disturb(dice, events)))
    end))

    it("is refused as a request, or carried", property(CASES, function(dice)
      local neutral, model = requests.make(dice, format)
      local wire = protocol.build {
        operation = "chat", chat = neutral, stream = neutral.stream, now = 0, key = "k",
        target = { upstream_id = model }, provider = { name = PROVIDERS[format] or format },
      }
      local document = json.scan(broken(dice, wire.body))
      if not document then return end
      local path = { model = model, verb = "chat", stream = false, sse = false }
      local request, refusal = surface.parse(document, {}, "chat", path)
      if not request then return assert(refusal.message) end
      assert(request.messages)
      local read
      read, refusal = surface.chat(document, request)
      if not read then return assert(refusal.message) end
      for _, other in ipairs(chats.FORMATS) do
        local built, unfit = chats.sides(other).build {
          operation = "chat", chat = read, now = 0, key = "k", target = { upstream_id = model },
          provider = { name = PROVIDERS[other] or other },
        }
        assert(built and json.decode(built.body) or unfit.message)
      end
    end))
  end)

  describe("what providers really say in the format of " .. format, function()
    it("is told in every format as it was read", function()
      for _, text in ipairs(transcripts[format].replies) do
        local reply = assert(read_whole(protocol, text), text)
        property.told_alike(reply, reply.usage)
      end
      for _, stream in ipairs(transcripts[format].streams) do
        local events = {}
        for i, data in ipairs(stream) do events[i] = { data = data } end
        local list, usage = read_stream(protocol, events)
        property.told_alike(chats.gather(list), usage, list)
      end
    end)
  end)
end
