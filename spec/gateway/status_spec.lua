-- `moongate status`, its line for status bars, and `moongate reload`, against a running gateway and without one.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local provider = require "spec.support.provider"

local FREE = { input = 0, output = 0 }

describe("moongate status", function()
  local upstream, moongate

  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function start(change)
    local config = {
      listen = gateway.free_address(), workers = 2,
      providers = {
        best = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", quality = 90,
          limits = { rpm = 100, rpd = 4 } },
        next = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-2", quality = 50 },
        paid = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-3", quality = 99 },
      },
      models = {
        { id = "one", provider = "best", free = true, cost = FREE },
        { id = "two", provider = "next", free = true, cost = FREE },
        { id = "three", provider = "paid", cost = { input = 1, output = 1 } },
      },
    }
    for name, value in pairs(change or {}) do config[name] = value end
    moongate = gateway.start { config = config }
    return moongate
  end

  local function line()
    local status, output, errors = moongate:command("status", "--line")
    assert.same({ 0, "" }, { status, errors })
    return output
  end

  it("tells the best free provider and its tightest quota, and goes on to the next when that is used up", function()
    start()
    assert.equal("best 4/4 rpd left\n", line())
    for _ = 1, 3 do moongate:chat { model = "one" } end
    assert.equal("best 1/4 rpd left\n", line())
    moongate:chat { model = "one" }
    assert.equal("next\n", line())
    upstream:next { kind = "error", status = 429, headers = { ["retry-after"] = "600" }, message = "Rate limit" }
    moongate:chat { model = "two" }
    assert.equal("exhausted\n", line())
  end)

  it("is silent where no free tier is configured", function()
    start { models = { { id = "three", provider = "paid", cost = { input = 1, output = 1 } },
      { id = "a", provider = "best" }, { id = "b", provider = "next" } } }
    assert.equal("", line())
  end)

  it("has a longer form with every provider, and one for scripts", function()
    start()
    moongate:chat { model = "one" }
    local status, output = moongate:command "status"
    assert.equal(0, status)
    assert.matches("gateway: ready", output, 1, true)
    assert.matches("best +ok +free +3/4 rpd left", output)
    assert.matches("paid +ok +no quota is known", output)
    status, output = moongate:command("status", "--json")
    assert.equal(0, status)
    local told = json.decode(output)
    assert.same({ "best", "best 3/4 rpd left", 0.75 }, { told.free, told.line, told.providers[1].quota.left })
  end)

  it("without a gateway says so in one line, at once", function()
    start()
    moongate:stop()
    local status, output, errors = moongate:command("status", "--line")
    assert.same({ 1, "", ("moongate status: no gateway answers at %s: start it first (moongate serve)\n"):format(
      moongate.address) }, { status, output, errors })
  end)

  it("needs a token where keys are asked for, and says which", function()
    start { auth = "keys", admin_token = gateway.admin_token }
    assert.equal("best 4/4 rpd left\n", line())
    local text = moongate:read("moongate.lua"):gsub('%["admin_token"%] = "[^"]*"', '["policy"] = "free-tier"')
    moongate:write("moongate.lua", text)
    local status, _, errors = moongate:command("status", "--line")
    assert.equal(1, status)
    assert.matches("set admin_token in the configuration", errors, 1, true)
  end)

  it("tells what is wrong with its words", function()
    moongate = gateway.prepare {}
    for words, complaint in pairs { ["--lien"] = '"--lien" is not known (did you mean "--line"?)',
      groq = '"groq" is one word too many' } do
      local status, _, errors = moongate:command("status", words)
      assert.equal(2, status)
      assert.matches(complaint, errors, 1, true)
    end
    local status, output = moongate:command("status", "--help")
    assert.equal(0, status)
    assert.matches("status-right", output, 1, true)
  end)
end)

describe("moongate reload", function()
  local moongate
  after_each(gateway.stop_all)

  before_each(function()
    moongate = gateway.start {
      config = { listen = gateway.free_address(), providers = { demo = { protocol = "mock" } } },
      policies = { ["routing/auto-cheapest.lua"] = "return function(_, candidates) return candidates end\n" },
    }
  end)

  local function rewrite(from, to)
    moongate:write("moongate.lua", (moongate:read("moongate.lua"):gsub(from, to)))
  end

  it("answers when the new configuration is in force", function()
    assert.equal(404, moongate:chat({ model = "added" }).status)
    rewrite('return {', 'return { models = { { id = "added", provider = "demo" } },')
    local status, output, errors = moongate:command "reload"
    assert.same({ 0, "reloaded\n", "" }, { status, output, errors })
    for _ = 1, 8 do assert.equal(200, moongate:chat({ model = "added" }).status) end
  end)

  it("tells what does not load, with file and line, and changes nothing", function()
    rewrite("return {", "return { stroe = 1,")
    local status, output, errors = moongate:command "reload"
    assert.same({ 1, "" }, { status, output })
    assert.matches("moongate.lua:1: stroe: unknown key (did you mean \"store\"?)", errors, 1, true)
    -- What only the gateway finds: a table that is not there.
    rewrite("stroe = 1", 'models_table = { csv = "nosuch.csv" }')
    status, output, errors = moongate:command "reload"
    assert.same({ 1, "" }, { status, output })
    assert.matches("nosuch.csv: No such file", errors, 1, true)
    assert.equal(200, moongate:chat({ model = "mock" }).status)
    rewrite('models_table = { csv = "nosuch.csv" },', "")
    assert.equal(0, (moongate:command "reload"))
    moongate:write("policies/routing/auto-cheapest.lua", "return function( end\n")
    status, output, errors = moongate:command "reload"
    assert.same({ 1, "" }, { status, output })
    assert.matches("policies/routing/auto%-cheapest.lua:1: ", errors)
    assert.equal(200, moongate:chat({ model = "mock" }).status)
  end)

  it("needs the gateway, and its token", function()
    local answer = moongate:request { method = "POST", path = "/admin/reload" }
    assert.equal(401, answer.status)
    rewrite(gateway.admin_token:gsub("%-", "%%-"), "another-token")
    local status, output, errors = moongate:command "reload"
    assert.same({ 1, "" }, { status, output })
    assert.matches("does not take the admin_token of this configuration: it runs with another one", errors, 1, true)
    moongate:stop()
    status, output, errors = moongate:command("reload", "--json")
    assert.same({ 1, "" }, { status, output })
    assert.matches("no gateway answers", errors, 1, true)
    assert.equal(2, (moongate:command("reload", "now")))
  end)
end)
