-- A worker's Lua as C calls it: configured, given policies, serving requests by their path.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("a worker", function()
  local core, gateway

  before_each(function()
    core = fakes.install()
    gateway = require "moongate.gateway"
  end)
  after_each(function() core.restore() end)

  local function configure(more)
    local config = {
      auth = "keys", keys = { { name = "dev", key = "dev-key" } }, policy = "plain", on_fault = "default",
      limits = { policy_ms = 1000, policy_mb = 64 }, models = json.array {}, aliases = {},
      providers = { one = fakes.provider("one", { protocol = "mock" }) },
    }
    for name, value in pairs(more or {}) do config[name] = value end
    gateway.configure(json.encode(config))
  end

  local function install(text, version)
    gateway.install { { path = "routing/plain.lua", text = text, version = version or "1" } }
  end
  local PLAIN = "return function(request, candidates) return candidates end"

  local function serve(method, path, more)
    local given = { method = method, path = path, headers = { ["x-api-key"] = "dev-key" } }
    for name, value in pairs(more or {}) do given[name] = value end
    local handle = fakes.handle(given)
    gateway.serve(handle)
    return handle.replies[1]
  end

  local function chat(during)
    core.wires[1] = fakes.wire { body = fakes.answer("hello", { prompt_tokens = 1, completion_tokens = 1 }) }
    if during then
      local head = core.wires[1].head
      core.wires[1].head = function(...)
        during()
        return head(...)
      end
    end
    return serve("POST", "/v1/chat/completions",
      { body = '{"model":"auto","messages":[{"role":"user","content":"Hi"}]}' })
  end

  it("serves a request from its first line to its last", function()
    configure()
    install(PLAIN)
    local reply = chat()
    assert.same({ 200, "one", "plain@1" },
      { reply.status, reply.headers["x-moongate-provider"], reply.headers["x-moongate-policy"] })
  end)

  it("bounds its policies as the configuration says", function()
    configure { limits = { policy_ms = 7, policy_mb = 3 } }
    install "return function() while true do end end"
    assert.equal(200, chat().status)
    assert.equal(1, core.counted['moongate_policy_faults_total{policy="routing/plain",kind="time"}'])
  end)

  it("hands what is behind a path to its handler", function()
    configure()
    assert.equal("one", json.decode(serve("GET", "/v1/limits/one").body).provider)
  end)

  it("refuses what leads nowhere", function()
    configure()
    assert.equal(404, serve("GET", "/nowhere").status)
    local reply = serve("GET", "/v1/chat/completions")
    assert.same({ 405, "POST" }, { reply.status, reply.headers.allow })
  end)

  it("answers what the connection had to refuse, in OpenAI's shape", function()
    local handle = fakes.handle {}
    gateway.refuse(handle, 413, "the body is larger than 10 MiB")
    local reply = handle.replies[1]
    local error = json.decode(reply.body).error
    assert.same({ 413, "the body is larger than 10 MiB", "invalid_request_error" },
      { reply.status, error.message, error.type })
  end)

  it("goes by the newest configuration; a request keeps the one it began with", function()
    configure()
    install(PLAIN)
    local reply = chat(function() configure { keys = json.array {} } end)
    assert.equal(200, reply.status)
    assert.equal(401, serve("GET", "/v1/limits").status)
  end)

  it("goes by the newest policies; one that does not load leaves the last good one", function()
    configure()
    install(PLAIN, "1")
    install("return function(", "2")
    assert.equal("plain@1", chat().headers["x-moongate-policy"])
    install(PLAIN, "3")
    assert.equal("plain@3", chat().headers["x-moongate-policy"])
    assert.same({ 2, 1 }, {
      core.counted['moongate_policy_reloads_total{file="routing/plain.lua",result="ok"}'],
      core.counted['moongate_policy_reloads_total{file="routing/plain.lua",result="failed"}'],
    })
  end)

  it("leaves counting the reloads to the first worker", function()
    core.set("gate.state", function() return { worker = 1, problems = "[]" } end)
    configure()
    install(PLAIN)
    assert.is_nil(next(core.counted))
    assert.equal("plain@1", chat().headers["x-moongate-policy"])
  end)
end)
