-- `moongate key`: what its words mean, what it asks of a running gateway, what it does to the store of one that is not
-- running, what it prints, and its exit codes.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("moongate key", function()
  local core, command, config, loaded, store

  before_each(function()
    core = fakes.install()
    loaded = {}
    config = { listen = { { addr = ":8080" } }, admin_token = "root", store = "sqlite:x.db" }
    core.replace("moongate.control", {
      load = function(path, addresses)
        loaded[#loaded + 1] = { path, addresses }
        if path == "broken.lua" then return nil, "broken.lua:1: stroe: unknown key" end
        return "{}"
      end,
      current = function() return config end,
    })
    store = { added = {}, revoked = {}, closed = 0, keys = {}, answer = true }
    function store:add(...)
      self.added[#self.added + 1] = { ... }
      return self.answer
    end
    function store:revoke(prefix)
      self.revoked[#self.revoked + 1] = prefix
      return self.answer
    end
    function store:all() return self.keys end
    function store:close() self.closed = self.closed + 1 end
    command = require "moongate.commands.key"
  end)
  after_each(function() core.restore() end)

  local function run(words)
    core.printed, core.complaints = {}, {}
    local list = {}
    for word in string.gmatch(words, "%S+") do list[#list + 1] = word end
    return command.run(list)
  end

  local function answers(status, reply)
    core.set("process.fetch", function() return status, type(reply) == "table" and json.encode(reply) or reply end)
  end
  local function asked()
    local calls = core.of "process.fetch"
    return calls[#calls][1]
  end
  local function has_store()
    core.set("offline.open", function() return store end)
  end

  describe("with words that make no sense", function()
    -- words, what is complained of
    for _, case in ipairs {
      { "", "moongate key create --name NAME" }, { "make", "moongate key create --name NAME" },
      { "create", "--name is needed" }, { "create --name", "--name needs a value" },
      { "create --name=", "--name needs a value" },
      { "create --nmae x", '"--nmae" is not known (did you mean "--name"?)' },
      { "create --name x --rpm many", "--rpm needs a number" }, { "create --name x --rpm -5", "--rpm needs a number" },
      { "create --name x --rpm 1e3", "--rpm needs a number" }, { "create --name x -z", '"-z" is not known' },
      { "create --name x --budget-usd 5usd", "--budget-usd needs a number" }, { "revoke", "PREFIX" },
      { "list -c", "-c needs a value" }, { "list more", '"more" is one word too many' },
      { "create ci --name ci", '"ci" is one word too many' }, { "revoke mg-1 mg-2", '"mg-2" is one word too many' },
      { "revoke mg-1 --rpm 5", "revoke has no --rpm" },
    } do
      it("says so and does nothing: " .. case[1], function()
        assert.equal(2, run(case[1]))
        assert.matches(case[2], table.concat(core.complaints, "\n"), 1, true)
        assert.same({ {}, {} }, { core.printed, loaded })
      end)
    end
  end)

  it("explains itself where it is asked to", function()
    for _, words in ipairs { "--help", "-h", "create --help" } do
      assert.equal(0, run(words))
      assert.matches("^moongate key create", core.printed[1])
      assert.same({ {}, {} }, { core.complaints, loaded })
    end
  end)

  it("reads the configuration it is given", function()
    answers(200, { keys = json.array {} })
    for _, words in ipairs { "list -c my.lua", "list --config my.lua", "list -c=my.lua", "--config=my.lua list" } do
      loaded = {}
      assert.equal(0, run(words))
      assert.same({ { "my.lua", {} } }, loaded)
    end
    assert.equal(1, run "list -c broken.lua")
    assert.same({ "broken.lua:1: stroe: unknown key" }, core.complaints)
  end)

  describe("create", function()
    it("asks the running gateway, and shows the key alone on standard output", function()
      answers(201, { key = "mg-the-key", prefix = "mg-the-ke", name = "ci" })
      assert.equal(0, run("create --name ci --org acme --tier pro --models gpt-*,llama-* --rpm 60 --tpm=900 "
        .. "--budget-usd 2.5 --policy mine --label l -c my.lua"))
      assert.same({ "mg-the-key" }, core.printed)
      assert.not_matches("mg-the-key", core.complaints[1], 1, true)
      local order = asked()
      assert.same({ "POST", "http://127.0.0.1:8080/admin/keys", "Bearer root" },
        { order.method, order.url, order.headers.authorization })
      assert.same({
        name = "ci", org = "acme", tier = "pro", models = { "gpt-*", "llama-*" }, rpm = 60, tpm = 900, policy = "mine",
        label = "l", budget = { usd = 2.5, window = "month" },
      }, json.decode(order.body))
      assert.same({}, core.of "offline.open")
    end)

    it("is JSON where it is asked to be", function()
      answers(201, { key = "mg-the-key", prefix = "mg-the-ke", name = "ci" })
      assert.equal(0, run "create --name ci --json")
      assert.same({ key = "mg-the-key", prefix = "mg-the-ke", name = "ci" }, json.decode(core.printed[1]))
    end)

    it("takes the budget's window from its option", function()
      answers(201, { key = "k", name = "ci" })
      run "create --name ci --budget-usd 5 --budget-window day"
      assert.same({ usd = 5, window = "day" }, json.decode(asked().body).budget)
    end)

    it("reaches the gateway where it listens", function()
      answers(201, { key = "k", name = "ci" })
      for address, url in pairs { ["0.0.0.0:81"] = "127.0.0.1:81", ["10.1.2.3:81"] = "10.1.2.3:81" } do
        config.listen[1].addr = address
        run "create --name ci"
        assert.equal("http://" .. url .. "/admin/keys", asked().url)
      end
    end)

    it("says in the gateway's words why not", function()
      answers(400, { error = { message = "tier: there is no tier \"por\"" } })
      assert.equal(1, run "create --name ci --tier por")
      assert.same({ { 'moongate key: tier: there is no tier "por"' }, {} }, { core.complaints, core.printed })
    end)

    it("makes nothing of an answer that makes no sense", function()
      for _, reply in ipairs { "<html>", "[]", "5", "{}" } do
        for _, status in ipairs { 201, 200, 500 } do
          answers(status, reply)
          assert.equal(1, run "create --name ci")
          assert.same({ "moongate key: what answers at :8080 is no gateway that knows of this (" .. status .. ")" },
            core.complaints)
          assert.same({}, core.printed)
        end
      end
    end)

    it("goes to the store where no gateway answers", function()
      has_store()
      assert.equal(0, run "create --name ci --rpm 60")
      local key = "mg-" .. string.rep("a1", 20)
      assert.same({ key }, core.printed)
      assert.equal("sqlite:x.db", core.of("offline.open")[1][1])
      assert.same({ "mg-a1a1a1", string.sub(key, 1, 32) }, { store.added[1][1], store.added[1][2] })
      assert.same({ id = "mg-a1a1a1", name = "ci", rpm = 60 }, json.decode(store.added[1][3]))
      assert.equal(1, store.closed)
    end)

    it("checks what is wanted there too, before it opens anything", function()
      has_store()
      assert.equal(1, run "create --name ci --rpm 1.5")
      assert.matches("rpm: expected a whole number", core.complaints[1], 1, true)
      assert.equal(1, run "create --name ci --budget-usd 5 --budget-window year")
      assert.matches("budget.window", core.complaints[1], 1, true)
      assert.same({}, core.of "offline.open")
    end)

    it("shows no key that was not stored", function()
      has_store()
      for _, answer in ipairs { false, "nil" } do
        store.answer = answer ~= "nil" and answer or nil
        assert.equal(1, run "create --name ci")
        assert.same({ { "moongate key: the key could not be stored; nothing was created" }, {} },
          { core.complaints, core.printed })
      end
      assert.equal(2, store.closed)
    end)

    it("says why the store does not open", function()
      assert.equal(1, run "create --name ci")
      assert.same({ "moongate key: there is no store" }, core.complaints)
    end)

    it("says that a store in memory needs its gateway", function()
      config.store = "memory:"
      assert.equal(1, run "create --name ci")
      assert.matches("start it first", core.complaints[1], 1, true)
      assert.same({}, core.of "offline.open")
    end)
  end)

  describe("list", function()
    local keys = {
      { prefix = "mg-111111", name = "ci", org = "acme", tier = "pro", created = 0, revoked = 86400 },
      { prefix = "mg-222222", name = "dev", created = 3600 },
    }

    it("shows what the running gateway has", function()
      answers(200, { keys = json.array(keys) })
      assert.equal(0, run "list")
      assert.same({ "GET", "http://127.0.0.1:8080/admin/keys" }, { asked().method, asked().url })
      assert.is_nil(asked().body)
      assert.equal(3, #core.printed)
      assert.matches("^PREFIX +NAME +ORG +TIER +CREATED %(UTC%) +REVOKED$", core.printed[1])
      assert.matches("^mg%-111111 +ci +acme +pro +1970%-01%-01 00:00 +1970%-01%-02 00:00$", core.printed[2])
      assert.matches("^mg%-222222 +dev +1970%-01%-01 01:00$", core.printed[3])
    end)

    it("is JSON where it is asked to be", function()
      answers(200, { keys = json.array(keys) })
      assert.equal(0, run "list --json")
      assert.same(keys, json.decode(core.printed[1]))
      answers(200, { keys = json.array {} })
      run "list --json"
      assert.same({ "[]" }, core.printed)
    end)

    it("says what to do where there are none", function()
      answers(200, { keys = json.array {} })
      assert.equal(0, run "list")
      assert.same({ "no keys yet; moongate key create --name NAME makes one" }, core.printed)
    end)

    it("says that those of the configuration are not among them", function()
      config.keys = { { name = "dev" } }
      answers(200, { keys = json.array {} })
      assert.equal(0, run "list")
      assert.matches("the configuration has 1, which is not listed here", core.printed[1], 1, true)
      assert.matches("^no keys yet", core.printed[1])
    end)

    it("reads the store where no gateway answers", function()
      has_store()
      store.keys = { { prefix = "mg-1", settings = '{"id":"mg-1","name":"ci"}', created = 0 } }
      assert.equal(0, run "list")
      assert.matches("^mg%-1 +ci ", core.printed[2])
      assert.equal(1, store.closed)
    end)

    it("fails in the gateway's words, or where they make no sense", function()
      answers(401, { error = { message = "this needs the admin token" } })
      assert.equal(1, run "list")
      assert.same({ "moongate key: the gateway at :8080 does not take the admin_token of this configuration: it runs "
        .. "with another one" }, core.complaints)
      answers(200, "{}")
      assert.equal(1, run "list")
      assert.same({ { "moongate key: what answers at :8080 is no gateway that knows of this (200)" }, {} },
        { core.complaints, core.printed })
    end)

    it("sends no token where there is none", function()
      config.admin_token = nil
      answers(200, { keys = json.array {} })
      run "list"
      assert.is_nil(asked().headers.authorization)
    end)
  end)

  describe("revoke", function()
    it("asks the running gateway", function()
      answers(200, { revoked = "mg-123456" })
      assert.equal(0, run "revoke mg-123456")
      assert.same({ "DELETE", "http://127.0.0.1:8080/admin/keys/mg-123456" }, { asked().method, asked().url })
      assert.same({ "revoked mg-123456" }, core.printed)
      assert.equal(0, run "revoke mg-123456 --json")
      assert.same({ '{"revoked":"mg-123456"}' }, core.printed)
    end)

    it("cannot be led to another path by a prefix", function()
      answers(404, { error = { message = "no key in force begins so" } })
      assert.equal(1, run "revoke ../x?y#z")
      assert.equal("http://127.0.0.1:8080/admin/keys/..%2Fx%3Fy%23z", asked().url)
    end)

    -- what the store answers, exit code, what is said
    for _, case in ipairs {
      { 1, 0, "revoked mg-12" }, { 0, 1, 'no key in force begins with "mg-12"' }, { 2, 1, "2 keys begin with" },
      { false, 1, "the key is still in force" },
    } do
      it("does it in the store where no gateway answers: " .. tostring(case[1]), function()
        has_store()
        store.answer = case[1]
        assert.equal(case[2], run "revoke mg-12")
        assert.matches(case[3], table.concat(core.printed) .. table.concat(core.complaints), 1, true)
        assert.same({ { "mg-12" }, 1 }, { store.revoked, store.closed })
      end)
    end
  end)
end)
