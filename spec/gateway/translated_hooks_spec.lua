-- Hooks where caller and provider speak differently, or the same but not OpenAI's: what they read, change, refuse and
-- answer is the same on every surface.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local surfaces = require "spec.support.surfaces"

local upstream, moongate

local function start(hooks, change)
  hooks["routing/auto-cheapest.lua"] = "return function(request, candidates) return candidates end\n"
  moongate = gateway.start { config = surfaces.config(upstream, change), policies = hooks }
end

local function ask(name, model, stream, text, more)
  return moongate:request(surfaces.request(name, text or "Ask bob@acme.test", model, stream, more))
end

local function pairings(try)
  for _, name in ipairs(surfaces.names) do
    for _, protocol in ipairs(surfaces.protocols) do try(name, "m-" .. protocol, name .. " to " .. protocol) end
  end
end

before_each(function() upstream = provider.open() end)
after_each(gateway.stop_all)

local REDACT = [[
local function clean(text) return (text:gsub("%S+@%S+", "[address]")) end
return { request = function(req)
  if req.messages then
    for _, message in ipairs(req.messages) do
      if type(message.content) == "string" then
        message.content = clean(message.content)
      else
        for _, part in ipairs(message.content) do part.text = part.text and clean(part.text) end
      end
    end
  end
  local input = req.body.input
  if type(input) == "string" then req.body.input = clean(input) end
  if type(input) == "table" then for i, text in ipairs(input) do input[i] = clean(text) end end
end }
]]

