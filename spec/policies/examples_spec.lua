-- Every example: accepted by `moongate check`, short, and deciding what its head says, by the testing kit and in a
-- running gateway.
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local testing = require "moongate.testing"
local tree = require "spec.support.tree"

local MOST_LINES = 40

local function read(path) return tree.read(path):sub(2) end

local here = assert(io.popen "pwd"):read "*l"

-- The example as it is, on a port of its own.
local function start(name)
  local config = here .. "/examples/" .. name .. "/moongate.lua"
  return gateway.start { args = { "-c", config, "--listen", "127.0.0.1:0" } }
end

-- Which model serves a request, and its answer.
local function served(moongate, fields, options)
  local answer = moongate:chat(fields, options)
  assert.equal(200, answer.status, answer.body)
  return answer.headers["x-moongate-provider"] .. "/" .. answer.headers["x-moongate-model"], answer
end

local function says(text) return { messages = { { role = "user", content = text } } } end

local function load(path) return testing.load("examples/" .. path) end

after_each(gateway.stop_all)

describe("every example", function()
  local names = {}
  for _, name in ipairs(tree.list "examples") do
    if tree.exists("examples/" .. name .. "/moongate.lua") then names[#names + 1] = name end
  end

  it("is one of at least ten", function() assert.is_true(#names >= 11, #names) end)

  for _, name in ipairs(names) do
    it("passes `moongate check`: " .. name, function()
      local file = "examples/" .. name .. "/moongate.lua"
      local status, output, errors = process.run { gateway.binary, "check", "-c", file }
      assert.same({ 0, "" }, { status, errors })
      assert.matches("fine", output)
    end)

    it("says at its head how to try it: " .. name, function()
      local head = read("examples/" .. name .. "/moongate.lua"):match "^(.-)\nreturn {"
      assert.is_truthy(head:find("\n%-%-   .*curl .*/v1/chat/completions") or head:find "moongate explain")
      assert.is_truthy(name == "quickstart" or head:find("examples/" .. name .. "/moongate.lua", 1, true))
    end)
  end

  it("has policies of less than 40 lines together, that load", function()
    for _, name in ipairs(names) do
      local sum = 0
      for _, path in ipairs(tree.files("examples/" .. name .. "/policies", "[.]lua$")) do
        local _, lines = read(path):gsub("\n", "")
        local is_format = path:find "/protocols/" -- a wire format is no policy
        if not is_format then sum = sum + lines end
        if not path:find "/lib/" and not is_format then assert.is_table(testing.load(path)) end
      end
      assert.is_true(sum < MOST_LINES, name .. " has " .. sum)
    end
  end)
end)

describe("the example quickstart", function()
  it("answers at once, from the free provider first", function()
    assert.equal("pebble/small", (served(start "quickstart")))
  end)
end)

describe("the example free-first", function()
  local policy = load "free-first/policies/routing/free-first.lua"

  it("puts free ones with quota left first, then the cheaper of the others", function()
    local ladder, steps = testing.run(policy, nil, {
      { id = "shop/dear", cost = { input = 9, output = 9 } }, { id = "shop/fair" }, { id = "gift/a", free = true },
      { id = "gift/b", free = true, quality = 80 }, { id = "gift/c", free = true, left = { rpm = 0 } } })
    assert.same({ "gift/b", "gift/a", "shop/fair", "shop/dear" }, ladder)
    assert.same({ ["gift/c"] = 'fails "has quota left"' }, steps[3].dropped)
  end)

  it("serves three for nothing, and then the cheapest", function()
    local moongate = start "free-first"
    local seen = {}
    for i = 1, 4 do seen[i] = served(moongate) end
    assert.same({ "gift/gratis", "gift/gratis", "gift/gratis", "shop/fair" }, seen)
  end)
end)

describe("the example team-budget", function()
  local policy = load "team-budget/policies/routing/team-budget.lua"
  local models = { { id = "research/large", left = { tpd = 700 } }, { id = "marketing/large", left = { tpd = 100 } },
    { id = "shared/small" } }

  it("serves a team from its own account while that covers the request", function()
    local function ladder(org, tokens)
      return (testing.run(policy, { caller = { org = org }, max_tokens = tokens }, models))
    end
    assert.same({ "research/large", "shared/small" }, ladder("research", 600))
    assert.same({ "shared/small" }, ladder("research", 800))
    assert.same({ "shared/small" }, ladder("marketing", 600))
    assert.same({ "shared/small" }, ladder("", 10))
  end)

  it("goes on with the small model when the allowance is used up", function()
    local moongate = start "team-budget"
    local function ask(key, tokens) return (served(moongate, { max_tokens = tokens }, { key = key })) end
    assert.equal("research/large", ask("research-key", 600))
    assert.equal("shared/small", ask("research-key", 3000))
    assert.equal("shared/small", ask("marketing-key", 600))
    assert.equal("marketing/large", ask("marketing-key", 100))
  end)
end)

describe("the example cheap-at-night", function()
  local policy = load "cheap-at-night/policies/routing/cheap-at-night.lua"
  local models = { { id = "shop/brilliant", quality = 95, cost = { input = 3, output = 15 } },
    { id = "shop/thrifty", quality = 60, cost = { input = 0.1, output = 0.4 } } }

  it("puts the best first by day and the cheapest by night", function()
    for time, first in pairs {
      ["06:00"] = "shop/brilliant", ["12:00"] = "shop/brilliant", ["19:59"] = "shop/brilliant",
      ["20:00"] = "shop/thrifty", ["23:59"] = "shop/thrifty", ["05:59"] = "shop/thrifty",
    } do
      assert.equal(first, testing.run(policy, { now = "2026-11-20 " .. time }, models)[1], time)
    end
  end)

  it("decides by the gateway's clock", function()
    local moongate = start "cheap-at-night"
    local hour = tonumber(os.date "!%H")
    local answer = served(moongate)
    if hour == tonumber(os.date "!%H") then
      assert.equal((hour >= 20 or hour < 6) and "shop/thrifty" or "shop/brilliant", answer)
    end
  end)
end)

describe("the example canary", function()
  local policy = load "canary/policies/routing/canary.lua"
  local models = { { id = "shop/proven" }, { id = "shop/new" } }

  it("begins one request in twenty with the new model, and the same one the same way again", function()
    local count = 0
    for seed = 1, 2000 do
      local ladder = testing.run(policy, { seed = seed }, models)
      assert.equal(2, #ladder)
      if ladder[1] == "shop/new" then
        count = count + 1
        assert.equal("shop/new", testing.run(policy, { seed = seed }, models)[1])
      end
    end
    assert.is_true(count > 60 and count < 140, count)
  end)

  it("is served either way", function()
    assert.matches("^shop/", (served(start "canary")))
  end)
end)

describe("the example same-provider", function()
  local policy = load "same-provider/policies/routing/same-provider.lua"
  local models = { { id = "north/llama" }, { id = "east/llama" }, { id = "south/llama" } }

  it("keeps every turn of a conversation where it began, and spreads conversations", function()
    local counts = {}
    for n = 1, 600 do
      local turns = { { role = "system", content = "Be kind." }, { role = "user", content = "Question " .. n } }
      local first = testing.run(policy, { messages = turns }, models)[1]
      turns[3], turns[4] = { role = "assistant", content = "Well." }, { role = "user", content = "And then?" .. n }
      assert.equal(first, testing.run(policy, { messages = turns }, models)[1])
      counts[first] = (counts[first] or 0) + 1
    end
    for _, model in ipairs(models) do assert.is_true((counts[model.id] or 0) > 120, model.id) end
  end)

  it("moves only the conversations of a provider that is out", function()
    local without = { models[1], models[2], { id = "south/llama", exhausted = true } }
    for n = 1, 100 do
      local ladder = testing.run(policy, "Question " .. n, models)
      if ladder[1] ~= "south/llama" then
        assert.equal(ladder[1], testing.run(policy, "Question " .. n, without)[1])
      end
    end
  end)

  it("answers one conversation from one provider", function()
    local moongate = start "same-provider"
    local first = served(moongate, says "What is a quokka?")
    for _ = 1, 5 do assert.equal(first, (served(moongate, says "What is a quokka?"))) end
  end)
end)

describe("the example private-words", function()
  local policy = load "private-words/policies/routing/private-words.lua"
  local models = { { id = "here/home", is_local = true }, { id = "cloud/big", quality = 90 } }

  it("keeps what speaks of private things on this machine", function()
    assert.same({ "here/home" }, (testing.run(policy, "What is Bob's SALARY?", models)))
    assert.same({ "cloud/big", "here/home" }, (testing.run(policy, "What is a quokka?", models)))
    local ladder, _, reason = testing.run(policy, "my password is x", { models[2] })
    assert.same({}, ladder)
    assert.matches("speaks of private things, and no local model is there", reason)
  end)

  it("does so live", function()
    local moongate = start "private-words"
    assert.equal("here/home", (served(moongate, says "My salary is too low.")))
    assert.equal("cloud/big", (served(moongate, says "Good morning.")))
  end)
end)

describe("the example redact-email", function()
  local policy = load "redact-email/policies/hooks/10_redact_email.lua"

  it("sends no address, in texts and in parts, and says how many there were", function()
    local seen = testing.hook(policy, "Ask bob.o'neil+x@mail.acme.test, or ann@acme.test. Not @home.")
    assert.equal("Ask bob.o'[address], or [address]. Not @home.", seen.messages[1].content)
    assert.equal("2", seen.headers["x-redacted"])
    seen = testing.hook(policy, { messages = { { role = "user", content = {
      { type = "text", text = "Mail ann@acme.test" }, { type = "image_url", image_url = { url = "https://a.test/x" } },
    } } } })
    assert.equal("Mail [address]", seen.messages[1].content[1].text)
    seen = testing.hook(policy, "Nothing to hide.")
    assert.same({ "Nothing to hide.", {} }, { seen.messages[1].content, seen.headers })
  end)

  it("does so live", function()
    local moongate = start "redact-email"
    local _, answer = served(moongate, says "Ask bob@acme.test")
    assert.equal("1", answer.headers["x-redacted"])
    _, answer = served(moongate, says "Ask Bob")
    assert.is_nil(answer.headers["x-redacted"])
  end)
end)

describe("the example tier-gate", function()
  local policy = load "tier-gate/policies/access.lua"

  it("goes by tier and price", function()
    local function allowed(tier, price, free)
      return (testing.access(policy, { tier = tier }, { id = "shop/m", free = free, cost = price
        and { input = 0, output = price } or false }))
    end
    assert.same({ true, false, true, false, true, true, false },
      { allowed("free", 0, true), allowed("free", 2), allowed("pro", 20), allowed("pro", 75), allowed("max", 75),
        allowed("max"), allowed("gold", 0) })
    assert.same({ false, "dear costs 75 USD per million tokens, and pro ends at 20" },
      { testing.access(policy, { tier = "pro" }, { id = "shop/dear", cost = { input = 15, output = 75 } }) })
  end)

  it("refuses live, and says why", function()
    local moongate = start "tier-gate"
    assert.equal("gift/gratis", (served(moongate, nil, { key = "free-key" })))
    assert.equal("shop/dear", (served(moongate, { model = "dear" }, { key = "max-key" })))
    local answer = moongate:chat({ model = "dear" }, { key = "free-key" })
    assert.equal(403, answer.status)
    assert.matches("dear costs 75 USD per million tokens, and free ends at 0", answer:json().error.message, 1, true)
  end)
end)

describe("the example customer-price", function()
  local policy = load "customer-price/policies/billing.lua"

  it("gives each customer the discount of the contract", function()
    assert.equal(0.8, testing.billing(policy, { org = "acme" }, "cloud/big"))
    assert.equal(1, testing.billing(policy, nil, "cloud/big"))
    assert.equal(0, testing.billing(policy, { org = "acme" }, { id = "here/home", is_local = true }))
  end)

  it("bills so", function()
    local moongate = start "customer-price"
    local function billed(key, model)
      local _, answer = served(moongate, { model = model }, { key = key })
      return tonumber(answer.headers["x-moongate-billed-tokens"]), answer:json().usage.total_tokens
    end
    local tokens, total = billed("walk-in-key", "big")
    assert.equal(total, tokens)
    tokens, total = billed("acme-key", "big")
    assert.equal(math.ceil(total * 8 / 10), tokens)
    assert.equal(0, (billed("acme-key", "home")))
  end)
end)

describe("the example most-quota-left", function()
  it("uses up its providers evenly", function()
    local policy = load "most-quota-left/policies/routing/most-quota-left.lua"
    local ladder = testing.run(policy, nil, { { id = "brook/llama", left = { rpd = 4 } }, { id = "sea/llama" },
      { id = "river/llama", left = { rpd = 6 } }, { id = "dry/llama", left = { rpd = 0 } },
      { id = "tired/llama", exhausted = true, left = { rpd = 9 } } })
    assert.same({ "sea/llama", "river/llama", "brook/llama" }, ladder)
  end)

  it("does so live, to the last request", function()
    local moongate = start "most-quota-left"
    local counts = {}
    for i = 1, 10 do
      local id = served(moongate)
      if i <= 2 then assert.equal("river/llama", id) end
      counts[id] = (counts[id] or 0) + 1
    end
    assert.same({ ["brook/llama"] = 4, ["river/llama"] = 6 }, counts)
    assert.is_true(moongate:chat().status >= 429)
  end)
end)

describe("the example shared-lib", function()
  local models = { { id = "shop/weak", quality = 30, latency_ms = 100, cost = { input = 0.1, output = 0.1 } },
    { id = "shop/solid", quality = 75, latency_ms = 900 },
    { id = "shop/swift", quality = 80, latency_ms = 200, cost = { input = 3, output = 9 } } }

  it("has two policies that share a rule", function()
    local ladder, steps = testing.run(load "shared-lib/policies/routing/thrifty.lua", nil, models)
    assert.same({ "shop/solid", "shop/swift" }, ladder)
    assert.same({ ["shop/weak"] = 'fails "good enough"' }, steps[2].dropped)
    assert.same({ "shop/swift", "shop/solid" },
      (testing.run(load "shared-lib/policies/routing/quick.lua", nil, models)))
  end)

  it("is chosen by a header", function()
    local moongate = start "shared-lib"
    assert.equal("shop/swift", (served(moongate, nil, { headers = { ["x-moongate-policy"] = "quick" } })))
    assert.equal("shop/solid", (served(moongate)))
  end)
end)

describe("the example own-task", function()
  it("sends a task of its own to who is good at it", function()
    local task = load "own-task/policies/task.lua"
    assert.equal("sql", testing.task(task, "SELECT * FROM t"))
    assert.equal("chat", testing.task(task, "Hello"))
    local policy = load "own-task/policies/routing/specialists.lua"
    local models = { { id = "shop/talker", strengths = { "chat" } },
      { id = "shop/analyst", strengths = { "sql" }, cost = { input = 2, output = 8 } } }
    assert.equal("shop/analyst", testing.run(policy, { task = "sql" }, models)[1])
    assert.equal("shop/talker", testing.run(policy, { task = "chat" }, models)[1])
  end)

  it("does so live", function()
    local moongate = start "own-task"
    assert.equal("shop/analyst", (served(moongate, says "select name from people group by town")))
    assert.equal("shop/talker", (served(moongate, says "Good morning.")))
  end)
end)
