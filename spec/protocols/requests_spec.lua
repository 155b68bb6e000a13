-- Requests there and back: what a protocol writes of a neutral request, the surface of the same format reads as the
-- same one, but for what the format has no words for; what comes from another format, it takes.
require "spec.support.core"
local chats = require "spec.support.chats"
local json = require "moongate.core.json"
local property = require "spec.support.property"
local requests = require "spec.support.requests"

-- One without quirks, and one with.
local PROVIDERS = { openai = "mine", openai_responses = "openai" }

local function order_of(format, neutral, model)
  return {
    operation = "chat", chat = neutral, stream = neutral.stream, now = 0, key = "k", target = { upstream_id = model },
    provider = { name = PROVIDERS[format] or format, base_url = "http://h.test/v1" },
  }
end

local function parse(format, text, model, stream)
  local _, surface = chats.sides(format)
  local document = assert(json.scan(text))
  local path = { model = model, verb = "chat", stream = stream, sse = true }
  local request, refusal = surface.parse(document, {}, "chat", path)
  assert(request, refusal and refusal.message .. " " .. text)
  local read
  read, refusal = surface.chat(document, request)
  return assert(read, refusal and refusal.message .. " " .. text)
end

for _, format in ipairs(chats.FORMATS) do
  local protocol = chats.sides(format)

  describe("a request in the format of " .. format, function()
    it("is read as it was written", property(200, function(dice)
      local neutral, model = requests.make(dice, format)
      local wire, unfit = protocol.build(order_of(format, neutral, model))
      assert(wire, unfit and unfit.message)
      local read = parse(format, wire.body, model, neutral.stream)
      property.same(requests.left(neutral, format), requests.plain(read), wire.body)
    end))

    for _, other in ipairs(chats.FORMATS) do
      it("is written so that it is taken: as " .. other, property(20, function(dice)
        local neutral = requests.make(dice, format)
        local _, model = requests.make(dice, other)
        local wire, unfit = chats.sides(other).build(order_of(other, neutral, model))
        if not wire then return assert(unfit.message) end
        parse(other, wire.body, model, neutral.stream)
      end))
    end
  end)
end

describe("a conversation in which nothing is said", function()
  for _, format in ipairs(chats.FORMATS) do
    it("is taken all the same: as " .. format, function()
      local model = select(2, requests.make(chats.dice(1), format))
      for _, system in ipairs { {}, { { kind = "text", text = "Be brief." } } } do
        local neutral = { system = system, turns = {}, tools = {}, stream = false, unread = {} }
        parse(format, chats.sides(format).build(order_of(format, neutral, model)).body, model, false)
      end
    end)
  end
end)
