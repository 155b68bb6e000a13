local schema = require "moongate.schema"

describe("schema.address", function()
  it("splits an address into host and port", function()
    assert.same({ "127.0.0.1", 8080 }, { schema.address "127.0.0.1:8080" })
    assert.same({ "::1", 0 }, { schema.address "[::1]:0" })
    assert.same({ "gate.example.com", 65535 }, { schema.address "gate.example.com:65535" })
  end)

  it("knows what is none", function()
    for _, wrong in ipairs { "8080", ":8080", "127.0.0.1", "127.0.0.1:65536", "::1:80", "a b:80", "http://x:80", "" } do
      assert.is_nil(schema.address(wrong), wrong)
    end
  end)
end)

describe("schema.check", function()
  it("finds nothing wrong with an empty config", function()
    schema.check({}, "", function(path, message) error(path .. message) end)
  end)

  it("finds a wrong type under every key", function()
    for _, key in ipairs {
      "listen", "workers", "store", "policies", "policy", "on_fault", "zero_spend", "auth", "admin_token", "limits",
      "retention_days", "premium_baseline", "log", "providers", "models", "models_table", "aliases", "keys", "tiers",
      "orgs", "agents",
    } do
      local found = 0
      schema.check({ [key] = print }, "", function(path)
        if path == key then found = found + 1 end
      end)
      assert.is_true(found >= 1, key)
    end
  end)

  local function fault(address)
    local found
    schema.check({ store = address }, "", function(_, message) found = message end)
    return found
  end

  it("takes the addresses of stores", function()
    for _, fine in ipairs { "memory:", "sqlite:moongate.db", "sqlite:a/b.db?sync=always", "sqlite:a.db?sync=second",
      "redis://localhost", "redis://10.0.0.1:6380/3",
      "redis://:p%40ss@redis.example.com:6379/0", "redis://user:pass@[::1]:6379", "redis:///run/redis.sock?db=2",
      "redis://localhost:6379/0?spool=spool&deadline_ms=80" } do
      assert.is_nil(fault(fine), fine)
    end
  end)

  it("says what may stand behind the file of a store", function()
    for _, wrong in ipairs { "sqlite:moongate.db?sync=never", "sqlite:moongate.db?", "sqlite:a.db?mode=ro" } do
      assert.matches("behind the file: only", fault(wrong), 1, true)
    end
  end)

  it("says what is wrong with an address of Redis, without its password", function()
    for wrong, told in pairs {
      ["redis://"] = "needs a host", ["redis://:secret@host:port"] = "has no port",
      ["redis://host:secret:6379:1"] = "has no port", ["redis://host name"] = "needs a host",
      ["rediss://:secret@host"] = "TLS", ["redis:host"] = "must be",
    } do
      local message = fault(wrong)
      assert.is_truthy(message and message:find(told, 1, true), wrong)
      assert.is_nil((message or ""):find("secret", 1, true), wrong)
    end
  end)
end)
