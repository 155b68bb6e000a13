local config = require "moongate.config"

local builtin = {
  groq = {
    name = "groq", protocol = "openai", base_url = "https://api.groq.com/openai/v1", env = "GROQ_API_KEY",
    models = { { id = "llama-3.3-70b" } },
  },
  gemini = {
    name = "gemini", protocol = "gemini", base_url = "https://gemini/v1beta", env = "GEMINI_API_KEY", models = {},
  },
}

local known = {
  protocols = { openai = true, mock = true, gemini = true, ollama = true },
  provider = function(name) return builtin[name] end, providers = { "gemini", "groq" },
}

local function load(text, env, more)
  local there = setmetatable(more or {}, { __index = known })
  return config.load(text, "moongate.lua", function(name) return env and env[name] end, there)
end

-- The messages of a config that must not load.
local function wrong(text, env, more)
  local loaded, problems = load(text, env, more)
  assert.is_nil(loaded)
  local messages = {}
  for i, problem in ipairs(problems) do messages[i] = config.message(problem) end
  return messages
end

local whole = [[
return {
  listen   = { "127.0.0.1:8080", { addr = "[::1]:8443", cert = "tls/cert.pem", key = "/etc/tls/key.pem" } },
  workers  = 2,
  store    = "sqlite:moongate.db",
  policies = "policies",
  policy   = "auto-cheapest",
  zero_spend = false,
  auth     = "keys",
  admin_token = env "MOONGATE_ADMIN_TOKEN",
  premium_baseline = "gpt-4o",
  limits   = { body_bytes = 10 * 1024 * 1024, policy_ms = 20, policy_mb = 64 },
  providers = {
    groq = { protocol = "openai", base_url = "https://api.groq.com/openai/v1", api_key = env "GROQ_API_KEY",
             free = true, quality = 90, limits = { rpm = 30, rpd = 1000, tpm = 6000 }, pool = "groq-account",
             timeouts = { connect = 5, first_byte = 30, first_content = 60, idle = 30 }, retries = 1,
             breaker = { failures = 3 }, checker = { "openrouter", interval = 60 } },
    gemini = { protocol = "gemini", api_keys = { env "GEMINI_KEY_1", { env "GEMINI_KEY_2", pool = "project-2" } },
             limits = { rpm = 15, rpd = { 1000, zone = "America/Los_Angeles" }, neurons_per_day = 10000 } },
    ollama = { protocol = "ollama", base_url = "http://127.0.0.1:11434/", is_local = true },
  },
  models = {
    { id = "llama-3.3-70b", provider = "groq", upstream_id = "llama-3.3-70b-versatile", aliases = { "fast" },
      cost = { input = 0.59, output = 0.79, cached_input = 0.30 },
      context_length = 131072, max_output = 32768, strengths = { "chat", "coding" }, quality = 80, latency_ms = 300,
      tools = true, vision = false, free = true, priority = 50, limits = { rpd = 250 } },
  },
  aliases = { ["gpt-4"] = { { model = "llama-3.3-70b", weight = 3 }, { model = "other", weight = 1 } } },
  keys  = { { name = "dev", key = env "DEV_KEY", org = "acme", tier = "pro", models = { "*" }, rpm = 60,
              budget = { usd = 10, window = "month" }, policy = "free-tier" } },
  tiers = { free = { models = { "*:free" }, budget = { billed_tokens = 1e6, window = "month" } }, pro = {} },
  orgs = { acme = { budget = { usd = 100, window = "day" } } },
  agents = { triage = { system = "You sort tickets.", model = "fast", max_tokens = 300, timeout_secs = 30 } },
}]]

local set = setmetatable({}, { __index = function(_, name) return "value-of-" .. name end })

