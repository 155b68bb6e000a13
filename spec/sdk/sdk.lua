-- Runs an SDK's scenarios (scenarios.js) for specs, and says what the simulated provider answers to each: the same
-- script whatever protocol it is asked in.
local json = require "dkjson"
local process = require "spec.support.process"

local sdk = {}

local function weather(id, city)
  return { id = id, type = "function", ["function"] = { name = "weather", arguments = ('{"city":"%s"}'):format(city) } }
end

local two_calls = { weather("call_1", "Bern"), weather("call_2", "Geneva") }
local cached = { prompt_tokens = 100, completion_tokens = 20, total_tokens = 120,
  prompt_tokens_details = { cached_tokens = 60, cache_write_tokens = 30 } }
local thought = { prompt_tokens = 30, completion_tokens = 20, total_tokens = 50,
  completion_tokens_details = { reasoning_tokens = 15 } }

--- What a provider does, by what it is asked; the first that fits.
sdk.answers = { cases = {
  { when = "Case whole." }, { when = "Case stream." }, { when = "Case count." },
  { when = "Case tell.", tell = true },
  { when = "Case tools.", tools = two_calls },
  -- An agent's loop ends with the last result that it needs.
  { when = "Case long loop.", cases = {
    { when = "It is 21 degrees in Chur.", content = "Warm everywhere." },
    { when = "It is 21 degrees in Geneva.", thinking = "One more.", content = "Now Chur.",
      tools = { weather("call_3", "Chur") } },
    { when = "Case long loop.", thinking = "Two cities.", content = "I look.", tools = two_calls },
  } },
  { when = "It is 21 degrees in Geneva.", content = "Warm in both, after {thoughts} thoughts." },
  { when = "Case loop.", thinking = "Two cities.", tools = two_calls },
  { when = "Case thinking.", thinking = "Six times seven.", content = "42", usage = thought },
  { when = "Case stop.", content = "one two END three" },
  { when = "Case length.", finish = "length" },
  { when = "Case filtered.", finish = "content_filter", content = "" },
  { when = "Case cached.", usage = cached },
  { when = "Case limited.", kind = "error", status = 429, message = "Slow down.", type = "rate_limit_error" },
  { when = "Case refused.", kind = "error", status = 400, message = "The provider takes no such thing." },
  { when = "Case failing.", kind = "error", status = 500 },
  { when = "Case broken.", wrong = "error", after = 2, message = "It broke." },
  { when = "Case endless.", endless = true, delay = 5 },
} }

--- What the scenarios of an SDK got: { model = { scenario = result } }.
---@param name string the file in spec/sdk
---@param address string with its scheme
---@param models string[]
---@param scenarios string[]
function sdk.run(name, address, key, models, scenarios)
  local status, output, errors = process.run({ "node", "spec/sdk/" .. name .. ".js", address, key,
    table.concat(models, ","), table.concat(scenarios, ",") }, { seconds = 60, env = { GEMINI_API_KEY = false } })
  assert(status == 0, errors)
  return assert(json.decode(output))
end

return sdk
