-- Hooks in a running gateway: what they change, refuse and answer, what they may not, and what becomes of a request
-- whose hook fails.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

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
    local body = '{"model":"small", "seed":12345678901234567,'
      .. ' "messages":[{"role":"user","content":"Ask bob@acme.test"}]}'
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
    assert.equal("hooks/10_canned", row.model)
  end)

  it("cannot make a stream of what the caller wants whole", function()
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
    upstream:usually { usage = { prompt_tokens = 3, completion_tokens = 2, total_tokens = 5 }, extra = { choices = {
      { index = 0, finish_reason = "stop", message = { role = "assistant", content = "one" } },
      { index = 1, finish_reason = "stop", message = { role = "assistant", content = "two" } },
    } } }
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
    assert.same({ "error", 403 }, { row.outcome, row.status })
    assert.is_true(row.cost_microusd > 0)
  end)

  it("is not got round by asking for a stream", function()
    local moongate = start { ["hooks/10_mask.lua"] = [[
return { response = function(req, response)
  if response.text:find("refuse me", 1, true) then return req:refuse(403, "not this") end
  response.text = response.text:gsub("secret", "******")
end }
]] }
    upstream:next { pieces = { "the se", "cret", " is out" } }
    local stream = moongate:stream()
    local events = events_of(stream)
    assert.same({ "the ****** is out", "[DONE]" }, { gateway.text_of(events) })
    upstream:next { pieces = { "please ref", "use me" } }
    stream = moongate:stream()
    assert.equal(403, stream.status)
    stream:rest():close()
    for _, wrong in ipairs { "cut", "error", "end" } do
      upstream:next { pieces = { "the ", "secret", "..." }, wrong = wrong, after = 2 }
      stream = moongate:stream()
      assert.equal(502, stream.status)
      assert.not_matches("secret", stream:rest().body)
      stream:close()
    end
  end)
end)

describe("an event hook", function()
  local mask = [[
return { event = function(req, event)
  if event.text then event.text = event.text:gsub("%d", "#") end
end }
]]

  it("changes the text of a stream as it goes by", function()
    local moongate = start { ["hooks/10_mask.lua"] = mask }
    upstream:usually { pieces = { "call 555", "-01", " now" }, hold = { after = 2, name = "middle" } }
    local stream = moongate:stream()
    stream:event() -- the role
    assert.matches("call ###", stream:event().data, 1, true)
    assert.matches("-##", stream:event().data, 1, true)
    upstream:go "middle"
    local events = events_of(stream)
    assert.same({ " now", "[DONE]" }, { gateway.text_of(events) })
    assert.is_true(stream.complete)
    local row = moongate:admin("/v1/requests/" .. stream.headers["x-request-id"])
    assert.same({ "ok", 12 }, { row.outcome, row.output_tokens })
  end)

  it("shows the caller usage only if it was asked for", function()
    local moongate = start { ["hooks/10_mask.lua"] = mask }
    local function usage(options)
      for _, event in ipairs(events_of(moongate:stream(options))) do
        if type(event) == "table" and type(event.usage) == "table" then return event.usage.total_tokens end
      end
    end
    upstream:usually { at = "always" }
    assert.is_nil(usage())
    assert.equal(21, usage { stream_options = { include_usage = true } })
  end)

  local hold = [[
return { event = function(req, event)
  if event.text == nil then return end
  req.state.text = (req.state.text or "") .. event.text
  event.text = ""
  if event.last then event.text = req.state.text:gsub("secret", "******") end
end }
]]

  for title, behaviour in pairs {
    ["with the reason of its end"] = { pieces = { "a sec", "ret" } },
    ["without one"] = { pieces = { "a sec", "ret" }, finish = false },
    ["with neither reason nor terminal event"] = { pieces = { "a sec", "ret" }, finish = "stop", done = false },
  } do
    it("may hold text back until the last event of a stream that ends " .. title, function()
      local moongate = start { ["hooks/10_hold.lua"] = hold }
      upstream:usually(behaviour)
      local events = events_of(moongate:stream())
      assert.equal("a ******", (gateway.text_of(events)))
    end)
  end

  it("refuses before the first content with a status, after it with the error event", function()
    local moongate = start { ["hooks/10_guard.lua"] = [[
return { event = function(req, event)
  if event.text and event.text:find("bomb", 1, true) then req:refuse(403, "no bombs") end
end }
]] }
    upstream:next { pieces = { "bomb", "s" } }
    local stream = moongate:stream()
    assert.equal(403, stream.status)
    assert.equal("no bombs", error_of(stream:rest()).message)
    stream:close()
    upstream:next { pieces = { "a ", "bomb", "s" }, hold = { after = 2 } }
    stream = moongate:stream()
    assert.equal(200, stream.status)
    local events = events_of(stream)
    assert.same({ "no bombs", "a " }, { last_error(events).message, (gateway.text_of(events)) })
    local row = moongate:admin("/v1/requests/" .. stream.headers["x-request-id"])
    assert.equal("error", row.outcome)
    upstream:wait_for(2, "left")
  end)

  it("answers instead of the rest, and the stream ends well", function()
    local moongate = start { ["hooks/10_guard.lua"] = [[
return { event = function(req, event)
  if event.text == "boring" then req:answer("... enough.") end
end }
]] }
    upstream:next { pieces = { "so ", "boring", " x" } }
    local stream = moongate:stream()
    local events = events_of(stream)
    assert.same({ "so ... enough.", "[DONE]" }, { gateway.text_of(events) })
    local ids = {}
    for _, event in ipairs(events) do if type(event) == "table" then ids[event.id] = true end end
    assert.is_true(ids["chatcmpl-1"] and next(ids, next(ids)) == nil)
    upstream:next { pieces = { "boring" } }
    assert.equal("... enough.", (gateway.text_of(events_of(moongate:stream()))))
  end)

  for title, wrong in pairs {
    ["that is cut"] = "cut", ["with an error in it"] = "error", ["that simply stops"] = "end",
    ["with half an event"] = "bad_json",
  } do
    it("leaves the end of a stream " .. title .. " as it is without hooks", function()
      local moongate = start { ["hooks/10_mask.lua"] = mask }
      upstream:usually { pieces = { "1", "2", "3" }, wrong = wrong, after = 2 }
      local stream = moongate:stream()
      local events = events_of(stream)
      assert.is_string(last_error(events).message)
      assert.equal("##", (gateway.text_of(events)))
      local row = moongate:admin("/v1/requests/" .. stream.headers["x-request-id"])
      assert.equal("error", row.outcome)
    end)
  end

  it("keeps up with no more than the caller takes", function()
    local moongate = start { ["hooks/10_mask.lua"] = mask }
    upstream:usually { pieces = { ("x"):rep(64 * 1024) }, endless = true }
    local stream = moongate:stream()
    local record = upstream:wait_for(1, "answering")
    local before
    wait.until_(function()
      record = upstream:seen()[1]
      local stands = record.blocked and record.written == before
      before = record.written
      return stands
    end, "the provider to be held up")
    assert.is_true(record.written < 32 * 1024 * 1024)
    stream:close()
    upstream:wait_for(1, "left")
    wait.until_(function()
      return moongate:admin("/v1/requests/" .. stream.headers["x-request-id"]).outcome == "cancelled"
    end, "the row of the cancelled stream")
  end)
end)

