-- The last look at a call before it leaves: what no script can talk the gateway into.
local ffi = require "ffi"
local library = require "spec.support.library"
require "spec.gate.stage"

ffi.cdef [[
  const char *firewall_spec_refuses(const struct stage_exchange *, const char *target, const char *url)
    __asm__("firewall_refuses");
  void firewall_spec_drop(void *settings) __asm__("settings_drop");
]]

local TARGETS = [[ "targets": [
  { "id": "groq/paid", "base_url": "https://api.groq.com/openai/v1" },
  { "id": "groq/free", "base_url": "https://api.groq.com/openai/v1", "costs_nothing": true },
  { "id": "bare/m", "base_url": "https://api.bare.com", "costs_nothing": true },
  { "id": "slash/m", "base_url": "http://slash.com/v1//", "costs_nothing": true },
  { "id": "azure/m", "base_url": "https://a.com/openai?api-version=1", "costs_nothing": true },
  { "id": "empty/m", "base_url": "", "costs_nothing": true },
  { "id": "ollama/m", "base_url": "http://127.0.0.1:11434", "is_local": true, "costs_nothing": true },
  { "id": "box/paid", "base_url": "http://10.0.0.2", "is_local": true },
  { "id": "mock/m", "costs_nothing": true }] ]]

local worker, exchange

local function configure(zero_spend)
  if worker.settings ~= nil then library.firewall_spec_drop(worker.settings) end
  worker.settings = library.stage_settings_parse(('{ "zero_spend": %s, %s }'):format(tostring(zero_spend), TARGETS))
end

local function refuses(target, url)
  local reason = library.firewall_spec_refuses(exchange, target, url)
  return reason ~= nil and ffi.string(reason) or nil
end

describe("the firewall", function()
  before_each(function()
    worker = ffi.new "struct stage_worker"
    exchange = ffi.new("struct stage_exchange", { worker = worker })
    configure(false)
  end)
  after_each(function() library.firewall_spec_drop(worker.settings) end)

  it("lets a call of a configured target go its way", function()
    assert.is_nil(refuses("groq/paid", "https://api.groq.com/openai/v1/chat/completions"))
    assert.is_nil(refuses("groq/paid", "https://api.groq.com/openai/v1"))
    assert.is_nil(refuses("bare/m", "https://api.bare.com/v1/messages"))
    assert.is_nil(refuses("bare/m", "https://api.bare.com?key=1"))
    assert.is_nil(refuses("slash/m", "http://slash.com/v1/chat/completions"))
    assert.is_nil(refuses("azure/m", "https://a.com/openai/chat/completions?api-version=1"))
    assert.is_nil(refuses("mock/m", nil))
  end)

  it("knows no target that is not configured", function()
    for _, target in ipairs { "groq/other", "groq", "", "GROQ/paid" } do
      assert.equal("the target is not in the configuration", refuses(target, "https://api.groq.com/openai/v1/x"))
    end
  end)

  it("keeps private requests on this machine, also from targets without a network", function()
    exchange.private = true
    assert.is_nil(refuses("ollama/m", "http://127.0.0.1:11434/api/chat"))
    assert.matches("private", refuses("groq/free", "https://api.groq.com/openai/v1/chat/completions"))
    assert.matches("private", refuses("mock/m", nil))
  end)

  it("lets nothing out under zero_spend that is not known to cost nothing", function()
    configure(true)
    assert.is_nil(refuses("groq/free", "https://api.groq.com/openai/v1/chat/completions"))
    assert.matches("zero_spend", refuses("groq/paid", "https://api.groq.com/openai/v1/chat/completions"))
    assert.matches("zero_spend", refuses("box/paid", "http://10.0.0.2/v1"))
  end)

  it("reads the configuration that is in force now", function()
    local url = "https://api.groq.com/openai/v1/chat/completions"
    assert.is_nil(refuses("groq/paid", url))
    configure(true)
    assert.matches("zero_spend", refuses("groq/paid", url))
  end)

  it("sends no call to another address than the target's", function()
    for target, urls in pairs {
      ["groq/free"] = {
        "https://api.groq.com/openai/v1evil", "https://api.groq.com/", "http://api.groq.com/openai/v1/x",
        "https://evil.com/https://api.groq.com/openai/v1/x", "", "file:///etc/passwd",
      },
      ["bare/m"] = {
        "https://api.bare.com.evil.com/v1", "https://api.bare.com@evil.com/v1", "https://api.bare.com:444/v1",
        "https://api.bare.com%2eevil.com/", "https://api.bare.co", "https://api.bare.com\\@evil.com/",
      },
      ["slash/m"] = { "http://slash.com/v2", "http://slash.com/v1x" },
      ["azure/m"] = { "https://a.com/other?api-version=1" },
      ["empty/m"] = { "https://evil.com/" },
      ["ollama/m"] = { "http://127.0.0.1:114345/api/chat" },
    } do
      for _, url in ipairs(urls) do
        assert.equal("the call's address is not the target's", refuses(target, url), url)
      end
    end
  end)

  it("plays no reply for a target that has an address, and sends nothing for one that has none", function()
    assert.equal("the call does not go the target's way", refuses("groq/free", nil))
    assert.equal("the call does not go the target's way", refuses("mock/m", "https://evil.com/"))
  end)
end)
