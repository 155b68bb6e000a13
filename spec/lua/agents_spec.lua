-- An agent's run as a surface: what is read of it, what goes to the provider, what comes back.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"
local schema = require "moongate.schema"

describe("an agent's run", function()
  local core, agents

  local configured = {
    triage = { system = "You sort\ntickets.", model = "small", max_tokens = 300, timeout_secs = 30 },
    bare = {}, ["for-all"] = { system = "", model = "everyday" },
  }

  before_each(function()
    core = fakes.install()
    agents = require "moongate.agents"
  end)
  after_each(function() core.restore() end)

  local function parse(name, body, headers)
    return agents.surface(name, configured).parse(assert(json.scan(body)), headers or {}, "chat")
  end

  local function sent(request) return json.decode(request.document:patch {}) end

  it("is a chat completion with the agent's prompt, model and bounds", function()
    local request = assert(parse("triage", '{"input":"Printer \\"on\\" fire"}'))
    assert.same({
      model = "small", max_tokens = 300, messages = json.array {
        { role = "system", content = "You sort\ntickets." }, { role = "user", content = 'Printer "on" fire' },
      },
    }, sent(request))
    assert.same({ "small", 300, 30, false, "chat" }, { request.model, request.max_tokens, request.timeout_s,
      request.stream, request.surface })
    assert.equal('Printer "on" fire', request.messages[2].content)
  end)

  it("takes the caller's model before its own", function()
    assert.equal("large", assert(parse("triage", '{"input":"x","model":"large"}')).model)
    assert.equal("small", assert(parse("triage", '{"input":"x","model":null}')).model)
  end)

  it("without a prompt, a model or bounds has none", function()
    local request = assert(parse("bare", '{"input":"x"}'))
    assert.same({ model = "auto", messages = json.array { { role = "user", content = "x" } } }, sent(request))
    assert.is_nil(request.timeout_s)
    assert.is_nil(request.max_tokens)
    assert.equal(1, #assert(parse("for-all", '{"input":"x"}')).messages)
  end)

  it("is of the task that its words tell, unless a header does", function()
    assert.is_nil(assert(parse("bare", '{"input":"x"}')).task)
    local request = assert(parse("bare", '{"input":"x"}', { ["x-moongate-task"] = "coding",
      ["x-moongate-privacy"] = "true", ["x-moongate-policy"] = "mine" }))
    assert.same({ "coding", true, "mine" }, { request.task, request.privacy, request.policy })
  end)

  it("of an agent that there is not is a 404 that names those near", function()
    local request, refusal = parse("traige", '{"input":"x"}')
    assert.is_nil(request)
    assert.same({ 404, "agent_not_found" }, { refusal.status, refusal.code })
    assert.equal('there is no agent "traige" (did you mean "triage"?)', refusal.message)
    refusal = select(2, parse(string.rep("\1", 5000), '{"input":"x"}'))
    assert.is_true(#refusal.message < 200)
  end)

  for body, message in pairs {
    ["{}"] = "input: expected the text to work on; it is missing",
    ['{"input":""}'] = 'input: expected the text to work on; got ""',
    ['{"input":" \\n "}'] = 'input: expected the text to work on; got " \n "',
    ['{"input":null}'] = "input: expected the text to work on; got null",
    ['{"input":[{"role":"user","content":"x"}]}'] = "input: expected the text to work on; got an array",
    ['{"input":"x","model":7}'] = 'model: expected the name of a model (or "auto"); got 7',
    ['{"input":"x","model":""}'] = 'model: expected the name of a model (or "auto"); got ""',
    ['{"input":"x","modle":"y"}'] = 'there is no field "modle" here (did you mean "model"?)',
    ['{"input":"x","stream":true}'] = 'there is no field "stream" here',
    ["[]"] = "the body: expected a JSON object; got an empty array",
  } do
    it("is refused with " .. body .. ", told why", function()
      local request, refusal = parse("triage", body)
      assert.is_nil(request)
      assert.same({ 400, message }, { refusal.status, refusal.message })
    end)
  end

  it("is answered with the output, who gave it and what it cost", function()
    local row = {
      provider = "acme", model = "small", usage = { input = 4, cached = 0, cache_write = 0, output = 2, reasoning = 0 },
      billed_tokens = 6, cost_microusd = 12,
    }
    local body = agents.surface("triage", configured).reply({ id = "r-1" }, {
      choices = { { blocks = { { kind = "text", text = "urgent" } }, finish = "stop" } } }, row)
    assert.same({
      agent = "triage", output = "urgent", model_used = "small", provider = "acme", billed_tokens = 6, cost = 0.000012,
      request_id = "r-1", usage = { input_tokens = 4, cached_tokens = 0, cache_write_tokens = 0, output_tokens = 2,
        reasoning_tokens = 0, total_tokens = 6 },
    }, json.decode(body))
  end)

  it("has the time of the agent and no more", function()
    local call = fakes.call({ fakes.target "one/small" }, { request = { timeout_s = 3 } })
    call.handle.elapsed_s = 1
    core.wires[1] = fakes.wire { body = fakes.answer "x" }
    assert(require("moongate.attempt").try(call, call.plan.ladder[1]))
    assert.equal(2, core.of("attempt.send")[1][5])
  end)

  it("is not tried again where its time would be over", function()
    local call = fakes.call({ fakes.target "one/small" }, { request = { timeout_s = 3 } })
    call.handle.elapsed_s = 2.9999
    core.wires[1] = fakes.wire { status = 429, headers = { ["retry-after"] = "1" }, body = '{"error":{}}' }
    local _, ended = require("moongate.climb").ladder(call)
    assert.equal(502, ended.refusal.status)
    assert.equal(1, #core.of "attempt.send")
  end)
end)

describe("the agents of a configuration", function()
  local function problems(agents)
    local found = {}
    schema.check({ agents = agents }, "", function(path, message) found[#found + 1] = path .. ": " .. message end)
    table.sort(found)
    return found
  end

  it("have names that may stand in a path", function()
    assert.same({}, problems { triage = {}, ["a.b-c_2"] = {} })
    for _, name in ipairs { "a/b", "a b", "", "-a", "é", string.rep("a", 64) } do
      assert.equal(1, #problems { [name] = {} }, name)
    end
  end)

  it("have a prompt, a model and bounds of the right kind, and nothing else", function()
    assert.same({}, problems { a = { system = "You\nare.", model = "m", max_tokens = 1, timeout_secs = 0.5 } })
    for _, agent in ipairs {
      { system = 7 }, { model = "" }, { model = 1 }, { max_tokens = 0 }, { max_tokens = 1.5 }, { timeout_secs = 0 },
      { timeout_secs = "1" }, { prompt = "x" },
    } do
      assert.equal(1, #problems { a = agent })
    end
  end)
end)
