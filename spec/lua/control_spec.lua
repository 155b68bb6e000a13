-- The control thread's half: the configuration as it is read, what C keeps of each target, and what is wrong now.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("the control thread", function()
  local core, control, files, env, kinds

  before_each(function()
    core = fakes.install()
    files, env, kinds = {}, {}, {}
    core.set("process.read", function(path)
      if files[path] then return files[path] end
      return nil, "No such file or directory"
    end)
    core.set("process.kind", function(path) return kinds[path] or (files[path] and "file") or nil end)
    core.set("process.env", function(name) return env[name] end)
    core.set("process.policies", function()
      return { { path = "routing/auto-cheapest.lua", text = "", version = "1" } }
    end)
    control = require "moongate.control"
  end)
  after_each(function() core.restore() end)

  local MOCK = 'providers = { one = { protocol = "mock" } }'

  local function load(text, addresses)
    files["my.lua"] = "return { " .. text .. " }"
    local settings, problem = control.load("my.lua", addresses or {})
    return settings and json.decode(settings), problem
  end

  it("writes the configuration as JSON, and keeps it for commands", function()
    local settings = load(MOCK .. ', store = "memory:", auth = "none"')
    assert.same({ "memory:", true, 2 }, { settings.store, settings.keyless, settings.workers })
    assert.equal("mock", settings.providers.one.protocol)
    assert.equal("memory:", control.current().store)
  end)

  it("counts the processors only where workers are not stated", function()
    assert.equal(5, load(MOCK .. ", workers = 5").workers)
    assert.same({}, core.of "process.processors")
  end)

  it("turns the log's words into what C goes by", function()
    local settings = load(MOCK .. ', log = { level = "warn", format = "json" }')
    assert.same({ 2, true, false }, { settings.log_level, settings.log_json, settings.log_text })
    settings = load(MOCK .. ', log = { level = "debug", format = "text" }')
    assert.same({ 0, false, true }, { settings.log_level, settings.log_json, settings.log_text })
  end)

  it("listens where the command line says, instead of where the file says", function()
    local settings = load(MOCK .. ', listen = "127.0.0.1:1"', { "127.0.0.1:2", "127.0.0.1:3" })
    assert.same({ { addr = "127.0.0.1:2" }, { addr = "127.0.0.1:3" } }, settings.listen)
    settings = load(MOCK .. ', listen = { "127.0.0.1:1", "127.0.0.1:4" }', { "127.0.0.1:2" })
    assert.same({ { addr = "127.0.0.1:2" } }, settings.listen)
    assert.equal("127.0.0.1:1", load(MOCK .. ', listen = "127.0.0.1:1"').listen[1].addr)
  end)

  it("says which file it cannot read, and how to name one", function()
    local settings, problem = control.load("nosuch.lua", {})
    assert.is_nil(settings)
    assert.equal("moongate: nosuch.lua: No such file or directory; name a configuration with -c FILE", problem)
  end)

  it("says every problem of a file on a line of its own, and keeps the configuration before it", function()
    load(MOCK .. ', store = "memory:"')
    local settings, problem = load 'providers = { one = { protocol = "mocc" } }, stroe = "memory:"'
    assert.is_nil(settings)
    local lines = {}
    for line in string.gmatch(problem, "[^\n]+") do lines[#lines + 1] = line end
    assert.equal(2, #lines)
    for _, line in ipairs(lines) do assert.matches("my.lua", line, 1, true) end
    assert.matches("stroe", problem, 1, true)
    assert.equal("memory:", control.current().store)
  end)

  it("reads a model table, and knows only what stands there", function()
    files["models.csv"] = "model_id,provider_id,is_free_tier,cost\nm,one,1,0\nn,one,yes,\n"
    local settings = load(MOCK
      .. ', models_table = { csv = "models.csv" }, models = { { id = "x", provider = "one" } }')
    local found = {}
    for _, kind in ipairs(settings.rows.kinds) do found[#found + 1] = { kind.id, kind.costs_nothing } end
    assert.same({ { { "one", true }, { "one", false } }, "0 m\n1 n\n", {}, "m\tone\t1\t0\t\t\t\n" },
      { found, settings.rows.lines, settings.targets, string.match(settings.models_table.packed, "^[^\n]*\n") })
    assert.same({ nil, nil, 2 }, { control.current().targets, control.current().rows,
      control.current().models_table.rows })
    local problem
    settings, problem = load(MOCK .. ', models_table = { csv = "models.txt" }')
    assert.is_nil(settings)
    assert.matches("models.txt: No such file or directory", problem, 1, true)
  end)

  it("does not start without the policies folder that was named", function()
    core.set("process.policies", function() return nil, "no such folder" end)
    local settings, problem = load(MOCK .. ', policies = "rules"')
    assert.is_nil(settings)
    assert.matches("there is no folder %S*rules", problem)
  end)

  describe("without a file", function()
    it("takes ./moongate.lua", function()
      files["moongate.lua"] = 'return { providers = { here = { protocol = "mock" } } }'
      assert.is_not_nil(json.decode(control.load(nil, {})).providers.here)
    end)

    it("finds providers by their keys in the environment", function()
      env.GROQ_API_KEY = "gsk-secret"
      local settings = json.decode(control.load(nil, {}))
      assert.is_not_nil(settings.providers.groq)
      assert.is_nil(settings.providers.ollama)
      assert.equal(1, #core.of "log.write")
      for _, line in ipairs(core.of "log.write") do assert.not_matches("gsk-secret", line[2], 1, true) end
    end)

    it("finds what a local Ollama has, and takes any nonsense for nothing", function()
      core.set("process.fetch", function(order)
        assert.is_true(order.seconds <= 1)
        return order.url == "http://127.0.0.1:11434/api/tags" and 200 or nil,
          '{"models":[{"name":"llama3:8b","model":"llama3:8b"},{"model":5},"x"]}'
      end)
      local settings = json.decode(control.load(nil, {}))
      assert.is_true(settings.providers.ollama.is_local)
      for _, answer in ipairs { "<html>", "[]", '{"models":5}', "null" } do
        core.set("process.fetch", function() return 200, answer end)
        assert.is_nil(json.decode(control.load(nil, {})).providers.ollama)
      end
    end)

    it("asks Ollama where OLLAMA_HOST says", function()
      for given, url in pairs { ["10.0.0.5:99"] = "http://10.0.0.5:99/api/tags",
        ["https://o.test"] = "https://o.test/api/tags" } do
        env.OLLAMA_HOST = given
        core.calls = {}
        control.load(nil, {})
        assert.equal(url, core.of("process.fetch")[1][1].url)
      end
    end)
  end)

  it("tells C of each target whether it is local and costs nothing, for sure", function()
    local settings = load [[
      providers = {
        mocked = { protocol = "mock" },
        near = { protocol = "openai", base_url = "http://127.0.0.1:9/v1", is_local = true },
        far = { protocol = "openai", base_url = "https://far.test/v1", api_key = "k", free = true },
      },
      models = {
        { id = "m", provider = "mocked" }, { id = "n", provider = "near" },
        { id = "zero", provider = "far", free = true, cost = { input = 0, output = 0 } },
        { id = "cached", provider = "far", free = true, cost = { input = 0, output = 0, cached_input = 1 } },
        { id = "unknown", provider = "far", free = true },
        { id = "promised", provider = "far", free = true, cost = { input = 1, output = 1 } },
        { id = "unfree", provider = "far", free = false, cost = { input = 0, output = 0 } },
      } ]]
    local found = {}
    for _, target in ipairs(settings.targets) do
      found[target.id] = { target.is_local, target.costs_nothing, target.base_url }
    end
    assert.same({
      ["mocked/m"] = { false, true }, ["near/n"] = { true, true, "http://127.0.0.1:9/v1" },
      ["far/zero"] = { false, true, "https://far.test/v1" }, ["far/cached"] = { false, false, "https://far.test/v1" },
      ["far/unknown"] = { false, false, "https://far.test/v1" },
      ["far/promised"] = { false, false, "https://far.test/v1" },
      ["far/unfree"] = { false, false, "https://far.test/v1" },
    }, found)
  end)

  describe("remembers", function()
    it("policies that do not load, and tells the log", function()
      control.install { { path = "routing/bad.lua", text = "return 5", version = "1" } }
      local problems = control.problem_list()
      assert.same({ 1, "policy", "policies/routing/bad.lua" }, { #problems, problems[1].what, problems[1].file })
      local line = core.of("log.write")[1]
      assert.equal("error", line[1])
      assert.equal("policies/routing/bad.lua", json.decode("{" .. line[3] .. "}").file)
      control.install { { path = "routing/bad.lua", text = "return function() end", version = "2" } }
      assert.equal("[]", control.problems())
    end)

    it("why the newest configuration did not load, by file and line where it tells them", function()
      control.note("configuration", "moongate.lua:3: stroe: unknown key\nmoongate: x.lua: No such file or directory")
      control.note("certificate", "127.0.0.1:1: the key a.pem is encrypted")
      assert.same({
        { what = "configuration", file = "moongate.lua", line = 3, message = "stroe: unknown key" },
        { what = "configuration", message = "moongate: x.lua: No such file or directory" },
        { what = "certificate", message = "127.0.0.1:1: the key a.pem is encrypted" },
      }, json.decode(control.problems()))
      control.note("configuration", nil)
      control.note("certificate", nil)
      assert.equal("[]", control.problems())
    end)
  end)
end)
