local crosscheck = require "moongate.crosscheck"
local defaults = require "moongate.defaults"

local function faults(given, more)
  local found, known = {}, more or {}
  known.protocols = known.protocols or { mock = true, openai = true }
  known.provider, known.providers = known.provider or function() end, known.providers or {}
  known.env = function() end
  local config = defaults.fill(given, "moongate.lua", known.env, known)
  local function report(path, message) found[#found + 1] = path .. ": " .. message end
  if crosscheck.run(given, config, known, report) then crosscheck.names(config, known, report) end
  table.sort(found)
  return found
end

describe("crosscheck.run", function()
  it("finds nothing where all is well", function()
    assert.same({}, faults {
      providers = { p = { protocol = "mock" } }, models = { { id = "m", provider = "p" } }, aliases = { a = "m" },
      tiers = { t = {} }, keys = { { name = "k", key = "abc", tier = "t" } },
    })
  end)

  it("names a provider that a model has and the config has not", function()
    assert.same({ 'models[1].provider: there is no provider "grok" (did you mean "groq"?)' }, faults {
      providers = { groq = { protocol = "mock" } }, models = { { id = "m", provider = "grok" } },
    })
  end)

  it("names a model that is there twice", function()
    assert.same({ 'models[2].id: "m" is there twice at p (first as models[1])' }, faults {
      providers = { p = { protocol = "mock" } },
      models = { { id = "m", provider = "p" }, { id = "m", provider = "p" } },
    })
  end)

  it("calls no name dangling while a provider's models are not known", function()
    assert.same({}, faults {
      providers = { p = { protocol = "openai", base_url = "http://x" } }, aliases = { a = "anything" },
    })
  end)

  it("accepts a protocol of the operator's own", function()
    local given = { providers = { p = { protocol = "mine", base_url = "http://x" } } }
    assert.same({ 'providers.p.protocol: there is no protocol "mine"; there are: mock, openai' }, faults(given))
    assert.same({}, faults(given, { protocols = { mine = true } }))
  end)

  it("names a checker that is not there, with the nearest name, and what one lacks", function()
    local function of(checker, more)
      return faults({ providers = { p = { protocol = "mock", checker = checker } } }, more)[1]
    end
    assert.matches('^providers.p.checker: there is no checker "openruter" %(did you mean "openrouter"%?%); there are: ',
      of "openruter")
    assert.equal("providers.p.checker: the checker minimax needs groupid", of { "minimax" })
    assert.is_nil(of { "minimax", groupid = 7 })
    assert.equal('providers.p.checker: needs the name of a checker first, like { "openrouter", interval = 60 }',
      of { interval = 60 })
    assert.is_nil(of("minimax", { own_checkers = function() return { "minimax" } end }))
    assert.is_nil(of("mine", { own_checkers = function() return { "mine" } end }))
  end)

  it("says which variable an address lacks", function()
    local cloud = { protocol = "openai", base_url = "https://{account}.x", variables = { account = "ACCOUNT" } }
    assert.same({ "providers.cloud: needs a base_url (or the environment variable ACCOUNT)" },
      faults({ providers = { cloud = {} } }, { provider = function() return cloud end }))
  end)
end)

describe("crosscheck.is_loopback", function()
  it("tells this machine from the rest of the world", function()
    for _, here in ipairs { "127.0.0.1:1", "127.1.2.3:1", "localhost:1", "[::1]:1" } do
      assert.is_true(crosscheck.is_loopback(here), here)
    end
    for _, there in ipairs { "0.0.0.0:1", "[::]:1", "127.0.0.1.evil.org:1", "localhost.evil.org:1", "nonsense" } do
      assert.is_false(crosscheck.is_loopback(there), there)
    end
  end)
end)
