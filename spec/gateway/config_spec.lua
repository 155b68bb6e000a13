-- What is wrong with a config is said in one sentence, and the gateway does not start.
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

-- One of the mistakes: `serve` must exit with 1 and one line that holds every one of `words`.
local function refuse(text, words, options)
  options = options or {}
  options.config = text
  local moongate = gateway.prepare(options)
  local status, _, errors = moongate:command(options.verb or "serve", unpack(options.arguments or {}))
  process.remove(moongate.folder)
  assert.equal(options.status or 1, status, errors)
  for _, word in ipairs(words) do assert.matches(word, errors, 1, true) end
  local _, lines = errors:gsub("[^\n]+", "")
  assert.equal(1, lines, errors)
end

local mock = 'providers = { demo = { protocol = "mock" } }, models = { { id = "echo", provider = "demo" } }'
local function with(text) return ('return { listen = "127.0.0.1:0", store = "memory:", %s, %s }'):format(mock, text) end

describe("a config", function()
  after_each(gateway.stop_all)

  for title, row in pairs {
    ["with an unknown key names the nearest"] = { with 'polcy = "balanced"', { "polcy", "policy", "moongate.lua" } },
    ["with an unknown key in a provider names the nearest"] = {
      'return { providers = { demo = { protocol = "openai", base_ulr = "http://127.0.0.1/v1" } } }',
      { "providers.demo", "base_ulr", "base_url" } },
    ["with a wrong type names the key"] = { with 'workers = "two"', { "workers", "number" } },
    ["with a wrong type deep inside names its path"] = {
      with 'limits = { body_bytes = "10 MB" }', { "limits.body_bytes", "number" } },
    ["with a model of no provider names both"] = {
      'return { providers = { demo = { protocol = "mock" } }, models = { { id = "m", provider = "dmo" } } }',
      { "dmo", "demo" } },
    ["with an alias to no model names it"] = { with 'aliases = { fast = { { model = "ecko" } } }', { "ecko", "echo" } },
    ["with an unknown protocol names the nearest"] = {
      'return { providers = { demo = { protocol = "opnai", base_url = "http://127.0.0.1/v1" } } }',
      { "opnai", "openai" } },
    ["with a base_url that is none says so"] = {
      'return { providers = { demo = { protocol = "openai", base_url = "localhost" } } }', { "base_url", "demo" } },
    ["with an unknown policy names the nearest"] = { with 'policy = "balansed"', { "balansed", "balanced" } },
    ["with an unset environment variable names it"] = {
      with 'admin_token = env "MOONGATE_SPEC_UNSET"', { "MOONGATE_SPEC_UNSET" } },
    ["with a syntax error names file and line"] = { "return {\n  listen = \n}\n", { "moongate.lua:3" } },
    ["that returns no table says so"] = { "return 17\n", { "moongate.lua", "table" } },
    ["that reaches for the machine names the line"] = {
      'os.execute("true")\nreturn {}\n', { "moongate.lua:1" } },
    ["that loops for ever is stopped"] = { "while true do end\n", { "moongate.lua" } },
    ["without authentication on an open address is refused"] = {
      ('return { listen = "0.0.0.0:0", auth = "none", store = "memory:", %s }'):format(mock), { "auth", "0.0.0.0" } },
    ["with an unknown store says which there are"] = {
      ('return { listen = "127.0.0.1:0", store = "mysql:x", %s }'):format(mock), { "store", "sqlite:FILE" } },
    ["with an address that is none says so"] = {
      ('return { listen = "8080:localhost", store = "memory:", %s }'):format(mock), { "listen", "127.0.0.1:8080" } },
    ["with a policies folder that is missing names it"] = { with 'policies = "my-policies"', { "my-policies" } },
    ["with two keys of one name says so"] = {
      with 'keys = { { name = "twin", key = "key-1" }, { name = "twin", key = "key-2" } }', { "keys[2]", "twin" } },
  } do
    it(title, function() refuse(row[1], row[2]) end)
  end

  it("is judged by `moongate check` without starting anything", function()
    refuse(with 'polcy = "balanced"', { "polcy", "policy", "moongate.lua" }, { verb = "check" })
    local moongate = gateway.prepare { config = with 'policies = "policies", policy = "mine"',
      policies = { ["routing/mine.lua"] = "return function(_, candidates) return candidates end\n" } }
    local status, output, errors = moongate:command "check"
    assert.equal(0, status, output .. errors)
    moongate:write("policies/routing/mine.lua", "return function(_, candidates)\n  return candidates +\nend\n")
    status, output, errors = moongate:command "check"
    assert.equal(1, status)
    assert.matches("routing/mine.lua:3: ", output .. errors, 1, true)
  end)

  it("that is missing is named", function()
    refuse(nil, { "nowhere.lua" }, { arguments = { "-c", "nowhere.lua" } })
  end)

  it("is not asked for what the command line does not know", function()
    refuse(with "", { "--colour" }, { arguments = { "--colour" }, status = 2 })
    local moongate = gateway.prepare { config = with "" }
    local status, _, errors = moongate:command("sevre")
    assert.equal(2, status)
    assert.matches("sevre", errors, 1, true)
    assert.matches("--help", errors, 1, true)
  end)

  it("may take the environment, with a default", function()
    local moongate = gateway.start {
      config = ([[return { listen = "127.0.0.1:0", auth = "none", store = env("SPEC_STORE", "memory:"),
        admin_token = env "SPEC_TOKEN", %s }]]):format(mock),
      env = { SPEC_TOKEN = "token-from-the-environment" },
    }
    assert.equal(200, moongate:chat({ model = "echo" }).status)
    assert.equal(200, moongate:request({ path = "/v1/limits", key = "token-from-the-environment" }).status)
  end)

  it("may name several addresses, and the command line others", function()
    local moongate = gateway.start {
      config = { listen = { "127.0.0.1:0", "127.0.0.1:0" }, providers = { demo = { protocol = "mock" } },
        models = { { id = "echo", provider = "demo" } } },
    }
    local addresses = {}
    wait.until_(function()
      addresses = {}
      for _, line in ipairs(moongate:log()) do
        if line.message == "listening" then addresses[line.address] = true end
      end
      return next(addresses, next(addresses))
    end, "both addresses")
    for address in pairs(addresses) do
      moongate.address = address
      assert.equal(200, moongate:chat({ model = "echo" }).status)
    end
  end)

  it("is reloaded by SIGHUP, and a bad one changes nothing", function()
    local upstream = provider.open()
    local function config(id)
      return ([[return { listen = "127.0.0.1:0", auth = "none", store = "memory:",
        providers = { acme = { protocol = "openai", base_url = "%s", api_key = "sk" } },
        models = { { id = "%s", provider = "acme" } } }]]):format(upstream.base_url, id)
    end
    local moongate = gateway.start { config = config "before" }
    moongate:write("moongate.lua", config "after")
    moongate.process:kill("HUP")
    wait.until_(function()
      for _ = 1, 8 do
        if moongate:chat({ model = "after" }).status ~= 200 then return false end
      end
      return moongate:chat({ model = "before" }).status == 404
    end, "the new config")
    moongate:write("moongate.lua", "return { polcy = 1 }")
    moongate.process:kill("HUP")
    wait.until_(function() return moongate:errors():find("polcy", 1, true) end, "the complaint")
    assert.equal(200, moongate:chat({ model = "after" }).status)
  end)
end)

