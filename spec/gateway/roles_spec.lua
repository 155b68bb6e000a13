-- The policies that are not routing, in a running gateway: who may use what (access.lua), what a request counts for
-- (billing.lua), what it is for (task.lua).
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local upstream

local FIRST = "return function(request, candidates) return candidates end\n"

local function start(policies, change)
  local config = {
    auth = "keys",
    keys = {
      { name = "ann", key = "key-of-ann", org = "acme", tier = "free" },
      { name = "bob", key = "key-of-bob", org = "acme", tier = "pro" },
      { name = "cyd", key = "key-of-cyd", models = { "small" } },
    },
    tiers = { free = { models = { "*:free", "home" } }, pro = {} },
    providers = {
      acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 },
      here = { protocol = "openai", base_url = upstream.base_url, is_local = true, retries = 0 },
    },
    models = {
      { id = "small", provider = "acme", cost = { input = 1, output = 2 } },
      { id = "large", provider = "acme", cost = { input = 3, output = 15 } },
      { id = "tiny:free", provider = "acme", free = true, cost = { input = 0, output = 0 } },
      { id = "home", provider = "here" },
    },
    aliases = { fast = { { model = "large" }, { model = "tiny:free" } } },
  }
  if change then change(config) end
  local all = { ["routing/auto-cheapest.lua"] = FIRST }
  for name, text in pairs(policies or {}) do all[name] = text end
  return gateway.start { config = config, policies = all }
end

local function ask(moongate, who, model, headers)
  return moongate:chat({ model = model }, { key = "key-of-" .. who, headers = headers })
end

local function error_of(answer) return answer:json().error end
local function model_of(answer) return answer.headers["x-moongate-model"] end

local function models_of(moongate, who)
  local ids = {}
  for i, model in ipairs(moongate:request({ path = "/v1/models", key = "key-of-" .. who }):json().data) do
    ids[i] = model.id
  end
  return ids
end

local function explanation(moongate, answer)
  local row = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
  local reasons = {}
  for _, candidate in ipairs(row.explanation.candidates) do reasons[candidate.id] = candidate.reason end
  return reasons, row
end

local function metric(moongate, pattern)
  return tonumber(moongate:request({ path = "/metrics" }).body:match(pattern .. "[^\n]* (%d+)\n") or 0)
end

before_each(function() upstream = provider.open() end)
after_each(gateway.stop_all)