describe("a request hook", function()
  it("redacts what any provider is sent, whatever the caller speaks", function()
    start { ["hooks/10_redact.lua"] = REDACT }
    pairings(function(name, model, pair)
      for _, stream in ipairs { false, true } do
        upstream:forget()
        local answer = ask(name, model, stream)
        assert.equal(200, answer.status, pair .. ": " .. answer.body)
        local sent = upstream:seen()[1]
        assert.is_nil(sent.refused, pair)
        assert.matches("Ask [address]", sent.body, 1, true)
        assert.not_matches("bob@", sent.body, 1, true)
        local text = stream and surfaces.read(name, answer.body).text or surfaces[name].text(answer:json())
        assert.equal("Hello from the provider.", text, pair)
      end
    end)
  end)

  it("redacts what is only counted", function()
    start { ["hooks/10_redact.lua"] = REDACT }
    for _, protocol in ipairs { "anthropic", "gemini" } do
      local model = "m-" .. protocol
      for path, name in pairs { ["/v1/messages/count_tokens"] = "anthropic",
        ["/v1beta/models/" .. model .. ":countTokens"] = "gemini" } do
        upstream:forget()
        local request = surfaces.request(name, "Ask bob@acme.test", model, nil, { path = path })
        request.json.max_tokens = nil
        local answer = moongate:request(request)
        assert.equal(200, answer.status, answer.body)
        local sent = upstream:seen()[1]
        assert.is_nil(sent.refused)
        assert.matches("count", sent.path)
        assert.matches("Ask [address]", sent.body, 1, true)
      end
    end
  end)

  it("refuses a count too", function()
    start { ["hooks/10_guard.lua"] = "return { request = function(req) req:refuse(451, 'not here') end }" }
    local answer = moongate:request { path = "/v1/messages/count_tokens", json = {
      model = "m-anthropic", messages = { { role = "user", content = "Hi" } } } }
    assert.same({ 451, "not here" }, { answer.status, answer:json().error.message })
    assert.same({}, upstream:seen())
  end)

  it("redacts what is embedded", function()
    start { ["hooks/10_redact.lua"] = REDACT }
    local content = { parts = { { text = "Ask bob@acme.test" } } }
    for _, protocol in ipairs { "openai", "gemini", "ollama" } do
      local model = "m-" .. protocol
      for path, body in pairs {
        ["/v1/embeddings"] = { model = model, input = "Ask bob@acme.test" },
        ["/api/embed"] = { model = model, input = { "Ask bob@acme.test" } },
        ["/api/embeddings"] = { model = model, prompt = "Ask bob@acme.test" },
        ["/v1beta/models/" .. model .. ":embedContent"] = { content = content },
        ["/v1beta/models/" .. model .. ":batchEmbedContents"] = {
          requests = { { model = "models/" .. model, content = content } } },
      } do
        upstream:forget()
        local answer = moongate:request { path = path, json = body }
        assert.equal(200, answer.status, path .. ": " .. answer.body)
        local sent = upstream:seen()[1]
        assert.is_nil(sent.refused)
        assert.matches("Ask [address]", sent.body, 1, true)
        assert.not_matches("bob@", sent.body, 1, true)
      end
    end
  end)

  it("that is not there costs a request of the provider's own API nothing", function()
    start { ["hooks/10_watch.lua"] = "return { finish = function(req) log(#req.messages) end }" }
    local answer = moongate:request { path = "/v1/responses", json = {
      model = "m-responses", input = "Go on.", previous_response_id = "resp_1" } }
    assert.equal(200, answer.status, answer.body)
    assert.equal("resp_1", upstream:body().previous_response_id)
  end)

  it("sees a request that leans on what its provider keeps, and cannot change it", function()
    start { ["hooks/10_redact.lua"] = REDACT }
    local body = { model = "m-responses", input = "Go on.", previous_response_id = "resp_1" }
    assert.equal(200, moongate:request({ path = "/v1/responses", json = body }).status)
    assert.equal("resp_1", upstream:body().previous_response_id)
    body.input = "Ask bob@acme.test"
    local answer = moongate:request { path = "/v1/responses", json = body }
    assert.same({ 400, "previous_response_id" }, { answer.status, answer:json().error.param })
    assert.equal(1, #upstream:seen())
  end)

  it("refuses in the surface's shape, before any call", function()
    start { ["hooks/10_guard.lua"] = "return { request = function(req) req:refuse(451, 'not here') end }" }
    for _, name in ipairs { "openai", "responses", "anthropic", "gemini", "ollama", "router" } do
      for _, stream in ipairs(name == "router" and { false } or { false, true }) do
        local answer = ask(name, "m-anthropic", stream)
        assert.equal(451, answer.status, name)
        assert.equal("application/json", answer.headers["content-type"])
        assert.equal("not here", surfaces[name].error(answer:json()).message, name)
      end
    end
    assert.same({}, upstream:seen())
  end)

  it("answers in the surface's shape, whole and streamed, before any call", function()
    start { ["hooks/10_answer.lua"] = "return { request = function(req) req:answer('Ja.') end }" }
    for _, name in ipairs { "openai", "responses", "anthropic", "gemini", "ollama", "router" } do
      local answer = ask(name, "m-gemini", false)
      assert.equal(200, answer.status, name)
      assert.equal("Ja.", surfaces[name].text(answer:json()), name)
      assert.equal("moongate", answer.headers["x-moongate-provider"])
      if name ~= "router" then
        local read = surfaces.read(name, ask(name, "m-gemini", true).body)
        assert.same({ "Ja.", true }, { read.text, read.complete }, name)
      end
    end
    assert.same({}, upstream:seen())
  end)
end)

local SHOUT = [[
return { event = function(req, event)
  if event.text ~= "" then event.text = event.text:upper() end
  if event.last then event.text = event.text .. " Bye." end
end }
]]

describe("an event hook", function()
  it("changes every text and adds the last words, in all formats", function()
    start { ["hooks/10_shout.lua"] = SHOUT }
    pairings(function(name, model, pair)
      local read = surfaces.read(name, ask(name, model, true).body)
      assert.same({ "HELLO FROM THE PROVIDER. Bye.", true }, { read.text, read.complete }, pair)
    end)
  end)

  it("changes arrays in pieces and generated texts as well", function()
    start { ["hooks/10_shout.lua"] = SHOUT }
    for _, protocol in ipairs(surfaces.protocols) do
      local model = "m-" .. protocol
      local array = moongate:request { path = "/v1beta/models/" .. model .. ":streamGenerateContent",
        json = surfaces.gemini.body "Hi" }:json()
      local texts = {}
      for i, piece in ipairs(array) do texts[i] = surfaces.gemini.said(piece) end
      assert.equal("HELLO FROM THE PROVIDER. Bye.", table.concat(texts), protocol)
      texts = {}
      local answer = moongate:request { path = "/api/generate", json = { model = model, prompt = "Hi" } }
      for i, line in ipairs(surfaces.ollama.events(answer.body)) do texts[i] = line.response end
      assert.equal("HELLO FROM THE PROVIDER. Bye.", table.concat(texts), protocol)
    end
  end)

  it("refuses in the middle of an array, which stays one", function()
    start { ["hooks/10_stop.lua"] = [[
return { event = function(req, event) if event.text:find "the" then req:refuse(451, "enough") end end }
]] }
    for _, protocol in ipairs(surfaces.protocols) do
      local array = moongate:request { path = "/v1beta/models/m-" .. protocol .. ":streamGenerateContent",
        json = surfaces.gemini.body "Hi" }:json()
      assert.equal("enough", array[#array].error.message, protocol)
    end
  end)

  it("leaves calls and thoughts whole, and changes the thoughts' text", function()
    start { ["hooks/10_think.lua"] = [[
return { event = function(req, event)
  if event.reasoning then event.reasoning = event.reasoning:upper() end
end }
]] }
    local call = { id = "call_1", type = "function",
      ["function"] = { name = "weather", arguments = '{"city":"Bern"}' } }
    upstream:usually { thinking = { "let me ", "see" }, content = "It is", tools = { call } }
    pairings(function(name, model, pair)
      local request = surfaces.request(name, "Hi", model, true)
      local schema = { type = "object", properties = { city = { type = "string" } } }
      if name == "openai" or name == "ollama" then
        request.json.tools = { { type = "function", ["function"] = { name = "weather", parameters = schema } } }
      elseif name == "responses" then
        request.json.tools = { { type = "function", name = "weather", parameters = schema } }
      elseif name == "anthropic" then
        request.json.tools = { { name = "weather", input_schema = schema } }
      else
        request.json.tools = { { functionDeclarations = { { name = "weather", parametersJsonSchema = schema } } } }
      end
      if name == "ollama" then request.json.think = true end
      local answer = moongate:request(request)
      assert.equal(200, answer.status, pair .. answer.body)
      local read = surfaces.read(name, answer.body)
      assert.same({ "It is", true }, { read.text, read.complete }, pair .. answer.body)
      assert.matches("Bern", answer.body, 1, true)
      assert.not_matches("let me", answer.body, 1, true)
    end)
  end)

  it("refuses and answers in mid-stream, in the surface's shape", function()
    start { ["hooks/10_stop.lua"] = [[
return { event = function(req, event)
  req.state.count = (req.state.count or 0) + (event.text ~= "" and 1 or 0)
  if req.state.count == 3 then
    if req.messages[#req.messages].content:find "refuse" then req:refuse(451, "enough") else req:answer(" Stop.") end
  end
end }
]] }
    pairings(function(name, model, pair)
      local read = surfaces.read(name, ask(name, model, true, "Please refuse").body)
      assert.same({ "Hello from", false }, { read.text, read.complete }, pair)
      assert.truthy(read.error, pair)
      assert.equal("enough", read.error.message, pair)
      read = surfaces.read(name, ask(name, model, true, "Please answer").body)
      assert.same({ "Hello from Stop.", true }, { read.text, read.complete }, pair)
    end)
  end)

  it("that fails is left out, or ends the stream, as it says", function()
    start { ["hooks/10_break.lua"] = [[
return { on_fault = "refuse", event = function(req, event)
  if req.headers["x-break"] and event.text:find "the" then error "broken" end
end }
]] }
    pairings(function(name, model, pair)
      local read = surfaces.read(name, ask(name, model, true, nil, { headers = { ["x-break"] = "1" } }).body)
      assert.same({ "Hello from", false }, { read.text, read.complete }, pair)
      assert.matches("hooks/10_break", read.error.message)
    end)
    moongate:write("policies/hooks/10_break.lua", [[
return { event = function(req, event) if event.text:find "the" then error "broken" end end }
]])
    require("spec.support.wait").until_(function()
      return surfaces.read("anthropic", ask("anthropic", "m-gemini", true, nil, { headers = { ["x-break"] = "1" } })
        .body).complete
    end, "the new hook")
    pairings(function(name, model, pair)
      local read = surfaces.read(name, ask(name, model, true).body)
      assert.same({ "Hello from the provider.", true }, { read.text, read.complete }, pair)
    end)
  end)
end)

describe("a response hook", function()
  it("changes whole answers, and streams as a whole", function()
    start { ["hooks/10_shout.lua"] = [[
return { response = function(req, response) response.text = response.text:upper() .. "!" end }
]] }
    pairings(function(name, model, pair)
      assert.equal("HELLO FROM THE PROVIDER.!", surfaces[name].text(ask(name, model, false):json()), pair)
      local read = surfaces.read(name, ask(name, model, true).body)
      assert.same({ "HELLO FROM THE PROVIDER.!", true }, { read.text, read.complete }, pair)
    end)
  end)

  it("refuses whole answers and streams with a status, in the surface's shape", function()
    start { ["hooks/10_guard.lua"] = [[
return { response = function(req, response) if response.text:find "provider" then req:refuse(451, "not this") end end }
]] }
    pairings(function(name, model, pair)
      for _, stream in ipairs { false, true } do
        local answer = ask(name, model, stream)
        assert.equal(451, answer.status, pair)
        assert.equal("not this", surfaces[name].error(answer:json()).message, pair)
        local row = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
        assert.same({ 9, 12, false }, { row.input_tokens, row.output_tokens, row.estimated }, pair)
      end
    end)
  end)
end)
