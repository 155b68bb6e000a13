-- A gateway with `seccomp = true`: all that it does all day goes on below the filter, the upgrade included. Every
-- gateway of the specs fails its spec where a call of it was refused; `MOONGATE_SECCOMP=1 make test` confines them all.
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local tls = require "spec.support.tls"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local TEXT = "Hello from the provider."
-- A sanitizer makes calls of its own at the end, to look for leaks.
local env = { ASAN_OPTIONS = "verify_asan_link_order=0:exitcode=99:detect_leaks=0" }

local function seccomp_of(pid)
  local file = assert(io.open("/proc/" .. pid .. "/status"))
  local text = file:read "*a"
  file:close()
  return text:match "\nSeccomp:%s+(%d+)", tonumber(text:match "\nSeccomp_filters:%s+(%d+)")
end

local function is_confined(pid)
  local mode = seccomp_of(pid)
  return mode == "2"
end

local function threads_of(pid)
  local _, list = process.run { "ls", "/proc/" .. pid .. "/task" }
  local threads = {}
  for id in list:gmatch "%d+" do threads[#threads + 1] = pid .. "/task/" .. id end
  return threads
end

describe("a confined gateway", function()
  local it = valgrind.native -- which makes system calls of its own, that the filter refuses
  local upstream, server

  before_each(function() upstream = provider.open() end)
  after_each(function()
    gateway.stop_all()
    if server then server:free() end
    server = nil
  end)

  local function start(more)
    local config = { seccomp = true, policy = "mine", store = "sqlite:moongate.db",
      -- By name: the resolver's threads are below the filter, too.
      providers = { acme = { protocol = "openai", api_key = "sk", retries = 0,
        base_url = (upstream.base_url:gsub("127%.0%.0%.1", "localhost")) } },
      models = { { id = "small", provider = "acme", cost = { input = 1, output = 1 } } } }
    for name, value in pairs(more or {}) do config[name] = value end
    local gate = gateway.prepare { config = config, env = env, policies = { ["routing/mine.lua"] =
      "return function(_, candidates) return candidates end\n" } }
    tls.certificate(gate.folder, "one")
    tls.certificate(gate.folder, "two")
    return gate:open()
  end

  local function assert_serves(gate)
    local answer = gate:chat { model = "small" }
    assert.equal(200, answer.status, answer.body)
    local stream = gate:stream { model = "small" }
    local text, last = gateway.text_of(stream:events())
    stream:close()
    assert.same({ TEXT, "[DONE]" }, { text, last })
  end

  it("is so in every thread, and serves", function()
    local gate = start()
    assert_serves(gate)
    local threads = threads_of(gate.process.pid)
    assert.truthy(#threads > 4)
    for _, thread in ipairs(threads) do assert.is_true(is_confined(thread), thread) end
    assert.equal(2, gate:admin("/v1/usage").totals.requests)
  end)

  it("reads policies, configuration and certificates again", function()
    local gate = start { listen = { "127.0.0.1:0", { addr = "127.0.0.1:0", cert = "one.pem", key = "one.key" } } }
    local port
    wait.until_(function()
      for _, line in ipairs(gate:log()) do
        if line.message == "listening" and line.tls then port = tonumber(line.address:match ":(%d+)$") end
      end
      return port
    end, "the TLS door")
    local function subject()
      local connection = assert(tls.connect(port))
      local name = connection:subject()
      connection:close()
      return name
    end
    assert.equal("/CN=one", subject())
    local version = gate:chat { model = "small" }
      .headers["x-moongate-policy"]
    gate:write("policies/routing/mine.lua", "return function(_, candidates) return candidates end -- again\n")
    gate:write("one.pem", gate:read "two.pem")
    gate:write("one.key", gate:read "two.key")
    wait.until_(function() return subject() == "/CN=two" end, "the renewed certificate")
    wait.until_(function()
      local answer = gate:chat { model = "small" }
      return answer.headers["x-moongate-policy"] ~= version
    end, "the saved policy")
    gate.process:kill "HUP"
    wait.until_(function() return gate:logged "configuration reloaded" end, "the configuration")
    assert_serves(gate)
  end)

  it("upgrades, again and again, below one filter", function()
    local gate = start()
    local _, filters = seccomp_of(gate.process.pid)
    for _ = 1, 3 do
      local heir = assert(gate:upgrade())
      assert_serves(gate)
      local mode, now = seccomp_of(heir.pid)
      assert.same({ "2", filters }, { mode, now })
    end
    gate:stop()
    gate:open()
    assert.equal(6, gate:admin("/v1/usage").totals.requests)
  end)

  it("lives on Redis, and loses and finds it again", function()
    server = redis.start()
    local gate = start { store = ("redis://127.0.0.1:%d/0"):format(server.port) }
    assert_serves(gate)
    server:restart()
    assert_serves(gate)
    wait.until_(function() return gate:request({ path = "/ready" }):json().status == "ready" end, "Redis to be back")
    assert_serves(gate)
  end)

  it("calls providers over TLS, and commands work beside it", function()
    local folder = process.folder()
    tls.certificate(folder, "there")
    upstream = provider.open { cert = folder .. "/there.pem", key = folder .. "/there.key" }
    local gate = start { providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk",
      retries = 0, ca_file = folder .. "/there.pem" } } }
    assert_serves(gate)
    local status, _, errors = gate:command "usage"
    assert.equal(0, status, errors)
  end)

  it("is not undone by a reload", function()
    local gate = start()
    gate:write("moongate.lua", (gate:read("moongate.lua"):gsub('%["seccomp"%] = true', '["seccomp"] = false')))
    gate.process:kill "HUP"
    wait.until_(function() return gate:logged "configuration reloaded" end, "the configuration")
    assert.is_true(is_confined(gate.process.pid))
    assert_serves(gate)
  end)
end)