describe("without an access policy", function()
  it("a tier's patterns say what may be used, and a refusal names the rule", function()
    local moongate = start()
    local refused = ask(moongate, "ann", "large")
    assert.same({ 403, "model_not_allowed", "permission_error",
      "tier free may not use large: not among its models (*:free, home)" },
      { refused.status, error_of(refused).code, error_of(refused).type, error_of(refused).message })
    assert.equal("key cyd may not use large: not among its models (small)",
      error_of(ask(moongate, "cyd", "large")).message)
    assert.equal(200, ask(moongate, "bob", "large").status)
    assert.same({ "auto", "home", "tiny:free" }, models_of(moongate, "ann"))
    assert.same({ "auto", "small" }, models_of(moongate, "cyd"))
    assert.equal(4 + 2, #models_of(moongate, "bob"))
  end)

  it("auto leaves out what may not be used, with the reason", function()
    local moongate = start()
    local answer = ask(moongate, "ann", "auto")
    assert.equal("tiny:free", model_of(answer))
    assert.equal("tier free may not use it: not among its models (*:free, home)",
      explanation(moongate, answer)["acme/large"])
  end)
end)

describe("an access policy", function()
  local by_price = [[
-- Free callers use what is free, and each hears why.
return function(caller, model)
  if caller.tier == "free" and not (model.free or model.is_local) then
    return false, model.id .. " of " .. model.provider .. " costs " .. model.cost.input .. " USD; upgrade to pro"
  end
  return true
end
]]

  it("stands in the place of the tier's patterns and is heard in the refusal", function()
    local moongate = start { ["access.lua"] = by_price }
    local refused = ask(moongate, "ann", "large")
    assert.same({ 403, "model_not_allowed", "tier free may not use large: large of acme costs 3 USD; upgrade to pro" },
      { refused.status, error_of(refused).code, error_of(refused).message })
    assert.same({}, upstream:seen())
    local answer = ask(moongate, "ann", "auto")
    assert.equal("tiny:free", model_of(answer))
    assert.equal("tier free may not use it: small of acme costs 1 USD; upgrade to pro",
      explanation(moongate, answer)["acme/small"])
    assert.equal("tiny:free", model_of(ask(moongate, "ann", "fast")))
    assert.equal("large", model_of(ask(moongate, "bob", "large")))
    assert.same({ "auto", "fast", "home", "tiny:free" }, models_of(moongate, "ann"))
    assert.equal(403, ask(moongate, "cyd", "large").status, "the key's own patterns hold beside it")
  end)

  it("that leaves nothing refuses auto, and lists no model", function()
    local moongate = start { ["access.lua"] = "return function() return false end" }
    local refused = ask(moongate, "bob", "auto")
    assert.same({ 403, "tier pro may not use any model here: the access policy says no" },
      { refused.status, error_of(refused).message })
    assert.same({}, models_of(moongate, "bob"))
    assert.equal(404, moongate:request({ path = "/v1/models/large", key = "key-of-bob" }).status)
  end)

  it("resolves names, and holds them to the same rules", function()
    local moongate = start { ["access.lua"] = [[
return {
  validate = function(caller, model)
    if model.id == "large" and caller.tier ~= "pro" then return false, "large is for pro" end
    return true
  end,
  resolve = function(caller, requested)
    if requested == "best" then return "large" end
    if requested == nil or requested == "auto" then return caller.tier == "pro" and "large" or "small" end
    if requested == "wrong" then return "nowhere" end
    if requested == "odd" then return 17 end
  end,
}
]] }
    assert.equal("small", model_of(ask(moongate, "ann", "auto")))
    assert.equal("large", model_of(ask(moongate, "bob", "auto")))
    assert.equal("large", model_of(ask(moongate, "bob", "best")))
    assert.equal("tiny:free", model_of(ask(moongate, "bob", "tiny:free")))
    local missing = moongate:request { path = "/v1/chat/completions", key = "key-of-bob",
      body = '{"messages":[{"role":"user","content":"x"}]}' }
    assert.equal("large", model_of(missing))
    assert.equal("tier free may not use large: large is for pro", error_of(ask(moongate, "ann", "best")).message)
    assert.equal(404, ask(moongate, "bob", "unheard-of").status)
    for _, name in ipairs { "wrong", "odd" } do
      local refused = ask(moongate, "bob", name)
      assert.same({ 500, "policy_fault" }, { refused.status, error_of(refused).code })
      assert.matches('the access policy "access@%x+" failed: policies/access.lua: resolve ', error_of(refused).message)
    end
  end)

  for title, case in pairs {
    ["raises"] = { "error(\"who is there?\")", "policies/access.lua:2: who is there?" },
    ["returns nothing"] = { "", "policies/access.lua: must return true, or false and a reason, and returned nothing" },
    ["returns a text"] = { "return \"yes\"", "and returned a string" },
    ["loops"] = { "while true do end", "over its time of" },
    ["asks for the hour"] = { "return os.time() > 0", "policies/access.lua:2: there is no clock in an access policy" },
    ["asks for the date"] = { "return os.date(\"%H\") < \"06\"", "there is no clock" },
  } do
    it("that " .. title .. " refuses everybody, whatever on_fault says", function()
      local moongate = start { ["access.lua"] = "return function(caller, model)\n  " .. case[1] .. "\nend\n" }
      for _, name in ipairs { "auto", "large" } do
        local refused = ask(moongate, "bob", name)
        assert.same({ 500, "policy_fault" }, { refused.status, error_of(refused).code })
        assert.matches(case[2], error_of(refused).message, 1, true)
      end
      assert.equal(500, moongate:request({ path = "/v1/models", key = "key-of-bob" }).status)
      assert.same({}, upstream:seen())
      assert.is_true(metric(moongate, 'moongate_policy_faults_total{[^}]*policy="access"') >= 3)
    end)
  end

  it("that never loaded refuses everybody until it is mended or gone", function()
    local moongate = start { ["access.lua"] = "return function(caller, model)\n  return (\nend\n" }
    for _ = 1, 2 do
      local refused = ask(moongate, "bob", "large")
      assert.same({ 500, "policy_fault" }, { refused.status, error_of(refused).code })
      assert.matches("policies/access.lua:3: unexpected symbol", error_of(refused).message, 1, true)
    end
    assert.equal("degraded", moongate:request({ path = "/ready" }):json().status)
    moongate:write("policies/access.lua", "return function() return true end\n")
    wait.until_(function() return ask(moongate, "bob", "large").status == 200 end, "the mended policy")
    moongate:write("policies/access.lua", "return nonsense(\n")
    wait.until_(function() return moongate:request({ path = "/ready" }):json().status == "degraded" end, "/ready")
    assert.equal(200, ask(moongate, "bob", "large").status, "its last good version stays")
  end)

  it("forges nothing: what it is given is its own", function()
    local moongate = start { ["access.lua"] = [[
return function(caller, model)
  caller.tier, model.free, model.is_local = "pro", true, true
  if model.cost then model.cost.input, model.cost.output = 0, 0 end
  return true
end
]] }
    local answer = ask(moongate, "ann", "large")
    local _, row = explanation(moongate, answer)
    assert.same({ "free", 9 * 3 + 12 * 15 }, { row.tier, row.cost_microusd })
  end)

  it("is asked once about each model and caller, and anew when it changes", function()
    local moongate = start({ ["access.lua"] = "return function(caller, model) log(model.id) return true end" },
      function(config) config.workers = 1 end)
    for _ = 1, 3 do ask(moongate, "bob", "small") end
    local function said()
      local count = 0
      for _, line in ipairs(moongate:log()) do
        if line.message == "a policy says" then count = count + 1 end
      end
      return count
    end
    assert.equal(1, said())
    moongate:write("policies/access.lua", "return function(caller, model) return false, \"closed\" end")
    wait.until_(function() return ask(moongate, "bob", "small").status == 403 end, "the new policy")
  end)
end)

describe("a billing policy", function()
  local function bill(text, model, change)
    local moongate = start({ ["billing.lua"] = text }, change)
    local answer = ask(moongate, "bob", model or "small")
    assert.equal(200, answer.status)
    local _, row = explanation(moongate, answer)
    assert.equal(tostring(row.billed_tokens), answer.headers["x-moongate-billed-tokens"])
    return row.billed_tokens, moongate, row
  end

  local function faults(moongate) return metric(moongate, 'moongate_policy_faults_total{[^}]*policy="billing"') end

  it("multiplies what is billed, rounded up and exact", function()
    assert.equal(24, (bill "return function(caller, model, usage) return 1.1 end")) -- 23.1
    assert.equal(21 * 15, (bill "return function(caller, model) return model.id == 'small' and 15 or 1 end"))
    assert.equal(0, (bill "return function() return 0 end"))
    assert.equal(1, (bill "return function() return 0.000001 end"))
  end)

  it("is exact where floating point is not", function()
    upstream:usually { usage = { prompt_tokens = 4, completion_tokens = 6, total_tokens = 10 } }
    assert.equal(11, (bill "return function() return 1.1 end"))
  end)

  it("counts a local model as nothing unless it says otherwise", function()
    local moongate = start()
    local answer = ask(moongate, "bob", "home")
    assert.equal("0", answer.headers["x-moongate-billed-tokens"])
    assert.equal("21", ask(moongate, "bob", "small").headers["x-moongate-billed-tokens"])
    assert.equal(21, (bill("return function(caller, model) return model.is_local and 1 or 9 end", "home")))
  end)

  for title, result in pairs {
    ["NaN"] = "return 0/0", ["less than nothing"] = "return -1", ["infinite"] = "return math.huge",
    ["over a million"] = "return 1e7", ["a text"] = "return \"2\"", ["nothing"] = "return",
    ["an error"] = "error(\"no idea\")", ["never there"] = "while true do end",
  } do
    it("that answers what is " .. title .. " counts as 1, and the metrics tell", function()
      local billed, moongate = bill("return function() " .. result .. " end")
      assert.equal(21, billed)
      assert.equal(1, faults(moongate))
    end)
  end

  it("cannot write to the usage and the prices that the ledger goes by", function()
    local billed, _, row = bill [[
return function(caller, model, usage)
  usage.total, usage.input, usage.output, model.cost.input, model.cost.output = 0, 0, 0, 0, 0
  return 1
end
]]
    assert.same({ 21, 33, 9, 12 }, { billed, row.cost_microusd, row.input_tokens, row.output_tokens })
  end)
end)

describe("a task policy", function()
  local by_word = [[
return function(request)
  if request.messages[1].content:find("contract", 1, true) then return "legal" end
  return "chat"
end
]]

  local function task_of(moongate, content, headers)
    local answer = moongate:chat({ model = "small", messages = { { role = "user", content = content } } },
      { key = "key-of-bob", headers = headers })
    local _, row = explanation(moongate, answer)
    return row.task
  end

  it("says what a request is for, in words of its own", function()
    local moongate = start { ["task.lua"] = by_word,
      ["routing/auto-cheapest.lua"] = "return function(request, candidates) log(request.task) return candidates end" }
    assert.equal("legal", task_of(moongate, "Read this contract."))
    assert.equal("chat", task_of(moongate, "Write some code in Lua."))
    assert.equal("legal", moongate:logged("a policy says").text)
  end)

  it("gives way to what the caller says", function()
    local moongate = start { ["task.lua"] = by_word }
    assert.equal("coding", task_of(moongate, "Read this contract.", { ["x-moongate-task"] = "coding" }))
  end)

  for title, code in pairs {
    ["raises"] = "error(\"no idea\")", ["returns nothing"] = "", ["returns an empty text"] = "return \"\"",
    ["returns a number"] = "return 7", ["returns a novel"] = "return (\"x\"):rep(65)", ["loops"] = "while true do end",
    ["returns several lines"] = "return \"a\\nb\"", ["asks for itself"] = "return request.task .. \"\"",
  } do
    it("that " .. title .. " leaves it to the built-in classifier, and the metrics tell", function()
      local moongate = start { ["task.lua"] = "return function(request) " .. code .. " end" }
      assert.equal("coding", task_of(moongate, "Write some code in Lua."))
      assert.equal(1, metric(moongate, 'moongate_policy_faults_total{[^}]*policy="task"'))
    end)
  end
end)

describe("chance and the clock of a decision", function()
  it("are the request's: one draw for one request, another for the next", function()
    local moongate = start { ["routing/auto-cheapest.lua"] = [[
return function(request, candidates)
  log(("%d %.9f %s"):format(request.now, math.random(), tostring(os.time() == math.floor(request.now))))
  return candidates
end
]] }
    for _ = 1, 5 do ask(moongate, "bob", "small") end
    local seen, count = {}, 0
    for _, line in ipairs(moongate:log()) do
      if line.message == "a policy says" then
        local now, drawn, agree = line.text:match("^(%d+) (%S+) (%a+)$")
        assert.is_true(tonumber(now) > 1.6e9 and agree == "true")
        assert.is_nil(seen[drawn])
        seen[drawn], count = true, count + 1
      end
    end
    assert.equal(5, count)
  end)
end)
