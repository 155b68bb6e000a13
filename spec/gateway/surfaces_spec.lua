-- What joins the surfaces and the providers' protocols: bad input, failures, keys, quotas and gates, each seen from
-- every API.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local json = require "dkjson"
local provider = require "spec.support.provider"
local surfaces = require "spec.support.surfaces"

local PATHS = {
  openai = "/v1/chat/completions", responses = "/v1/responses", anthropic = "/v1/messages",
  gemini = "/v1beta/models/m-openai:generateContent", ollama = "/api/chat", router = "/v1/chat",
}
local ALL = { "openai", "responses", "anthropic", "gemini", "ollama", "router" }

local function pairings(try)
  for _, name in ipairs(surfaces.names) do
    for _, protocol in ipairs(surfaces.protocols) do try(name, protocol, name .. " to " .. protocol) end
  end
end

-- An error in its surface's shape, and nothing else.
local function check_error(name, answer, status, why)
  assert.equal(status, answer.status, why .. ": " .. answer.body)
  assert.equal("application/json", answer.headers["content-type"], why)
  assert.truthy(answer.headers["x-request-id"], why)
  local fault = surfaces[name].error(answer:json())
  assert.truthy(fault and type(fault.message) == "string" and #fault.message > 0, why .. ": " .. answer.body)
  if fault.id then assert.equal(answer.headers["x-request-id"], fault.id, why) end
  if name == "gemini" then assert.equal(status, fault.code, why) end
  return fault
end

describe("bad input", function()
  local upstream, moongate
  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = surfaces.config(upstream) }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  local function deep(levels)
    return ('{"a":'):rep(levels) .. "1" .. ("}"):rep(levels)
  end
  local user = { { role = "user", content = "Hi" } }
  local tool = { type = "function", ["function"] = { name = "f", parameters = { type = "object" } } }

  local function base(name)
    local body = surfaces[name].body("Hi", "m-openai", false)
    return body
  end
  local function with(name, fields)
    local body = base(name)
    for field, value in pairs(fields) do body[field] = value end
    return json.encode(body)
  end

  -- Every surface: what it is, the body.
  local everywhere = {
    { "an empty body", function() return "" end },
    { "no object", function() return "[]" end },
    { "a text", function() return '"hello"' end },
    { "null", function() return "null" end },
    { "an empty object", function() return "{}" end },
    { "half a body", function(name) return with(name, {}):sub(1, -3) end },
    { "two bodies", function(name) return with(name, {}) .. "{}" end },
    { "nesting without end", function() return deep(300) end },
    { "bytes that are no UTF-8", function(name) return (with(name, {}):gsub("Hi", "H\255")) end },
  }
  for _, name in ipairs(ALL) do
    for _, case in ipairs(everywhere) do
      it("at " .. name .. ": " .. case[1] .. " is a 400 in its shape", function()
        local body = case[2](name)
        if name == "ollama" and case[1] == "an empty object" then body = '{"model":5}' end
        check_error(name, moongate:request { path = PATHS[name], body = body, method = "POST" }, 400, case[1])
        assert.same({}, upstream:seen())
      end)
    end
  end

  local b64 = ("A"):rep(40)
  local cases = {
    openai = {
      { "a wrong role", { messages = { { role = "wizard", content = "Hi" } } } },
      { "messages of a wrong type", { messages = "Hi" } },
      { "a message of a wrong type", { messages = { "Hi" } } },
      { "a content of a wrong type", { messages = { { role = "user", content = 5 } } } },
      { "a part without type", { messages = { { role = "user", content = { { text = "Hi" } } } } } },
      { "a model of a wrong type", { model = 5 } },
      { "a temperature of a wrong type", { temperature = "hot" } },
      { "a stream of a wrong type", { stream = "yes" } },
      { "tools of a wrong type", { tools = "f" } },
      { "negative max_tokens", { max_tokens = -1 } },
    },
    responses = {
      { "a wrong role", { input = { { role = "wizard", content = "Hi" } } } },
      { "an input of a wrong type", { input = 5 } },
      { "an item of no kind", { input = { { type = "spell" } } }, "m-anthropic" },
      { "an output without its call's id", { input = { { type = "function_call_output", output = "5" } } } },
      { "tools of a wrong type", { tools = "f" } },
      { "stream of a wrong type", { stream = 1 } },
      { "a choice of no kind", { tool_choice = "sometimes" }, "m-anthropic" },
    },
    anthropic = {
      { "a wrong role", { messages = { { role = "wizard", content = "Hi" } } } },
      { "no max_tokens", { max_tokens = json.null } },
      { "max_tokens of zero", { max_tokens = 0 } },
      { "no messages", { messages = {} } },
      { "an image of an unsupported kind", { messages = { { role = "user", content = { { type = "image",
        source = { type = "base64", media_type = "image/tiff", data = b64 } } } } } } },
      { "an image without source", { messages = { { role = "user", content = { { type = "image" } } } } } },
      { "a result without its id", { messages = { { role = "user", content = { { type = "tool_result",
        content = "5" } } } } } },
      { "a choice of no kind", { tools = { { name = "f", input_schema = { type = "object" } } },
        tool_choice = { type = "sometimes" } } },
      { "a tool without name", { tools = { { input_schema = { type = "object" } } } } },
      { "system of a wrong type", { system = 5 } },
      { "stream of a wrong type", { stream = "yes" } },
    },
    gemini = {
      { "a wrong role", { contents = { { role = "wizard", parts = { { text = "Hi" } } } } } },
      { "contents of a wrong type", { contents = 5 } },
      { "no contents", { contents = {} } },
      { "a part of a wrong type", { contents = { { role = "user", parts = { "Hi" } } } } },
      { "a part with nothing", { contents = { { role = "user", parts = { { a = 1 } } } } } },
      { "tools of a wrong type", { tools = "f" } },
      { "a mode of no kind", { toolConfig = { functionCallingConfig = { mode = "SOMETIMES" } } } },
      { "a config of a wrong type", { generationConfig = { maxOutputTokens = "many" } } },
    },
    ollama = {
      { "a wrong role", { messages = { { role = "wizard", content = "Hi" } } } },
      { "messages of a wrong type", { messages = "Hi" } },
      { "a content of a wrong type", { messages = { { role = "user", content = 5 } } } },
      { "images that are no base64", { messages = { { role = "user", content = "Hi", images = { "!!!" } } } } },
      { "stream of a wrong type", { stream = "yes" } },
      { "options of a wrong type", { options = 5 } },
      { "tools of a wrong type", { tools = "f" } },
    },
    router = {
      { "a wrong role", { messages = { { role = "wizard", content = "Hi" } } } },
      { "an unknown field", { wishes = 1 } },
      { "a max_cost of a wrong type", { max_cost = "cheap" } },
    },
  }
  for _, name in ipairs(ALL) do
    for _, case in ipairs(cases[name]) do
      it("at " .. name .. ": " .. case[1] .. " is a 400 that says where", function()
        local fields = case[2]
        if case[3] then fields.model = case[3] end
        check_error(name, moongate:request { path = PATHS[name], body = with(name, fields) }, 400, case[1])
        assert.same({}, upstream:seen())
      end)
    end
  end

  -- Whoever translates it says so; it never becomes something else, nor a failure of ours.
  local untranslatable = {
    openai = {
      { "a result without a call", { messages = { user[1], { role = "tool", tool_call_id = "x", content = "5" } } } },
      { "an image of an unsupported kind", { messages = { { role = "user", content = { { type = "image_url",
        image_url = { url = "data:image/tiff;base64," .. b64 } } } } } } },
      { "a choice of a tool that is not there", { tools = { tool },
        tool_choice = { type = "function", ["function"] = { name = "g" } } } },
      { "a choice of no kind", { tools = { tool }, tool_choice = "sometimes" } },
      { "a choice without tools", { tool_choice = "required" } },
    },
    responses = {
      { "a result without a call", { input = { { type = "function_call_output", call_id = "x", output = "5" } } } },
    },
    anthropic = {
      { "a result without a call", { messages = { { role = "user", content = { { type = "tool_result",
        tool_use_id = "x", content = "5" } } } } } },
      { "a choice of a tool that is not there", { tools = { { name = "f", input_schema = { type = "object" } } },
        tool_choice = { type = "tool", name = "g" } } },
    },
    gemini = {
      { "an image of an unsupported kind", { contents = { { role = "user", parts = { { inlineData = {
        mimeType = "image/tiff", data = b64 } } } } } } },
    },
  }
  for name, list in pairs(untranslatable) do
    for _, case in ipairs(list) do
      for _, protocol in ipairs(surfaces.protocols) do
        it("from " .. name .. " to " .. protocol .. ": " .. case[1] .. " is served or a 400", function()
          local path = PATHS[name]:gsub("m%-openai", "m-" .. protocol)
          local fields = { model = "m-" .. protocol }
          for field, value in pairs(case[2]) do fields[field] = value end
          if name == "gemini" then fields.model = nil end
          local answer = moongate:request { path = path, body = with(name, fields) }
          if answer.status ~= 200 then check_error(name, answer, 400, case[1] .. " " .. protocol) end
        end)
      end
    end
  end

  it("of a deep schema is refused or carried, everywhere", function()
    local schema = '{"type":"object"}'
    for _ = 1, 60 do schema = '{"type":"object","properties":{"a":' .. schema .. "}}" end
    local bodies = {
      openai = '{"model":"%s","messages":[{"role":"user","content":"Hi"}],"response_format":{"type":"json_schema",'
        .. '"json_schema":{"name":"x","schema":' .. schema .. "}}}",
      responses = '{"model":"%s","input":"Hi","text":{"format":{"type":"json_schema","name":"x","schema":'
        .. schema .. "}}}",
      anthropic = '{"model":"%s","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"f",'
        .. '"input_schema":' .. schema .. "}]}",
      gemini = '{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"responseMimeType":"application/json",'
        .. '"responseJsonSchema":' .. schema .. "}}",
      ollama = '{"model":"%s","stream":false,"messages":[{"role":"user","content":"Hi"}],"format":' .. schema .. "}",
    }
    pairings(function(name, protocol, pair)
      local answer = moongate:request {
        path = (PATHS[name]:gsub("m%-openai", "m-" .. protocol)), body = bodies[name]:format("m-" .. protocol) }
      if answer.status ~= 200 then check_error(name, answer, 400, pair) end
    end)
  end)

  it("by a wrong method or path is told in the surface's shape", function()
    for _, name in ipairs(ALL) do
      local answer = moongate:request { path = PATHS[name], method = "GET" }
      check_error(name, answer, 405, name)
      assert.equal("POST", answer.headers.allow:match "POST")
    end
    for path, name in pairs {
      ["/v1/chat/completion"] = "openai", ["/v1/message"] = "openai", ["/v1/messages/count"] = "anthropic",
      ["/v1beta/model"] = "gemini", ["/api/chats"] = "ollama", ["/v1/messages/batches"] = "anthropic",
      ["/v1/responses/resp_1"] = "openai", ["/v1beta/models/m-openai:generate"] = "gemini",
      ["/v1/models/m-openai:generate"] = "gemini", ["/v1beta/models/:generateContent"] = "gemini",
      ["/v1beta/models/m-openai"] = "gemini", ["/v1/router/chat"] = "router",
    } do
      local answer = moongate:request { path = path, body = "{}" }
      check_error(name, answer, answer.status == 405 and 405 or 404, path)
    end
  end)

  it("of a model that is not there is a 404 in the surface's shape", function()
    for _, name in ipairs(ALL) do
      check_error(name, moongate:request(surfaces.request(name, "Hi", "m-opnai", false)), 404, name)
      if name ~= "router" then
        check_error(name, moongate:request(surfaces.request(name, "Hi", "m-opnai", true)), 404, name)
      end
    end
    check_error("anthropic", moongate:request { path = "/v1/models/m-x",
      headers = { ["anthropic-version"] = "2023-06-01" } }, 404, "a model of Anthropic's list")
    check_error("gemini", moongate:request { path = "/v1beta/models/m-x" }, 404, "a model of Gemini's list")
    check_error("ollama", moongate:request { path = "/api/show", json = { model = "m-x" } }, 404, "one of Ollama's")
    check_error("ollama", moongate:request { path = "/api/show", body = "{" }, 400, "half a body")
    check_error("anthropic", moongate:request { path = "/v1/messages/count_tokens", json = {
      model = "m-x", messages = user } }, 404, "a count")
  end)

  it("of a wrong kind of body is a 415 in the surface's shape", function()
    for _, name in ipairs(ALL) do
      check_error(name, moongate:request { path = PATHS[name], body = "a,b",
        headers = { ["content-type"] = "text/csv" } }, 415, name)
    end
  end)
end)

