-- An operator's own wire format: one file in policies/protocols/, reached from every surface, and unable to hurt.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local SAYS = read "examples/own-protocol/policies/protocols/says.lua"
local LISTED = read "examples/own-protocol/policies/routing/as-listed.lua"

describe("a protocol of the operator's own", function()
  local upstream, moongate

  local function start(text, more)
    local config = {
      policy = "as-listed", workers = 1,
      providers = { says = { protocol = "says", base_url = upstream.base_url, api_key = "k" } },
      models = { { id = "sayer", provider = "says", cost = { input = 1, output = 2 } } },
    }
    for name, value in pairs(more or {}) do config[name] = value end
    moongate = gateway.start {
      config = config, policies = { ["protocols/says.lua"] = text or SAYS, ["routing/as-listed.lua"] = LISTED },
    }
  end

  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function whole() upstream:usually { kind = "text", type = "application/json",
    body = '{"said":"Moin.","read":3,"written":2}' } end
  local function lines(...)
    upstream:usually { kind = "text", type = "application/x-ndjson", body = table.concat({ ... }, "\n") .. "\n" }
  end
  local function ask(path, body) return moongate:request { path = path, json = body } end
  local function question(more)
    local body = { model = "sayer", max_tokens = 50, messages = { { role = "user", content = "Hello" } } }
    for name, value in pairs(more or {}) do body[name] = value end
    return body
  end

  it("serves every surface, whole and streamed, and is billed", function()
    start()
    whole()
    local answer = ask("/v1/chat/completions", question())
    assert.equal(200, answer.status, answer.body)
    assert.equal("Moin.", answer:json().choices[1].message.content)
    assert.equal("5", answer.headers["x-moongate-billed-tokens"])
    assert.same({ "user: Hello", "sayer", "k" },
      { upstream:body().prompt, upstream:body().model, upstream:seen()[1].headers["x-key"] })
    assert.equal("Moin.", ask("/v1/messages", question()):json().content[1].text)
    assert.equal("Moin.", ask("/v1/chat", { messages = question().messages }):json().output)
    lines('{"said":"Mo"}', '{"said":"in."}', '{"read":3,"written":2}')
    answer = ask("/v1/chat/completions", question { stream = true })
    assert.matches('"content":"Mo".*"content":"in%.".*"finish_reason":"stop".*%[DONE%]', answer.body)
    answer = ask("/v1/messages", question { stream = true })
    assert.matches('"text":"Mo".*"text":"in%.".*"output_tokens":2.*message_stop', answer.body)
  end)

  it("refuses what it cannot carry with a 400, before any call", function()
    start()
    local answer = ask("/v1/chat/completions", question {
      tools = { { type = "function", ["function"] = { name = "f" } } } })
    assert.same({ 400, "this provider calls no tools", "tools" },
      { answer.status, answer:json().error.message, answer:json().error.param })
    assert.equal(0, #upstream:seen())
  end)

  it("tells its provider's errors, also in mid-stream", function()
    start()
    upstream:usually { kind = "error", status = 500, body = { problem = "out of words" } }
    local answer = ask("/v1/chat/completions", question())
    assert.same({ 502, true }, { answer.status, answer.body:find("out of words", 1, true) ~= nil })
    lines('{"said":"Mo"}', '{"problem":"lost the thread"}')
    answer = ask("/v1/chat/completions", question { stream = true })
    assert.matches("lost the thread", answer.body)
    assert.is_nil(answer.body:find("[DONE]", 1, true))
  end)

  for title, text in pairs {
    ["loops"] = SAYS:gsub("function protocol.build%(order%)", "%0\n  while true do end"),
    ["raises"] = SAYS:gsub("function protocol.build%(order%)", "%0\n  error 'out of order'"),
    ["answers nonsense"] = SAYS:gsub("function protocol.build%(order%)", "%0\n  do return 5 end"),
    ["reads nonsense"] = SAYS:gsub("function protocol.read_reply%(status, _, text%)", "%0\n  do return 7 end"),
  } do
    it("that " .. title .. " costs its own provider's rung only", function()
      local other = provider.open()
      start(text, {
        providers = {
          says = { protocol = "says", base_url = upstream.base_url, api_key = "k" },
          other = { protocol = "openai", base_url = other.base_url, api_key = "k" },
        },
        models = { { id = "sayer", provider = "says" }, { id = "sayer", provider = "other" } },
      })
      whole()
      local answer = ask("/v1/chat/completions", question())
      assert.same({ 200, "other" }, { answer.status, answer.headers["x-moongate-provider"] }, answer.body)
    end)
  end

  -- title, what comes behind which line, which of whole and streamed it spoils
  local spoilt = {
    { "a reply that loops", "function protocol.reply%(body%)", "while true do end", whole = true },
    { "a reply without choices", "function protocol.reply%(body%)", "do return {} end", whole = true },
    { "a choice without blocks", "function protocol.reply%(body%)", "do return { choices = { {} } } end",
      whole = true },
    { "a text that is none", "function protocol.reply%(body%)",
      "do return { choices = { { blocks = { { kind = 'text', text = 5 } } } } } end", whole = true },
    { "usage below nothing", "function protocol.read_reply%(status, _, text%)",
      "do return { usage = { input = -5, output = 1 }, body = { said = 'x' } } end", whole = true },
    { "a length that is none", "function protocol.read_reply%(status, _, text%)",
      "do return { text_length = {}, body = { said = 'x' } } end", whole = true },
    { "read_event that loops", "function protocol.read_event%(event%)", "while true do end", event = true },
    { "usage that is no number", "function protocol.read_event%(event%)",
      "do return { kind = 'content', usage = { input = 0/0 } } end", event = true },
    { "an event of no kind", "function protocol.read_event%(event%)", "do return { kind = 'spell' } end",
      event = true },
    { "reader that loops", "function protocol.reader%(%)", "while true do end", reader = true },
    { "reader's function that loops", "return function%(event%)", "while true do end", reader = true },
    { "reader's function that raises", "return function%(event%)", "error 'no'", reader = true },
    { "events that are none", "return function%(event%)", "do return { 5 } end", reader = true },
    { "an event without its text", "return function%(event%)", "do return { { kind = 'text' } } end", reader = true },
  }
  for _, case in ipairs(spoilt) do
    local title, line, code = unpack(case)
    it("with " .. title .. " never looks complete, and leaves a row that is closed", function()
      local other = provider.open()
      local text, found = SAYS:gsub(line, function(all) return all .. "\n" .. code end)
      assert.equal(1, found)
      start(text, {
        providers = {
          says = { protocol = "says", base_url = upstream.base_url, api_key = "k" },
          other = { protocol = "openai", base_url = other.base_url, api_key = "k" },
        },
        models = { { id = "sayer", provider = "says" }, { id = "sayer", provider = "other" } },
      })
      if case.whole then
        whole()
      else
        lines('{"said":"Mo"}', '{"said":"in."}', '{"read":3,"written":2}')
      end
      for _, path in ipairs { "/v1/chat/completions", "/v1/messages" } do
        local answer = ask(path, question { stream = not case.whole })
        if case.reader then
          assert.equal(502, answer.status, answer.body)
          assert.matches("its protocol failed", answer:json().error.message)
        else
          assert.same({ 200, "other" }, { answer.status, answer.headers["x-moongate-provider"] }, answer.body)
        end
        local row = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
        assert.equal(case.reader and "error" or "ok", row.outcome)
      end
      assert.not_matches("\nmoongate_streams_open [1-9]", moongate:request({ path = "/metrics" }).body)
    end)
  end

  it("is switched off when its stream events loop again and again", function()
    start((SAYS:gsub("function protocol.read_event%(event%)", "%0\n  while true do end")), { providers = {
      says = { protocol = "says", base_url = upstream.base_url, api_key = "k",
        breaker = { failures = 1000, open = 1 } },
    } })
    lines('{"said":"Mo"}')
    for _ = 1, 20 do ask("/v1/chat/completions", question { stream = true }) end
    wait.until_(function()
      for _, problem in ipairs(ask("/ready"):json().problems) do
        if problem.message:find "switched off" then return true end
      end
    end, "/ready to tell of it")
  end)

  it("is found by the check, and a misspelt name is told", function()
    start()
    assert.equal("ready", ask("/ready"):json().status)
    moongate:write("policies/protocols/says.lua", "return { build = function() end, read_reply = function() end }")
    wait.until_(function() return ask("/ready"):json().status == "degraded" end, "/ready to tell of it")
    local problem = ask("/ready"):json().problems[1]
    assert.matches("function read_event", problem.message)
    assert.equal("policies/protocols/says.lua", problem.file:match "policies/.*$")
  end)
end)
