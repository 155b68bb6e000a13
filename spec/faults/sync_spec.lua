-- When the ledger is on the disk: with each answer, or within a second; and what is said while the disk does not sync.
local bench = require "spec.store.workbench"
local faults = require "spec.support.faults"
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

describe("a gateway whose disk does not sync", function()
  after_each(gateway.stop_all)

  local function open(store)
    local upstream = provider.open()
    local moongate = gateway.prepare { config = { store = store,
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0 } },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 1 } } } } }
    local injected = faults.new(moongate)
    return moongate:open(), injected
  end

  local function problem(moongate)
    local ready = moongate:admin "/ready"
    return ready.status ~= "ready" and ready.problems[1].message or nil
  end

  it("answers with sync=second, has the row in the file, and tells of it until the disk syncs again", function()
    local moongate, injected = open "sqlite:moongate.db?sync=second"
    injected:set { sync = 1000 }
    local answer = moongate:chat { model = "small" }
    assert.equal(200, answer.status)
    local function rows() return bench.sql(moongate.folder .. "/moongate.db", "SELECT outcome FROM ledger") end
    wait.until_(function() return rows()[1] end, "the row")
    assert.same({ "ok" }, rows())
    wait.until_(function() return problem(moongate) end, "the gateway to tell of it")
    assert.matches("moongate.db cannot be synced (Input/output error): a power cut would lose rows", problem(moongate),
      1, true)
    assert.equal(200, moongate:chat({ model = "small" }).status)
    injected:set {}
    wait.until_(function() return not problem(moongate) end, "it to be well again")
  end)

  it("keeps with sync=second what it answered and could not write, for who asks once it is killed", function()
    local moongate, injected = open "sqlite:moongate.db?sync=second"
    local function usage()
      local status, text, errors = moongate:command("usage", "--by", "request", "--format", "jsonl")
      assert.equal(0, status, errors)
      return select(2, text:gsub('"outcome":"ok"', ""))
    end
    assert.equal(200, moongate:chat({ model = "small" }).status)
    wait.until_(function() return usage() == 1 end, "the first row")
    injected:set { write = 1000 }
    assert.equal(200, moongate:chat({ model = "small" }).status)
    wait.until_(function() return problem(moongate) end, "the disk to refuse")
    assert.equal(503, moongate:chat({ model = "small" }).status)
    assert.equal(1, usage())
    moongate:kill()
    assert.is_true(bench.exists(moongate.folder .. "/moongate.db-daybook"))
    injected:set {}
    assert.equal(2, usage())
    assert.is_false(bench.exists(moongate.folder .. "/moongate.db-daybook"))
    moongate:open()
    assert.equal(200, moongate:chat({ model = "small" }).status)
    moongate:stop()
    assert.equal(3, usage())
    assert.is_false(bench.exists(moongate.folder .. "/moongate.db-daybook"))
  end)

  it("ends no answer as if all were well with sync=always", function()
    local moongate, injected = open "sqlite:moongate.db?sync=always"
    injected:set { sync = 1000 }
    assert.equal(503, moongate:chat({ model = "small" }).status)
    injected:set {}
    wait.until_(function() return not problem(moongate) end, "it to be well again")
    assert.equal(200, moongate:chat({ model = "small" }).status)
  end)

  it("does not start with another word behind the file", function()
    local moongate = gateway.prepare { config = { store = "sqlite:moongate.db?sync=never" } }
    local status, _, errors = moongate:command("check")
    assert.not_equal(0, status)
    assert.matches([[store: has "?sync=never" behind the file: only "?sync=always" (as without) and "?sync=second"]],
      errors, 1, true)
  end)
end)
