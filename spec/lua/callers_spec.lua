-- Who calls: where a key may stand, whose it is, what it brings along, and when it stops working.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("a caller", function()
  local core, callers

  before_each(function()
    core = fakes.install()
    callers = require "moongate.callers"
  end)
  after_each(function() core.restore() end)

  local function config(more)
    local given = {
      auth = "keys",
      keys = {
        { name = "dev", key = "the-key", org = "acme", tier = "pro", models = { "a*" }, rpm = 60, policy = "mine" },
        { name = "plain", key = "plain-key" },
      },
      tiers = { pro = { policy = "balanced", tpm = 900, privacy = true, models = { "*:free" },
        budget = { usd = 5, window = "month" }, rpm = 10 } },
    }
    for name, value in pairs(more or {}) do given[name] = value end
    return given
  end

  local function of(headers, query, more)
    return callers.new(config(more)):of(fakes.handle { headers = headers, query = query })
  end

  -- title, headers, query
  for _, case in ipairs {
    { "as a bearer", { authorization = "Bearer the-key" } },
    { "as a bearer however it is spelt", { authorization = "bEARER   the-key " } },
    { "in x-api-key", { ["x-api-key"] = "the-key" } },
    { "in x-goog-api-key", { ["x-goog-api-key"] = "the-key" } },
    { "in ?key=", {}, "alt=sse&key=the-key" },
    { "in ?key=, escaped", {}, "key=the%2Dkey&x=1" },
    { "behind an authorization of another kind", { authorization = "Basic abc", ["x-api-key"] = "the-key" } },
  } do
    it("is known by a key " .. case[1], function()
      assert.equal("dev", of(case[2], case[3]).name)
    end)
  end

  it("is told by the bearer where several keys are sent", function()
    assert.equal("plain", of({ authorization = "Bearer plain-key", ["x-api-key"] = "the-key" }, "key=the-key").name)
  end)

  it("is refused without a key, and told how to send one", function()
    for _, query in ipairs { "", "monkey=the-key" } do
      local caller, refusal = of({}, query)
      assert.is_nil(caller)
      assert.same({ 401, "missing_api_key" }, { refusal.status, refusal.code })
      assert.matches("Authorization: Bearer KEY", refusal.message, 1, true)
    end
  end)

  it("is refused with a key that nobody has, which the refusal does not repeat", function()
    for _, secret in ipairs { "nobodys", "the-key2", "the-ke", "THE-KEY", "the-key:", ":x", "the-key:a b" } do
      local caller, refusal = of { ["x-api-key"] = secret }
      assert.is_nil(caller)
      assert.same({ status = 401, message = "unknown API key" }, refusal)
    end
  end)

  it("has its own settings before those of its tier", function()
    local caller = of { ["x-api-key"] = "the-key" }
    assert.same({ "dev", "config:dev", "acme", "pro", "", "mine", true },
      { caller.name, caller.key_id, caller.org, caller.tier, caller.label, caller.policy, caller.privacy })
    assert.same({ { "a*" }, { "*:free" } }, { caller.models, caller.tier_models })
  end)

  it("is held by its own limits and by those of its tier, whichever are lower", function()
    local caller = of { ["x-api-key"] = "the-key" }
    assert.same({ 10, 900, { rpm = true, tpm = true } }, { caller.rpm, caller.tpm, caller.by_tier })
    assert.is_nil(caller.budget)
    assert.same({ usd = 5, window = "month" }, caller.tier_budget)
    local own = { usd = 1, window = "day" }
    local keys = { { name = "low", key = "low-key", tier = "pro", rpm = 5, tpm = 800, budget = own } }
    caller = of({ ["x-api-key"] = "low-key" }, nil, { keys = keys })
    assert.same({ 5, 800, {}, own, { usd = 5, window = "month" } },
      { caller.rpm, caller.tpm, caller.by_tier, caller.budget, caller.tier_budget })
  end)

  it("may be less private than its tier, if its key says so", function()
    local keys = { { name = "open", key = "open-key", tier = "pro", privacy = false } }
    assert.is_false(of({ ["x-api-key"] = "open-key" }, nil, { keys = keys }).privacy)
  end)

  it("without org, tier and limits has none", function()
    local caller = of { ["x-api-key"] = "plain-key" }
    assert.same({ "", "", "", { "*" }, false },
      { caller.org, caller.tier, caller.label, caller.models, caller.privacy })
    assert.is_nil(caller.rpm or caller.tpm or caller.budget or caller.policy or caller.tier_models)
  end)

  it("is known by the hash of a key in hexadecimal digits, in either case", function()
    local hash = string.gsub(string.sub("hidden" .. string.rep("#", 32), 1, 32), ".", function(byte)
      return string.format("%02x", string.byte(byte))
    end)
    for _, digits in ipairs { hash, string.upper(hash) } do
      local caller = of({ ["x-api-key"] = "hidden" }, nil, { keys = { { name = "h", key_hash = digits } } })
      assert.equal("h", caller.name)
    end
  end)

  describe("with a label behind the key", function()
    it("is the same caller with that label", function()
      local known = callers.new(config())
      local caller = known:of(fakes.handle { headers = { authorization = "Bearer the-key:team.a_1-x" } })
      assert.same({ "dev", "team.a_1-x", 10 }, { caller.name, caller.label, caller.rpm })
      assert.equal("", known:of(fakes.handle { headers = { authorization = "Bearer the-key" } }).label)
    end)

    it("goes by the whole secret first: a key may hold a colon", function()
      local keys = { { name = "short", key = "k" }, { name = "long", key = "k:x" } }
      local caller = of({ ["x-api-key"] = "k:x" }, nil, { keys = keys })
      assert.same({ "long", "" }, { caller.name, caller.label })
      caller = of({ ["x-api-key"] = "k:x:y" }, nil, { keys = keys })
      assert.same({ "long", "y" }, { caller.name, caller.label })
    end)

    it("is refused if the label is longer than 64", function()
      assert.equal("dev", of({ ["x-api-key"] = "the-key:" .. string.rep("x", 64) }).name)
      assert.is_nil((of { ["x-api-key"] = "the-key:" .. string.rep("x", 65) }))
    end)
  end)

  describe("of a stored key", function()
    local known

    local function ask(secret) return known:of(fakes.handle { headers = { ["x-api-key"] = secret } }) end
    local function store(secret, settings)
      core.stored[string.sub(secret .. string.rep("#", 32), 1, 32)] = settings and json.encode(settings)
    end

    before_each(function()
      known = callers.new(config())
      store("mg-one", { id = "mg-one000", name = "one", org = "acme", tier = "pro", rpm = 7 })
    end)

    it("is read from the store once, with the limits of its tier", function()
      local caller = ask "mg-one"
      assert.same({ "one", "mg-one000", 7, 900 }, { caller.name, caller.key_id, caller.rpm, caller.tpm })
      assert.equal(caller, ask "mg-one")
      assert.equal(1, #core.of "keys.find")
    end)

    it("is known with a label too", function()
      assert.same({ "one", "ci" }, { ask("mg-one:ci").name, ask("mg-one:ci").label })
    end)

    it("stops working as soon as the keys have changed", function()
      assert.equal("one", ask("mg-one").name)
      store("mg-one", nil)
      core.generation = 2
      local caller, refusal = ask "mg-one"
      assert.is_nil(caller)
      assert.equal(401, refusal.status)
    end)

    it("works as soon as it was created, also where it was asked for before", function()
      assert.is_nil((ask "mg-two"))
      assert.is_nil((ask "mg-two"))
      assert.equal(1, #core.of "keys.find")
      store("mg-two", { name = "two" })
      core.generation = 2
      assert.equal("two", ask("mg-two").name)
      assert.equal("two", ask("mg-two").key_id)
    end)

    it("is found again after more wrong keys than are remembered", function()
      for i = 1, 10002 do ask("wrong" .. i) end
      assert.is_true(known.cached <= 10001)
      assert.equal("one", ask("mg-one").name)
    end)
  end)

  describe("where no keys are needed", function()
    it("is anonymous, whatever it sends", function()
      for _, headers in ipairs { {}, { authorization = "Bearer sk-whatever" } } do
        local caller = of(headers, nil, { auth = "none", keys = {} })
        assert.same({ "anonymous", "anonymous", "", { "*" } },
          { caller.name, caller.key_id, caller.org, caller.models })
      end
    end)

    it("is still known by a key that there is", function()
      assert.equal("dev", of({ ["x-api-key"] = "the-key" }, nil, { auth = "none" }).name)
    end)
  end)

  it("is the admin with the admin token only", function()
    local known = callers.new(config { admin_token = "root" })
    local function is_admin(headers) return known:is_admin(fakes.handle { headers = headers }) end
    assert.is_true(is_admin { authorization = "Bearer root" })
    assert.is_true(is_admin { ["x-api-key"] = "root" })
    assert.is_false(is_admin { authorization = "Bearer the-key" })
    assert.is_false(is_admin {})
    assert.is_nil((known:of(fakes.handle { headers = { authorization = "Bearer root" } })))
  end)

  it("is never the admin where there is no admin token", function()
    local known = callers.new(config())
    assert.is_false(known:is_admin(fakes.handle {}))
    assert.is_false(known:is_admin(fakes.handle { headers = { ["x-api-key"] = "" } }))
  end)
end)
