require "spec.support.core"
local json = require "moongate.core.json"
local router = require "moongate.surfaces.router"

local MESSAGES = '"messages":[{"role":"user","content":"hello"}]'

local function parse(body, headers, surface)
  return (surface or router.chat).parse(assert(json.scan(body)), headers or {}, "chat")
end

local function chat(members, headers, surface)
  return parse("{" .. MESSAGES .. (members and "," .. members or "") .. "}", headers, surface)
end

local function told(members, surface)
  local request, refusal = chat(members, nil, surface)
  assert.is_nil(request, members)
  assert.equal(400, refusal.status)
  return refusal.message
end

local function sent(request) return request.document and json.decode(request.document:patch {}) end

describe("a request of the router's own surface", function()
  it("is what a chat completion is, with the caller's wishes", function()
    local request = assert(chat('"model":"m","max_tokens":50,"priority":"best","latency_pref":"fast","max_cost":0.25,'
      .. '"privacy":true,"task":"coding","policy":"mine"'))
    assert.same({ "m", "chat", false, 50, "hello" }, { request.model, request.surface, request.stream,
      request.max_tokens, request.messages[1].content })
    assert.same({ "best", "fast", 0.25, true, "coding", "mine" }, { request.priority, request.latency_pref,
      request.max_cost, request.privacy, request.task, request.policy })
  end)

  it("needs no more than messages", function()
    local request = assert(chat())
    assert.is_nil(request.document)
    assert.is_false(request.privacy)
    for _, name in ipairs { "model", "priority", "latency_pref", "max_cost", "task", "policy" } do
      assert.is_nil(request[name], name)
    end
  end)

  it("takes null for nothing", function()
    local request = assert(chat('"model":null,"priority":null,"latency_pref":null,"max_cost":null,"privacy":null,'
      .. '"task":null,"policy":null,"seed":null,"n":null,"stream":null'))
    assert.is_nil(request.priority)
    assert.is_false(request.privacy)
  end)

  it("shows the provider nothing of the wishes, and the rest byte for byte", function()
    local request = assert(parse('{ "policy":"mine", ' .. MESSAGES .. ' , "temperature": 1.0e-0,"max_cost":1 }'))
    local text = request.document:patch {}
    assert.matches('"temperature": 1.0e-0', text, 1, true)
    assert.matches(MESSAGES, text, 1, true)
    assert.same({ messages = json.array { { role = "user", content = "hello" } }, temperature = 1 }, sent(request))
  end)

  it("hands on what it knows of a chat completion", function()
    assert(chat('"temperature":0.5,"top_p":0.5,"stop":["a"],"seed":-3,"presence_penalty":0,"frequency_penalty":0,'
      .. '"logit_bias":{},"response_format":{"type":"json_object"},"tools":[{"type":"function","function":'
      .. '{"name":"add"}}],"tool_choice":"auto","parallel_tool_calls":false,"reasoning_effort":"low",'
      .. '"metadata":{"a":"b"},"user":"u","max_completion_tokens":5,"n":1,"stream":false'))
  end)

  it("obeys a header before the body's field, but privacy from either", function()
    local members = '"priority":"best","max_cost":2,"task":"coding","policy":"body","privacy":false'
    local request = assert(chat(members, {
      ["x-moongate-priority"] = "cheap", ["x-moongate-max-cost"] = "0.5", ["x-moongate-task"] = "chat",
      ["x-moongate-policy"] = "header", ["x-moongate-privacy"] = "true",
    }))
    assert.same({ "cheap", 0.5, "chat", "header", true }, { request.priority, request.max_cost, request.task,
      request.policy, request.privacy })
    assert.is_true(assert(chat('"privacy":true', { ["x-moongate-privacy"] = "false" })).privacy)
  end)

  -- members, the whole message
  for _, case in ipairs {
    { '"prority":"best"', 'there is no field "prority" here (did you mean "priority"?)' },
    { '"maxcost":1', 'there is no field "maxcost" here (did you mean "max_cost"?)' },
    { '"zzz":1', 'there is no field "zzz" here' },
    { '"priority":"chep"', 'priority: expected one of cheap, balanced, best; got "chep" (did you mean "cheap"?)' },
    { '"priority":1', "priority: expected one of cheap, balanced, best; got 1" },
    { '"latency_pref":"slow"', 'latency_pref: expected one of normal, fast; got "slow"' },
    { '"latency_pref":{}', "latency_pref: expected one of normal, fast; got an object" },
    { '"max_cost":-0.1', "max_cost: expected an amount in USD such as 0.01; got -0.1" },
    { '"max_cost":"1"', 'max_cost: expected an amount in USD such as 0.01; got "1"' },
    { '"privacy":"true"', 'privacy: expected a boolean; got "true"' },
    { '"privacy":1', "privacy: expected a boolean; got 1" },
    { '"policy":""', 'policy: expected the name of a routing policy; got ""' },
    { '"policy":["a"]', "policy: expected the name of a routing policy; got an array" },
    { '"stream":"yes"', 'stream: expected a boolean; got "yes"' },
    { '"stream":true', "stream: this path answers as a whole; streams are at /v1/chat/completions" },
    { '"n":2', "n: expected 1, for there is one output; got 2" },
    { '"seed":1.5', "seed: expected an integer; got 1.5" },
    { '"seed":"a"', 'seed: expected an integer; got "a"' },
    { '"user":7', "user: expected a string; got 7" },
    { '"metadata":[1]', "metadata: expected an object; got an array" },
    { '"reasoning_effort":""', 'reasoning_effort: expected a word such as low; got ""' },
    { '"temperature":3', "temperature: expected a number from 0 to 2; got 3" },
    { '"max_tokens":0', "max_tokens: expected a positive integer; got 0" },
    { '"model":5', 'model: expected the name of a model (or "auto"); got 5' },
    { '"tools":{}', "tools: expected an array; got an object" },
  } do
    it("is refused with " .. case[1] .. ", told why", function() assert.equal(case[2], told(case[1])) end)
  end

  it("is refused with a task that there is not, told which there are", function()
    assert.equal("task: expected one of chat, coding, reasoning, summarization, translation, image, agent_step; "
      .. 'got "codng" (did you mean "coding"?)', told '"task":"codng"')
  end)

  for title, body in pairs {
    ["without messages"] = "{}", ["that is a list"] = "[]", ["that is text"] = '"hello"',
    ["with no message in it"] = '{"messages":[]}', ["with a message of no role"] = '{"messages":[{"content":"x"}]}',
  } do
    it(title .. " is refused", function()
      local request, refusal = parse(body)
      assert.is_nil(request)
      assert.equal(400, refusal.status)
    end)
  end

  it("shows a strange field's name short and clean", function()
    local message = told('"' .. string.rep("x", 5000) .. '":1')
    assert.is_true(#message < 200)
    assert.is_nil(string.find(told '"a\\n\\u0001b":1', "%c"))
    json.encode(told('"' .. string.rep("x", 39) .. 'é":1')) -- not cut within a character
  end)

  it("is refused for its headers as anywhere", function()
    local request, refusal = chat(nil, { ["x-moongate-priority"] = "most" })
    assert.is_nil(request)
    assert.matches("x-moongate-priority: expected", refusal.message, 1, true)
  end)
end)

describe("an agent's step", function()
  it("is of the task agent_step, whatever else is said", function()
    assert.equal("agent_step", assert(chat(nil, nil, router.step)).task)
    assert.equal("agent_step", assert(chat('"task":"agent_step"', nil, router.step)).task)
    assert.equal("agent_step", assert(chat(nil, { ["x-moongate-task"] = "coding" }, router.step)).task)
    assert.equal('task: expected agent_step here, or none; got "coding"', told('"task":"coding"', router.step))
  end)
end)

describe("a request that is explained", function()
  it("may be a chat completion, with all that one has", function()
    local request = assert(chat('"stream":true,"n":3,"store":false,"a_field_of_tomorrow":1', nil, router.explained))
    assert.is_true(request.stream)
  end)

  it("may be one with wishes in it, which are checked then", function()
    local request = assert(chat('"stream":true,"functions":[],"max_cost":1', nil, router.explained))
    assert.same({ true, 1 }, { request.stream, request.max_cost })
    assert.matches('no field "latency_perf"', told('"max_cost":1,"latency_perf":"fast"', router.explained), 1, true)
    assert.matches("^max_cost: expected", told('"max_cost":"much"', router.explained))
  end)

  it("may name the seed of its plan, which a live one may not", function()
    assert.equal(-7, assert(chat('"seed":-7', nil, router.explained)).seed)
    assert.is_nil(assert(chat('"seed":null', nil, router.explained)).seed)
    assert.is_nil(assert(chat '"seed":-7').seed)
    assert.equal("seed: expected an integer; got 1.5", told('"seed":1.5', router.explained))
    assert.equal('seed: expected an integer; got "a"', told('"seed":"a"', router.explained))
  end)
end)

describe("an answer of the router's own surface", function()
  local row = {
    provider = "acme", model = "small",
    usage = { input = 100, cached = 20, cache_write = 0, output = 30, reasoning = 10 }, billed_tokens = 161,
    cost_microusd = 33, latency_ms = 120,
    savings_microusd = 0,
  }

  local function text(value) return { kind = "text", text = value } end

  local function answer(blocks, baseline)
    local state = { config = { premium_baseline = "dear" }, registry = { cost = function(_, name)
      assert.equal("dear", name)
      return baseline
    end } }
    return json.decode(router.chat.reply({ id = "r-1", state = state }, { choices = { { blocks = blocks } } }, row))
  end

  it("is the text, who gave it, and what it cost", function()
    local body = answer({ text "Hello." }, { input = 10, output = 20, cached_input = 5 })
    assert.same({
      output = "Hello.", model_used = "small", provider = "acme", cost = 0.000033, latency_ms = 120,
      -- 100 x 10 + 20 x 5 + 40 x 20 = 1900 micro-dollars, less 33
      savings_estimate = 0.001867, request_id = "r-1", billed_tokens = 161,
      usage = { input_tokens = 100, cached_tokens = 20, cache_write_tokens = 0, output_tokens = 30,
        reasoning_tokens = 10, total_tokens = 160 },
    }, body)
  end)

  it("tells no savings where the baseline's price is not known", function()
    assert.equal(json.null, answer({ text "x" }).savings_estimate)
    assert.equal(json.null, answer({ text "x" }, { input = 1 }).savings_estimate)
  end)

  it("tells of a loss as of a gain", function()
    assert.is_true(answer({ text "x" }, { input = 0.1, output = 0.1 }).savings_estimate < 0)
  end)

  it("hands on the calls of tools", function()
    local calls = json.array { { id = "c", type = "function", ["function"] = { name = "add", arguments = "{}" } } }
    local body = answer { { kind = "tool_use", id = "c", name = "add", arguments = "{}" } }
    assert.equal("", body.output)
    assert.same(calls, body.tool_calls)
    assert.is_nil(answer({ text "x" }).tool_calls)
  end)

  it("joins the parts of a text, and tells a refusal of the model", function()
    assert.equal("ab", answer({ text "a", { kind = "thinking", text = "hm" }, text "b" }).output)
    assert.equal("I will not.", answer({ { kind = "refusal", text = "I will not." } }).output)
  end)

  it("is empty where the reply holds nothing", function()
    assert.equal("", (router.output { choices = {} }))
    assert.equal("", answer({}).output)
  end)
end)

describe("an error of the router's own surface", function()
  local function error_of(...) return json.decode(router.error(...)) end

  it("has a code, the message, and the request's id", function()
    assert.same({ error = { code = "timeout", message = "too late" }, request_id = "r-1" },
      error_of(504, "too late", "server_error", nil, nil, "r-1"))
    assert.same({ error = { code = "mine", message = "no" }, request_id = json.null }, error_of(403, "no", nil, "mine"))
  end)

  it("has a word for its code whatever the provider's was", function()
    assert.equal("1301", error_of(400, "no", nil, 1301).error.code)
    assert.equal("invalid_request", error_of(400, "no", nil, "two words").error.code)
    assert.equal("invalid_request", error_of(400, "no", nil, string.rep("x", 65)).error.code)
    assert.equal("invalid_request", error_of(418, "no").error.code)
    assert.equal("internal_error", error_of(599, "no").error.code)
  end)
end)
