require "spec.support.core"
local limit_headers = require "moongate.limit_headers"
local providers = require "moongate.providers"
local quota = require "moongate.quota"

local EXPECTED = {
  "anthropic", "azure", "cerebras", "cloudflare", "cohere", "deepseek", "gemini", "github", "groq", "kilo", "llamacpp",
  "minimax", "mistral", "moonshot", "naga", "nanogpt", "nvidia", "ollama", "openai", "openrouter", "synthetic",
    "together",
  "vllm", "xai", "zai",
}

local function check_limits(limits)
  for name, value in pairs(limits or {}) do
    assert.is_not_nil(quota.parse(name), name)
    local most = type(value) == "table" and value[1] or value
    assert.is_true(most > 0)
    if type(value) == "table" then assert.is_string(value.zone) end
  end
end

-- Those that are spoken to in their own protocol.
local OWN = { anthropic = true, gemini = true, ollama = true }

describe("the built-in provider tables", function()
  it("are all there, by name", function()
    assert.same(EXPECTED, providers.names())
  end)

  it("are unknown under any other name", function()
    assert.is_nil(providers.get("nobody"))
    assert.is_nil(providers.get("../config"))
    assert.is_nil(providers.get(nil))
  end)

  it("hand out a list of names that may be changed", function()
    providers.names()[1] = "changed"
    assert.same(EXPECTED, providers.names())
  end)

  for _, name in ipairs(EXPECTED) do
    describe(name, function()
      local provider = providers.get(name)

      it("has an address, a protocol and a place among the others", function()
        assert.equal(name, provider.name)
        assert.is_not_nil(string.find(provider.base_url, "^https?://"))
        assert.is_nil(string.find(provider.base_url, "/$"))
        assert.equal(OWN[name] and name or "openai", provider.protocol)
        assert.is_true(provider.quality >= 0 and provider.quality <= 100)
        assert.is_boolean(provider.free)
        assert.is_true(provider.limit_scope == "model" or provider.limit_scope == "provider")
        assert.is_true(provider.resets == nil or provider.resets == "fixed" or provider.resets == "rolling")
      end)

      it("has an address for each other protocol that it speaks", function()
        for protocol, address in pairs(provider.addresses or {}) do
          assert.is_table(require("protocols." .. protocol))
          assert.not_equal(provider.protocol, protocol)
          assert.is_not_nil(string.find(address, "^https?://[^/].*[^/]$"))
          -- Anthropic's protocol has its own /v1 below the address.
          if protocol == "anthropic" then assert.is_nil(string.find(address, "/v1$")) end
        end
      end)

      it("needs a key unless it is local", function()
        assert.equal(provider.is_local or false, provider.env == nil)
        assert.equal(provider.is_local or false, string.find(provider.base_url, "^http://127%.0%.0%.1:") ~= nil)
      end)

      it("has limits that have names, and models that can be called", function()
        check_limits(provider.limits)
        local seen = {}
        for _, model in ipairs(provider.models) do
          assert.is_string(model.id)
          assert.is_string(model.upstream_id)
          assert.is_nil(seen[model.id])
          seen[model.id] = true
          check_limits(model.limits)
          assert.is_table(model.strengths)
          if model.free then assert.is_true(provider.free) end
        end
      end)
    end)
  end

  it("rank the free tiers", function()
    local ranked = { "cerebras", "groq", "gemini", "openrouter", "mistral", "cloudflare" }
    for index = 2, #ranked do
      assert.is_true(providers.get(ranked[index - 1]).quality > providers.get(ranked[index]).quality)
    end
  end)

  it("let Google's day end at midnight Pacific", function()
    for _, model in ipairs(providers.get("gemini").models) do
      if model.limits then assert.equal("America/Los_Angeles", model.limits.rpd.zone) end
    end
  end)

  it("do not call a model free that its free tier leaves out", function()
    for _, model in ipairs(providers.get("gemini").models) do
      assert.equal(model.id ~= "gemini-2.5-pro", model.free)
    end
  end)
end)

describe("providers.base_url", function()
  it("fills in what the environment tells", function()
    local url = providers.base_url(providers.get("cloudflare"), function(name)
      return name == "CLOUDFLARE_ACCOUNT_ID" and "acc1" or nil
    end)
    assert.equal("https://api.cloudflare.com/client/v4/accounts/acc1/ai/v1", url)
  end)

  it("names the variable that is missing", function()
    local url, missing = providers.base_url(providers.get("azure"), function() return nil end)
    assert.is_nil(url)
    assert.equal("AZURE_OPENAI_RESOURCE", missing)
  end)

  it("is the address itself where nothing is to be filled in", function()
    assert.equal("https://api.groq.com/openai/v1", (providers.base_url(providers.get("groq"), error)))
  end)
end)

describe("header families", function()
  it("belong to providers, or are the common one", function()
    assert.equal("groq", limit_headers.family("groq"))
    assert.equal("generic", limit_headers.family("nobody"))
    assert.equal("generic", limit_headers.family(nil))
  end)
end)
