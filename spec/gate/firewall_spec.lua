-- The last look at a call before it leaves: what no script can talk the gateway into.
local ffi = require "ffi"
local library = require "spec.support.library"
require "spec.support.core"
package.path = "./lua/?.lua;" .. package.path
local json = require "moongate.core.json"
local spending = require "moongate.spending"
require "spec.gate.stage"

ffi.cdef [[
  const char *firewall_spec_refuses(const struct stage_exchange *, const char *target, const char *url,
    const char *body, size_t length) __asm__("firewall_refuses");
  void firewall_spec_drop(void *settings) __asm__("settings_drop");
]]

local TARGETS = [[ "targets": [
  { "id": "groq/paid", "base_url": "https://api.groq.com/openai/v1" },
  { "id": "groq/free", "base_url": "https://api.groq.com/openai/v1", "costs_nothing": true,
    "upstream_id": "llama" },
  { "id": "gemini/flash", "base_url": "https://g.com/v1beta", "costs_nothing": true, "upstream_id": "flash 2@x",
    "is_named_by_path": true },
  { "id": "gemini/tuned", "base_url": "https://g.com/v1beta/", "costs_nothing": true, "upstream_id": "tunedModels/t",
    "is_named_by_path": true },
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
  worker.settings = library.stage_settings_parse(('{ "zero_spend": %s, "spending": %s, %s }')
    :format(tostring(zero_spend), json.encode(spending.rules()), TARGETS))
end

local BODY = '{"model":"llama"}'

local function refuses(target, url, body)
  body = body or BODY
  local reason = library.firewall_spec_refuses(exchange, target, url, body, #body)
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

  it("lets no call climb out of its target's folder", function()
    for _, path in ipairs { "/..", "/../v2/x", "/a/../../x", "/%2e%2E/x", "/.%2e/x", "/./x", "/a\\..\\x", "/..?q" } do
      assert.equal("the call's address is not the target's", refuses("groq/free", "https://api.groq.com/openai/v1"
        .. path), path)
    end
    assert.is_nil(refuses("groq/free", "https://api.groq.com/openai/v1/...x/.y?../z"))
  end)

  describe("under zero_spend", function()
    before_each(function() configure(true) end)

    local function free(body) return refuses("groq/free", "https://api.groq.com/openai/v1/chat/completions", body) end
    local function gemini(url, body) return refuses("gemini/flash", "https://g.com/v1beta" .. url, body or "{}") end

    it("lets plain bodies go", function()
      for _, rest in ipairs {
        [[]], [[,"service_tier":"default"]], [[,"service_tier":null,"models":null,"tools":null]],
        [[,"tools":[{"type":"function","function":{"name":"models","parameters":{"models":1}}}] ]],
        [[,"tools":[{"name":"f","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}] ]],
        [[,"messages":[{"role":"user","content":"models","models":["x"]}],"metadata":{"route":"x"}]],
        [[,"prompt":"id"]], [[,"provider":{"max_price":{"prompt":0,"completion":0,"request":0,"image":0}}]],
      } do
        assert.is_nil(free('{"model":"llama"' .. rest .. "}"), rest)
      end
    end)

    it("wants the model of the target, once and by that name", function()
      for _, body in ipairs {
        '{"model":"gpt-4"}', '{"model":"llama:online"}', '{"model":"Llama"}', '{"model":"llama","Model":"gpt-4"}',
        '{"model":"llama","model":"gpt-4"}', '{"model":"llama","mod\\u0065l":"gpt-4"}', '{"model":["llama"]}',
        '{"model":"models/llama"}', '{"Model":"llama"}', "{}", '{"model":null}', '{"model":"llama","MODE_L":"x"}',
        '{"model":"llama","requests":[{"model":"llama"},{"model":"dear"}]}',
      } do
        assert.matches("zero_spend is on", free(body), body)
      end
    end)

    it("lets nothing out that it cannot read", function()
      for _, body in ipairs { "", "model=llama", "[]", '"llama"', '{"model":"llama"} {"model":"x"}', "\239\187\191{}",
        '{"model":"llama"', '{"model":"llama","a":1,"a":2}', ('{"model":"llama","a":%s1%s}'):format(("["):rep(300),
        ("]"):rep(300)) } do
        assert.matches("not a JSON object", free(body), body)
      end
    end)

    it("finds what spends, however it is written", function()
      for _, field in ipairs {
        "models", "Models", "MODELS", "mod\\u0065ls", "model\197\191", "mo_dels", "route", "provider", "plugins",
        "preset", "transforms", "web_search_options", "webSearchOptions", "search_parameters", "searchParameters",
        "container", "mcp_servers", "inference_geo", "speed", "fallbacks", "extra_body", "fallbac\\u212As", "agent_id",
        "billing_mode", "service_tier", "serviceTier", "SERVICE\\u005ftier",
      } do
        assert.matches("may cost money", free(('{"model":"llama","%s":"x"}'):format(field)), field)
        assert.matches("may cost money", free(('{"model":"llama","%s":{}}'):format(field)), field)
        assert.matches("may cost money", free(('{"model":"llama","%s":["auto"]}'):format(field)), field)
      end
      assert.matches("`prompt.id`", free '{"model":"llama","prompt":{"id":"pmpt_1"}}')
    end)

    it("lets only tools out that the caller runs", function()
      for _, tools in ipairs {
        '[{"type":"web_search"}]', '[{"type":"web_search_20250305","name":"web_search"}]', '["web_search"]',
        '[{"type":"function","function":{}},{"type":"file_search"}]', '{"type":"mcp"}', '[[{"type":"computer"}]]',
        '[{"googleSearch":{}}]', '[{"google_search":{}}]', '[{"functionDeclarations":[],"urlContext":{}}]',
        '[{"type":"function","CodeExecution":{}}]', '{"googleMaps":{}}', '[{"type":["function"]}]', '[{"Type":"mcp"}]',
      } do
        assert.matches("only tools", free(('{"model":"llama","tools":%s}'):format(tools)), tools)
        assert.matches("only tools", gemini("/models/flash%202@x:countTokens",
          ('{"generateContentRequest":{"tools":%s}}'):format(tools)), tools)
      end
    end)

    it("and the check of the caller's own body are of one mind", function()
      local names = { "models", "Models", "x", "tools", "TOOLS", "service_tier", "type", "generateContentRequest",
        "prompt", "id", "google_search", "function", "provider", "name", "model\197\191" }
      local values = { "1", "null", "[]", "{}", '"auto"', '"function"', '"x"', '{"max_price":0}' }
      local function value(depth)
        local kind = math.random(depth > 3 and 1 or 3)
        if kind == 1 then return values[math.random(#values)] end
        local parts, used = {}, {}
        for i = 1, math.random(0, 3) do
          local name = names[math.random(#names)]
          if kind == 2 then
            parts[i] = value(depth + 1)
          elseif not used[name] then
            parts[#parts + 1], used[name] = ('"%s":%s'):format(name, value(depth + 1)), true
          end
        end
        return (kind == 2 and "[%s]" or "{%s}"):format(table.concat(parts, ","))
      end
      local refused = 0
      for _ = 1, 20000 do
        local body = ('{"model":"llama","%s":%s,"y":%s}'):format(names[math.random(#names)], value(1), value(1))
        local refusal = spending.refusal(assert(json.scan(body)))
        assert.equal(refusal and refusal.message, free(body), body)
        refused = refused + (refusal and 1 or 0)
      end
      assert.is_true(refused > 2000 and refused < 18000, refused)
    end)

    it("reads the model in the address of those who name it there", function()
      assert.is_nil(gemini "/models/flash%202@x:generateContent")
      assert.is_nil(gemini "/models/flash%202@x:streamGenerateContent?alt=sse")
      assert.is_nil(gemini("/models/flash%202@x:embedContent", '{"model":"models/flash 2@x"}'))
      assert.is_nil(refuses("gemini/tuned", "https://g.com/v1beta/tunedModels/t:generateContent", "{}"))
      for _, path in ipairs {
        "/models/pro:generateContent", "/models/flash%202@x%00:x", "/models/flash:generateContent", "", "?models/flash",
        "/models/models/flash%202@x:x", "/models/flash%202@x:a/models/pro:b", "/models/flash%202@x/pro:b", "/x",
      } do
        assert.matches("address does not name", gemini(path), path)
      end
      assert.matches("`model`", gemini("/models/flash%202@x:embedContent", '{"model":"models/pro"}'))
      assert.matches("`requests%[%].model`", gemini("/models/flash%202@x:batchEmbedContents",
        '{"requests":[{"model":"models/pro"}]}'))
      assert.matches("`generateContentRequest.model`", gemini("/models/flash%202@x:countTokens",
        '{"generate_content_request":{"model":"models/pro"}}'))
    end)
  end)
end)