describe("a provider's failure", function()
  local upstream, moongate
  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = surfaces.config(upstream) }
  end)
  before_each(function() upstream:forget() end)
  teardown(gateway.stop_all)

  it("is a 502 in the surface's shape, whole and asked for as a stream", function()
    upstream:usually { kind = "error", status = 500, message = "out of order" }
    pairings(function(name, protocol, pair)
      for _, stream in ipairs { false, true } do
        local answer = moongate:request(surfaces.request(name, "Hi", "m-" .. protocol, stream))
        local fault = check_error(name, answer, 502, pair)
        assert.matches("out of order", fault.message, 1, true)
      end
    end)
  end)

  it("of any kind is told in the surface's shape, with a status that fits", function()
    for status, told in pairs { [401] = 502, [403] = 502, [404] = 502, [413] = 413, [422] = 422, [429] = 502,
      [503] = 502, [529] = 502 } do
      local gate = gateway.start { config = surfaces.config(upstream) }
      upstream:usually { kind = "error", status = status, message = "not now" }
      pairings(function(name, protocol, pair)
        local answer = gate:request(surfaces.request(name, "Hi", "m-" .. protocol, name == "gemini"))
        local expected = answer.status == 503 and 503 or told
        check_error(name, answer, expected, pair .. " " .. status)
      end)
      gate:stop()
    end
  end)

  it("that is the caller's fault is passed on", function()
    upstream:usually { kind = "error", status = 400, message = "no such thing" }
    pairings(function(name, protocol, pair)
      local fault = check_error(name, moongate:request(surfaces.request(name, "Hi", "m-" .. protocol)), 400, pair)
      assert.matches("no such thing", fault.message, 1, true)
    end)
  end)

  it("as a page of something else is a 502", function()
    upstream:usually { kind = "text" }
    pairings(function(name, protocol, pair)
      for _, stream in ipairs { false, true } do
        check_error(name, moongate:request(surfaces.request(name, "Hi", "m-" .. protocol, stream)), 502, pair)
      end
    end)
  end)
