-- An agent in the middle of its work, whose providers fail one after the other: it goes on with the next one, in whatever
-- protocol, with the calls and results it has, and its SDK notices nothing.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local sdk = require "spec.sdk.sdk"

local KEY = "a-key-of-the-config"
local UPSTREAM = { openai = "gpt-4o", responses = "gpt-5", anthropic = "claude-sonnet-4-5", gemini = "gemini-3-flash",
  ollama = "qwen3" }
local ORDERS = {
  { "anthropic", "openai", "gemini" }, { "gemini", "anthropic", "responses" }, { "responses", "gemini", "anthropic" },
  { "openai", "anthropic", "ollama" }, { "ollama", "gemini", "openai" },
}
-- The first of an order answers until there are results; the second until there is one more; the third all that is left.
local LAST_SEEN = { "It is 21 degrees in Geneva.", "It is 21 degrees in Chur." }

local function fails_after(text)
  return { cases = { { when = text, kind = "error", status = 503 }, sdk.answers } }
end

describe("an agent", function()
  local upstreams, moongate = {}, nil

  setup(function()
    local config = { auth = "keys", keys = { { name = "app", key = KEY } }, providers = {}, models = {}, aliases = {} }
    for _, order in ipairs(ORDERS) do
      local name = table.concat(order, "-")
      upstreams[name], config.aliases[name] = {}, { order = true }
      for place, protocol in ipairs(order) do
        local upstream = provider.open { strict = true }
        upstreams[name][place] = upstream
        local id = name .. "-" .. place
        config.providers[id] = {
          protocol = protocol == "responses" and "openai" or protocol, base_url = upstream:base(protocol),
          formats = protocol == "responses" and { "responses" } or nil, like = protocol == "responses" and "openai" or protocol,
          api_key = "sk", retries = 0, breaker = { failures = 1000 },
        }
        config.models[#config.models + 1] = { id = id, provider = id, upstream_id = UPSTREAM[protocol], tools = true,
          strengths = { "reasoning" } }
        config.aliases[name][place] = { model = id }
      end
    end
    moongate = gateway.start { config = config }
  end)
  teardown(gateway.stop_all)

  local function judge(result)
    assert.is_nil(result.class, result.message)
    assert.equal("Warm everywhere.", result.text)
    assert.equal(3, result.turns)
    local cities = {}
    for index, call in ipairs(result.calls) do cities[index] = call.arguments.city end
    assert.same({ "Bern", "Geneva", "Chur" }, cities)
  end

  for _, name in ipairs { "openai", "anthropic" } do
    describe("of the SDK of " .. name, function()
      local results

      setup(function()
        local models = {}
        for model, places in pairs(upstreams) do
          models[#models + 1] = model
          for place, upstream in ipairs(places) do
            upstream:forget():usually(LAST_SEEN[place] and fails_after(LAST_SEEN[place]) or sdk.answers)
          end
        end
        results = sdk.run(name, "http://" .. moongate.address, KEY, models, { "agent", "agent_stream" })
      end)

      for _, order in ipairs(ORDERS) do
        it(("goes on from %s to %s to %s"):format(unpack(order)), function()
          local model = table.concat(order, "-")
          for place, upstream in ipairs(upstreams[model]) do
            local seen = upstream:seen()
            for _, record in ipairs(seen) do assert.is_nil(record.refused, record.body) end
            -- Whole and streamed: every turn but those before its own.
            assert.equal(2 * (4 - place), #seen)
          end
          judge(results[model].agent)
          judge(results[model].agent_stream)
        end)
      end
    end)
  end
end)
