-- What nearly all whole answers of OpenAI-shaped providers look like, and nearly all events of a stream, for
-- `json.fits`: what is read of one that does is taken from where it stands, and nothing of it is built. Others are read
-- by protocols.openai. Tallied is what the model wrote; what would count otherwise, or mean a failure, does not fit.
local json = require "moongate.core.json"

local LARGEST = 2 ^ 53 - 1

local TEXT = { kind = "string", null = true, tally = true }

local function count(place, may_be_null)
  return { kind = "number", least = 0, most = LARGEST, whole = true, null = may_be_null, take = place }
end

local function call(name)
  return {
    kind = "object",
    needs = { ["function"] = { kind = "object", needs = { name = name, arguments = TEXT }, may = { input = "null" } } },
    may = { custom = "null" },
  }
end

-- Thoughts come under two names, and where both are there they are the same.
local function message(name, reasoning, reasoning_content)
  return {
    kind = "object",
    may = {
      content = TEXT, refusal = TEXT, reasoning = reasoning, reasoning_content = reasoning_content,
      reasoning_details = "null", audio = "null", function_call = "null",
      tool_calls = { kind = "array", items = call(name), null = true },
    },
  }
end

local function either_message(name) return { either = { message(name, "null", TEXT), message(name, TEXT, "null") } } end

local FINISH = { kind = "string", least = 1, null = true, take = 1 }

local CHOICES = {
  kind = "array", least = 1, most = 1,
  items = {
    kind = "object", needs = { message = either_message(TEXT) },
    may = { delta = "null", text = "null", finish_reason = FINISH },
  },
}

-- A call says something, so its name does. There is an index where there is a choice.
local DELTAS = {
  kind = "array", most = 1,
  items = {
    kind = "object",
    needs = {
      index = { kind = "number", take = 8 }, delta = either_message { kind = "string", least = 1, tally = true },
    },
    may = { message = "null", text = "null", finish_reason = FINISH },
  },
}

local USAGE = {
  kind = "object", null = true, needs = { prompt_tokens = count(2, false) },
  may = {
    completion_tokens = count(3, true), total_tokens = count(4, true),
    prompt_tokens_details = {
      kind = "object", null = true, may = { cached_tokens = count(5, true), cache_write_tokens = count(6, true),
        cache_creation_tokens = "null" },
    },
    completion_tokens_details = { kind = "object", null = true, may = { reasoning_tokens = count(7, true) } },
  },
}
-- The same by other names, and what a provider charged.
for _, name in ipairs {
  "prompt_token_details", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "num_cached_tokens", "cached_tokens",
  "cache_write_tokens", "reasoning_tokens", "cost", "cost_in_usd_ticks", "is_byok", "neurons",
  "output_tokens",
} do USAGE.may[name] = "null" end

local function outline(object, needs, usage)
  return json.outline {
    kind = "object", needs = needs,
    may = {
      object = { kind = "string", values = { object } }, usage = usage, error = "null", base_resp = "null",
      type = "null", x_groq = { kind = "object", null = true, may = { error = "null", usage = "null" } },
      data = "null", cost = "null", cost_in_usd_ticks = "null", is_byok = "null",
    },
  }
end

-- They take finish_reason, and of the usage: prompt, completion, total, cached, written to the cache, reasoning; of an
-- event the choice's index besides.
return {
  whole = outline("chat.completion", { choices = CHOICES, usage = USAGE }),
  event = outline("chat.completion.chunk", { choices = DELTAS }, USAGE),
}
