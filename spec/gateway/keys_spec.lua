-- Keys of callers: created, shown once, used, listed, revoked; beside a running gateway and without one.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"

local upstream

-- The commands find a running gateway by the address in its config.
local function config(change)
  local plain = {
    listen = gateway.free_address(),
    auth = "keys",
    tiers = { pro = {} },
    store = "sqlite:moongate.db",
    providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1" } },
    models = { { id = "small", provider = "acme" }, { id = "large", provider = "acme" } },
  }
  if change then change(plain) end
  return plain
end

local function create(moongate, ...)
  local status, output, errors = moongate:command("key", "create", ...)
  assert.equal(0, status, errors)
  return assert(output:match("mg%-[%w_-]+"), "no key in: " .. output)
end

local function status_with(moongate, key, fields)
  return moongate:chat(fields or { model = "small" }, { key = key }).status
end

describe("a key", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("created before the gateway starts lets its holder in", function()
    local moongate = gateway.prepare { config = config() }
    local key = create(moongate, "--name", "dev")
    moongate:open()
    assert.equal(200, status_with(moongate, key))
  end)

  it("created beside a running gateway works at once, and revoked it stops at once", function()
    local moongate = gateway.start { config = config() }
    local key = create(moongate, "--name", "dev", "--org", "acme", "--tier", "pro")
    for _ = 1, 8 do assert.equal(200, status_with(moongate, key)) end
    local status, listed = moongate:command("key", "list")
    assert.equal(0, status)
    assert.matches("dev", listed, 1, true)
    assert.not_matches(key, listed, 1, true)
    local prefix = listed:match("mg%-[%w_-]+")
    assert.equal(prefix, key:sub(1, #prefix))
    assert.equal(0, (moongate:command("key", "revoke", prefix)))
    for _ = 1, 8 do assert.equal(401, status_with(moongate, key)) end
  end)

  it("survives a restart, and so does its end", function()
    local moongate = gateway.start { config = config() }
    local kept, ended = create(moongate, "--name", "kept"), create(moongate, "--name", "ended")
    assert.equal(0, (moongate:command("key", "revoke", ended:sub(1, 9))))
    moongate:restart()
    assert.same({ 200, 401 }, { status_with(moongate, kept), status_with(moongate, ended) })
  end)

  it("is nowhere on the disk as it is", function()
    local moongate = gateway.start { config = config() }
    local key = create(moongate, "--name", "dev")
    status_with(moongate, key)
    moongate:stop()
    local pipe = assert(io.popen(("grep -rlF '%s' '%s'"):format(key, moongate.folder)))
    assert.equal("", pipe:read("*a"))
    pipe:close()
  end)

  it("is asked for: without one, or with a wrong one, there is a 401 and nothing goes out", function()
    local moongate = gateway.start { config = config() }
    local none = moongate:chat { model = "small" }
    assert.equal(401, none.status)
    assert.equal("authentication_error", none:json().error.type)
    assert.matches("key", none:json().error.message, 1, true)
    local wrong = moongate:chat({ model = "small" }, { key = "mg-00000000000000000000000000000000" })
    assert.equal(401, wrong.status)
    assert.equal("invalid_api_key", wrong:json().error.code)
    assert.equal(401, moongate:request({ path = "/v1/models" }).status)
    assert.same({}, upstream:seen())
  end)

  it("may come in x-api-key as well", function()
    local moongate = gateway.start { config = config() }
    local key = create(moongate, "--name", "dev")
    assert.equal(200, moongate:chat({ model = "small" }, { headers = { ["x-api-key"] = key } }).status)
  end)

  it("may be written in the config", function()
    local moongate = gateway.start { config = config(function(plain)
      plain.keys = { { name = "dev", key = "a-key-of-the-config", org = "acme", tier = "pro", models = { "*" } } }
    end) }
    assert.equal(200, status_with(moongate, "a-key-of-the-config"))
    assert.equal(401, status_with(moongate, "another"))
  end)

  it("limited to models may use no other, and sees no other", function()
    local moongate = gateway.start { config = config() }
    local key = create(moongate, "--name", "dev", "--models", "sm*")
    assert.equal(200, status_with(moongate, key))
    local answer = moongate:chat({ model = "large" }, { key = key })
    assert.equal(403, answer.status)
    assert.matches("large", answer:json().error.message, 1, true)
    local listed = {}
    local models = moongate:request({ path = "/v1/models", key = key }):json().data
    for _, model in ipairs(models) do listed[model.id] = true end
    assert.same({ true, nil }, { listed.small, listed.large })
    for _ = 1, 6 do
      assert.equal("small", moongate:chat({ model = "auto" }, { key = key }).headers["x-moongate-model"])
    end
  end)

  it("may carry a label, which the row then tells, with name, org and tier", function()
    local moongate = gateway.start { config = config() }
    local key = create(moongate, "--name", "dev", "--org", "acme")
    local answer = moongate:chat({ model = "small" }, { key = key .. ":nightly" })
    assert.equal(200, answer.status)
    local row = moongate:admin("/v1/requests/" .. answer.headers["x-request-id"])
    assert.same({ "dev", "acme", "nightly" }, { row.key, row.org, row.label })
  end)

  it("may look up its own requests and no one else's", function()
    local moongate = gateway.start { config = config() }
    local mine, other = create(moongate, "--name", "mine"), create(moongate, "--name", "other")
    local id = moongate:chat({ model = "small" }, { key = mine }).headers["x-request-id"]
    assert.equal(200, moongate:request({ path = "/v1/requests/" .. id, key = mine }).status)
    assert.equal(404, moongate:request({ path = "/v1/requests/" .. id, key = other }).status)
  end)

  it("may name its policy", function()
    local moongate = gateway.start { config = config() }
    local key = create(moongate, "--name", "dev", "--policy", "balanced")
    assert.matches("^balanced@", moongate:chat({ model = "auto" }, { key = key }).headers["x-moongate-policy"])
  end)

  it("is not needed for /health, /ready and /metrics on a loopback listener", function()
    local moongate = gateway.start { config = config() }
    for _, path in ipairs { "/health", "/ready", "/metrics" } do
      assert.equal(200, moongate:request({ path = path }).status)
    end
  end)
end)

describe("the command `moongate key`", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  it("says what is wrong with its arguments", function()
    local moongate = gateway.prepare { config = config() }
    for _, row in ipairs {
      { { "key" }, 2, "create" },
      { { "key", "create" }, 2, "--name" },
      { { "key", "create", "--name", "dev", "--colour", "red" }, 2, "--colour" },
      { { "key", "revoke" }, 2, "PREFIX" },
      { { "key", "revoke", "mg-nosuchkey" }, 1, "mg-nosuchkey" },
    } do
      local status, _, errors = moongate:command(unpack(row[1]))
      assert.equal(row[2], status, table.concat(row[1], " "))
      assert.matches(row[3], errors, 1, true)
    end
  end)
end)
