-- Ways to make a gateway pay that has zero_spend: by the body, the address, aliases, fall-backs, agents, hooks,
-- policies and a protocol of the operator's own. None works: what costs money sees no request, and what is free sees
-- none that would make it spend.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"

local NOTHING = { input = 0, output = 0 }
local MAX_PRICE = '"provider":{"max_price":{"prompt":0,"completion":0,"request":0,"image":0}}'

-- A hook that does what the first message says: "set FIELD JSON".
local HOOK = [[
local json = require "moongate.json"
return { request = function(req)
  local said = req.messages and req.messages[1] and req.messages[1].content
  local name, value = string.match(type(said) == "string" and said or "", "^set (%S+) (.*)$")
  if name then req.body[name] = json.decode(value) end
end }
]]

-- A protocol that writes what the message says: "url URL" or "body TEXT".
local FORGER = [[
local chat = require "moongate.chat"
local json = require "moongate.json"
local function build(order)
  local said = chat.text(order.chat.turns[1].blocks)
  local what, text = string.match(said, "^(%%S+) (.*)$")
  local wire = {
    url = order.provider.base_url .. "/chat/completions", headers = { ["content-type"] = "application/json" },
    body = json.encode { model = order.target.upstream_id, messages = { { role = "user", content = "Hi" } } },
  }
  if what == "url" then wire.url = string.gsub(text, "PAID", "%s", 1) end
  if what == "path" then wire.url = order.provider.base_url .. text end
  if what == "body" then wire.body = text end
  if what == "header" then wire.headers[text] = "priced.test" end
  return wire
end
return {
  build = build,
  read_reply = function() return { text_length = 0, finish = "stop", body = {} } end,
  reply = function() return { choices = { { blocks = { { kind = "text", text = "ok" } }, finish = "stop" } } } end,
  read_event = function() return { kind = "finish" } end,
  reader = function() return function() return {} end end,
}
]]

local POLICY = [[
return function(request, candidates)
  for i = 1, #candidates do
    local c = candidates[i]
    rawset(c, "free", true) rawset(c, "cost", { input = 0, output = 0 }) rawset(c, "costs_nothing", true)
    rawset(c, "upstream_id", "priced") rawset(c, "model", "priced") rawset(c, "id", "shop/priced")
    rawset(c, "base_url", "%s") rawset(c, "zero_spend", false)
  end
  request.body = { models = { "priced" } }
  return candidates
end
]]

local free, paid, moongate

local function config()
  local function at(protocol, more)
    local one = { protocol = protocol, base_url = free:base(protocol), api_key = "k", free = true, retries = 0 }
    for name, value in pairs(more or {}) do one[name] = value end
    return one
  end
  local whole = {
    zero_spend = true, workers = 1, policy = "as-listed",
    providers = {
      home = at "openai", router = at("openai", { like = "openrouter" }), claude = at "anthropic",
      google = at "gemini", llama = at "ollama", codex = at("openai", { formats = { "responses", "chat" } }),
      forger = at("forger", { base_url = free:base "openai" }),
      shop = { protocol = "openai", base_url = paid.base_url, api_key = "k" },
      dear_google = { protocol = "gemini", base_url = paid:base "gemini", api_key = "k" },
    },
    models = {
      { id = "priced", provider = "shop", cost = { input = 3, output = 15 }, free = true },
      { id = "priced-embed", provider = "shop", cost = { input = 3, output = 15 } },
      { id = "gemini-pro", provider = "dear_google" },
      { id = "free-embed", provider = "home", free = true, cost = NOTHING },
    },
    aliases = {
      cheap = { { model = "priced", weight = 99 }, { model = "free", weight = 1 } },
      dear = { { model = "priced" }, { model = "priced-embed" } },
      ladder = { { model = "free" }, { model = "priced" }, order = true },
    },
    agents = { rich = { system = "Pay.", model = "priced" }, poor = { model = "free" } },
  }
  for model, name in pairs { free = "home", routed = "router", claude = "claude", flash = "google", llama = "llama",
    codex = "codex", forged = "forger" } do
    table.insert(whole.models, { id = model, provider = name, free = true, cost = NOTHING })
  end
  return whole
end

