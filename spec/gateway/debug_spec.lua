-- The debug endpoint in a running gateway: it tells beforehand what a live request then does, and does nothing itself.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"

local REQUESTS = 2000
local POLICIES = { "auto-cheapest", "free-tier", "balanced", "byok-paid", "local-only", "latency", "refuses" }

-- Numbers from 1 to most, the same in every run.
local function dice(seed)
  local state = seed
  return function(most)
    state = (state * 16807) % 2147483647
    return state % most + 1
  end
end

local function config(base_url)
  return {
    auth = "keys", policy = "balanced",
    keys = {
      { name = "dev", key = "sk-dev" }, { name = "narrow", key = "sk-narrow", models = { "small", "sight" } },
      { name = "private", key = "sk-private", privacy = true }, { name = "tiered", key = "sk-tiered", tier = "low" },
    },
    tiers = { low = { models = { "free*", "home" }, policy = "auto-cheapest" } },
    providers = {
      alpha = { protocol = "mock", quality = 90, limits = { rpm = 100000 } },
      beta = { protocol = "mock", quality = 70, free = true, limits = { rpd = 50 } },
      gamma = { protocol = "mock", quality = 60, free = true },
      here = { protocol = "mock", is_local = true },
      dead = { protocol = "openai", base_url = base_url, api_key = "sk-1" },
    },
    models = {
      { id = "small", provider = "alpha", cost = { input = 1, output = 2 }, context_length = 8192, tools = true,
        vision = false },
      { id = "small", provider = "beta", cost = { input = 0, output = 0 }, free = true, context_length = 4096,
        tools = true, vision = false },
      { id = "large", provider = "alpha", cost = { input = 10, output = 30 }, context_length = 131072, tools = true,
        vision = true, strengths = { "coding", "reasoning" } },
      { id = "free-one", provider = "gamma", free = true, cost = { input = 0, output = 0 }, tools = false },
      { id = "sight", provider = "gamma", cost = { input = 2, output = 2 }, vision = true, tools = false },
      { id = "unpriced", provider = "alpha", quality = 95 },
      { id = "home", provider = "here", tools = true, vision = false, context_length = 2048 },
      { id = "embedder", provider = "alpha", cost = { input = 1, output = 1 }, strengths = { "embedding" } },
    },
    aliases = { everyday = { order = true, { model = "large" }, { model = "free-one" }, { model = "small" } } },
  }
end

local policies = {
  ["routing/latency.lua"] = [[
-- The quickest that has quota left.
return function(_, candidates)
  return candidates:drop("exhausted", function(c) return c.exhausted end):score { cost = .2, latency = .7, task = .1 }
end
]],
  ["routing/refuses.lua"] = [[
-- Nobody, unless it is urgent; then the cheap one's choice.
return function(request)
  if request.latency_pref == "fast" then return {}, "auto-cheapest" end
  return {}, "nothing is urgent"
end
]],
}

for _, name in ipairs { "auto-cheapest", "free-tier", "balanced", "byok-paid", "local-only" } do
  local file = assert(io.open("policies/routing/" .. name .. ".lua"))
  policies["routing/" .. name .. ".lua"] = file:read("*a")
  file:close()
end