end)

describe("a body that is too large", function()
  after_each(gateway.stop_all)

  it("or slow is refused in the surface's shape", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = surfaces.config(upstream, function(config)
      config.limits = { body_bytes = 2000, body_s = 1 }
    end) }
    for _, name in ipairs(ALL) do
      check_error(name, moongate:request(surfaces.request(name, ("x"):rep(3000), "m-openai")), 413, name)
      check_error(name, http.raw(moongate.address, "POST " .. PATHS[name]
        .. " HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 3000\r\n\r\n"), 413, name)
    end
  end)
end)

describe("a model in the path", function()
  after_each(gateway.stop_all)

  it("may be any that the body could name", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = surfaces.config(upstream, function(config)
      config.aliases = { ["a/b:free"] = { { model = "m-gemini" } } }
    end) }
    for _, model in ipairs { "m-openai", "auto", "a/b:free", "a%2Fb%3Afree", "models%2Fm-openai" } do
      for _, start in ipairs { "/v1beta/models/", "/v1/models/" } do
        local path = start .. model .. ":generateContent"
        local answer = moongate:request { path = path, json = surfaces.gemini.body "Hi" }
        assert.equal(200, answer.status, start .. model .. answer.body)
      end
    end
  end)
end)

describe("keys and limits", function()
  local upstream, moongate
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function start(change)
    moongate = gateway.start { config = surfaces.config(upstream, function(config)
      config.auth = "keys"
      config.tiers = { small = { models = { "m-openai" } } }
      config.keys = {
        { name = "dev", key = "sk-dev" }, { name = "slow", key = "sk-slow", rpm = 1, tpm = 1000 },
        { name = "narrow", key = "sk-narrow", models = { "m-openai" } },
        { name = "tiered", key = "sk-tiered", tier = "small" },
      }
      if change then change(config) end
    end) }
  end

  local PLACES = {
    openai = { authorization = "Bearer %s" }, responses = { authorization = "Bearer %s" },
    anthropic = { ["x-api-key"] = "%s" }, gemini = { ["x-goog-api-key"] = "%s" },
    ollama = { authorization = "Bearer %s" }, router = { authorization = "Bearer %s" },
  }
  local function ask(name, model, key, stream, path)
    local request = surfaces.request(name, "Hi", model, stream)
    request.headers = {}
    if key then
      for header, value in pairs(PLACES[name]) do request.headers[header] = value:format(key) end
    end
    request.path = path or request.path
    return moongate:request(request)
  end

  it("of each API are found in its own place, else a 401 in its shape", function()
    start()
    for _, name in ipairs(ALL) do
      assert.equal(200, ask(name, "m-anthropic", "sk-dev").status, name)
      check_error(name, ask(name, "m-anthropic", nil), 401, name)
      check_error(name, ask(name, "m-anthropic", "sk-other"), 401, name)
    end
    assert.equal(200, moongate:request { path = PATHS.gemini .. "?key=sk-dev",
      json = surfaces.gemini.body "Hi" }.status)
    for path, name in pairs { ["/v1beta/models"] = "gemini", ["/v1beta/models/m-openai"] = "gemini",
      ["/api/tags"] = "ollama", ["/v1/models"] = "openai" } do
      check_error(name, moongate:request { path = path }, 401, path)
    end
    check_error("anthropic", moongate:request { path = "/v1/models",
      headers = { ["anthropic-version"] = "2023-06-01" } }, 401, "Anthropic's list")
    check_error("ollama", moongate:request { path = "/api/show", json = { model = "m-openai" } }, 401, "/api/show")
  end)

  it("gate models by body and by path, counts and embeddings too", function()
    start()
    for _, key in ipairs { "sk-narrow", "sk-tiered" } do
      for _, name in ipairs(ALL) do
        assert.equal(200, ask(name, "m-openai", key).status, name)
        check_error(name, ask(name, "m-anthropic", key), 403, name)
        if name ~= "router" then check_error(name, ask(name, "m-gemini", key, true), 403, name) end
      end
      local auth = { authorization = "Bearer " .. key }
      for path, body in pairs {
        ["/v1/messages/count_tokens"] = { model = "m-anthropic", messages = { { role = "user", content = "Hi" } } },
        ["/v1beta/models/m-gemini:countTokens"] = surfaces.gemini.body "Hi",
        ["/v1/models/m-gemini:countTokens"] = surfaces.gemini.body "Hi",
        ["/v1beta/models/m%2Dgemini:generateContent"] = surfaces.gemini.body "Hi",
        ["/v1beta/models/m-gemini:embedContent"] = { content = { parts = { { text = "Hi" } } } },
        ["/v1beta/models/m-openai:batchEmbedContents"] = false,
        ["/v1/embeddings"] = { model = "m-ollama", input = "Hi" },
        ["/api/embed"] = { model = "m-ollama", input = "Hi" },
        ["/api/generate"] = { model = "m-ollama", prompt = "Hi", stream = false },
      } do
        if body then
          local answer = moongate:request { path = path, json = body, headers = auth }
          assert.equal(403, answer.status, path .. answer.body)
        end
      end
    end
    -- Another model within the body does not get round the one in the address.
    local body = { generateContentRequest = surfaces.gemini.body "Hi" }
    body.generateContentRequest.model = "models/m-gemini"
    upstream:forget()
    moongate:request { path = "/v1beta/models/m-openai:countTokens", json = body, key = "sk-narrow" }
    for _, seen in ipairs(upstream:seen()) do assert.not_matches("gemini", seen.path .. seen.body) end
  end)

  it("of the caller are told in the protocol's names, on answers and on 429s", function()
    start()
    for _, name in ipairs(ALL) do
      start(function(config) config.workers = 1 end)
      local names = name == "anthropic" and { "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining" }
        or { "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
          "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens" }
      for turn, status in ipairs { 200, 429 } do
        local answer = ask(name, "m-ollama", "sk-slow", turn == 1 and name ~= "router" and name ~= "gemini")
        assert.equal(status, answer.status, answer.body)
        assert.equal("1", answer.headers[names[1]], name .. status)
        assert.equal("0", answer.headers[names[2]], name .. status)
        for _, each in ipairs(names) do assert.truthy(answer.headers[each], name .. " " .. each) end
        if status == 429 then
          check_error(name, answer, 429, name)
          assert.truthy(tonumber(answer.headers["retry-after"]) <= 61, answer.headers["retry-after"])
        end
      end
    end
  end)

  it("and zero spend hold on every surface, path and count", function()
    start(function(config) config.zero_spend = true end)
    for _, name in ipairs(ALL) do check_error(name, ask(name, "m-gemini", "sk-dev"), 403, name) end
    for path, body in pairs {
      ["/v1/messages/count_tokens"] = { model = "m-anthropic", messages = { { role = "user", content = "Hi" } } },
      ["/v1beta/models/m-gemini:countTokens"] = surfaces.gemini.body "Hi",
      ["/v1beta/models/m-gemini:embedContent"] = { content = { parts = { { text = "Hi" } } } },
      ["/api/embed"] = { model = "m-ollama", input = "Hi" },
      ["/api/generate"] = { model = "m-ollama", prompt = "Hi", stream = false },
    } do
      assert.equal(403, moongate:request({ path = path, json = body, key = "sk-dev" }).status, path)
    end
    assert.same({}, upstream:seen())
  end)

  it("and privacy hold on every surface, path and count", function()
    start()
    local headers = { ["x-moongate-privacy"] = "true", authorization = "Bearer sk-dev" }
    for _, name in ipairs(ALL) do
      local answer = moongate:request(surfaces.request(name, "Hi", "m-gemini", false, { headers = headers }))
      check_error(name, answer, 403, name)
    end
    for path, body in pairs {
      ["/v1/messages/count_tokens"] = { model = "m-anthropic", messages = { { role = "user", content = "Hi" } } },
      ["/v1beta/models/m-gemini:countTokens"] = surfaces.gemini.body "Hi",
      ["/v1beta/models/m-gemini:embedContent"] = { content = { parts = { { text = "Hi" } } } },
      ["/api/embed"] = { model = "m-ollama", input = "Hi" },
    } do
      assert.equal(403, moongate:request({ path = path, json = body, headers = headers }).status, path)
    end
    assert.same({}, upstream:seen())
  end)
end)