local function start(change)
  local whole = config()
  if change then change(whole) end
  moongate = gateway.start {
    config = whole,
    policies = {
      ["routing/as-listed.lua"] = "return function(request, candidates) return candidates end\n",
      ["routing/forger.lua"] = POLICY:format(paid.base_url), ["hooks/10_set.lua"] = HOOK,
      ["protocols/forger.lua"] = FORGER:format((paid.base_url:gsub("%%", "%%%%"))),
    },
  }
end

-- A body as text, so that it may hold what no table can.
local function openai(model, rest, said)
  return ('{"model":"%s","messages":[{"role":"user","content":"%s"}]%s}'):format(model, said or "Hi",
    rest and "," .. rest or "")
end
local function claude(rest, said)
  return ('{"max_tokens":9,%s'):format(openai("claude", rest, said):sub(2))
end
local function gemini(rest) return ('{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]%s}'):format(
  rest and "," .. rest or "") end
local function response(rest) return ('{"model":"codex","input":"Hi"%s}'):format(rest and "," .. rest or "") end
local function embed(model, rest) return ('{"model":"%s","input":"Hi"%s}'):format(model, rest and "," .. rest or "") end
local function said(text) return (text:gsub('[\\"]', "\\%0")) end

local CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"
local RESPONSES, EMBED = "/v1/responses", "/v1/embeddings"
local FLASH = "/v1beta/models/flash:"

