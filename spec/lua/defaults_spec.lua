local defaults = require "moongate.defaults"

local function nothing() return nil end

local function fill(given, more)
  more = more or {}
  return defaults.fill(given, more.filename or "/etc/gate/moongate.lua", more.env or nothing,
    { provider = more.provider or nothing, is_folder = more.is_folder })
end

describe("defaults.limits", function()
  it("names a limit as policies read it, however it was written", function()
    local list = defaults.limits { requests_per_day = 5, tokens_per_minute = 9, neurons_per_day = 7 }
    assert.same({ "rpd", "tpm", "neurons_per_day" }, { list[1].name, list[2].name, list[3].name })
  end)
end)

describe("defaults.fill", function()
  it("makes a whole config of nothing", function()
    local config = fill {}
    assert.same({ { addr = "127.0.0.1:8080" } }, config.listen)
    assert.equal("sqlite:/etc/gate/moongate.db", config.store)
    assert.equal("auto-cheapest", config.policy)
    assert.equal("default", config.on_fault)
    assert.equal("keys", config.auth)
    assert.is_false(config.zero_spend)
    assert.is_nil(config.policies)
    assert.same({
      body_bytes = 10485760, policy_ms = 20, policy_mb = 64, header_s = 10, body_s = 30, idle_s = 75, drain_s = 30,
    }, config.limits)
    assert.same({ level = "info", format = "json", prompts = false }, config.log)
    for _, name in ipairs { "providers", "models", "aliases", "keys", "tiers", "orgs", "agents" } do
      assert.same({}, config[name])
    end
  end)

  it("makes a whole provider of a name and a protocol", function()
    local provider = fill({ providers = { p = { protocol = "openai", base_url = "http://x/v1//" } } }).providers.p
    assert.equal("p", provider.name)
    assert.equal("http://x/v1", provider.base_url)
    assert.same({ connect = 5, first_byte = 60, first_content = 60, idle = 60, total = 600 }, provider.timeouts)
    assert.same({ failures = 5, open = 15 }, provider.breaker)
    assert.is_nil(provider.retries)
    assert.same({ "chat" }, provider.formats)
    assert.is_nil(provider.free)
    assert.is_false(provider.is_local)
    assert.same({}, provider.keys)
  end)

  it("opens paths beside the config, and absolute ones as they are", function()
    local given = {
      policies = "mine", store = "sqlite:/var/x.db", providers = { p = { protocol = "mock", ca_file = "ca" } },
    }
    local config = fill(given)
    assert.equal("/etc/gate/mine", config.policies)
    assert.equal("sqlite:/var/x.db", config.store)
    assert.equal("/etc/gate/ca", config.providers.p.ca_file)
    assert.equal("mine", fill(given, { filename = "moongate.lua" }).policies)
  end)

  it("keeps what waits for Redis beside the config, or in the folder that the address names", function()
    local function store(address, more)
      local given = { store = address }
      for name, value in pairs(more or {}) do given[name] = value end
      return fill(given).store
    end
    assert.equal("redis://host:1/2?spool=/etc/gate", store "redis://host:1/2")
    assert.equal("redis://host?spool=.", fill({ store = "redis://host" }, { filename = "moongate.lua" }).store)
    assert.equal("redis://host/0?spool=/etc/gate/waiting", store "redis://host/0?spool=waiting")
    assert.equal("redis:///run/r.sock?db=3&spool=/a%20%25b", store "redis:///run/r.sock?spool=/a%20%25b&db=3")
  end)

  it("takes the policies folder beside the file where there is one", function()
    local asked
    local config = fill({}, { is_folder = function(path)
      asked = path
      return true
    end })
    assert.equal("/etc/gate/policies", asked)
    assert.equal("/etc/gate/policies", config.policies)
  end)

  it("gives keys, aliases and budgets their long forms", function()
    local config = fill {
      keys = { { name = "k", key = "abc", budget = { usd = 1 } } },
      aliases = { a = "m", b = { "m", { model = "n", weight = 2 }, order = true } },
    }
    assert.same({ "*" }, config.keys[1].models)
    assert.equal("month", config.keys[1].budget.window)
    assert.same({ targets = { { model = "m" } }, order = false }, config.aliases.a)
    assert.same({ targets = { { model = "m" }, { model = "n", weight = 2 } }, order = true }, config.aliases.b)
  end)
end)

