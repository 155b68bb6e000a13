-- The debug endpoint in a running gateway: it tells beforehand what a live request then does, and does nothing itself.
local deepcompare = require("luassert.util").deepcompare
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"

local REQUESTS = 2000
local POLICIES = { "auto-cheapest", "free-tier", "balanced", "byok-paid", "local-only", "latency", "refuses", "asis",
  "asis" }
-- Where the dice decide, most of what a policy goes by must not move with every request.
local CHANCY = { "auto-cheapest", "free-tier", "asis", "lottery", "asis", "balanced" }

-- Numbers from 1 to most, the same in every run.
local function dice(seed)
  local state = seed
  return function(most)
    state = (state * 16807) % 2147483647
    return state % most + 1
  end
end

-- Days are the windows of its limits: none ends between a question and the live request. more outweighs members.
local function config(base_url, more)
  local result = {
    auth = "keys", policy = "balanced",
    keys = {
      { name = "dev", key = "sk-dev" }, { name = "narrow", key = "sk-narrow", models = { "small", "sight" } },
      { name = "private", key = "sk-private", privacy = true }, { name = "tiered", key = "sk-tiered", tier = "low" },
      { name = "metered", key = "sk-metered", org = "acme", budget = { billed_tokens = 60000, window = "day" } },
    },
    orgs = { acme = { budget = { usd = 0.5, window = "day" } } },
    tiers = { low = { models = { "free*", "home" }, policy = "auto-cheapest" } },
    providers = {
      alpha = { protocol = "mock", quality = 90, limits = { rpm = 100000 } },
      beta = { protocol = "mock", quality = 70, free = true, limits = { rpd = 50 } },
      gamma = { protocol = "mock", quality = 60, free = true, limits = { tpd = 400000 } },
      here = { protocol = "mock", is_local = true },
      broken = { protocol = "mock", quality = 95, mock = { status = 500 }, breaker = { failures = 3, open = 7200 },
        retries = 0 },
      dead = { protocol = "openai", base_url = base_url, api_key = "sk-1" },
    },
    models = {
      { id = "small", provider = "alpha", cost = { input = 1, output = 2 }, context_length = 8192, tools = true,
        vision = false },
      { id = "small", provider = "beta", cost = { input = 0, output = 0 }, free = true, context_length = 4096,
        tools = true, vision = false },
      { id = "small", provider = "broken", cost = { input = 0.1, output = 0.1 }, tools = true, vision = false },
      { id = "large", provider = "alpha", cost = { input = 10, output = 30 }, context_length = 131072, tools = true,
        vision = true, strengths = { "coding", "reasoning" }, limits = { rpd = 60 } },
      { id = "free-one", provider = "gamma", free = true, cost = { input = 0, output = 0 }, tools = false },
      { id = "sight", provider = "gamma", cost = { input = 2, output = 2 }, vision = true, tools = false },
      { id = "unpriced", provider = "alpha", quality = 95 },
      { id = "home", provider = "here", tools = true, vision = false, context_length = 2048 },
      { id = "embedder", provider = "alpha", cost = { input = 1, output = 1 }, strengths = { "embedding" } },
    },
    aliases = { everyday = { order = true, { model = "large" }, { model = "free-one" }, { model = "small" } } },
  }
  for name, value in pairs(more or {}) do result[name] = value end
  return result
end

-- The same where chance decides: among targets by their priority, in an alias by its weights.
local function with_dice(base_url)
  local result = config(base_url, {
    aliases = { everyday = { { model = "large", weight = 1 }, { model = "free-one", weight = 3 },
      { model = "small", weight = 2 } } },
  })
  for i, model in ipairs(result.models) do model.priority = 20 + i * 37 % 70 end
  return result
end