-- way, path, body, the status it must have (200: it is served for free), headers
local WAYS = {
  { "a priced model by name", CHAT, openai "priced", 403 },
  { "a priced model by provider and name", CHAT, openai "shop/priced", 403 },
  { "an alias that is mostly priced", CHAT, openai "cheap", 200 },
  { "an alias of nothing but priced ones", CHAT, openai "dear", 403 },
  { "a model with a suffix", CHAT, openai "routed:online", 404 },
  { "another suffix", CHAT, openai "free:nitro", 404 },
  { "a policy that forges all it can", CHAT, openai "auto", 200, { ["x-moongate-policy"] = "forger" } },
  { "a policy that forges, and a priced name", CHAT, openai "priced", 403, { ["x-moongate-policy"] = "forger" } },
  { "a header that allows any cost", CHAT, openai "priced", 403, { ["x-moongate-max-cost"] = "1000" } },
  { "fall-back models in the body", CHAT, openai("routed", '"models":["openai/gpt-4"]'), 400 },
  { "the same, with an escape in the name", CHAT, openai("routed", [["mod\u0065ls":["openai/gpt-4"] ]]), 400 },
  { "the same, in capitals", CHAT, openai("routed", '"Models":["openai/gpt-4"]'), 400 },
  { "the same, with a letter that folds to s", CHAT, openai("routed", '"model\197\191":["openai/gpt-4"]'), 400 },
  { "the same, in a stream", CHAT, openai("routed", '"stream":true,"models":["x"]'), 400 },
  { "fall-back by route", CHAT, openai("routed", '"route":"fallback"'), 400 },
  { "a provider of one's choice", CHAT, openai("routed", '"provider":{"order":["openai"]}'), 400 },
  { "a price of one's choice", CHAT, openai("routed", '"provider":{"max_price":{"prompt":9}}'), 400 },
  { "plugins", CHAT, openai("routed", '"plugins":[{"id":"web"}]'), 400 },
  { "a preset", CHAT, openai("routed", '"preset":"dear"'), 400 },
  { "transforms", CHAT, openai("routed", '"transforms":["middle-out"]'), 400 },
  { "web search by options", CHAT, openai("free", '"web_search_options":{}'), 400 },
  { "live search", CHAT, openai("free", '"search_parameters":{"mode":"on"}'), 400 },
  { "a dear service tier", CHAT, openai("free", '"service_tier":"priority"'), 400 },
  { "a dear service tier as a list", CHAT, openai("free", '"service_tier":["priority"]'), 400 },
  { "a tool of the provider", CHAT, openai("free", '"tools":[{"type":"web_search"}]'), 400 },
  { "fields for a proxy", CHAT, openai("free", '"extra_body":{"models":["x"]}'), 400 },
  { "fall-backs of a proxy", CHAT, openai("free", '"fallbacks":["gpt-4"]'), 400 },
  { "two models", CHAT, openai("free", '"model":"priced"'), 400 },
  { "two models, one with an escape", CHAT, openai("free", [["m\u006fdel":"priced"]]), 400 },
  { "two models, one in capitals", CHAT, openai("free", '"Model":"priced"'), 403 },
  { "two models, one with an underscore", CHAT, openai("free", '"mod_el":"priced"'), 403 },
  { "the same in a stream", CHAT, openai("free", '"stream":true,"MODEL":"priced"'), 403 },
  { "Anthropic's web search", MESSAGES, claude '"tools":[{"type":"web_search_20250305","name":"web_search"}]', 400 },
  { "Anthropic's code execution", MESSAGES,
    claude '"tools":[{"type":"code_execution_20250522","name":"code_execution"}]', 400 },
  { "Anthropic's fetching", MESSAGES, claude '"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]', 400 },
  { "Anthropic's containers", MESSAGES, claude '"container":"c1"', 400 },
  { "Anthropic's MCP servers", MESSAGES, claude '"mcp_servers":[{"type":"url","url":"https://x","name":"x"}]', 400 },
  { "Anthropic's places", MESSAGES, claude '"inference_geo":"us"', 400 },
  { "Anthropic's fast mode", MESSAGES, claude '"speed":"fast"', 400 },
  { "Anthropic's tools in a count", COUNT,
    claude '"tools":[{"type":"web_search_20250305","name":"web_search"}]', 400 },
  { "a count of a priced model", COUNT, openai "priced", 403 },
  { "OpenAI's file search", RESPONSES, response '"tools":[{"type":"file_search","vector_store_ids":["v"]}]', 400 },
  { "OpenAI's interpreter", RESPONSES,
    response '"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]', 400 },
  { "OpenAI's images", RESPONSES, response '"tools":[{"type":"image_generation"}]', 400 },
  { "OpenAI's computer", RESPONSES, response '"tools":[{"type":"computer_use_preview"}]', 400 },
  { "OpenAI's MCP", RESPONSES, response '"tools":[{"type":"mcp","server_url":"https://x","server_label":"x"}]', 400 },
  { "OpenAI's search behind a function", RESPONSES,
    response '"tools":[{"type":"function","name":"f","parameters":{}},{"type":"web_search_preview"}]', 400 },
  { "a prompt kept at OpenAI", RESPONSES, response '"prompt":{"id":"pmpt_1"}', 400 },
  { "Gemini's search", FLASH .. "generateContent", gemini '"tools":[{"googleSearch":{}}]', 400 },
  { "Gemini's search in snake case", FLASH .. "generateContent", gemini '"tools":[{"google_search":{}}]', 400 },
  { "Gemini's maps", FLASH .. "generateContent", gemini '"tools":[{"googleMaps":{}}]', 400 },
  { "Gemini's pages", FLASH .. "generateContent", gemini '"tools":[{"urlContext":{}}]', 400 },
  { "Gemini's code", FLASH .. "generateContent", gemini '"tools":[{"codeExecution":{}}]', 400 },
  { "Gemini's files", FLASH .. "generateContent", gemini '"tools":[{"fileSearch":{}}]', 400 },
  { "Gemini's computer", FLASH .. "generateContent", gemini '"tools":[{"computerUse":{}}]', 400 },
  { "Gemini's search beside a function", FLASH .. "streamGenerateContent?alt=sse",
    gemini '"tools":[{"functionDeclarations":[{"name":"f"}],"googleSearch":{}}]', 400 },
  { "Gemini's tools in a count", FLASH .. "countTokens",
    '{"generateContentRequest":{"model":"models/flash",' .. gemini('"tools":[{"googleSearch":{}}]'):sub(2)
      .. "}", 400 },
  { "a priced model in Gemini's path", "/v1beta/models/gemini-pro:generateContent", gemini(), 403 },
  { "the same, in an escape", "/v1beta/models/gemini%2Dpro:generateContent", gemini(), 403 },
  { "a path that climbs to a priced model",
    "/v1beta/models/flash%2F..%2Fgemini-pro:generateContent", gemini(), 404 },
  { "a priced model in Gemini's body", FLASH .. "generateContent", gemini '"model":"models/gemini-pro"', 200 },
  { "a priced model in a batch of Gemini's", FLASH .. "countTokens",
    '{"generateContentRequest":{"model":"models/gemini-pro",' .. gemini():sub(2) .. "}", 200 },
  { "a priced model in capitals in Gemini's body", FLASH .. "generateContent",
    gemini '"Model":"models/gemini-pro"', 403 },
  { "embeddings of a priced model", EMBED, embed "priced-embed", 403 },
  { "embeddings with fall-backs", EMBED, embed("free-embed", '"models":["priced-embed"]'), 400 },
  { "embeddings with two models", EMBED, embed("free-embed", '"MODEL":"priced-embed"'), 403 },
  { "Ollama's path with a priced model", "/api/chat", openai "priced", 403 },
  { "Ollama's path with fall-backs", "/api/chat", openai("llama", '"models":["priced"]'), 400 },
  { "the router's path with a priced model", "/v1/chat",
    '{"messages":[{"role":"user","content":"Hi"}],"model":"priced"}', 403 },
  { "an agent whose model is priced", "/agents/rich/run", '{"input":"Hi"}', 403 },
  { "an agent that is told a priced model", "/agents/poor/run", '{"input":"Hi","model":"priced"}', 403 },
  { "a hook that puts another model in", CHAT, openai("free", nil, said 'set model "priced"'), 403 },
  { "a hook that puts fall-backs in", CHAT, openai("routed", nil, said 'set models ["priced"]'), 403 },
  { "a hook that puts a provider in", CHAT, openai("free", nil, said 'set provider {"order":["x"]}'), 403 },
  { "a hook that puts plugins in, in capitals", CHAT, openai("routed", nil, said 'set PLUGINS [{"id":"web"}]'), 403 },
  { "a hook that puts a tool in", CHAT, openai("free", nil, said 'set tools [{"type":"web_search"}]'), 403 },
  { "a hook that puts a service tier in", CHAT, openai("free", nil, said 'set service_tier "priority"'), 403 },
  { "a hook that puts a second model in", CHAT, openai("free", nil, said 'set Model "priced"'), 403 },
  { "a protocol that calls elsewhere", CHAT, openai("forged", nil, "url PAID/chat/completions"), 403 },
  { "a protocol that calls a host that begins alike", CHAT, openai("forged", nil, "path 1@localhost/x"), 403 },
  { "a protocol that climbs", CHAT, openai("forged", nil, "path /../priced"), 403 },
  { "a protocol that climbs in escapes", CHAT, openai("forged", nil, "path /%2e%2E/priced"), 403 },
  { "a protocol that names another model", CHAT, openai("forged", nil, "body " .. said '{"model":"priced"}'), 403 },
  { "a protocol that names none", CHAT, openai("forged", nil, "body {}"), 403 },
  { "a protocol that names two", CHAT,
    openai("forged", nil, "body " .. said [[{"model":"forged","mod\u0065l":"priced"}]]), 403 },
  { "a protocol that names fall-backs", CHAT,
    openai("forged", nil, "body " .. said [[{"model":"forged","\u006dodels":["priced"]}]]), 403 },
  { "a protocol that writes a form", CHAT, openai("forged", nil, "body model=priced&free=forged"), 403 },
  { "a protocol that writes two documents", CHAT,
    openai("forged", nil, "body " .. said '{"model":"forged"}{"model":"priced"}'), 403 },
  { "a protocol that names another host in a header", CHAT, openai("forged", nil, "header Host"), 403 },
  { "a protocol that names another length", CHAT, openai("forged", nil, "header content-length"), 403 },
  { "a protocol that writes a list", CHAT, openai("forged", nil, "body " .. said '[{"model":"priced"}]'), 403 },
}