describe("a count", function()
  after_each(gateway.stop_all)

  it("bills nothing, takes no tokens, and gives back what it reserved", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = surfaces.config(upstream, function(config)
      for _, each in pairs(config.providers) do each.limits = { tpm = 100, rpm = 1000 } end
    end) }
    for protocol, name in pairs { anthropic = "anthropic", gemini = "gemini", openai = "anthropic" } do
      local path = name == "anthropic" and "/v1/messages/count_tokens" or "/v1beta/models/m-gemini:countTokens"
      for _ = 1, 12 do
        local request = surfaces.request(name, ("word "):rep(60), "m-" .. protocol, false, { path = path })
        request.json.max_tokens = nil
        local answer = moongate:request(request)
        assert.equal(200, answer.status)
        assert.truthy((answer:json().input_tokens or answer:json().totalTokens) > 0)
        if protocol == "openai" then
          assert.equal("true", answer.headers["x-moongate-estimated"])
          assert.matches("^auto%-cheapest@", answer.headers["x-moongate-policy"])
        else
          assert.equal("0", answer.headers["x-moongate-billed-tokens"])
          assert.equal("p-" .. protocol, answer.headers["x-moongate-provider"])
        end
      end
    end
    assert.equal(24, #upstream:seen())
    -- The caller leaves in the middle of it.
    upstream:usually { kind = "silence" }
    for number = 25, 29 do
      local connection = http.begin(moongate.address, { path = "/v1/messages/count_tokens", json = {
        model = "m-anthropic", messages = { { role = "user", content = ("word "):rep(60) } } } })
      upstream:wait_for(number, "answering")
      connection:close()
      upstream:wait_for(number, "left")
    end
    upstream:usually {}
    local request = surfaces.request("anthropic", "Hi", "m-anthropic")
    request.json.max_tokens = 50
    local answer = moongate:request(request)
    assert.equal(200, answer.status, answer.body)
  end)
end)
