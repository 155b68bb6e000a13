-- Policies in a running gateway: chosen, saved anew under load, broken, misbehaving, taken out.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local upstream

-- A policy that serves one model only.
local function only(model)
  return ([[
-- Nothing but %s.
return function(request, candidates)
  return candidates:keep("is %s", function(c) return c.model == "%s" end)
end
]]):format(model, model, model)
end

local function start(policies, change)
  local config = {
    policy = "free-tier",
    providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", free = true } },
    models = {
      { id = "small", provider = "acme", free = true, cost = { input = 0, output = 0 } },
      { id = "large", provider = "acme", free = true, cost = { input = 0, output = 0 } },
    },
  }
  if change then change(config) end
  return gateway.start { config = config, policies = policies }
end

local function model_of(answer) return answer.headers["x-moongate-model"] end

-- Every worker has it: connections are spread over them.
local function wait_for_model(moongate, model, headers)
  wait.until_(function()
    for _ = 1, 8 do
      if model_of(moongate:chat({}, { headers = headers })) ~= model then return false end
    end
    return true
  end, "the policy that serves " .. model)
end

describe("saving a policy", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("changes the next request and no stream that runs", function()
    local moongate = start { ["routing/free-tier.lua"] = only "small" }
    upstream:usually { hold = { after = 2, name = "middle" } }
    local streams = {}
    for n = 1, 50 do streams[n] = moongate:begin_chat { stream = true } end
    upstream:wait_held(50, "middle")
    upstream:usually {}
    local before = moongate:chat().headers["x-moongate-policy"]

    moongate:write("policies/routing/free-tier.lua", only "large")
    wait_for_model(moongate, "large")

    upstream:go("middle", 50)
    for n = 1, 50 do
      local stream = http.answered(streams[n])
      local text, last = gateway.text_of(stream:events())
      assert.same({ "Hello from the provider.", "[DONE]" }, { text, last })
      assert.equal("small", model_of(stream))
      assert.equal(before, stream.headers["x-moongate-policy"])
      stream:close()
    end
    local after = moongate:chat().headers["x-moongate-policy"]
    assert.matches("^free%-tier@%x+$", after)
    assert.not_equal(before, after)
  end)

  it("in place, as some editors do, changes the next request too", function()
    local moongate = start { ["routing/free-tier.lua"] = only "small" }
    local file = assert(io.open(moongate.folder .. "/policies/routing/free-tier.lua", "w"))
    file:write(only "large")
    file:close()
    wait_for_model(moongate, "large")
  end)

  it("with a syntax error changes nothing, and /ready names file and line", function()
    local moongate = start { ["routing/free-tier.lua"] = only "small" }
    local before = moongate:chat().headers["x-moongate-policy"]
    moongate:write("policies/routing/free-tier.lua",
      "return function(request, candidates)\n  return candidates:keep(\nend\n")
    local ready = wait.until_(function()
      local answer = moongate:request { path = "/ready" }
      local body = answer:json()
      return body.status == "degraded" and { answer.status, body }
    end, "/ready to tell of it")
    assert.equal(200, ready[1])
    local problem = ready[2].problems[1]
    assert.matches("routing/free-tier.lua", problem.file, 1, true)
    assert.equal(3, problem.line)
    assert.truthy(#problem.message > 0)
    local answer = moongate:chat()
    assert.same({ "small", before }, { model_of(answer), answer.headers["x-moongate-policy"] })

    moongate:write("policies/routing/free-tier.lua", only "large")
    wait_for_model(moongate, "large")
    assert.equal("ready", moongate:request({ path = "/ready" }):json().status)
  end)

  it("of the wrong shape, or failing its own checks, changes nothing", function()
    local moongate = start { ["routing/free-tier.lua"] = only "small" }
    local failing = 'return { run = function(_, candidates) return candidates end,\n'
      .. '  checks = { ["one is two"] = function() assert(1 == 2, "one is not two") end } }\n'
    for _, text in ipairs { "return 17\n", failing } do
      moongate:write("policies/routing/free-tier.lua", text)
      wait.until_(function() return moongate:request({ path = "/ready" }):json().status == "degraded" end, "/ready")
      assert.equal("small", model_of(moongate:chat()))
      moongate:write("policies/routing/free-tier.lua", only "small")
      wait.until_(function() return moongate:request({ path = "/ready" }):json().status == "ready" end, "/ready")
    end
  end)

  it("that is new makes it known, deleting it makes it unknown", function()
    local moongate = start { ["routing/free-tier.lua"] = only "small" }
    local headers = { ["x-moongate-policy"] = "mine" }
    local answer = moongate:chat({}, { headers = headers })
    assert.equal(400, answer.status)
    assert.matches("mine", answer:json().error.message, 1, true)
    moongate:write("policies/routing/mine.lua", only "large")
    wait_for_model(moongate, "large", headers)
    assert(os.remove(moongate.folder .. "/policies/routing/mine.lua"))
    wait.until_(function() return moongate:chat({}, { headers = headers }).status == 400 end, "the policy to be gone")
  end)

  it("is seen in what it requires, too", function()
    local moongate = start {
      ["lib/choice.lua"] = "-- The model of the day.\nreturn { model = \"small\" }\n",
      ["routing/free-tier.lua"] = [[
local choice = require "lib.choice"
return function(request, candidates)
  return candidates:keep("chosen", function(c) return c.model == choice.model end)
end
]],
    }
    wait_for_model(moongate, "small")
    moongate:write("policies/lib/choice.lua", "return { model = \"large\" }\n")
    wait_for_model(moongate, "large")
  end)
end)

describe("a policy", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("is chosen by the request's header", function()
    local moongate = start { ["routing/free-tier.lua"] = only "small", ["routing/big.lua"] = only "large" }
    assert.equal("small", model_of(moongate:chat()))
    local answer = moongate:chat({}, { headers = { ["x-moongate-policy"] = "big" } })
    assert.equal("large", model_of(answer))
    assert.matches("^big@", answer.headers["x-moongate-policy"])
  end)

  for title, text in pairs {
    ["that loops for ever"] = "return function() while true do end end",
    ["that recurses for ever"] = "local function f() return 1 + f() end return function() return f() end",
    ["that eats memory"] = "return function() local t = {} while true do t[#t + 1] = (\"x\"):rep(1000) .. #t end end",
    ["that raises"] = "return function() error(\"I have no idea\") end",
    ["that catches everything"] = "return function() while true do pcall(function() while true do end end) end end",
    ["that returns nonsense"] = "return function() return 17 end",
  } do
    it(title .. " costs only its own request, which the default policy then plans", function()
      local moongate = start { ["routing/free-tier.lua"] = only "small", ["routing/bad.lua"] = text }
      local answer = moongate:chat({}, { headers = { ["x-moongate-policy"] = "bad" } })
      assert.equal(200, answer.status)
      assert.equal("small", model_of(answer))
      assert.equal("small", model_of(moongate:chat()))
      local metrics = moongate:request({ path = "/metrics" }).body
      assert.matches('moongate_policy_faults_total{[^}]*policy="routing/bad"[^}]*} 1', metrics)
    end)
  end

  it("that faults is refused where the config says so, naming policy and line", function()
    local moongate = start({ ["routing/free-tier.lua"] = only "small",
      ["routing/bad.lua"] = "return function()\n  error(\"I have no idea\")\nend\n" },
      function(config) config.on_fault = "refuse" end)
    local answer = moongate:chat({}, { headers = { ["x-moongate-policy"] = "bad" } })
    assert.equal(500, answer.status)
    assert.matches("routing/bad", answer:json().error.message, 1, true)
    assert.matches("2: I have no idea", answer:json().error.message, 1, true)
    assert.equal(200, moongate:chat().status)
  end)
end)

describe("a policy that is over its time again and again", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local LOOP = "while true do end"
  local OFF = "switched off after 20 failures in a row"

  local function ready(moongate) return moongate:request({ path = "/ready" }):json() end

  it("is switched off: no longer run, told of by every worker, and run again when it is saved again", function()
    local bad = "return function()\n  " .. LOOP .. "\nend\n"
    local moongate = start({ ["routing/free-tier.lua"] = only "small", ["routing/bad.lua"] = bad }, function(config)
      config.workers, config.on_fault = 2, "refuse"
    end)
    local options = { headers = { ["x-moongate-policy"] = "bad" } }
    local function refusal()
      local answer = moongate:chat({}, options)
      assert.equal(500, answer.status)
      return answer:json().error.message
    end
    assert.matches("bad.lua:2: over its time", refusal(), 1, true)
    local message
    for _ = 1, 39 do message = refusal() end -- over two workers
    wait.until_(function()
      message = refusal()
      return message:find(OFF, 1, true)
    end, "a worker that has had enough")
    assert.matches('the routing policy "bad@%x+" failed: policies/routing/bad.lua:2: ' .. OFF, message)
    assert.matches("save the file to switch it on again", message, 1, true)
    for _ = 1, 8 do
      local told = ready(moongate)
      assert.same({ "degraded", 1 }, { told.status, #told.problems })
      assert.same({ "policy", "policies/routing/bad.lua", 2 },
        { told.problems[1].what, told.problems[1].file, told.problems[1].line })
      assert.matches(OFF, told.problems[1].message, 1, true)
    end
    assert.equal("small", model_of(moongate:chat()))
    local metrics = moongate:request({ path = "/metrics" }).body
    assert.truthy(tonumber(metrics:match 'moongate_policy_faults_total{policy="routing/bad",kind="off"} (%d+)') >= 1)
    local lines = 0
    for _, line in ipairs(moongate:log()) do
      if line.message == "a policy is switched off" then lines = lines + 1 end
    end
    assert.truthy(lines == 1 or lines == 2, lines .. " lines for two workers")

    moongate:write("policies/routing/bad.lua", bad)
    wait.until_(function() return ready(moongate).status == "ready" end, "/ready")
    assert.matches("bad.lua:2: over its time", refusal(), 1, true)
  end)

  local function start_role(path, text)
    return start({ ["routing/free-tier.lua"] = only "small", [path] = text }, function(config) config.workers = 1 end)
  end

  it("goes on refusing as an access policy", function()
    local moongate = start_role("access.lua", "return function() " .. LOOP .. " end")
    local answer
    for _ = 1, 21 do answer = moongate:chat() end
    assert.equal(500, answer.status)
    assert.matches("policies/access.lua:1: " .. OFF, answer:json().error.message, 1, true)
  end)

  it("goes on counting as 1 as a billing policy", function()
    local moongate = start_role("billing.lua", "return function() " .. LOOP .. " end")
    local answer
    for _ = 1, 21 do answer = moongate:chat() end
    assert.same({ 200, tostring(answer:json().usage.total_tokens) },
      { answer.status, answer.headers["x-moongate-billed-tokens"] })
    assert.equal("policies/billing.lua", ready(moongate).problems[1].file)
  end)

  for rule, status in pairs { refuse = 500, default = 200 } do
    it("goes on by its own rule as a hook that says " .. rule, function()
      local moongate = start_role("hooks/10_a.lua",
        ("return { on_fault = %q, request = function() %s end }"):format(rule, LOOP))
      local answer
      for _ = 1, 21 do answer = moongate:chat() end
      assert.equal(status, answer.status)
      if status == 500 then assert.matches(OFF, answer:json().error.message, 1, true) end
      assert.equal("policies/hooks/10_a.lua", ready(moongate).problems[1].file)
    end)
  end
end)

describe("privacy", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function with_local(config)
    config.providers.here = { protocol = "openai", base_url = upstream.base_url, is_local = true, free = true }
    config.models[#config.models + 1] = { id = "home", provider = "here", free = true }
  end

  for title, headers in pairs {
    ["asked for by header"] = { ["x-moongate-privacy"] = "true" },
    ["asked for by the policy local-only"] = { ["x-moongate-policy"] = "local-only" },
  } do
    it(title .. " refuses rather than leave the machine, and says why", function()
      local moongate = start(nil, function(config) config.policy = nil end)
      local answer = moongate:chat({}, { headers = headers })
      assert.equal(403, answer.status)
      assert.matches("this machine", answer:json().error.message, 1, true)
      assert.same({}, upstream:seen())
    end)

    it(title .. " is served by a local model", function()
      local moongate = start(nil, with_local)
      assert.equal("home", model_of(moongate:chat({}, { headers = headers })))
    end)
  end

  it("holds against a policy that would send it away", function()
    local moongate = start({ ["routing/free-tier.lua"] = only "small" }, with_local)
    local answer = moongate:chat({}, { headers = { ["x-moongate-privacy"] = "true" } })
    assert.not_equal("small", model_of(answer))
    for _, seen in ipairs(upstream:seen()) do assert.not_matches('"small"', seen.body, 1, true) end
  end)
end)

describe("the built-in policies", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function served(moongate, policy)
    return model_of(moongate:chat({}, { headers = { ["x-moongate-policy"] = policy } }))
  end

  it("are there without any folder, each with its own choice", function()
    local base = upstream.base_url
    local moongate = gateway.start { config = {
      providers = {
        groq = { protocol = "openai", base_url = base, api_key = "sk-1", free = true, quality = 90,
          limits = { rpm = 30, rpd = 1000 } },
        weak = { protocol = "openai", base_url = base, api_key = "sk-2", free = true, quality = 10,
          limits = { rpd = 10 } },
        bought = { protocol = "openai", base_url = base, api_key = "sk-3", free = false },
        here = { protocol = "openai", base_url = base, is_local = true },
      },
      models = {
        { id = "free-good", provider = "groq", free = true, cost = { input = 0, output = 0 } },
        { id = "free-weak", provider = "weak", free = true, cost = { input = 0, output = 0 } },
        { id = "paid", provider = "bought", cost = { input = 3, output = 15 } },
        { id = "home", provider = "here" },
      },
    } }
    assert.equal("free-good", served(moongate, "free-tier"))
    assert.equal("home", served(moongate, "local-only"))
    assert.equal("paid", served(moongate, "byok-paid"))
    assert.truthy(served(moongate, "auto-cheapest") ~= "paid")
    assert.truthy(served(moongate, "balanced"))
  end)
end)

describe("a conversation", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("can be kept where it was served, on whichever worker its next turn comes in", function()
    local moongate = start({ ["routing/free-tier.lua"] = [[
-- Whoever served the conversation; a new one goes to small.
return function(request, candidates)
  return candidates:sort("name", function(c) return c.model == "small" and 0 or 1 end)
    :prefer("served it before", function(c) return c.id == request.affinity end)
end
]] }, function(config) config.workers = 2 end)
    local hello = { role = "user", content = "Hello" }
    local function ask(model, ...) return model_of(moongate:chat { model = model, messages = { hello, ... } }) end
    assert.equal("small", ask "auto")
    assert.equal("large", ask "large")
    for turn = 1, 6 do
      local answer, more = { role = "assistant", content = "Hi." }, { role = "user", content = "Turn " .. turn }
      assert.equal("large", ask("auto", answer, more))
    end
    local other = { role = "user", content = "Something else" }
    assert.equal("small", model_of(moongate:chat { model = "auto", messages = { other } }))
  end)
end)
