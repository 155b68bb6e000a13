-- zero_spend: what may cost money is never called, whatever policy, alias, header, fall-back or retry says; and the
-- refusal says why. The simulated providers tell what they have seen.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local free_upstream, paid_upstream

local NOTHING = { input = 0, output = 0 }
local PRICE = { input = 3, output = 15 }

-- Everything that may cost money, by how the config says so.
local PAID = {
  { id = "priced", cost = PRICE },
  { id = "promised", cost = PRICE, free = true },
  { id = "unknown" },
  { id = "declared", free = true },
  { id = "unfree", cost = NOTHING, free = false },
  { id = "half-known", cost = { input = 0 }, free = true },
  { id = "cached", cost = { input = 0, output = 0, cached_input = 1 }, free = true },
}

local FORGERS = {
  ["writes that it is free"] = [[
return function(request, candidates)
  for i = 1, #candidates do
    candidates[i].free, candidates[i].cost = true, { input = 0, output = 0 }
    candidates[i].estimated_cost, candidates[i].is_local = 0, true
  end
  return candidates:keep("free", function(c) return c.free end)
end]],
  ["writes so past all metatables"] = [[
return function(request, candidates)
  for i = 1, #candidates do
    local c = candidates[i]
    rawset(c, "free", true) rawset(c, "cost", { input = 0, output = 0 }) rawset(c, "is_local", true)
    rawset(c, "costs_nothing", true) rawset(c, "id", "home/free") rawset(c, "provider", "home")
  end
  return candidates:sort("dearest first", function(c) return c.quality end)
end]],
  ["writes into the price itself"] = [[
return function(request, candidates)
  for i = 1, #candidates do
    local cost = candidates[i].cost
    if cost then for name in pairs(cost) do cost[name] = 0 end end
  end
  return candidates
end]],
  ["returns only what it made up"] = [[
return function(request, candidates)
  return { { id = "shop/priced", model = "priced", provider = "shop", free = true } }
end]],
  ["fails"] = "return function() error('no idea') end",
  ["names a policy that likes what is dear"] = "return function() return {}, 'byok-paid' end",
}

local function config(change)
  local whole = {
    zero_spend = true, policy = "auto-cheapest", workers = 1,
    providers = {
      shop = { protocol = "openai", base_url = paid_upstream.base_url, api_key = "sk-1", quality = 100 },
      home = { protocol = "openai", base_url = free_upstream.base_url, api_key = "sk-2", quality = 1, free = true },
    },
    models = { { id = "free", provider = "home", free = true, cost = NOTHING } },
    aliases = {
      ["gpt-4"] = { { model = "priced", weight = 9 }, { model = "free" } },
      ["in-order"] = { { model = "priced" }, { model = "free" }, order = true },
      ["dear"] = { { model = "priced" }, { model = "unknown" } },
    },
  }
  for i, model in ipairs(PAID) do
    model.provider = "shop"
    whole.models[i + 1] = model
  end
  if change then change(whole) end
  return whole
end

local function policies()
  local files = {}
  local number = 0
  for title, text in pairs(FORGERS) do
    number = number + 1
    files["routing/forger-" .. number .. ".lua"] = "-- A policy that " .. title .. ".\n" .. text .. "\n"
  end
  for _, name in ipairs { "auto-cheapest", "balanced", "byok-paid", "free-tier" } do
    local file = assert(io.open("policies/routing/" .. name .. ".lua"))
    files["routing/" .. name .. ".lua"] = file:read("*a")
    file:close()
  end
  return files, number
end

local function served_for_free(answer)
  assert.equal(200, answer.status, answer.body)
  assert.equal("free", answer.headers["x-moongate-model"])
end

local function refused(answer, words)
  assert.equal(403, answer.status, answer.body)
  local error = answer:json().error
  assert.equal("zero_spend", error.code)
  assert.matches("zero_spend is on", error.message, 1, true)
  assert.matches(words, error.message, 1, true)
end