describe("a provider that moongate knows", function()
  local cloud = {
    name = "cloud", protocol = "openai", base_url = "https://cloud/{account}/v1", variables = { account = "ACCOUNT" },
    env = { "CLOUD_KEY", "CLOUD_TOKEN" }, free = true, quality = 77, limits = { rpm = 5 }, timeouts = { idle = 9 },
  }
  local function provider(given, env)
    return defaults.provider("cloud", given, cloud, function(name) return env and env[name] end, "moongate.lua")
  end

  it("has its address, key, limits and timeouts from the table and the environment", function()
    local filled = provider({}, { ACCOUNT = "me", CLOUD_TOKEN = "t" })
    assert.equal("https://cloud/me/v1", filled.base_url)
    assert.same({ { key = "t" } }, filled.keys)
    assert.equal(77, filled.quality)
    assert.equal(5, filled.limits[1].max)
    assert.equal(9, filled.timeouts.idle)
    assert.equal(5, filled.timeouts.connect)
    assert.is_true(filled.builtin_address)
  end)

  it("is not free as a whole: that is for its models to say", function()
    assert.is_nil(provider({}, { ACCOUNT = "me" }).free)
    assert.is_true(provider({ free = true }, { ACCOUNT = "me" }).free)
  end)

  it("has no limits of its account, and no key of its own, at another address", function()
    local filled = provider({ base_url = "http://127.0.0.1:9" }, { ACCOUNT = "me", CLOUD_KEY = "k" })
    assert.same({}, filled.limits)
    assert.same({}, filled.keys)
    assert.equal("openai", filled.protocol)
    assert.is_false(filled.builtin_address)
  end)

  it("has no address while a part of it is missing", function()
    assert.is_nil(provider({}).base_url)
    assert.equal("ACCOUNT", select(2, defaults.address(cloud, nothing)))
  end)

  it("is the same Ollama by its compatible address", function()
    local ollama = { protocol = "ollama", base_url = "http://127.0.0.1:11434", is_local = true, free = true }
    local here = defaults.provider("ollama", { base_url = "http://127.0.0.1:11434/v1/" }, ollama, nothing, "m.lua")
    assert.same({ "http://127.0.0.1:11434", true }, { here.base_url, here.is_local })
    local compatible = { base_url = "http://127.0.0.1:11434/v1", protocol = "openai" }
    assert.equal("http://127.0.0.1:11434/v1",
      defaults.provider("ollama", compatible, ollama, nothing, "m.lua").base_url)
  end)

  it("has the address of another protocol that it speaks, and its key and limits there", function()
    local two = { name = "cloud", protocol = "openai", base_url = "https://cloud/v1", env = "CLOUD_KEY",
      limits = { rpm = 5 }, addresses = { anthropic = "https://cloud/anthropic" }, quirks = { drop = { "a" } } }
    local function fill_two(given)
      return defaults.provider("cloud", given, two, function() return "k" end, "moongate.lua")
    end
    local other = fill_two { protocol = "anthropic" }
    assert.equal("https://cloud/anthropic", other.base_url)
    assert.same({ true, "k", 5 }, { other.builtin_address, other.keys[1].key, other.limits[1].max })
    assert.equal("https://cloud/v1", fill_two({ protocol = "openai" }).base_url)
    assert.equal("https://cloud/v1", fill_two({ protocol = "mine" }).base_url)
    assert.equal("http://x", fill_two({ protocol = "anthropic", base_url = "http://x" }).base_url)
    assert.equal("https://cloud/v1", two.base_url)
  end)

  it("speaks both of OpenAI's formats where its table says so, but not at another address", function()
    local two = { protocol = "openai", base_url = "https://cloud/v1", formats = { "chat", "responses" } }
    local function formats(given) return defaults.provider("cloud", given, two, nothing, "moongate.lua").formats end
    assert.same({ "chat", "responses" }, formats {})
    assert.same({ "chat" }, formats { base_url = "http://x" })
    assert.same({ "responses" }, formats { formats = { "responses" } })
  end)

  it("keeps its quirks apart from those of the config", function()
    local odd = { protocol = "openai", base_url = "https://cloud/v1", quirks = { drop = { "a" } } }
    local function quirks(given) return defaults.provider("cloud", given, odd, nothing, "moongate.lua").quirks end
    assert.is_nil(quirks {})
    assert.same({ drop = { "a", "b" }, prefix = "p" }, quirks { quirks = { drop = { "b" }, prefix = "p" } })
    assert.same({ drop = { "b" } }, quirks { protocol = "gemini", quirks = { drop = { "b" } } })
    assert.same({ drop = { "a" } }, odd.quirks)
  end)

  it("is free and local as a whole where it runs on this machine", function()
    local ollama = { protocol = "ollama", base_url = "http://127.0.0.1:11434", is_local = true, free = true }
    local here = defaults.provider("ollama", {}, ollama, nothing, "moongate.lua")
    assert.is_true(here.is_local)
    assert.is_true(here.free)
    local there = defaults.provider("ollama", { base_url = "http://box:11434" }, ollama, nothing, "moongate.lua")
    assert.is_false(there.is_local)
  end)
end)

describe("defaults.limits", function()
  it("lists limits in the order of their names, others last", function()
    assert.same({
      { name = "rpm", metric = "requests", window = "minute", max = 30 },
      { name = "tpd", metric = "tokens", window = "day", max = 5, zone = "America/Los_Angeles" },
      { name = "neurons_per_day", metric = "neurons", window = "day", max = 7, sliding = true },
    }, defaults.limits { neurons_per_day = { 7, sliding = true }, tpd = { 5, zone = "America/Los_Angeles" }, rpm = 30 })
    assert.same({}, defaults.limits(nil))
  end)
end)
