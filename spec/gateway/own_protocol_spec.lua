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
