-- Commands and orders of an operator on a store that several gateways share: imports, pardons, usage, replay; beside
-- running gateways, without one, and while Redis is away.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local socket = require "socket"
local wait = require "spec.support.wait"

local CHEAP = 'return function(_, list) return list:sort("price", function(c) return c.estimated_cost end) end\n'
local DEAR = 'return function(_, list) return list:sort("price", function(c) return -c.estimated_cost end) end\n'
local PAID, DEARER = { prompt = "0.0000025", completion = "0.00001" }, { prompt = "0.00001", completion = "0.00004" }

describe("on one Redis", function()
  local server, upstream

  before_each(function()
    server = redis.start()
    upstream = provider.open()
  end)
  after_each(function()
    gateway.stop_all()
    server:free()
  end)

  local function prepare(more)
    local config = {
      listen = gateway.free_address(), workers = 2, policy = "mine",
      store = ("redis://127.0.0.1:%d/0?deadline_ms=5000"):format(server.port),
      providers = {
        openrouter = { base_url = upstream.base_url, api_key = "sk-1", retries = 0 },
        shop = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-2", retries = 0 },
      },
      models = {
        { id = "small", provider = "shop", cost = { input = 1, output = 2 } },
        { id = "large", provider = "shop", cost = { input = 5, output = 25 } },
      },
    }
    for name, value in pairs(more or {}) do config[name] = value end
    return gateway.prepare { config = config,
      policies = { ["routing/mine.lua"] = CHEAP, ["routing/dear.lua"] = DEAR } }
  end

  describe("imported models", function()
    local function import(moongate, pricing, ...)
      moongate:write("list.json", json.encode { data = { { id = "x/new", pricing = pricing, context_length = 8192 } } })
      return moongate:command("models", "import", "list.json", ...)
    end
    local function status(moongate) return moongate:chat({ model = "x/new" }).status end
    local function changes(moongate)
      local code, output, errors = moongate:command("models", "changes", "--json")
      assert.same({ 0, "" }, { code, errors })
      local list = {}
      for i, change in ipairs(json.decode(output)) do list[i] = change.field end
      return list
    end
    local function has_alert(moongate)
      return moongate:request({ path = "/ready" }).body:find("cost.input from 2.5 to 10", 1, true) ~= nil
    end

    it("are in force at every gateway and worker within moments, as is the alarm that a price has jumped", function()
      local first, second = prepare():open(), prepare():open()
      assert.equal(404, status(second))
      local code, output, errors = import(first, PAID)
      assert.same({ 0, "" }, { code, errors })
      assert.matches("imported 1 model from list.json (openrouter): 1 new", output, 1, true)
      wait.until_(function() return status(second) == 200 end, "the model at the other gateway")
      for _, moongate in ipairs { first, second } do
        for _ = 1, 6 do assert.equal(200, status(moongate)) end
      end
      assert.equal(0, (import(second, DEARER)))
      wait.until_(function() return has_alert(first) and has_alert(second) end, "the alarm at both")
      assert.same({ "cost.input", "cost.output", "model" }, changes(first))
      local third = prepare():open()
      assert.equal(200, status(third))
      assert.is_true(has_alert(third))
      assert.same({ 0, "" }, { (import(third, DEARER)), "" })
      assert.equal(3, #changes(second)) -- it changed nothing
    end)

    it("are imported, listed and told by commands where no gateway runs, and heard by those that do", function()
      local idle, running = prepare(), prepare():open()
      local code, output
      assert.equal(0, (import(idle, PAID)))
      wait.until_(function() return status(running) == 200 end, "the model at the running gateway")
      code, output = idle:command("models", "list", "--json")
      assert.equal(0, code)
      local targets = {}
      for _, entry in ipairs(json.decode(output)) do targets[entry.id] = entry.target end
      assert.equal("openrouter/x/new", targets["x/new"])
      assert.same({ "model" }, changes(idle))
      code, output = import(idle, DEARER, "--dry-run")
      assert.equal(0, code)
      assert.matches("would", output, 1, true)
      assert.same({ "model" }, changes(running))
    end)

    it("serve on while Redis is away; none is imported then, and the refusal says so", function()
      local moongate = prepare():open()
      import(moongate, PAID)
      server:kill()
      wait.until_(function() return moongate:request({ path = "/ready" }).body:find("Redis is away", 1, true) end,
        "the gateway to know")
      local code, output, errors = import(moongate, DEARER)
      assert.same({ 1, "" }, { code, output })
      assert.matches("nothing was changed", errors, 1, true)
      assert.matches("Redis is away", errors, 1, true)
      assert.equal(0, (moongate:command "reload"))
      assert.equal(200, status(moongate))
      code, output, errors = moongate:command("models", "changes")
      assert.same({ 1, "" }, { code, output })
      assert.matches("127.0.0.1:" .. server.port .. " can't be reached", errors, 1, true)
      server:restart() -- empty
      wait.until_(function() return server:command("HLEN", "moongate:models") == 1 end, "the models there")
      assert.equal(0, (import(moongate, DEARER)))
    end)

    it("come into force when Redis does, at a gateway that was started without it", function()
      local first = prepare()
      assert.equal(0, (import(first, PAID)))
      server:command("SAVE")
      server:kill()
      local moongate = prepare():open()
      assert.equal(404, status(moongate))
      for verb, words in pairs { list = "models list", changes = "models changes" } do
        local code, output, errors = first:command("models", verb)
        assert.same({ 1, "" }, { code, output })
        assert.matches("moongate " .. words, errors, 1, true)
        assert.matches("127.0.0.1:" .. server.port, errors, 1, true)
      end
      server:restart { args = { "--dbfilename", "dump.rdb" } }
      wait.until_(function() return status(moongate) == 200 end, "the model")
    end)
  end)

  it("a pardon that one gateway was asked for brings the target back at all", function()
    local first, second = prepare():open(), prepare():open()
    local function status(moongate) return moongate:chat({ model = "small" }).status end
    upstream:next { kind = "error", status = 429, headers = { ["retry-after"] = "3000" } }
    assert.is_true(status(first) ~= 200)
    wait.until_(function() return status(second) ~= 200 end, "the mark at the other gateway")
    local answer = second:request { method = "DELETE", path = "/admin/marks/shop/small", key = gateway.admin_token }
    if not answer:json().pardoned then
      answer = second:request { method = "DELETE", path = "/admin/marks/shop", key = gateway.admin_token }
    end
    assert.is_true(answer:json().pardoned)
    assert.equal(200, status(second))
    wait.until_(function() return status(first) == 200 end, "the pardon at the first")
  end)

  it("one gateway asks a provider what is left, and all know", function()
    upstream:usually { kind = "text", type = "application/json",
      body = '{"code":0,"status":true,"data":{"available_balance":9.8,"cash_balance":0}}' }
    local gateways = {}
    for i = 1, 3 do
      gateways[i] = prepare { models = { { id = "m", provider = "p" } }, policy = "dear", providers = {
        p = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1",
          checker = { "moonshot", interval = 3600, base_url = upstream.base_url .. "/" } } } }:open()
    end
    local moments = {}
    for i, moongate in ipairs(gateways) do
      wait.until_(function()
        local limits = moongate:admin "/v1/limits/p"
        moments[i] = limits.checked_at
        return limits.stale == false and limits.credits == 9.8
      end, "the balance")
    end
    assert.same({ "number", moments[1], moments[1] }, { type(moments[1]), moments[2], moments[3] })
    assert.equal(1, #upstream:seen())
    local fourth = gateways[1]:stop() -- one that is started anew knows at once
    fourth:open()
    wait.until_(function() return fourth:admin("/v1/limits/p").stale == false end, "the balance")
    assert.equal(1, #upstream:seen())
  end)

  it("a gateway starts, and a command gives up, soon after Redis froze", function()
    local moongate = prepare()
    server:freeze()
    local began = socket.gettime()
    local status, _, errors = moongate:command("models", "changes")
    assert.equal(1, status)
    assert.matches("takes connections but does not answer", errors, 1, true)
    moongate:open()
    assert.is_true(socket.gettime() - began < 8 * wait.slowness, "it waited")
    assert.equal(200, moongate:chat({ model = "small" }).status)
    server:thaw()
  end)

  describe("the ledger", function()
    local function usage(moongate, ...)
      local code, output, errors = moongate:command("usage", "--format", "jsonl", ...)
      assert.same({ 0, "" }, { code, errors })
      local list = {}
      for line in output:gmatch("[^\n]+") do list[#list + 1] = json.decode(line) end
      return list
    end
    local function replay(moongate)
      local code, output, errors = moongate:command("replay", "--policy", "policies/routing/dear.lua", "--json")
      assert.same({ 0, "" }, { code, errors })
      local report = json.decode(output)
      return { report.requests, report.replayed, report.not_replayed.total }
    end
    local function chats(moongate, model, count)
      for _ = 1, count do assert.equal(200, moongate:chat({ model = model }).status) end
    end
    local function requests(moongate)
      return moongate:request({ path = "/v1/usage", key = gateway.admin_token }):json().totals.requests
    end

    it("is added up and replayed beside gateways that run, and where none does", function()
      local first, second = prepare():open(), prepare():open()
      chats(first, "small", 4)
      chats(second, "large", 3)
      chats(second, "small", 2)
      wait.until_(function() return requests(first) == 9 end, "the rows") -- one may have come by the spool
      local function look(moongate)
        local groups, by_name, sum = usage(moongate), {}, 0
        for _, group in ipairs(groups) do by_name[group.model], sum = group.requests, sum + group.cost_microusd end
        assert.same({ small = 6, large = 3 }, by_name)
        local rows, cost = usage(moongate, "--by", "request"), 0
        for _, row in ipairs(rows) do cost = cost + row.cost_microusd end
        assert.same({ 9, sum }, { #rows, cost })
        assert.same({ 9, 9, 0 }, replay(moongate))
      end
      look(first)
      local groups = usage(second)
      assert.same(groups, usage(first))
      first:stop()
      second:stop()
      look(first)
      assert.same(groups, usage(first))
    end)

    it("that is away is said to be, by either command", function()
      local moongate = prepare()
      server:kill()
      for _, words in ipairs { { "usage" }, { "replay", "--policy", "policies/routing/dear.lua" } } do
        local code, output, errors = moongate:command(unpack(words))
        assert.same({ 1, "" }, { code, output })
        assert.matches("moongate " .. words[1] .. ": ", errors, 1, true)
        assert.matches("127.0.0.1:" .. server.port, errors, 1, true)
      end
      moongate:open()
      local answer = moongate:request { path = "/v1/usage", key = gateway.admin_token }
      assert.equal(503, answer.status)
    end)
  end)
end)