describe("with zero_spend", function()
  local moongate, forgers

  before_each(function() free_upstream, paid_upstream = provider.open(), provider.open() end)

  local function start(change)
    local files
    files, forgers = policies()
    moongate = gateway.start { config = config(change), policies = files }
  end

  after_each(function()
    assert.same({}, paid_upstream:seen())
    gateway.stop_all()
  end)

  it("every model that may cost money is refused by name, with the reason", function()
    start()
    for _, words in ipairs {
      { "priced", "shop/priced is not declared free" }, { "promised", "shop/promised has a price" },
      { "unknown", "shop/unknown has no known price" }, { "declared", "shop/declared has no known price" },
      { "unfree", "shop/unfree is not declared free" }, { "half-known", "shop/half-known has a price" },
      { "cached", "shop/cached has a price" },
    } do
      refused(moongate:chat { model = words[1] }, words[2])
      refused(moongate:chat { model = "shop/" .. words[1] }, words[2])
      refused(moongate:chat { model = words[1], stream = true }, words[2])
    end
  end)

  it("no policy, whatever it forges, gets one called", function()
    start()
    for number = 1, forgers do
      local options = { headers = { ["x-moongate-policy"] = "forger-" .. number } }
      for _, model in ipairs { "auto", "gpt-4", "in-order" } do
        local answer = moongate:chat({ model = model }, options)
        -- A policy that wants nothing but what is dear is left with nothing.
        if answer.status == 503 then
          assert.matches("zero spend: it is not declared free", answer:json().error.message, 1, true)
        else
          served_for_free(answer)
        end
      end
      refused(moongate:chat({ model = "promised" }, options), "shop/promised has a price")
      refused(moongate:chat({ model = "dear" }, options), "shop/unknown has no known price (nor are 1 others)")
    end
  end)

  it("a policy saved under way that forges c.free gets none called", function()
    start()
    local before = moongate:chat().headers["x-moongate-policy"]
    local text
    for title, each in pairs(FORGERS) do text = title == "writes that it is free" and each or text end
    moongate:write("policies/routing/auto-cheapest.lua", text)
    wait.until_(function()
      local answer = moongate:chat()
      served_for_free(answer)
      return answer.headers["x-moongate-policy"] ~= before
    end, "the new policy")
    for _ = 1, 20 do served_for_free(moongate:chat()) end
    refused(moongate:chat { model = "promised" }, "has a price")
  end)

  it("no header, alias or built-in policy gets one called", function()
    start()
    for _, headers in ipairs {
      { ["x-moongate-policy"] = "byok-paid" }, { ["x-moongate-policy"] = "balanced" },
      { ["x-moongate-priority"] = "best" }, { ["x-moongate-max-cost"] = "100" },
      { ["x-moongate-policy"] = "auto-cheapest", ["x-moongate-task"] = "coding" },
    } do
      for _, model in ipairs { "auto", "gpt-4", "in-order" } do
        local answer = moongate:chat({ model = model }, { headers = headers })
        assert.truthy(answer.status == 200 or answer.status == 503, answer.body)
        if answer.status == 200 then served_for_free(answer) end
      end
      refused(moongate:chat({ model = "dear" }, { headers = headers }), "nor are 1 others")
    end
  end)

  it("no failure, fall-back or retry gets one called", function()
    start(function(whole)
      whole.providers.home.retries = 2
      whole.providers.shop.retries = 3
    end)
    for _, behaviour in ipairs { { kind = "error", status = 500 }, { kind = "error", status = 429 },
      { kind = "error", status = 404 }, { kind = "reset" } } do
      free_upstream:usually(behaviour)
      for _, model in ipairs { "auto", "gpt-4", "in-order" } do
        local answer = moongate:chat { model = model }
        assert.truthy(answer.status == 502 or answer.status == 503, answer.body)
      end
    end
  end)

  it("what costs nothing for sure is called: free at a price of zero, and what is local", function()
    start(function(whole)
      whole.providers.here = { protocol = "openai", base_url = free_upstream.base_url, is_local = true }
      table.insert(whole.models, { id = "local", provider = "here" })
      table.insert(whole.models, { id = "local-priced", provider = "here", cost = PRICE })
    end)
    assert.equal(200, moongate:chat({ model = "free" }).status)
    assert.equal(200, moongate:chat({ model = "local" }).status)
    refused(moongate:chat { model = "local-priced" }, "here/local-priced has a price")
  end)

  it("that is turned on while it runs, it holds from the next request on", function()
    start(function(whole) whole.zero_spend, whole.workers = false, 1 end)
    local text = moongate:read "moongate.lua"
    moongate:write("moongate.lua", (text:gsub("zero_spend.-= false", 'zero_spend"] = true', 1)))
    moongate.process:kill("HUP")
    wait.until_(function() return moongate:chat({ model = "free", stream = false }).status == 200
      and moongate:logged "configuration reloaded" end, "the new configuration")
    refused(moongate:chat { model = "priced" }, "shop/priced is not declared free")
  end)
end)
