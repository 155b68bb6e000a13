-- Hooks in a running gateway: what they change, refuse and answer, what they may not, and what becomes of a request
-- whose hook fails.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local provider = require "spec.support.provider"

local upstream

local function start(hooks, change)
  local config = {
    providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 } },
    models = { { id = "small", provider = "acme", cost = { input = 1, output = 2 } } },
  }
  if change then change(config) end
  local policies = { ["routing/auto-cheapest.lua"] = "return function(request, candidates) return candidates end\n" }
  for name, text in pairs(hooks) do policies[name] = text end
  return gateway.start { config = config, policies = policies }
end

local function events_of(answer)
  local events = answer:events()
  answer:close()
  return events
end

local function error_of(answer) return answer:json().error end

-- The event that says why a stream failed: its last one.
local function last_error(events)
  local last = events[#events]
  return type(last) == "table" and last.error or nil
end

local function faults(moongate, policy)
  local total = 0
  for count in moongate:request({ path = "/metrics" }).body
    :gmatch('moongate_policy_faults_total{[^}]*policy="' .. policy .. '"[^}]*} (%d+)') do
    total = total + tonumber(count)
  end
  return total
end

before_each(function() upstream = provider.open() end)
after_each(gateway.stop_all)

describe("a request hook", function()
  it("changes what the provider is sent, and the caller's other bytes stay", function()
    local moongate = start { ["hooks/10_redact.lua"] = [[
return { request = function(req)
  for _, message in ipairs(req.messages) do
    message.content = message.content:gsub("%S+@%S+", "[address]")
  end
end }
]] }
    local body = '{"model":"small", "seed":12345678901234567, "messages":[{"role":"user","content":"Ask bob@acme.test"}]}'
    assert.equal(200, moongate:request { path = "/v1/chat/completions", body = body }.status)
    local sent = upstream:seen()[1].body
    assert.matches("Ask [address]", sent, 1, true)
    assert.not_matches("bob@", sent, 1, true)
    assert.matches('"seed":12345678901234567', sent, 1, true)
  end)

  it("changes any field, and the next one sees it", function()
    local moongate = start {
      ["hooks/10_first.lua"] = "return { request = function(req) req.body.temperature = 0 req.body.user = nil end }",
      ["hooks/20_second.lua"] = [[
return { request = function(req)
  if req.body.temperature == 0 then req.messages = { { role = "system", content = "Be cold." }, req.messages[1] } end
end }
]] }
    assert.equal(200, moongate:chat({ user = "u", temperature = 1 }).status)
    local sent = upstream:body()
    assert.same({ 0, nil, "Be cold.", "Say hello." },
      { sent.temperature, sent.user, sent.messages[1].content, sent.messages[2].content })
  end)

  it("refuses before anybody is called, in the caller's shape", function()
    local moongate = start { ["hooks/10_guard.lua"] = [[
return { request = function(req)
  if req.messages[1].content:find("secret", 1, true) then return req:refuse(451, "no secrets here") end
end }
]] }
    for _, stream in ipairs { false, true } do
      local answer = moongate:chat { stream = stream, messages = { { role = "user", content = "a secret" } } }
      assert.same({ 451, "no secrets here", "refused_by_hook" },
        { answer.status, error_of(answer).message, error_of(answer).code })
    end
    assert.same({}, upstream:seen())
    assert.equal(200, moongate:chat().status)
  end)

  it("answers in the provider's place, whole and as a stream, at no cost", function()
    local moongate = start { ["hooks/10_canned.lua"] =
      "return { request = function(req) req:answer(\"Ask \\\"me\\\" later.\") req:header(\"x-canned\", \"yes\") end }" }
    local answer = moongate:chat { model = "small" }
    assert.equal(200, answer.status)
    assert.same({ "Ask \"me\" later.", "stop" },
      { answer:json().choices[1].message.content, answer:json().choices[1].finish_reason })
    assert.same({ "moongate", "hooks/10_canned", "0", "0.000000", "yes" }, {
      answer.headers["x-moongate-provider"], answer.headers["x-moongate-model"],
      answer.headers["x-moongate-attempts"], answer.headers["x-moongate-cost-usd"], answer.headers["x-canned"] })

    local stream = moongate:stream { model = "small", stream_options = { include_usage = true } }
    assert.matches("^text/event%-stream", stream.headers["content-type"])
    local events = events_of(stream)
    local text, last = gateway.text_of(events)
    assert.same({ "Ask \"me\" later.", "[DONE]" }, { text, last })
    assert.is_true(stream.complete)
    assert.equal(0, events[#events - 1].usage.total_tokens)
    assert.same({}, upstream:seen())

    local row = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
    assert.same({ "ok", "moongate", 0, 0 }, { row.outcome, row.provider, row.billed_tokens, row.cost_microusd })
    assert.matches("^hooks/10_canned@", row.explanation.policy)
  end)

  it("keeps a private request's words out of what it may not change", function()
    local moongate = start { ["hooks/10_stream.lua"] = "return { request = function(req) req.body.stream = true end }" }
    local answer = moongate:chat()
    assert.equal(200, answer.status)
    assert.is_nil(upstream:body().stream)
    assert.equal(1, faults(moongate, "hooks/10_stream"))
  end)
end)

describe("a hook's header", function()
  it("comes with whole answers, streams and refusals", function()
    local moongate = start { ["hooks/10_header.lua"] =
      "return { request = function(req) req:header(\"X-Team\", req.caller.name) req:header(\"x-n\", 7) end }" }
    assert.same({ "anonymous", "7" }, { moongate:chat().headers["x-team"], moongate:chat().headers["x-n"] })
    local stream = moongate:stream()
    assert.equal("anonymous", stream.headers["x-team"])
    stream:rest():close()
    assert.equal("anonymous", moongate:chat({ model = "nobodys" }).headers["x-team"])
  end)

  for title, call in pairs {
    ["a value of two lines"] = 'req:header("x-a", "1\\r\\nset-cookie: evil=1")',
    ["a value with NUL"] = 'req:header("x-a", "1\\0")',
    ["a name of two lines"] = 'req:header("x-a\\r\\nset-cookie", "1")',
    ["a name with a blank"] = 'req:header("x a", "1")',
    ["an empty name"] = 'req:header("", "1")',
    ["the gateway's own"] = 'req:header("X-Moongate-Cost-Usd", "0")',
    ["the framing"] = 'req:header("Content-Length", "1")',
    ["a table"] = 'req:header("x-a", {})',
    ["very many"] = 'for i = 1, 51 do req:header("x-" .. i, "1") end',
  } do
    it("is refused where it is " .. title, function()
      local moongate = start({ ["hooks/10_header.lua"] =
        "return { request = function(req)\n  " .. call .. "\nend }" }, function(config) config.on_fault = "refuse" end)
      local answer = moongate:chat()
      assert.equal(500, answer.status)
      assert.matches("policies/hooks/10_header.lua:2: ", error_of(answer).message, 1, true)
      assert.is_nil(answer.headers["set-cookie"])
    end)
  end
end)

describe("a response hook", function()
  it("changes the text, of every choice", function()
    local moongate = start { ["hooks/10_shout.lua"] =
      "return { response = function(req, response) response.text = response.text:upper() .. response.index end }" }
    upstream:usually { json = { id = "x", object = "chat.completion", choices = {
      { index = 0, finish_reason = "stop", message = { role = "assistant", content = "one" } },
      { index = 1, finish_reason = "stop", message = { role = "assistant", content = "two" } },
    }, usage = { prompt_tokens = 3, completion_tokens = 2, total_tokens = 5 } } }
    local answer = moongate:chat()
    assert.equal(200, answer.status)
    local body = answer:json()
    assert.same({ "ONE0", "TWO1" }, { body.choices[1].message.content, body.choices[2].message.content })
    assert.equal("5", answer.headers["x-moongate-billed-tokens"])
  end)

  it("changes the body, refuses, or answers instead; what was used is billed", function()
    local moongate = start { ["hooks/10_judge.lua"] = [[
return { response = function(req, response)
  local wish = req.messages[1].content
  if wish == "body" then response.body.judged = response.usage.total > 0 end
  if wish == "refuse" then req:refuse(403, "not this") end
  if wish == "answer" then req:answer("something else") end
end }
]] }
    local function ask(wish) return moongate:chat { messages = { { role = "user", content = wish } } } end
    assert.is_true(ask("body"):json().judged)
    assert.equal("something else", ask("answer"):json().choices[1].message.content)
    local refused = ask "refuse"
    assert.same({ 403, "not this" }, { refused.status, error_of(refused).message })
    local row = moongate:admin("/v1/requests/" .. refused.headers["x-request-id"])
    assert.equal("error", row.outcome)
    assert.is_true(row.cost_microusd > 0)
  end)

  it("is not got round by asking for a stream", function()
    local moongate = start { ["hooks/10_mask.lua"] = [[
return { response = function(req, response)
  if response.text:find("refuse me", 1, true) then return req:refuse(403, "not this") end
  response.text = response.text:gsub("secret", "******")
end }
]] }
    upstream:next { words = { "the se", "cret", " is out" } }
    local stream = moongate:stream()
    local events = events_of(stream)
    assert.same({ "the ****** is out", "[DONE]" }, { gateway.text_of(events) })
    upstream:next { words = { "please ref", "use me" } }
    stream = moongate:stream()
    assert.equal(403, stream.status)
    stream:rest():close()
  end)
end)