describe("without any config", function()
  after_each(gateway.stop_all)

  it("the gateway knows the providers whose keys the environment has", function()
    local moongate = gateway.start {
      args = { "--listen", "127.0.0.1:0" },
      env = { GROQ_API_KEY = "gsk-spec", MISTRAL_API_KEY = "spec", MOONGATE_ADMIN_TOKEN = gateway.admin_token },
    }
    local names = {}
    for _, limit in ipairs(moongate:admin("/v1/limits")) do names[limit.provider] = true end
    assert.is_true(names.groq and names.mistral)
    assert.is_nil(names.openai)
    assert.not_matches("gsk-spec", moongate:errors(), 1, true)
  end)
end)

describe("the binary", function()
  it("tells its version and its commands", function()
    local status, version = process.run { gateway.binary, "--version" }
    assert.equal(0, status)
    assert.matches("%d+%.%d+%.%d+", version)
    local help
    status, help = process.run { gateway.binary, "--help" }
    assert.equal(0, status)
    for _, word in ipairs { "serve", "key", "-c", "--listen" } do assert.matches(word, help, 1, true) end
    assert.equal(0, (process.run { gateway.binary, "serve", "--help" }))
    assert.equal(0, (process.run { gateway.binary, "key", "--help" }))
  end)
end)
