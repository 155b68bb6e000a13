require "spec.support.core"
local openai = require "moongate.surfaces.openai"
local router = require "moongate.surfaces.router"
local surfaces = require "moongate.surfaces"

describe("what is refused at a path", function()
  it("is told in the router's shape where the path is the router's own", function()
    for _, path in ipairs {
      "/v1/chat", "/v1/agent-step", "/v1/router/debug", "/v1/router/else", "/v1/limits", "/v1/limits/groq",
      "/v1/requests/r-1", "/v1/usage", "/agents/a/run", "/agents", "/admin/keys", "/admin", "/health", "/ready",
      "/metrics", "/dashboard",
    } do
      assert.equal(router.error, surfaces.of(path).error, path)
    end
  end)

  it("is told in OpenAI's anywhere else, and where there is no path", function()
    for _, path in ipairs { "/v1/chat/completions", "/v1/models", "/v1/models/x", "/v1/embeddings", "/", "/agentx" } do
      assert.equal(openai.error, surfaces.of(path).error, path)
    end
    assert.equal(openai.error, surfaces.of(nil).error)
  end)
end)
