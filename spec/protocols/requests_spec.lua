-- Requests there and back: what a protocol writes of a neutral request, the surface of the same format reads as the
-- same one, but for what the format has no words for.
require "spec.support.core"
local chats = require "spec.support.chats"
local json = require "moongate.core.json"
local property = require "spec.support.property"
local requests = require "spec.support.requests"

local PROVIDERS = { openai_responses = "openai" }

for _, format in ipairs(chats.FORMATS) do
  local protocol, surface = chats.sides(format)

  describe("a request in the format of " .. format, function()
    it("is read as it was written", property(300, function(dice)
      local neutral, model = requests.make(dice, format)
      local wire, unfit = protocol.build {
        operation = "chat", chat = neutral, stream = neutral.stream, now = 0, key = "k",
        target = { upstream_id = model }, provider = { name = PROVIDERS[format] or format },
      }
      assert(wire, unfit and unfit.message)
      local document = assert(json.scan(wire.body))
      local path = { model = model, verb = "chat", stream = neutral.stream, sse = true }
      local request, refusal = surface.parse(document, {}, "chat", path)
      assert(request, refusal and refusal.message .. wire.body)
      local read
      read, refusal = surface.chat(document, request)
      assert(read, refusal and refusal.message .. wire.body)
      property.same(requests.left(neutral, format), requests.plain(read), wire.body)
    end))
  end)
end