describe("finish", function()
  it("sees what happened", function()
    local moongate = start { ["hooks/90_tell.lua"] = [[
return {
  request = function(req) if req.asked == "nobodys" then req:refuse(404, "no") end end,
  finish = function(req)
    log(("%s %s %s %s %d %d"):format(req.outcome, req.status, req.provider, req.model, req.usage.total,
      req.cost_microusd))
  end,
}
]] }
    moongate:chat { model = "small" }
    moongate:stream({ model = "small" }):rest():close()
    moongate:chat { model = "nobodys" }
    upstream:usually { kind = "error", status = 500 }
    moongate:chat { model = "small" }
    local said = {}
    wait.until_(function()
      said = {}
      for _, line in ipairs(moongate:log()) do
        if line.message == "a policy says" then said[#said + 1] = line.text end
      end
      return #said >= 4
    end, "what finish says")
    assert.same({ "ok 200 acme small 21 33", "ok 200 acme small 21 33", "error 404 nil nobodys 0 0",
      "error 502 nil small 0 0" }, said)
  end)
end)

describe("a hook that fails", function()
  local broken = {
    ["loops for ever"] = "while true do end",
    ["catches everything and loops"] = "while true do pcall(function() while true do end end) end",
    ["eats memory"] = "local t = {} while true do t[#t + 1] = (\"x\"):rep(1000) .. #t end",
    ["raises"] = "error(\"I have no idea\")",
    ["raises nothing"] = "error()",
    ["misspells a field"] = "local x = req.mesages",
    ["writes what is not its own"] = "req.privacy = true",
    ["refuses with an odd status"] = "req:refuse(200, \"fine\")",
    ["refuses with half a status"] = "req:refuse(403.5, \"why\")",
    ["refuses with no number"] = "req:refuse(0/0, \"why\")",
    ["refuses without a reason"] = "req:refuse(403)",
    ["answers with a table"] = "req:answer({})",
    ["leaves messages that are none"] = "req.messages = { { role = \"nobody\", content = 1 } }",
    ["leaves a function in the body"] = "req.body.tools = function() end",
    ["leaves a circle in the body"] = "req.body.metadata = {} req.body.metadata.x = req.body.metadata",
    ["leaves no messages"] = "req.body.messages = nil",
    ["puts a text in the body's place"] = "req.body = \"x\"",
  }

  for title, code in pairs(broken) do
    it("because it " .. title .. " is skipped, or refuses where it says so", function()
      local text = "return { %s request = function(req)\n  " .. code:gsub("%%", "%%%%") .. "\nend }\n"
      local moongate = start { ["hooks/10_bad.lua"] = text:format "",
        ["hooks/20_good.lua"] = "return { request = function(req) req:header(\"x-good\", \"1\") end }" }
      local answer = moongate:chat()
      assert.same({ 200, "1" }, { answer.status, answer.headers["x-good"] })
      assert.equal("Say hello.", upstream:body().messages[1].content)
      assert.equal(1, faults(moongate, "hooks/10_bad"))

      moongate:write("policies/hooks/10_bad.lua", text:format "on_fault = \"refuse\",")
      wait.until_(function()
        answer = moongate:chat()
        return answer.status == 500
      end, "the hook that refuses")
      assert.equal("policy_fault", error_of(answer).code)
      assert.matches('the hook "hooks/10_bad@', error_of(answer).message, 1, true)
      assert.matches("policies/hooks/10_bad.lua", error_of(answer).message, 1, true)
    end)
  end

  it("to load, and never did, refuses where the configuration says so", function()
    for on_fault, status in pairs { refuse = 500, default = 200 } do
      local moongate = start({ ["hooks/10_guard.lua"] = "return { reqeust = function() end }" },
        function(config) config.on_fault = on_fault end)
      local answer = moongate:chat()
      assert.equal(status, answer.status)
      if status == 500 then assert.matches('did you mean "request"?', error_of(answer).message, 1, true) end
    end
  end)

  it("in mid-stream ends it with the error event where it guards", function()
    local moongate = start { ["hooks/10_bad.lua"] = [[
return { on_fault = "refuse", event = function(req, event)
  if event.text == "b" then error("broken") end
end }
]] }
    upstream:usually { pieces = { "a", "b", "c" } }
    local events = events_of(moongate:stream())
    assert.equal("a", (gateway.text_of(events)))
    assert.matches("policies/hooks/10_bad.lua:2: broken", last_error(events).message, 1, true)
  end)

  it("in mid-stream is left out of the rest otherwise", function()
    local moongate = start { ["hooks/10_bad.lua"] =
      "return { event = function(req, event) event.text = event.text:upper() .. nil end }" }
    upstream:usually { pieces = { "a", "b", "c" } }
    assert.same({ "abc", "[DONE]" }, { gateway.text_of(events_of(moongate:stream())) })
    assert.equal(1, faults(moongate, "hooks/10_bad"))
  end)

  it("in finish harms nothing", function()
    local moongate = start { ["hooks/10_bad.lua"] =
      "return { on_fault = \"refuse\", finish = function(req) req:refuse(403, \"too late\") end }" }
    assert.equal(200, moongate:chat().status)
    assert.equal(1, faults(moongate, "hooks/10_bad"))
  end)
end)

describe("hooks on the router's own surface", function()
  it("change, refuse and answer in its shape", function()
    local moongate = start { ["hooks/10_all.lua"] = [[
return {
  request = function(req)
    local message = req.messages[#req.messages]
    if message.content == "refuse" then return req:refuse(403, "not this") end
    if message.content == "answer" then return req:answer("from the hook") end
    message.content = message.content:upper()
  end,
  response = function(req, response) response.text = response.text .. " Really." end,
}
]] }
    local function ask(content)
      return moongate:request { path = "/v1/chat", json = { messages = { { role = "user", content = content } } } }
    end
    local answer = ask "hello"
    assert.equal(200, answer.status)
    assert.matches("Hello from the provider. Really.", answer.body, 1, true)
    assert.equal("HELLO", upstream:body().messages[1].content)
    assert.matches("from the hook", ask("answer").body, 1, true)
    local refused = ask "refuse"
    assert.same({ 403, "refused_by_hook", "not this" },
      { refused.status, error_of(refused).code, error_of(refused).message })
  end)
end)

describe("hooks over embeddings", function()
  it("change the input, and cannot answer with a text", function()
    local moongate = start({ ["hooks/10_trim.lua"] = [[
return { request = function(req)
  req.body.input = { "one" }
  if req.body.dimensions then req:answer("text") end
end }
]] }, function(config) config.on_fault = "refuse" end)
    local function embed(more)
      return moongate:request { path = "/v1/embeddings",
        json = { model = "small", input = { "a", "b" }, dimensions = more } }
    end
    assert.equal(1, #embed():json().data)
    assert.equal(500, embed(8).status)
  end)
end)
