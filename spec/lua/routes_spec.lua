-- Which path leads where, and what is said where none does.
local fakes = require "spec.support.fakes"

describe("a path", function()
  local core, routes, admin, agents, debug, inspect

  before_each(function()
    core = fakes.install()
    routes = require "moongate.routes"
    admin, inspect = require "moongate.admin", require "moongate.inspect"
    agents, debug = require "moongate.agents", require "moongate.debug"
  end)
  after_each(function() core.restore() end)

  it("leads to its handler", function()
    for path, handler in pairs {
      ["/v1/models"] = inspect.models, ["/v1/limits"] = inspect.limits, ["/health"] = inspect.health,
      ["/v1/usage"] = require("moongate.usage_page").get, ["/ready"] = inspect.ready,
      ["/metrics"] = inspect.metrics, ["/admin/keys"] = admin.list_keys,
    } do
      assert.equal(handler, (routes.find("GET", path)), path)
      assert.is_nil((select(2, routes.find("GET", path))))
    end
    assert.equal(admin.create_key, (routes.find("POST", "/admin/keys")))
    assert.is_function((routes.find("POST", "/v1/chat/completions")))
    assert.is_function((routes.find("POST", "/v1/embeddings")))
    assert.are_not.equal(routes.find("POST", "/v1/chat/completions"), (routes.find("POST", "/v1/embeddings")))
  end)

  it("with a name behind it hands the name on, slashes and all", function()
    assert.same({ inspect.model, "openai/gpt-oss-120b" }, { routes.find("GET", "/v1/models/openai/gpt-oss-120b") })
    assert.same({ inspect.provider_limits, "groq" }, { routes.find("GET", "/v1/limits/groq") })
    assert.same({ inspect.request, "r-1" }, { routes.find("GET", "/v1/requests/r-1") })
    assert.same({ admin.revoke_key, "mg-123456" }, { routes.find("DELETE", "/admin/keys/mg-123456") })
  end)

  it("of the router's own leads to its handler, the two that serve to different ones", function()
    assert.equal(debug.explain, (routes.find("POST", "/v1/router/debug")))
    assert.is_function((routes.find("POST", "/v1/chat")))
    assert.are_not.equal(routes.find("POST", "/v1/chat"), (routes.find("POST", "/v1/agent-step")))
  end)

  it("of an agent's run hands on what stands between", function()
    assert.same({ agents.run, "triage" }, { routes.find("POST", "/agents/triage/run") })
    assert.same({ agents.run, "run" }, { routes.find("POST", "/agents/run/run") })
    for _, path in ipairs { "/agents/run", "/agents//run", "/agents/triage", "/agents/triage/runs", "/agents/" } do
      assert.equal(404, select(2, routes.find("POST", path)).status, path)
    end
  end)

  it("is read by HEAD as by GET", function()
    assert.equal(inspect.health, (routes.find("HEAD", "/health")))
    assert.same({ inspect.model, "x" }, { routes.find("HEAD", "/v1/models/x") })
  end)

  -- method, path, what is possible
  for _, case in ipairs {
    { "GET", "/v1/chat/completions", "POST" }, { "HEAD", "/v1/embeddings", "POST" }, { "POST", "/v1/models", "GET" },
    { "PUT", "/admin/keys", "GET, POST" }, { "GET", "/admin/keys/mg-1", "DELETE" }, { "get", "/health", "GET" },
    { "POST", "/v1/limits/groq", "GET" }, { "GET", "/v1/chat", "POST" }, { "GET", "/agents/triage/run", "POST" },
  } do
    it("knows its methods: " .. case[1] .. " " .. case[2] .. " is a 405 that tells them", function()
      local handler, refusal = routes.find(case[1], case[2])
      assert.is_nil(handler)
      assert.same({
        status = 405, code = "method_not_allowed", type = "invalid_request_error", allow = case[3],
        message = case[1] .. " is not possible here; " .. case[3] .. " is",
      }, refusal)
    end)
  end

  -- path, what is near it
  for _, case in ipairs {
    { "/v1/chat/completion", '"/v1/chat/completions"' }, { "/v1/model", '"/v1/models"' },
    { "/chat/completions", '"/v1/chat/completions"' }, { "/helth", '"/health"' },
    { "/v1/agent_step", '"/v1/agent-step"' }, { "/v1/router/debgu", '"/v1/router/debug"' },
  } do
    it("that is nearly one is a 404 that names it: " .. case[1], function()
      local handler, refusal = routes.find("POST", case[1])
      assert.is_nil(handler)
      assert.same({ 404, "not_found" }, { refusal.status, refusal.code })
      assert.equal("there is nothing at " .. case[1] .. " (did you mean " .. case[2] .. "?)", refusal.message)
    end)
  end

  it("that is like none is a plain 404", function()
    local _, refusal = routes.find("GET", "/wp-admin/setup.php")
    assert.equal("there is nothing at /wp-admin/setup.php", refusal.message)
    assert.is_nil(refusal.allow)
  end)

  it("with nothing behind its last slash is none", function()
    for _, path in ipairs { "/v1/models/", "/v1/requests/", "/admin/keys/", "/health/", "/v1/requests", "/" } do
      assert.equal(404, select(2, routes.find("GET", path)).status, path)
    end
  end)

  it("is shown short and clean, and so is a method", function()
    local _, refusal = routes.find("GET", "/\27[31m\1\255" .. string.rep("x", 5000))
    assert.is_true(#refusal.message < 200)
    assert.is_nil(string.find(refusal.message, "[^\32-\126]"))
    _, refusal = routes.find(string.rep("M", 5000), "/health")
    assert.is_true(#refusal.message < 200)
  end)
end)
