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
end)
