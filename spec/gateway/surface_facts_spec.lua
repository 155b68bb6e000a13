-- What is the same on every surface: what policies see of a request, and what an answer's headers tell.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local surfaces = require "spec.support.surfaces"

describe("a policy", function()
  after_each(gateway.stop_all)

  it("sees the same of a request, whatever its surface", function()
    local upstream = provider.open()
    local moongate = gateway.start {
      config = surfaces.config(upstream, function(config) config.policy = "look" end),
      policies = {
        ["routing/look.lua"] = [[
return function(request, candidates)
  local told = {}
  for _, message in ipairs(request.messages) do
    local content = message.content
    if type(content) == "table" then
      local parts = {}
      for i, part in ipairs(content) do parts[i] = part.text or part.type end
      content = table.concat(parts, "+")
    end
    told[#told + 1] = message.role .. "=" .. tostring(content)
  end
  return {}, table.concat({ table.concat(told, ","), request.text_length, request.tools and "tools" or "none",
    request.images and "images" or "none", tostring(request.max_tokens), request.surface,
    request.estimated_tokens > 0 and request.estimated_tokens < 4000 and "some" or request.estimated_tokens }, " ")
end
]] },
    }
    local pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    local schema = { type = "object" }
    local url = "data:image/png;base64," .. pixel
    local tool = { type = "function", ["function"] = { name = "f", parameters = schema } }
    local bodies = {
      openai = { max_tokens = 7, tools = { tool }, messages = { { role = "system", content = "Be kind." },
        { role = "user", content = { { type = "text", text = "Look:" },
          { type = "image_url", image_url = { url = url } } } } } },
      responses = { max_output_tokens = 7, tools = { { type = "function", name = "f", parameters = schema } },
        instructions = "Be kind.", input = { { role = "user", content = { { type = "input_text", text = "Look:" },
          { type = "input_image", image_url = url } } } } },
      anthropic = { max_tokens = 7, tools = { { name = "f", input_schema = schema } }, system = "Be kind.",
        messages = { { role = "user", content = { { type = "text", text = "Look:" }, { type = "image",
          source = { type = "base64", media_type = "image/png", data = pixel } } } } } },
      gemini = { generationConfig = { maxOutputTokens = 7 },
        tools = { { functionDeclarations = { { name = "f", parametersJsonSchema = schema } } } },
        systemInstruction = { parts = { { text = "Be kind." } } }, contents = { { role = "user", parts = {
          { text = "Look:" }, { inlineData = { mimeType = "image/png", data = pixel } } } } } },
      ollama = { options = { num_predict = 7 }, tools = { tool }, stream = false, messages = {
        { role = "system", content = "Be kind." }, { role = "user", content = "Look:", images = { pixel } } } },
    }
    for _, name in ipairs(surfaces.names) do
      local body = bodies[name]
      if name ~= "gemini" then body.model = "m-openai" end
      local answer = moongate:request { path = surfaces[name].path("m-openai"), json = body }
      local message = surfaces[name].error(answer:json()).message
      local called = ({ openai = "chat", anthropic = "messages" })[name] or name
      local shown = ("system=Be kind.,user=Look:+image_url 13 tools images 7 %s some"):format(called)
      assert.truthy(message:find(shown, 1, true), name .. ": " .. message)
    end
  end)
end)

describe("an answer", function()
  after_each(gateway.stop_all)

  it("tells on every surface who gave it, and what it cost", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = surfaces.config(upstream) }
    for _, name in ipairs { "openai", "responses", "anthropic", "gemini", "ollama", "router" } do
      for _, stream in ipairs(name == "router" and { false } or { false, true }) do
        local answer = moongate:request(surfaces.request(name, "Hi", "m-anthropic", stream,
          { headers = { ["x-request-id"] = "mine-" .. name } }))
        local told = answer.headers
        assert.same({ "p-anthropic", "m-anthropic", "1", "mine-" .. name }, { told["x-moongate-provider"],
          told["x-moongate-model"], told["x-moongate-attempts"], told["x-request-id"] }, name)
        assert.matches("^auto%-cheapest@%x+$", told["x-moongate-policy"])
        assert.equal(not stream and "0.000033" or nil, told["x-moongate-cost-usd"], name)
        assert.equal(not stream and "21" or nil, told["x-moongate-billed-tokens"], name)
      end
    end
  end)
end)
