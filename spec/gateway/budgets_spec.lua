-- Budgets and limits of keys, tiers and orgs in a running gateway: what they hold under calls at once, what a refusal
-- says, and what still fits.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local provider = require "spec.support.provider"
local surfaces = require "spec.support.surfaces"
local wait = require "spec.support.wait"

-- By the rule of thumb, and with what a message takes, a hundred tokens; the provider counts ninety, and writes fewer
-- than it may.
local PROMPT = ("Say something. "):rep(25) .. "Please no"
local USAGE = { prompt_tokens = 90, completion_tokens = 5, total_tokens = 95 }
local POLICIES = {
  ["routing/auto-cheapest.lua"] = "return function(_, candidates) return candidates end\n",
  ["billing.lua"] = "return function(caller, model, usage) return model.id == 'top' and 15 or 1 end\n",
}

describe("a budget", function()
  local upstream, moongate

  setup(function()
    upstream = provider.open()
    local function model(id) return { id = id, provider = "acme", cost = { input = 1, output = 2 } } end
    local config = {
      auth = "keys", workers = 2, listen = gateway.free_address(),
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 } },
      models = { model "top", model "small" },
      tiers = { modest = { rpm = 1000, tpm = 50000, budget = { billed_tokens = 300, window = "day" } } },
      orgs = { acme = { budget = { usd = 0.0003, window = "day" } } },
      keys = {
        { name = "tokens", key = "sk-tokens", budget = { billed_tokens = 10000, window = "day" } },
        { name = "more tokens", key = "sk-more-tokens", budget = { billed_tokens = 20000, window = "month" } },
        { name = "money", key = "sk-money", budget = { usd = 0.0007, window = "day" } },
        { name = "more money", key = "sk-more-money", budget = { usd = 0.0017, window = "month" } },
        { name = "both", key = "sk-both", budget = { usd = 1, billed_tokens = 250, window = "day" } },
        { name = "mo", key = "sk-mo", tier = "modest" }, { name = "mia", key = "sk-mia", tier = "modest" },
        { name = "ann", key = "sk-ann", org = "acme" }, { name = "bob", key = "sk-bob", org = "acme" },
        { name = "tiny", key = "sk-tiny", budget = { billed_tokens = 140, window = "day" } },
        { name = "tiniest", key = "sk-tiniest", budget = { billed_tokens = 10, window = "day" } },
      },
    }
    moongate = gateway.start { config = config, policies = POLICIES }
  end)
  before_each(function()
    upstream:forget()
    upstream:usually { usage = USAGE, hold = nil }
  end)
  teardown(gateway.stop_all)

  local function fields(model, more)
    local all = { model = model, max_tokens = 20, messages = { { role = "user", content = PROMPT } } }
    for name, value in pairs(more or {}) do all[name] = value or nil end
    return all
  end
  local function ask(key, model, more) return moongate:chat(fields(model or "small", more), { key = key }) end

  -- What these calls have taken, as the ledger has it: all of them must be over.
  local function spent(ids, figure)
    local sum = 0
    for _, id in ipairs(ids) do
      local row = wait.until_(function()
        local found, status = moongate:admin("/v1/requests/" .. id)
        return status == 200 and found.outcome and found.outcome ~= "" and found
      end, "the row of " .. id)
      sum = sum + row[figure]
    end
    return sum
  end

  local sent = 0

  -- Sends so many calls at once, every other one a stream; their ids join the list.
  local function send(count, key, model, ids, more)
    local connections = {}
    for i = 1, count do
      sent = sent + 1
      ids[#ids + 1] = "call-" .. sent
      local body = fields(model, { stream = i % 2 == 0 })
      for name, value in pairs(more and more(i) or {}) do body[name] = value end
      connections[i] = moongate:begin_chat(body, { key = key, headers = { ["x-request-id"] = ids[#ids] } })
    end
    return connections
  end

  -- Waits until so many calls of that key have been refused.
  local function wait_refused(count, key)
    wait.until_(function()
      local found = 0
      for _, line in ipairs(moongate:log()) do
        if line.message == "request" and line.key == key and line.status == 429 then found = found + 1 end
      end
      return found >= count
    end, count .. " refusals")
  end

  -- The answers of those calls: how many were served and refused.
  local function collect(connections)
    local served, refused = 0, 0
    for _, connection in ipairs(connections) do
      local answer = http.answered(connection):rest()
      answer:close()
      if answer.status == 200 then served = served + 1 else
        assert.equal(429, answer.status)
        refused = refused + 1
      end
    end
    return served, refused
  end

  describe("under calls at once, on two workers,", function()
    -- title, key, its name, what a call is expected to take, what it takes, the figure, its name in the ledger
    for _, case in ipairs {
      { "of billed tokens, fifteen for each", "sk-tokens", "tokens", 120 * 15, 95 * 15, 10000, "billed_tokens" },
      { "of money", "sk-money", "money", 140, 100, 700, "cost_microusd" },
    } do
      local title, key, name, expected, real, budget, figure = unpack(case)
      it(title .. ", lets in as many as are sure to fit, and after them whatever still does", function()
        local fit = math.floor(budget / expected)
        upstream:usually { usage = USAGE, hold = { after = 0, name = name } }
        local ids = {}
        local connections = send(20, key, "top", ids)
        upstream:wait_held(fit, name)
        wait_refused(20 - fit, name)
        upstream:go(name, "all")
        local served, refused = collect(connections)
        assert.same({ fit, 20 - fit }, { served, refused })
        assert.equal(fit * real, spent(ids, figure))
        local left = budget - fit * real
        while left >= expected do
          assert.equal(200, ask(key, "top").status)
          left = left - real
        end
        assert.equal(429, ask(key, "top").status)
      end)
    end

    for name, case in pairs {
      ["more tokens"] = { "sk-more-tokens", 15 * 120, 20000, "billed_tokens" },
      ["more money"] = { "sk-more-money", 140, 1700, "cost_microusd" },
    } do
      it("is never overshot, whatever comes and goes, and nothing of it is lost: " .. name, function()
        local key, expected, budget, figure = unpack(case)
        local usual, ids, least = {}, {}, 0
        for i = 1, 4 do
          usual[i] = { when = "turn " .. i, usage = { prompt_tokens = 90, completion_tokens = 5 * i,
            total_tokens = 90 + 5 * i } }
        end
        usual[5] = { when = "turn 5", kind = "error", status = 400 }
        upstream:usually { cases = usual }
        for _ = 1, 4 do
          local connections = send(24, key, "top", ids, function(i)
            return { messages = { { role = "user", content = PROMPT:sub(1, -7) .. "turn " .. i % 6 } } }
          end)
          for i, connection in ipairs(connections) do
            if i % 7 == 0 then connection:close() end -- they leave at once
          end
          for i, connection in ipairs(connections) do
            if i % 7 ~= 0 then
              http.answered(connection):rest():close()
            end
          end
          local taken = spent(ids, figure)
          assert.is_true(taken <= budget, taken)
          least = taken
        end
        upstream:usually { usage = USAGE }
        -- Now one by one, as long as it is sure to fit.
        local left = budget - least
        while left >= expected do
          local answer = ask(key, "top")
          assert.equal(200, answer.status, answer.body)
          ids[#ids + 1] = answer.headers["x-request-id"]
          left = budget - spent(ids, figure)
        end
        assert.equal(429, ask(key, "top").status)
        assert.is_true(left >= 0, left)
      end)
    end
  end)

  it("may be of billed tokens and money both", function()
    assert.same({ 200, 200, 429 }, { ask "sk-both".status, ask "sk-both".status, ask "sk-both".status })
    local row = moongate:admin("/v1/requests/" .. ask("sk-both").headers["x-request-id"])
    assert.equal(0, row.cost_microusd)
  end)

  it("of a tier holds for each of its keys, and the refusal says whose it is", function()
    assert.same({ 200, 200 }, { ask "sk-mo".status, ask "sk-mo".status })
    local refused = ask "sk-mo"
    assert.equal(429, refused.status)
    local seconds = tonumber(refused.headers["retry-after"])
    assert.equal(("key mo has used up its 300 billed tokens per day (of tier modest); try again in %d s")
      :format(seconds), refused:json().error.message)
    assert.is_true(seconds > 0 and seconds <= 86400)
    assert.equal("1000", refused.headers["x-ratelimit-limit-requests"])
    assert.equal("50000", refused.headers["x-ratelimit-limit-tokens"])
    assert.equal(200, ask "sk-mia".status)
  end)

  it("of an org holds for all of its keys together", function()
    assert.same({ 200, 200, 429 }, { ask "sk-ann".status, ask "sk-bob".status, ask "sk-ann".status })
    assert.matches("^org acme has used up its 0%.0003 USD per day; try again in %d+ s$",
      ask("sk-bob"):json().error.message)
  end)

  it("holds for keys that were made by a command", function()
    local status, output = moongate:command("key", "create", "--name", "made", "--rpm", "3", "--budget-usd", "0.0002",
      "--budget-window", "day")
    assert.equal(0, status)
    local key = assert(output:match "mg%-[%w_%-]+")
    assert.same({ 200, 429 }, { ask(key).status, ask(key).status })
    assert.matches("key made has used up its 0.0002 USD per day", ask(key):json().error.message, 1, true)
    assert.equal("3", ask(key).headers["x-ratelimit-limit-requests"])
  end)

  describe("that is smaller than the request", function()
    it("promises no wait, in no API", function()
      for _, name in ipairs { "openai", "responses", "anthropic", "gemini", "ollama", "router" } do
        local refused = moongate:request(surfaces.request(name, PROMPT, "small", false, { key = "sk-tiniest" }))
        assert.equal(429, refused.status, name)
        assert.is_nil(refused.headers["retry-after"])
        local message = surfaces[name].error(refused:json()).message
        assert.matches("^this request may take %d+ billed tokens, and key tiniest has 10 billed tokens per day in all: "
          .. "it can never fit; ask for less$", message)
      end
      assert.same({}, upstream:seen())
    end)

    it("serves a stream that set no bound, as far as it goes", function()
      local refused = ask("sk-tiny", "small", { max_tokens = false })
      assert.equal(429, refused.status)
      assert.matches("may take 600 billed tokens", refused:json().error.message, 1, true)
      local answer = ask("sk-tiny", "small", { max_tokens = false, stream = true })
      assert.equal(200, answer.status)
      assert.matches("data: [DONE]", answer.body, 1, true)
      assert.matches('"finish_reason":"stop"', answer.body, 1, true)
    end)
  end)
end)
