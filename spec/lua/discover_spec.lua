local config = require "moongate.config"
local providers = require "moongate.providers"
local registry = require "moongate.registry"

local function discover(env, local_models)
  return config.discover(function(name) return env[name] end, local_models)
end

describe("config.discover", function()
  it("finds a provider for each usual key variable that is set", function()
    local found, hint = discover { GROQ_API_KEY = "g", OPENAI_API_KEY = "o", MISTRAL_API_KEY = "" }
    assert.equal("g", found.providers.groq.keys[1].key)
    assert.equal("o", found.providers.openai.keys[1].key)
    assert.is_nil(found.providers.mistral)
    assert.matches("found groq %(GROQ_API_KEY%), openai %(OPENAI_API_KEY%)", hint)
    assert.is_nil(string.find(hint, '"g"', 1, true))
    local all = registry.new(found, providers.get)
    assert.is_table(all:resolve "gpt-4o")
  end)

  it("knows the variables of the providers that people use", function()
    for _, name in ipairs {
      "OPENAI", "ANTHROPIC", "GEMINI", "GROQ", "OPENROUTER", "CEREBRAS", "MISTRAL", "DEEPSEEK", "TOGETHER", "MOONSHOT",
    } do
      local found = discover { [name .. "_API_KEY"] = "k" }
      assert.is_table(found.providers[string.lower(name)], name)
      assert.is_true(#registry.new(found, providers.get).targets > 0, name)
    end
  end)

  it("takes the models of a local Ollama, free and on this machine", function()
    local found = discover({}, { "llama3:8b", "qwen3" })
    local all = registry.new(found, providers.get)
    assert.equal(2, #all.targets)
    local target = all:resolve("qwen3")[1]
    assert.equal("ollama/qwen3", target.id)
    assert.is_true(target.free)
    assert.is_true(target.is_local)
  end)

  it("follows Ollama to where its own variable says it is", function()
    local ollama = discover({ OLLAMA_HOST = "0.0.0.0:9999" }, { "m" }).providers.ollama
    assert.equal("http://127.0.0.1:9999", ollama.base_url)
    assert.is_true(ollama.is_local)
    ollama = discover({ OLLAMA_HOST = "http://gpu-box" }, { "m" }).providers.ollama
    assert.equal("http://gpu-box:11434", ollama.base_url)
    assert.is_false(ollama.is_local)
  end)

  it("serves this machine only, without keys, and keeps nothing", function()
    local found = discover { GROQ_API_KEY = "g" }
    assert.same({ { addr = "127.0.0.1:8080" } }, found.listen)
    assert.equal("none", found.auth)
    assert.equal("memory:", found.store)
  end)

  it("says what to do where nothing is found", function()
    local found, hint = discover {}
    assert.same({}, found.providers)
    assert.matches("^no provider found: set OPENAI_API_KEY, .* start Ollama, or write a moongate.lua$", hint)
  end)
end)
