-- What the gateway tells of itself, and to whom.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"
local routing = require "spec.support.routing"

describe("asking the gateway", function()
  local core, inspect, state

  before_each(function()
    core = fakes.install()
    inspect = require "moongate.inspect"
    local callers = require "moongate.callers"
    local config = {
      auth = "keys", admin_token = "root", providers = { one = fakes.provider "one", two = fakes.provider "two" },
      keys = {
        { name = "dev", key = "dev-key", org = "acme" }, { name = "dev", key = "twin-key", org = "other" },
        { name = "few", key = "few-key", models = { "small" } }, { name = "tiered", key = "tier-key", tier = "free" },
      },
      tiers = { free = { models = { "two/*" } } },
    }
    state = {
      config = config, callers = callers.new(config), policies = routing.policies(),
      registry = routing.registry({
        { id = "small", provider = "one", cost = { input = 1, output = 2 }, context_length = 8000 },
        { id = "large", provider = "two", strengths = { "coding" } },
      }, { providers = config.providers, aliases = { fast = { targets = { { model = "small" } } } } }),
    }
  end)
  after_each(function() core.restore() end)

  local function ask(what, secret, rest, more)
    local given = { method = "GET", peer = "10.0.0.9:4000", headers = secret and { ["x-api-key"] = secret } or {} }
    for name, value in pairs(more or {}) do given[name] = value end
    local handle = fakes.handle(given)
    inspect[what](handle, state, rest)
    assert.equal(1, #handle.replies)
    local reply = handle.replies[1]
    local is_json = reply.headers["content-type"] == "application/json"
    return reply.status, is_json and json.decode(reply.body) or reply.body, reply.headers
  end

  local function ids(secret, query)
    local _, reply = ask("models", secret, nil, { query = query })
    local found = {}
    for i, entry in ipairs(reply.data) do found[i] = entry.id end
    return found
  end

  for _, what in ipairs { "models", "model", "limits", "provider_limits", "request", "health", "ready", "metrics" } do
    it("for " .. what .. " from elsewhere needs a key or the admin token", function()
      for _, secret in ipairs { false, "nobodys" } do
        local status, reply = ask(what, secret or nil, "small")
        assert.same({ 401, "authentication_error" }, { status, reply.error.type })
      end
      assert.are_not.equal(401, (ask(what, "dev-key", "small")))
      assert.are_not.equal(401, (ask(what, "root", "small")))
    end)
  end

  describe("for models", function()
    it("lists them as OpenAI does, with what is known of each", function()
      local status, reply = ask("models", "dev-key")
      assert.same({ 200, "list" }, { status, reply.object })
      assert.same({ "auto", "fast", "large", "small" }, ids "dev-key")
      local small = reply.data[4]
      assert.same({ "model", "one", "one", 8000, { input = 1, output = 2 } },
        { small.object, small.owned_by, small.provider, small.context_length, small.cost })
      assert.equal("moongate", reply.data[1].owned_by)
      assert.same({ "coding" }, reply.data[3].strengths)
    end)

    it("lists what the key may use, by its own patterns and its tier's", function()
      assert.same({ "auto", "small" }, ids "few-key")
      assert.same({ "auto", "large" }, ids "tier-key")
      assert.same({ "auto", "fast", "large", "small" }, ids "root")
    end)

    it("lists those of one provider", function()
      assert.same({ "large" }, ids("dev-key", "x=1&provider=two"))
      local status, reply = ask("models", "dev-key", nil, { query = "provider=twoo" })
      assert.same({ 404, "provider_not_found" }, { status, reply.error.code })
      assert.matches('there is no provider "twoo" here (did you mean "two"?)', reply.error.message, 1, true)
    end)

    it("tells one of them", function()
      local status, reply = ask("model", "dev-key", "small")
      assert.same({ 200, "small", "model", 0 }, { status, reply.id, reply.object, reply.created })
    end)

    it("knows none that is not there, or not for this key", function()
      local status, reply = ask("model", "dev-key", "smal")
      assert.same({ 404, "model_not_found" }, { status, reply.error.code })
      assert.equal('there is no model "smal" here (did you mean "small"?)', reply.error.message)
      assert.equal(404, (ask("model", "few-key", "large")))
      assert.equal(404, (ask("model", "tier-key", "small")))
    end)
  end)

  describe("for limits", function()
    it("tells how each provider stands, by name", function()
      local status, reply = ask("limits", "dev-key")
      assert.same({ 200, "one", "two", 2 }, { status, reply[1].provider, reply[2].provider, #reply })
    end)

    it("is an empty list where there is no provider", function()
      state.config.providers = {}
      local handle = fakes.handle { headers = { ["x-api-key"] = "dev-key" } }
      inspect.limits(handle, state)
      assert.equal("[]", handle.replies[1].body)
    end)

    it("tells one, and the nearest where there is none", function()
      local status, reply = ask("provider_limits", "dev-key", "two")
      assert.same({ 200, "two" }, { status, reply.provider })
      status, reply = ask("provider_limits", "dev-key", "twoo")
      assert.same({ 404, "provider_not_found" }, { status, reply.error.code })
      assert.matches('did you mean "two"?', reply.error.message, 1, true)
    end)
  end)

  describe("for a past request", function()
    local function find(row)
      core.set("ledger.find", function(id) return id == "r-1" and row or nil end)
    end
    local function row(more)
      local found = { request_id = "r-1", key = "dev", org = "acme", attempts = 2, outcome = "ok",
        detail = '{"attempts":[{"provider":"one","status":200}],"explanation":{"policy":"p@1"}}' }
      for name, value in pairs(more or {}) do found[name] = value end
      return found
    end

    it("tells the key that made it its row, its attempts and why", function()
      find(row())
      local status, reply = ask("request", "dev-key", "r-1")
      assert.same({ 200, "ok", { { provider = "one", status = 200 } }, { policy = "p@1" } },
        { status, reply.outcome, reply.attempts, reply.explanation })
      assert.is_nil(reply.detail)
    end)

    it("tells the admin any", function()
      find(row { key = "somebody" })
      assert.equal(200, (ask("request", "root", "r-1")))
    end)

    it("tells nobody else, in the same words as where there is none", function()
      find(row())
      local status, of_another = ask("request", "few-key", "r-1")
      assert.same({ 404, "request_not_found" }, { status, of_another.error.code })
      local _, missing = ask("request", "few-key", "r-2")
      assert.same(missing, of_another)
      assert.equal(404, (ask("request", "root", "r-2")))
    end)

    it("tells no key of the same name in another org", function()
      find(row())
      assert.equal(404, (ask("request", "twin-key", "r-1")))
    end)

    it("tells a row without detail too", function()
      find(row { detail = "" })
      local handle = fakes.handle { headers = { ["x-api-key"] = "dev-key" } }
      inspect.request(handle, state, "r-1")
      assert.matches('"attempts":[]', handle.replies[1].body, 1, true)
    end)
  end)

  describe("how it is", function()
    local here = { peer = "127.0.0.1:4000" }

    it("needs no key on this machine", function()
      for _, peer in ipairs { "127.0.0.1:4000", "127.8.8.8:1", "[::1]:4000" } do
        for _, what in ipairs { "health", "ready", "metrics" } do
          assert.equal(200, (ask(what, nil, nil, { peer = peer })))
        end
      end
      assert.equal(401, (ask("health", nil, nil, { peer = "[::127.0.0.1]:4000" })))
      assert.equal(401, (ask("health", nil, nil, { peer = "1127.0.0.1:4000" })))
    end)

    it("is ok as long as it answers", function()
      local status, reply = ask("health", nil, nil, here)
      assert.same({ 200, { status = "ok" } }, { status, reply })
    end)

    it("is ready when nothing is wrong", function()
      local status, reply = ask("ready", nil, nil, here)
      assert.same({ 200, { status = "ready", problems = {} } }, { status, reply })
    end)

    it("is degraded, and serves, with problems, which it tells", function()
      core.set("gate.state", function()
        return { draining = false, store_problem = "disk full", reports = {},
          problems = '[{"what":"policy","file":"policies/x.lua","line":3,"message":"bad"}]' }
      end)
      local status, reply = ask("ready", nil, nil, here)
      assert.same({ 200, {
        status = "degraded", problems = {
          { what = "policy", file = "policies/x.lua", line = 3, message = "bad" },
          { what = "store", message = "disk full" },
        },
      } }, { status, reply })
    end)

    it("tells of a policy that is switched off, on whichever workers, once", function()
      local one = '{"what":"policy","file":"policies/x.lua","message":"switched off"}'
      local other = '{"what":"policy","file":"policies/a.lua","message":"b"}'
      local reports = { "[]", "[" .. one .. "]", "[" .. other .. "," .. one .. "]" }
      core.set("gate.state", function() return { draining = false, problems = "[]", reports = reports } end)
      local _, reply = ask("ready", nil, nil, here)
      assert.same({ "degraded", {
        { what = "policy", file = "policies/x.lua", message = "switched off" },
        { what = "policy", file = "policies/a.lua", message = "b" },
      } }, { reply.status, reply.problems })
    end)

    it("is degraded where no provider is configured", function()
      state.config.providers = {}
      local status, reply = ask("ready", nil, nil, here)
      assert.same({ 200, "degraded", "configuration", 1 },
        { status, reply.status, reply.problems[1].what, #reply.problems })
    end)

    it("is not ready while it drains", function()
      core.set("gate.state", function() return { draining = true, problems = "[]", reports = {} } end)
      local status, reply = ask("ready", nil, nil, here)
      assert.same({ 503, "draining" }, { status, reply.status })
    end)

    it("tells metrics as text: the counted and the gauges", function()
      local status, text, headers = ask("metrics", nil, nil, here)
      assert.equal(200, status)
      assert.matches("^text/plain; version=0%.0%.4", headers["content-type"])
      assert.matches("^counted 1\n", text)
      assert.matches("\nmoongate_store_up 1\n", text, 1, true)
      core.set("gate.state", function() return { problems = "[]", store_problem = "disk full" } end)
      text = select(2, ask("metrics", nil, nil, here))
      assert.matches("\nmoongate_store_up 0\n", text, 1, true)
    end)
  end)
end)
