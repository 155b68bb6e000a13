-- Several gateways on one Redis know the same keys, rows and limits; and other tools can read those limits.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local wait = require "spec.support.wait"

describe("gateways on one Redis", function()
  local server, upstream

  before_each(function()
    server = redis.start()
    upstream = provider.open()
  end)
  after_each(function()
    gateway.stop_all()
    server:free()
  end)

  local function prepare(more)
    local config = {
      listen = gateway.free_address(), auth = "keys", store = ("redis://127.0.0.1:%d/0"):format(server.port),
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 } },
      models = { { id = "small", provider = "acme" } },
    }
    for name, value in pairs(more or {}) do config[name] = value end
    return gateway.prepare { config = config }
  end

  local function key(moongate, ...)
    local status, output, errors = moongate:command("key", ...)
    return output:match("mg%-[%w_-]+"), status, errors
  end
  local function status_with(moongate, secret) return moongate:chat({ model = "small" }, { key = secret }).status end

  it("let a key in that a command made while none ran, and none of them does once one has revoked it", function()
    local first, second = prepare(), prepare()
    local secret, status, errors = key(first, "create", "--name", "dev")
    assert.equal(0, status, errors)
    first:open()
    second:open()
    for _ = 1, 4 do
      assert.equal(200, status_with(first, secret))
      assert.equal(200, status_with(second, secret))
    end
    assert.equal(0, select(2, key(second, "revoke", secret:sub(1, 9)))) -- through the running one
    assert.equal(401, status_with(second, secret))
    wait.until_(function() return status_with(first, secret) == 401 end, "the revocation at the other")
    for _ = 1, 4 do assert.equal(401, status_with(first, secret)) end
    local listed = select(2, first:stop():command("key", "list"))
    assert.matches("dev", listed, 1, true)
    assert.matches("%d%d:%d%d +%d+%-%d+%-%d+ %d%d:%d%d\n", listed) -- revoked when
  end)

  it("make no key while Redis is away, and know those they had", function()
    local moongate = prepare():open()
    local secret = key(moongate, "create", "--name", "dev")
    assert.equal(200, status_with(moongate, secret))
    server:kill()
    assert.equal(200, status_with(moongate, secret))
    local made, status, errors = key(moongate, "create", "--name", "other")
    assert.is_nil(made)
    assert.equal(1, status)
    assert.matches("could not be stored; nothing was created", errors, 1, true)
    assert.matches("/ready", errors, 1, true)
    assert.equal(1, select(2, key(moongate, "revoke", secret:sub(1, 9))))
    assert.equal(401, status_with(moongate, secret))
    moongate:stop()
    local listed, _, why = moongate:command("key", "list")
    assert.equal(1, listed)
    assert.matches("127.0.0.1:" .. server.port, why, 1, true)
  end)

  it("find each other's requests", function()
    local first, second = prepare { auth = "none" }:open(), prepare { auth = "none" }:open()
    local id = first:chat({ model = "small" }).headers["x-request-id"]
    local row, status
    wait.until_(function() -- Redis may have been too slow: then the row is delivered a moment later
      row, status = second:admin("/v1/requests/" .. id)
      return status == 200
    end, "the row at the other gateway")
    assert.same({ "small", "ok" }, { row.model, row.outcome })
  end)

  it("tell of a provider's limits with one MGET right after one call", function()
    local moongate = prepare { auth = "none" }:open()
    upstream:next { headers = {
      ["x-ratelimit-limit-requests"] = "200", ["x-ratelimit-remaining-requests"] = "155",
      ["x-ratelimit-reset-requests"] = "12s", ["x-ratelimit-limit-tokens"] = "100000",
      ["x-ratelimit-remaining-tokens"] = "85000", ["x-ratelimit-reset-tokens"] = "90s" } }
    assert.equal(200, moongate:chat({ model = "small" }).status)
    assert.same({ "200", "45", "100000", "15000" }, server:command("MGET", "limit:acme:rpm:max",
      "limit:acme:rpm:current", "limit:acme:tpm:max", "limit:acme:tpm:current"))
    local lasting = server:command("TTL", "limit:acme:tpm:max")
    assert.is_true(lasting > 80 and lasting <= 90, lasting)
    assert.is_true(server:command("TTL", "limit:acme:rpm:max") > 50)
  end)

  it("say at start where rows have no place to wait, and what to do", function()
    local moongate = prepare { store = ("redis://127.0.0.1:%d/0?spool=nowhere"):format(server.port) }
    local status, _, errors = moongate:command("serve")
    assert.equal(1, status)
    assert.matches("nowhere/moongate-spool-1.db", errors, 1, true)
    assert.matches("?spool=/var/lib/moongate", errors, 1, true)
  end)
end)
