require "spec.support.core"
local json = require "moongate.core.json"
local key_maker = require "moongate.key_maker"

local function hash(secret) return "hash of " .. secret end
local function random(bytes) return ("3f9c2a"):rep(bytes):sub(1, 2 * bytes) end
local function make(wanted, config) return key_maker.make(wanted, config or {}, hash, random) end

describe("key_maker", function()
  it("makes a key with its prefix, its hash and what was wanted of it", function()
    local made = make { name = "ci", org = "acme", models = { "gpt-*" }, rpm = 60 }
    assert.equal("mg-" .. random(20), made.key)
    assert.equal("mg-3f9c2a", made.prefix)
    assert.equal("hash of " .. made.key, made.hash)
    assert.same({ id = made.prefix, name = "ci", org = "acme", models = { "gpt-*" }, rpm = 60 },
      json.decode(made.settings))
  end)

  it("keeps nothing of the secret but its prefix", function()
    local made = make { name = "ci" }
    assert.not_matches(made.key:sub(10), made.settings, 1, true)
  end)

  for title, row in pairs {
    ["no name"] = { {}, "name" },
    ["a name that is no name"] = { { name = "a\nb" }, "name" },
    ["an unknown setting"] = { { name = "ci", modles = {} }, "models" },
    ["a wrong type"] = { { name = "ci", rpm = "many" }, "rpm" },
    ["half a request a minute"] = { { name = "ci", rpm = 0.5 }, "rpm" },
    ["no tokens a minute"] = { { name = "ci", tpm = 0 }, "tpm" },
    ["a budget of nothing"] = { { name = "ci", budget = { window = "day" } }, "budget" },
    ["a budget without its window"] = { { name = "ci", budget = { usd = 5 } }, "budget.window" },
    ["a budget below nothing"] = { { name = "ci", budget = { usd = -5, window = "day" } }, "budget.usd" },
    ["null for a name of an org"] = { { name = "ci", org = json.null }, "got null" },
    ["a budget with more in it"] = { { name = "ci", budget = { usd = 5, window = "day", eur = 5 } }, "budget.eur" },
    ["patterns that are no list"] = { { name = "ci", models = { a = "gpt-*" } }, "models" },
    ["an empty pattern"] = { { name = "ci", models = { "" } }, "models[1]" },
  } do
    it("refuses " .. title .. ", and says which", function()
      local made, problem = make(row[1])
      assert.is_nil(made)
      assert.matches(row[2], problem, 1, true)
    end)
  end

  it("refuses a tier that the config does not know, and names the nearest", function()
    local made, problem = make({ name = "ci", tier = "por" }, { tiers = { pro = {} } })
    assert.is_nil(made)
    assert.matches("por", problem, 1, true)
    assert.matches("pro", problem:gsub("por", ""), 1, true)
    assert.truthy(make({ name = "ci", tier = "pro" }, { tiers = { pro = {} } }))
  end)

  it("lists keys by age, without hash or secret", function()
    local list = key_maker.list {
      { prefix = "mg-222222", settings = '{"id":"mg-222222","name":"young"}', created = 2 },
      { prefix = "mg-111111", settings = '{"id":"mg-111111","name":"old"}', created = 1, revoked = 3 },
    }
    assert.same({
      { prefix = "mg-111111", name = "old", created = 1, revoked = 3 },
      { prefix = "mg-222222", name = "young", created = 2 },
    }, list)
  end)

  it("says why a prefix does not name one key", function()
    assert.equal(404, key_maker.not_one("mg-3", 0).status)
    local refusal = key_maker.not_one("mg-3", 2)
    assert.equal(409, refusal.status)
    assert.matches("2 keys", refusal.message, 1, true)
  end)
end)