-- No request that a free provider saw would make it spend.
local function spends_nothing(seen)
  for _, record in ipairs(seen) do
    local body = record.body:gsub(MAX_PRICE:gsub("%p", "%%%0"), "", 1):lower()
    local whole = record.path .. " " .. body
    for _, word in ipairs { "priced", "gemini-pro", '"models"', '"model\197\191"', '"provider"', '"plugins"', '"route"',
      '"preset"', '"transforms"', "_search", "search_", '"service_tier"', "google", "\\u00", '"fallbacks"',
      "extra_body",
      "code_execution", "mcp", "container", '"speed"', "inference_geo" } do
      assert.is_nil(whole:find(word, 1, true), word .. " went out: " .. whole)
    end
    assert.equal(1, select(2, body:gsub('"model"%s*:', "")) + select(2, record.path:gsub("/models/flash:", "")) -
      (body:find '"model":"models/flash"' and 1 or 0), whole)
  end
end

local function says_why(body)
  for _, words in ipairs { "zero_spend is on", "the call's address is not the target's", "already in the object" } do
    if body:find(words, 1, true) then return true end
  end
  return false
end

describe("a zero-spend gateway", function()
  setup(function()
    free, paid = provider.open(), provider.open()
    start()
  end)
  teardown(gateway.stop_all)
  before_each(function() free:forget() end)

  for number, way in ipairs(WAYS) do
    local title, path, body, status, headers = unpack(way)
    it(("is not made to pay (%d) by %s"):format(number, title), function()
      local answer = moongate:request {
        path = path, method = "POST", body = body, headers = headers or { ["content-type"] = "application/json" },
      }
      assert.equal(status, answer.status, answer.body)
      if status == 400 or status == 403 then assert.is_true(says_why(answer.body), answer.body) end
      assert.same({}, paid:seen())
      local seen = free:seen()
      if status == 200 then assert.is_true(#seen > 0) else assert.same({}, seen) end
      spends_nothing(seen)
    end)
  end

  it("names the field that it refuses, and why", function()
    local error = moongate:request { path = CHAT, body = openai("free", '"models":["x"]') }:json().error
    assert.same({ "models", "zero_spend", "invalid_request_error" }, { error.param, error.code, error.type })
    assert.equal("zero_spend is on, and `models` may cost money: leave it out", error.message)
    error = moongate:request { path = CHAT, body = openai("free", nil, said 'set models ["x"]') }:json().error
    assert.matches("`models` may cost money", error.message, 1, true)
  end)

  it("does not fall back to what is priced when all that is free fails", function()
    free:usually { kind = "error", status = 500 }
    assert.equal(502, moongate:request { path = CHAT, body = openai "ladder" }.status)
    assert.same({}, paid:seen())
    free:forget()
  end)

  it("tells OpenRouter to charge nothing, with every call, and takes the caller's own tools", function()
    local tools = '"tools":[{"type":"function","function":{"name":"models","parameters":{"type":"object"}}}]'
    for _, rest in ipairs { tools, '"stream":true', '"service_tier":"auto"', '"provider":null' } do
      assert.equal(200, moongate:request({ path = CHAT, body = openai("routed", rest) }).status)
      assert.matches(MAX_PRICE, free:seen()[1].body, 1, true)
      free:forget()
    end
    assert.equal(200, moongate:request({ path = CHAT, body = openai("free", tools) }).status)
    assert.not_matches("max_price", free:seen()[1].body, 1, true)
    for _, call in ipairs { { MESSAGES, claude '"tools":[{"name":"f","input_schema":{"type":"object"}}]' },
      { RESPONSES, response '"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]' },
      { FLASH .. "generateContent", gemini '"tools":[{"functionDeclarations":[{"name":"f"}]}]' },
      { FLASH .. "countTokens", gemini() }, { EMBED, embed "free-embed" }, { "/api/chat", openai "llama" },
      { CHAT, openai("forged", nil, "Hi") } } do
      assert.equal(200, moongate:request({ path = call[1], body = call[2] }).status, call[2])
    end
  end)
end)

describe("an answer that reports a cost", function()
  before_each(function() free, paid = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  local CHARGED = { prompt_tokens = 9, completion_tokens = 2, total_tokens = 11, cost = 0.002 }

  local function is_told()
    local ready = moongate:request({ path = "/ready" }):json()
    local words = "router/routed reported a cost under zero_spend: it is not called for 31 days"
    return ready.status == "degraded" and ready.problems[1].message == words
  end

  it("keeps its target out over a restart, whatever the caller speaks", function()
    start(function(whole) whole.store = "sqlite:moongate.db" end)
    free:usually { usage = CHARGED }
    local body = '{"max_tokens":9,"stream":true,' .. openai("routed"):sub(2)
    local answer = moongate:request { path = MESSAGES, body = body }
    assert.matches("message_stop", answer.body, 1, true)
    moongate:restart()
    assert.is_true(is_told())
    local seen = #free:seen()
    assert.equal(503, moongate:request({ path = MESSAGES, body = body }).status)
    assert.equal(seen, #free:seen())
  end)

  for kind, stream in pairs { ["whole"] = false, ["streamed"] = true } do
    it(kind .. " takes its target out under zero_spend, and raises an alarm", function()
      start()
      free:usually { usage = CHARGED }
      local function ask() return moongate:request { path = CHAT,
        body = openai("routed", '"stream":' .. tostring(stream)) } end
      assert.equal(200, ask().status)
      local seen = #free:seen()
      local answer = ask()
      assert.equal(503, answer.status)
      assert.matches("router/routed: exhausted, charged", answer.body, 1, true)
      assert.equal(seen, #free:seen())
      assert.is_true(is_told())
      assert.matches('moongate_spend_alarms_total{target="router/routed"} 1',
        moongate:request({ path = "/metrics" }).body, 1, true)
      assert.same({ "error", "router/routed", 0.002 }, (function(line)
        return { line.level, line.target, line.cost_usd }
      end)(moongate:logged "a provider charged under zero_spend: its model is called no more"))
    end)
  end

  for how, behaviour in pairs {
    ["in its usage, without any tokens"] = { usage = { cost = 0.002 } },
    ["in a header"] = { headers = { ["x-litellm-response-cost"] = "0.002" } },
    ["in a header of a failure"] = { kind = "error", status = 500,
      headers = { ["x-litellm-response-cost"] = "0.002" } },
    ["in a header and its usage"] = { usage = CHARGED, headers = { ["x-litellm-response-cost"] = "0.002" } },
  } do
    for kind, stream in pairs { whole = false, streamed = true } do
      it(kind .. ", told " .. how .. ", is heard once", function()
        start()
        free:next(behaviour)
        moongate:request { path = CHAT, body = openai("routed", '"stream":' .. tostring(stream)) }
        assert.is_true(is_told())
        assert.matches('moongate_spend_alarms_total{target="router/routed"} 1',
          moongate:request({ path = "/metrics" }).body, 1, true)
      end)
    end
  end

  it("beside its choices is heard too", function()
    start()
    free:next { kind = "text", type = "application/json",
      body = '{"cost":0.002,"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}]}' }
    assert.equal(200, moongate:request({ path = CHAT, body = openai "routed" }).status)
    assert.is_true(is_told())
  end)

  it("in a header that counts something else is no cost", function()
    start()
    free:usually { headers = { ["x-ratelimit-tokens-query-cost"] = "31", ["x-litellm-key-spend"] = "7",
      ["x-litellm-response-cost"] = "0.0" } }
    for _ = 1, 2 do assert.equal(200, moongate:request({ path = CHAT, body = openai "routed" }).status) end
    assert.equal("ready", moongate:request({ path = "/ready" }):json().status)
  end)

  it("of nothing, or without zero_spend, changes nothing", function()
    start()
    free:usually { usage = { prompt_tokens = 9, completion_tokens = 2, total_tokens = 11, cost = 0 } }
    for _ = 1, 3 do assert.equal(200, moongate:request({ path = CHAT, body = openai "routed" }).status) end
    assert.equal("ready", moongate:request({ path = "/ready" }):json().status)
    gateway.stop_all()
    start(function(whole) whole.zero_spend = false end)
    free:forget():usually { usage = CHARGED }
    local plugins = openai("routed", '"plugins":[{"id":"web"}]')
    for _ = 1, 3 do assert.equal(200, moongate:request({ path = CHAT, body = plugins }).status) end
    assert.matches('"plugins":[{"id":"web"}]', free:seen()[1].body, 1, true)
    assert.not_matches("max_price", free:seen()[1].body, 1, true)
  end)
end)