local policies = {
  ["routing/latency.lua"] = [[
-- The quickest that has quota left.
return function(_, candidates)
  return candidates:drop("exhausted", function(c) return c.exhausted end):score { cost = .2, latency = .7, task = .1 }
end
]],
  ["routing/lottery.lua"] = [[
-- By lot, and by whim.
return function(_, candidates)
  return candidates:shuffle("luck", function(c) return c.quality end):drop("out of luck", function()
    return math.random(10) == 1
  end)
end
]],
  ["routing/asis.lua"] = "return function(_, candidates) return candidates end",
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
local function draw(roll, names)
  local function one(list) return list[roll(#list)] end
  local text = one { "Say hello.", "Write a function in Lua.", "Translate this into French.", ("word "):rep(2000) }
  local content = text
  if roll(6) == 1 then
    content = { { type = "text", text = text }, { type = "image_url", image_url = { url = "https://x.test/a.png" } } }
  end
  local body = { messages = { { role = "user", content = content } } }
  body.model = one { "auto", "auto", "auto", "everyday", "everyday", "everyday", "everyday", "small", "small", "small",
    "large", "large", "alpha/small", "sight", "home", "embedder", "unpriced", "nobodys" }
  if roll(5) == 1 then
    body.tools = { { type = "function", ["function"] = { name = "f", parameters = { type = "object" } } } }
  end
  if roll(5) == 1 then body.max_tokens = one { 10, 3000, 60000 } end
  local wishes = {}
  if roll(3) == 1 then wishes.priority = one { "cheap", "balanced", "best" } end
  if roll(4) == 1 then wishes.max_cost = one { "0", "0.0001", "0.01", "1" } end
  if roll(16) == 1 then wishes.privacy = "true" end
  if roll(4) == 1 then wishes.task = one { "coding", "reasoning", "chat" } end
  if roll(2) == 1 then wishes.policy = one(names) end
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
  return path, body, headers, "sk-" .. one { "dev", "dev", "dev", "dev", "dev", "narrow", "private", "tiered",
    "metered", "metered" }
end

-- Waits go on between the two.
local function settled(value)
  if type(value) == "string" then
    return (value:gsub("%d+ s left", "some time left"):gsub("try again in %d+ s", "try again later"))
  end
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, member in pairs(value) do copy[name] = settled(member) end
  return copy
end

-- What both tell of a plan, but for its dice.
local function plan_of(told)
  return settled { told.policy, told.task, told.ladder, told.candidates, told.reason }
end

-- By id, why a rung would not be called.
local function obstacles(told)
  local words = {}
  for _, each in ipairs(told.candidates) do words[each.id] = each.reason:match("^rung %d+, (.*)$") end
  return words
end

-- The rung that a plan says is called first, and is named for it; nil where it says that nobody is.
local function first_of(told)
  local words = obstacles(told)
  for _, id in ipairs(told.ladder) do
    if not words[id] then
      assert.matches(id .. (id == told.ladder[1] and "" or " is called first"), told.reason, 1, true)
      return id
    end
    if words[id]:find("^refused: ") then return nil end
  end
  return nil
end

describe("the debug endpoint", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    moongate = gateway.start { config = config(upstream.base_url), policies = policies }
  end)
  teardown(gateway.stop_all)

  -- A gateway that this spec may use up.
  local function fresh(own)
    local plain = moongate
    moongate = gateway.start { config = own, policies = policies }
    finally(function()
      moongate:stop()
      moongate = plain
    end)
  end

  local function ask(body, headers, key, seed)
    local asked = { seed = seed }
    for name, value in pairs(body) do asked[name] = value end
    return moongate:request { path = "/v1/router/debug", json = asked, headers = headers, key = key or "sk-dev" }
  end

  local function row_of(live, key)
    return moongate:request({ path = "/v1/requests/" .. live.headers["x-request-id"], key = key }):json()
  end

  -- Puts one target out of the race, as its provider would.
  local function exhaust(model, name)
    moongate:chat({ model = name .. "/" .. model,
      messages = { { role = "user", content = "mock: status=429 retry-after=7200 on=" .. name } } }, { key = "sk-dev" })
  end

  -- Whether the live request did what the plan says: called that rung first, or ended in those words.
  local function assert_done(told, live, row, seen, what)
    local first, called = first_of(told), row.attempts[1]
    assert.equal(first, called and called.provider .. "/" .. called.model, what)
    if not first then
      assert.equal(told.status, live.status, what)
      local message, words, list = settled(live:json().error.message), obstacles(told), {}
      if told.status == 429 then
        seen.limited = seen.limited + 1
        return assert.equal(message, settled(told.reason):sub(-#message), what)
      end
      seen.passed = seen.passed + 1
      for i, id in ipairs(told.ladder) do list[i] = id .. ": " .. words[id]:match("^passed over: (.*)$") end
      return assert.equal(settled("no provider can be used now: " .. table.concat(list, "; ")), message, what)
    end
    if first ~= told.ladder[1] then seen.skipped = seen.skipped + 1 end
    if live.status == 200 then
      seen.served = seen.served + 1
      if row.attempts[2] then return end
      assert.equal(first, live.headers["x-moongate-provider"] .. "/" .. live.headers["x-moongate-model"], what)
    end
    assert.is_nil(told.status, what)
  end

  local function assert_refused(told, live, row, seen, what)
    seen.refused = seen.refused + 1
    assert.same({ {}, settled(told.candidates) }, { told.ladder, settled(row.explanation.candidates) }, what)
    assert.same({ told.status, settled(told.reason) }, { live.status, settled(live:json().error.message) }, what)
  end

  -- All sides must have been seen, each so often at least.
  local function assert_seen(seen, least)
    local counts = {}
    for name in pairs(seen) do counts[#counts + 1] = name .. " " .. seen[name] end
    for name, count in pairs(least) do assert.is_true(seen[name] >= count, table.concat(counts, ", ")) end
  end

  local function counters()
    return { served = 0, refused = 0, unknown = 0, skipped = 0, passed = 0, limited = 0, compared = 0, drifted = 0 }
  end

  it("agrees with what live requests then do, over two thousand random ones", function()
    fresh(config(upstream.base_url))
    local roll, seen, words = dice(20240229), counters(), {}
    for number = 1, REQUESTS do
      if number == 150 then exhaust("small", "beta") end
      if number == 250 then exhaust("sight", "gamma") end
      local path, body, headers, key = draw(roll, POLICIES)
      local before = ask(body, headers, key)
      local live = moongate:request { path = path, json = body, headers = headers, key = key }
      local what = ("request %d: %s"):format(number, live.body)
      local told = before:json()
      if before.status ~= 200 then
        seen.unknown = seen.unknown + 1
        assert.same({ before.status, told.error.message }, { live.status, live:json().error.message }, what)
      else
        local row = row_of(live, key)
        assert.equal(told.policy, live.headers["x-moongate-policy"], what)
        if #told.ladder == 0 then
          assert_refused(told, live, row, seen, what)
        else
          assert.same(plan_of(row.explanation), plan_of(told), what)
          assert_done(told, live, row, seen, what)
        end
        for _, each in pairs(obstacles(told)) do words[each:match("^[%a ]+: [%a ]+")] = true end
      end
    end
    assert_seen(seen, { served = 600, refused = 30, unknown = 5, skipped = 50, passed = 10, limited = 10 })
    for _, each in ipairs {
      "passed over: exhausted", "passed over: no quota left", "refused: key metered has used up its ",
      "passed over: it failed repeatedly and is left alone for a while ",
    } do
      assert.is_true(words[each] or false, each)
    end
  end)

  it("agrees with what the dice of live requests gave, over two thousand random ones", function()
    fresh(with_dice(upstream.base_url))
    local roll, seen, orders = dice(20240301), counters(), {}
    for number = 1, REQUESTS do
      if number == 300 then exhaust("small", "beta") end
      local path, body, headers, key = draw(roll, CHANCY)
      local before = ask(body, headers, key, 1)
      local live = moongate:request { path = path, json = body, headers = headers, key = key }
      local what = ("request %d: %s"):format(number, live.body)
      if before.status == 200 then
        local row = row_of(live, key)
        local after, told = ask(body, headers, key, 1), ask(body, headers, key, row.explanation.seed):json()
        -- What the live request itself has changed (its share of a quota, a latency) shows under any dice.
        if not deepcompare(plan_of(before:json()), plan_of(after:json())) then
          seen.drifted = seen.drifted + 1
        elseif #told.ladder == 0 then
          assert_refused(told, live, row, seen, what)
        else
          seen.compared = seen.compared + 1
          assert.equal(told.seed, row.explanation.seed, what)
          assert.same(plan_of(row.explanation), plan_of(told), what)
          assert_done(told, live, row, seen, what)
          if body.model == "everyday" then orders[told.ladder[1]] = true end
        end
      end
    end
    assert_seen(seen, { compared = 700, refused = 30, skipped = 50, served = 600, passed = 10, limited = 10 })
    assert.is_true(orders["alpha/large"] and orders["gamma/free-one"] and orders["alpha/small"])
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
    answer = ask({ messages = { { role = "user", content = "x" } } }, nil, nil, "lucky")
    assert.equal(400, answer.status)
    assert.equal('seed: expected an integer; got "lucky"', answer:json().error.message)
  end)
end)
