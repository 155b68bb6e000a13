-- What nearly all whole answers of Anthropic look like, for `json.fits`: what is read of one that does is taken from
-- where it stands, and nothing of it is built. Others are read by protocols.anthropic_reply: those with calls of tools,
-- too, for their arguments have to be written to be measured. Tallied is what the model wrote.
local json = require "moongate.core.json"

local LARGEST = 2 ^ 53 - 1

local TEXT = { kind = "string", tally = true }

local function one_of(...) return { kind = "string", values = { ... } } end
local function count(place)
  return { kind = "number", least = 0, most = LARGEST, whole = true, null = true, take = place }
end

local CONTENT = {
  kind = "array",
  items = { either = {
    { kind = "object", needs = { type = one_of "text", text = TEXT }, may = { thinking = "null" } },
    { kind = "object", needs = { type = one_of "thinking", thinking = TEXT }, may = { text = "null" } },
    { kind = "object", needs = { type = one_of "redacted_thinking" }, may = { text = "null", thinking = "null" } },
  } },
}

local USAGE = {
  kind = "object",
  may = {
    input_tokens = count(2), cache_read_input_tokens = count(3), cache_creation_input_tokens = count(4),
    cache_creation = {
      kind = "object", null = true,
      may = { ephemeral_5m_input_tokens = count(5), ephemeral_1h_input_tokens = count(6) },
    },
    output_tokens = count(7),
    output_tokens_details = { kind = "object", null = true, may = { thinking_tokens = count(8) } },
    -- The passes of a conversation that was compacted add up.
    iterations = { kind = "array", null = true, items = { kind = "object", needs = { type = one_of "message" } } },
    cost = "null", cost_in_usd_ticks = "null", is_byok = "null",
  },
}

-- stop_reason, and of the usage: input, read from the cache, written to it, that by its ages, output, thinking.
return json.outline {
  kind = "object", needs = { type = one_of "message", content = CONTENT, usage = USAGE },
  may = {
    stop_reason = { kind = "string", least = 1, null = true, take = 1 }, error = "null", base_resp = "null",
    x_groq = "null", object = "null",
  },
}
