require "spec.support.core"
local config = require "moongate.config"
local json = require "moongate.core.json"
local openai = require "protocols.openai"
local providers = require "moongate.providers"
local quirks = require "moongate.schema_quirks"
local tree = require "spec.support.tree"

local README = "lua/providers/README.md"

local function load(text, env)
  return config.load(text, "moongate.lua", env or function() return nil end)
end

-- The messages of a provider with these quirks.
local function wrong(text)
  local _, problems = load('return { providers = { p = { protocol = "openai", base_url = "http://h/v1", quirks = '
    .. text .. " } } }")
  local messages = {}
  for i, problem in ipairs(problems or {}) do messages[i] = problem.key .. ": " .. problem.message end
  return messages
end

local function body_at(provider, upstream_id, text)
  local request, unfit = openai.build {
    operation = "chat", target = { upstream_id = upstream_id }, provider = provider, key = "k",
    document = assert(json.scan(text)),
  }
  return request and json.decode(request.body), unfit
end

describe("quirks in a config", function()
  it("are as they are in the built-in tables that speak OpenAI", function()
    for _, name in ipairs(providers.names()) do
      local provider = providers.get(name)
      if provider.protocol == "openai" and provider.quirks then
        quirks.check(provider.quirks, name, function(path, message) error(path .. ": " .. message) end)
      end
    end
  end)

  it("say clearly what is wrong with them", function()
    for text, message in pairs {
      ["{ renam = {} }"] = 'p.quirks.renam: unknown key (did you mean "rename"?)',
      ["{ drop = 'seed' }"] = "p.quirks.drop: must be a list, not a string",
      ["{ drop = {} }"] = "p.quirks.drop: must not be empty",
      ["{ clamp = { temperature = { 1 } } }"] = "p.quirks.clamp.temperature: needs two numbers: { least, most }",
      ["{ clamp = { temperature = { 2, 1 } } }"] = "p.quirks.clamp.temperature: needs two numbers: { least, most }",
      ["{ call_id = { length = 0 } }"] = "p.quirks.call_id.length: must be a whole number from 1 to 64, not 0",
      ["{ switch = { field = 'f', on = 1 } }"] = "p.quirks.switch: needs the key off",
      ["{ tool_name = '[' }"] = "p.quirks.tool_name: is no Lua pattern: malformed pattern (missing ']')",
      ["{ models = { { match = { '%' }, quirks = {} } } }"] =
        "p.quirks.models[1].match[1]: is no Lua pattern: malformed pattern (ends with '%')",
      ["{ models = { { match = { 'a' }, quirks = { models = {} } } } }"] =
        "p.quirks.models[1].quirks.models: unknown key",
      ["{ rename = { a = env 'NOBODY' } }"] = "p.quirks.rename.a: environment variable NOBODY is not set",
    } do
      local messages = wrong(text)
      assert.equal(1, #messages, text)
      assert.matches("providers." .. message, messages[1], 1, true)
    end
  end)

  it("are refused where another protocol is spoken", function()
    local _, problems = load('return { providers = { ollama = { quirks = { drop = { "seed" } } } } }')
    assert.equal('providers.ollama.quirks: are for the protocol "openai", not "ollama"',
      problems[1].key .. ": " .. problems[1].message)
  end)

  it("are added to those of the provider it is like", function()
    local loaded = assert(load([[return { providers = { mine = { like = "groq", base_url = "http://h/v1",
      quirks = { drop = { "seed" }, only = { n = { 1, 2 } } } } } }]]))
    local text = '{"model":"m","seed":1,"logprobs":true,"n":2,"top_p":1,"reasoning_effort":"low"}'
    assert.same({ model = "m", n = 2, top_p = 1 }, (body_at(loaded.providers.mine, "m", text)))
    assert.same({ "logprobs", "top_logprobs", "logit_bias" }, providers.get("groq").quirks.drop)
  end)
end)

describe("what else a config may say of a provider", function()
  it("is what a table says: the scope of limits, and their windows", function()
    local loaded, problems = load([[return { providers = { mine = { protocol = "openai", base_url = "http://h/v1",
      limit_scope = "model", resets = "fixed" } } }]])
    assert.same(nil, problems)
    local mine = loaded.providers.mine
    assert.same({ "model", "fixed" }, { mine.limit_scope, mine.resets })
  end)

  it("is one of few words", function()
    local _, problems = load([[return { providers = { mine = { protocol = "openai", base_url = "http://h/v1",
      limit_scope = "modle", resets = "never" } } }]])
    assert.equal('must be one of model, provider, not "modle" (did you mean "model"?)', problems[1].message)
    assert.equal('must be one of rolling, fixed, not "never"', string.match(problems[2].message, "^[^(]*never\""))
  end)
end)

describe("the page about provider tables", function()
  local page = tree.read(README)
  local blocks = {}
  for block in page:gmatch "```lua\n(.-)```" do blocks[#blocks + 1] = block end

  it("is one screen", function()
    local _, lines = page:gsub("\n", "")
    assert.is_true(lines <= 70)
  end)

  it("has an example of about ten lines that is a provider table", function()
    local _, lines = blocks[1]:gsub("\n", "")
    assert.is_true(lines <= 12)
    local provider = assert(loadstring(blocks[1]))()
    assert.equal("acme", provider.name)
    quirks.check(provider.quirks, "", function(path, message) error(path .. ": " .. message) end)
  end)

  it("has an example of a config that does the same", function()
    local loaded, problems = load(blocks[2])
    assert.same(nil, problems)
    local acme = loaded.providers.acme
    assert.same(assert(loadstring(blocks[1]))().quirks, acme.quirks)
    assert.same({ model = "acme-1", max_completion_tokens = 5 }, (body_at(acme, "acme-1",
      '{"model":"m","max_tokens":5}')))
    local _, unfit = body_at(acme, "acme-1", '{"n":3}')
    assert.equal("n", unfit.param)
  end)

  it("tells every field and every quirk", function()
    for name in pairs(quirks.fields) do assert.matches("`" .. name .. "`", page, 1, true) end
    for _, name in ipairs(providers.names()) do
      for field in pairs(providers.get(name)) do assert.matches("`" .. field .. "`", page, 1, true) end
    end
  end)
end)