-- A random request: its body and headers, and where it goes.
local function draw(roll)
  local function one(list) return list[roll(#list)] end
  local text = one { "Say hello.", "Write a function in Lua.", "Translate this into French.", ("word "):rep(2000) }
  local content = text
  if roll(6) == 1 then
    content = { { type = "text", text = text }, { type = "image_url", image_url = { url = "https://x.test/a.png" } } }
  end
  local body = { messages = { { role = "user", content = content } } }
  body.model = one { "auto", "auto", "small", "large", "everyday", "alpha/small", "sight", "home", "embedder",
    "unpriced", "nobodys" }
  if roll(5) == 1 then
    body.tools = { { type = "function", ["function"] = { name = "f", parameters = { type = "object" } } } }
  end
  if roll(5) == 1 then body.max_tokens = one { 10, 3000, 60000 } end
  local wishes = {}
  if roll(3) == 1 then wishes.priority = one { "cheap", "balanced", "best" } end
  if roll(4) == 1 then wishes.max_cost = one { "0", "0.0001", "0.01", "1" } end
  if roll(8) == 1 then wishes.privacy = "true" end
  if roll(4) == 1 then wishes.task = one { "coding", "reasoning", "chat" } end
  if roll(2) == 1 then wishes.policy = one(POLICIES) end
  local headers, path = {}, "/v1/chat/completions"
  if roll(2) == 1 then
    path = "/v1/chat"
    if roll(3) == 1 then body.latency_pref = one { "normal", "fast" } end
    for name, value in pairs(wishes) do body[name] = value end
    body.max_cost = tonumber(wishes.max_cost)
    body.privacy = wishes.privacy and true
  else
    for name, value in pairs(wishes) do headers["x-moongate-" .. name:gsub("_", "-")] = value end
  end
  return path, body, headers, "sk-" .. one { "dev", "dev", "narrow", "private", "tiered" }
end

-- Waits go on between the two.
local function settled(value)
  if type(value) == "string" then return (value:gsub("%d+ s left", "some time left")) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, member in pairs(value) do copy[name] = settled(member) end
  return copy
end

describe("the debug endpoint", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = config(upstream.base_url), policies = policies }
  end)
  teardown(gateway.stop_all)

  local function ask(body, headers, key)
    return moongate:request { path = "/v1/router/debug", json = body, headers = headers, key = key or "sk-dev" }
  end

  local function explanation(id, key)
    return moongate:request({ path = "/v1/requests/" .. id, key = key }):json().explanation
  end

  -- Puts one target out of the race, as its provider would.
  local function exhaust(model, name)
    moongate:chat({ model = name .. "/" .. model,
      messages = { { role = "user", content = "mock: status=429 retry-after=7200 on=" .. name } } }, { key = "sk-dev" })
  end

  it("agrees with what live requests then do, over two thousand random ones", function()
    local roll, seen = dice(20240229), { served = 0, refused = 0, unknown = 0 }
    for number = 1, REQUESTS do
      if number == 150 then exhaust("small", "beta") end
      if number == 250 then exhaust("sight", "gamma") end
      local path, body, headers, key = draw(roll)
      local before = ask(body, headers, key)
      local live = moongate:request { path = path, json = body, headers = headers, key = key }
      local what = ("request %d: %s"):format(number, live.body)
      local told = before:json()
      if before.status ~= 200 then
        seen.unknown = seen.unknown + 1
        assert.same({ before.status, told.error.message }, { live.status, live:json().error.message }, what)
      else
        assert.same(settled(explanation(live.headers["x-request-id"], key).candidates), settled(told.candidates), what)
        assert.equal(told.policy, live.headers["x-moongate-policy"], what)
        if told.status then
          seen.refused = seen.refused + 1
          assert.same({}, told.ladder, what)
          assert.same({ told.status, settled(told.reason) }, { live.status, settled(live:json().error.message) }, what)
        else
          seen.served = seen.served + 1
          local after = explanation(live.headers["x-request-id"], key)
          assert.same({ after.policy, after.task, settled(after.reason), after.ladder },
            { told.policy, told.task, settled(told.reason), told.ladder }, what)
          assert.equal(200, live.status, what)
          local rung = live.headers["x-moongate-provider"] .. "/" .. live.headers["x-moongate-model"]
          local on_ladder = false
          for _, id in ipairs(told.ladder) do on_ladder = on_ladder or id == rung end
          assert.is_true(on_ladder, what)
          if live.headers["x-moongate-attempts"] == "1" and not told.reason:find("exhausted") and number < 150 then
            assert.equal(told.ladder[1], rung, what)
          end
        end
      end
    end
    -- The dice have seen all sides.
    assert.is_true(seen.served > 100 and seen.refused > 30 and seen.unknown > 5,
      ("%d served, %d refused, %d unknown"):format(seen.served, seen.refused, seen.unknown))
  end)

  it("calls nobody and leaves no row", function()
    local answer = ask { model = "auto", policy = "byok-paid", messages = { { role = "user", content = "x" } } }
    assert.equal(200, answer.status)
    assert.equal(404, moongate:request({ path = "/v1/requests/" .. answer.headers["x-request-id"],
      key = "sk-dev" }).status)
    assert.is_nil(answer.headers["x-moongate-provider"])
    assert.same({}, upstream:seen())
  end)

  it("has the shape that it promises", function()
    local told = ask({ model = "everyday", messages = { { role = "user", content = "Write a function in Lua." } } })
      :json()
    assert.matches("^balanced@%x+$", told.policy)
    assert.equal("coding", told.task)
    assert.matches("put alpha/large first", told.reason, 1, true)
    assert.equal("alpha/large", told.ladder[1])
    local first = told.candidates[1]
    assert.same({ "alpha/large", "alpha", "large", true, "rung 1" },
      { first.id, first.provider, first.model, first.kept, first.reason })
    assert.is_number(first.score)
    assert.is_true(first.estimated_cost > 0)
  end)

  it("takes the headers of a request too, which win over its body", function()
    local body = { policy = "balanced", messages = { { role = "user", content = "x" } } }
    assert.matches("^byok%-paid@", ask(body, { ["x-moongate-policy"] = "byok-paid" }):json().policy)
  end)

  it("tells the holder of the admin token, whom no live request obeys", function()
    local body = { model = "unpriced", messages = { { role = "user", content = "x" } } }
    assert.same({ "alpha/unpriced" }, ask(body, nil, gateway.admin_token):json().ladder)
    assert.equal(401, moongate:request({ path = "/v1/chat", json = body, key = gateway.admin_token }).status)
  end)

  it("is for callers only, and by POST", function()
    local body = { messages = { { role = "user", content = "x" } } }
    local answer = moongate:request { path = "/v1/router/debug", json = body }
    assert.same({ 401, "missing_api_key", answer.headers["x-request-id"] },
      { answer.status, answer:json().error.code, answer:json().request_id })
    answer = moongate:request { path = "/v1/router/debug", key = "sk-dev" }
    assert.same({ 405, "POST" }, { answer.status, answer.headers.allow })
  end)

  it("refuses bad input with the place of the fault", function()
    local answer = ask { messages = {} }
    assert.equal(400, answer.status)
    assert.matches("^messages:", answer:json().error.message)
    answer = ask { messages = { { role = "user", content = "x" } }, max_cost = "much" }
    assert.equal(400, answer.status)
    assert.matches("^max_cost:", answer:json().error.message)
  end)
end)