describe("config.load", function()
  it("loads a config with everything in it", function()
    local loaded, problems = load(whole, set)
    assert.is_nil(problems and config.message(problems[1]))
    assert.equal("value-of-GROQ_API_KEY", loaded.providers.groq.keys[1].key)
    assert.same({ key = "value-of-GEMINI_KEY_2", pool = "project-2" }, loaded.providers.gemini.keys[2])
    assert.same({ name = "openrouter", interval = 60 }, loaded.providers.groq.checker)
    assert.same({ failures = 3, open = 15 }, loaded.providers.groq.breaker)
    assert.same({ targets = { { model = "groq/llama-3.3-70b" } }, order = false }, loaded.aliases.fast)
    assert.equal("http://127.0.0.1:11434", loaded.providers.ollama.base_url)
    assert.same({ "rpm", "rpd", "neurons_per_day" },
      { loaded.providers.gemini.limits[1].name, loaded.providers.gemini.limits[2].name,
        loaded.providers.gemini.limits[3].name })
    assert.equal("America/Los_Angeles", loaded.providers.gemini.limits[2].zone)
  end)

  it("says file, line, key and the nearest valid key", function()
    assert.same({ 'moongate.lua:3: providers.groq.base_ur: unknown key (did you mean "base_url"?)' }, wrong [[
return { providers = {
  groq = {
    base_ur = "https://x", base_url = "https://y/v1",
  } } }]])
  end)

  it("finds everything that is wrong at once, and no echo of it", function()
    assert.same({
      'moongate.lua:2: listn: unknown key (did you mean "listen"?)',
      'moongate.lua:2: workers: must be a whole number, not a string',
      'moongate.lua:4: providers.a.base_url: must be an http:// or https:// address without a query',
      'moongate.lua:4: providers.a.limits.rmp: unknown limit (did you mean "rpm"?); there are rps, rpm, rph, rpd, '
        .. 'rpmonth, tps, tpm, tph, tpd, tpmonth and <unit>_per_<window>',
      'moongate.lua:5: providers.b.protocol: there is no protocol "opnai" (did you mean "openai"?); there are: '
        .. 'gemini, mock, ollama, openai',
      'moongate.lua:7: models[1].provider: there is no provider "c" (did you mean "a"?)',
      'moongate.lua:9: keys[1].tier: there is no tier "gold" (did you mean "god"?)',
    }, wrong [[
return {
  listn = "x", workers = "two",
  providers = {
    a = { protocol = "openai", base_url = "ftp://x", limits = { rmp = 3 } },
    b = { protocol = "opnai", base_url = "http://x" },
  },
  models = { { id = "m", provider = "c" } },
  tiers = { god = {} },
  keys = { { name = "k", key = "secret", tier = "gold" } },
}]])
  end)

  it("names every missing variable and the key it was for, and never shows a value", function()
    local messages = wrong(whole, { DEV_KEY = "topsecret" })
    assert.equal(4, #messages)
    assert.matches("^moongate.lua:9: admin_token: environment variable MOONGATE_ADMIN_TOKEN is not set", messages[1])
    assert.matches("providers.gemini.api_keys%[2%]%[1%]: environment variable GEMINI_KEY_2", messages[4])
    assert.is_nil(string.find(table.concat(messages), "topsecret", 1, true))
  end)

  it("takes a default for a variable, nil too, and an empty variable as unset", function()
    local loaded = assert(load([[
return { admin_token = env("TOKEN", "token"), store = env("STORE", nil), policy = env("POLICY", "balanced") }]],
      { POLICY = "" }))
    assert.equal("token", loaded.admin_token)
    assert.equal("sqlite:moongate.db", loaded.store)
    assert.equal("balanced", loaded.policy)
  end)

  it("takes origins as browsers send them, and says what is none", function()
    assert.same({ origins = { "*" } }, assert(load 'return { cors = { origins = "*" } }').cors)
    assert.same({ origins = { "https://app.example", "http://localhost:3000" } },
      assert(load 'return { cors = { origins = { "https://app.example", "http://localhost:3000" } } }').cors)
    assert.is_nil(assert(load "return {}").cors)
    assert.same({ "moongate.lua:1: cors: needs the key origins" }, wrong "return { cors = {} }")
    assert.same({ "moongate.lua:1: cors.origins: must not be empty" }, wrong "return { cors = { origins = {} } }")
    for _, origin in ipairs { "app.example", "https://app.example/", "https://App.example", "https://a b" } do
      assert.matches("^moongate.lua:1: cors.origins%[1%]: must be an origin as browsers send it",
        wrong(('return { cors = { origins = { "%s" } } }'):format(origin))[1])
    end
  end)

  it("knows no function but env", function()
    assert.same({ 'moongate.lua:1: a config knows no "os": it is data, and env "NAME" its only function' },
      wrong "return { store = os.getenv 'X' }")
    assert.same({ 'moongate.lua:1: "x" is set as a global: write local x' }, wrong "x = 1 return {}")
    assert.same({ "moongate.lua:1: store: must be a string, not a function" }, wrong "return { store = env }")
  end)

  it("stops a file that runs for ever", function()
    assert.same({ "moongate.lua:1: runs too long: a config is data" }, wrong "while true do end")
  end)

  it("says where the syntax is wrong, and wants a table", function()
    assert.matches("^moongate.lua:2: unexpected symbol near", wrong("return {\n  = 1 }")[1])
    assert.same({ "moongate.lua: must return a table: return { providers = { ... } }" }, wrong "return 5")
    assert.equal(1, #wrong(string.dump(function() return {} end)))
  end)

  it("allows no keys on loopback listeners only", function()
    for _, address in ipairs { "127.0.0.1:80", "127.9.9.9:80", "localhost:80", "[::1]:80" } do
      assert.is_table((load('return { auth = "none", listen = "' .. address .. '" }')))
    end
    for _, address in ipairs { "0.0.0.0:80", "[::]:80", "*:80", "10.0.0.1:80", "127.0.0.1.example.com:80" } do
      assert.same({ 'moongate.lua:1: auth: "none" is allowed on loopback listeners only, and listen has ' .. address },
        wrong('return { auth = "none", listen = "' .. address .. '" }'))
    end
  end)

  it("refuses addresses, stores and names that cannot be", function()
    for _, text in ipairs {
      'listen = "8080"', 'listen = "127.0.0.1:70000"', 'listen = {}',
      'listen = { { addr = "127.0.0.1:1", cert = "c" } }',
      'store = "postgres://x"', 'store = "sqlite:"', 'workers = 0', 'workers = 1.5', 'auth = "some"',
      'on_fault = "panic"', 'limits = { body_bytes = 1 }', 'log = { level = "loud" }',
      'providers = { ["a/b"] = { protocol = "mock" } }', 'providers = { a = { protocol = "mock", quality = 101 } }',
      'providers = { a = { protocol = "mock", api_key = "a\\nb" } }', 'providers = { a = {} }',
      'providers = { a = { protocol = "openai" } }', 'providers = { a = { protocol = "mock", retries = -1 } }',
      'providers = { a = { protocol = "mock", api_keys = {} } }', 'providers = { a = { like = "grok" } }',
      'providers = { a = { protocol = "mock", api_key = "x", api_keys = { "y" } } }',
      'providers = { a = { protocol = "mock", headers = { ["x y"] = "z" } } }',
      'providers = { a = { protocol = "mock", limits = { rpd = { zone = "UTC" } } } }',
      'providers = { a = { protocol = "mock", mock = { f = env } } }',
      'models = { { id = "m" } }', 'models = { { id = "auto", provider = "p" } }', 'models_table = {}',
      'models_table = { sqlite = "a" }', 'models_table = { csv = "a", table = "t" }',
      'models_table = { csv = "a", sqlite = "b", table = "t" }',
      'aliases = { auto = { { model = "m" } } }', 'aliases = { a = {} }', 'aliases = { a = { { weight = 1 } } }',
      'keys = { { name = "k" } }', 'keys = { { name = "k", key = "abc", key_hash = "abc" } }',
      'keys = { { name = "k", key = "abc", budget = { window = "day" } } }',
      'keys = { { name = "k", key = "abc" }, { name = "k", key = "abd" } }',
      'tiers = { t = { budget = { usd = 1, window = "year" } } }', 'agents = { a = { modle = "x" } }',
      'sync = { url = "http://a/b" }', 'sync = { { format = "litellm" } }', 'sync = { { url = "ftp://a/b" } }',
      'sync = { { url = "http://a/b", format = "csv" } }', 'sync = { { url = "http://a/b", interval = 1 } }',
      'price_alert = 0.5',
    } do
      assert.is_nil((load("return { " .. text .. " }")), text)
    end
  end)

  it("wants the key of a provider at its usual address", function()
    assert.same({ "moongate.lua:1: providers.groq: needs an api_key (or the environment variable GROQ_API_KEY)" },
      wrong "return { providers = { groq = {} } }")
    local loaded = load("return { providers = { groq = {} } }", set)
    assert.equal("value-of-GROQ_API_KEY", loaded.providers.groq.keys[1].key)
  end)

  it("sends no usual key to another address", function()
    local loaded = load('return { providers = { groq = { base_url = "http://127.0.0.1:9/v1" } } }', set)
    assert.same({}, loaded.providers.groq.keys)
  end)

  it("finds aliases and agents that lead nowhere, where all models are known", function()
    assert.same({
      'moongate.lua:2: aliases.x[1].model: there is no model "lama" (did you mean "llama"?)',
      'moongate.lua:3: agents.a.model: there is no model "nobody"',
    }, wrong [[return { providers = { p = { protocol = "mock" } }, models = { { id = "llama", provider = "p" } },
      aliases = { x = "lama" },
      agents = { a = { model = "nobody" }, b = { model = "x" }, c = { model = "auto" } } }]])
  end)

  it("finds policies and time zones that are not there, where it is told which are", function()
    local more = {
      policies = function(folder) return folder == "mine" and { "auto-cheapest", "free-tier" } or nil end,
      is_zone = function(name) return name == "UTC" end,
    }
    assert.same({
      'moongate.lua:1: policy: there is no routing policy "free-teir" (did you mean "free-tier"?)',
      'moongate.lua:2: providers.p.limits.rpd.zone: this system has no time zone "Mars/Base"',
    }, wrong([[return { policies = "mine", policy = "free-teir", providers = { p = { protocol = "mock",
      limits = { rpm = { 3, zone = "UTC" }, rpd = { 1, zone = "Mars/Base" } } } } }]], nil, more))
  end)
end)

describe("a value of the environment", function()
  it("is in no message, be it where a name belongs", function()
    local text = 'return { policy = env "A", aliases = { [env "A"] = env "A" }, models = { { id = "m",\n'
      .. 'provider = env "A" } }, zero_spend = env "A", store = env "A" }'
    local messages = table.concat(wrong(text, { A = "the secret" }), "\n")
    assert.matches('models[1].provider: there is no provider "***"', messages, 1, true)
    assert.is_nil(messages:find("the secret", 1, true))
  end)
end)

describe("a config of values without keys", function()
  it("is told so, and does not break the loading", function()
    assert.matches("moongate.lua:1: [1]: a value without a key", wrong('return { "x" }')[1], 1, true)
  end)
end)

describe("config.message", function()
  it("leaves out what is not known", function()
    assert.equal("f.lua: wrong", config.message { file = "f.lua", message = "wrong" })
    assert.equal("f.lua:3: wrong", config.message { file = "f.lua", line = 3, message = "wrong" })
  end)
end)

describe("the quickstart's config", function()
  it("loads, without any variable", function()
    local file = assert(io.open "examples/quickstart/moongate.lua")
    local text = file:read "*a"
    file:close()
    local loaded, problems = config.load(text, "examples/quickstart/moongate.lua", function() return nil end)
    assert.is_nil(problems and config.message(problems[1]))
    assert.equal("none", loaded.auth)
    assert.equal("memory:", loaded.store)
    assert.equal("examples/quickstart/../../policies", loaded.policies)
  end)
end)
