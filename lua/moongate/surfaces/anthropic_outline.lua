-- What nearly all bodies sent to Anthropic's Messages look like, for `document:fits`: others are looked at one field
-- after another by anthropic_check, which knows what may be different, and says what may not. Tallied is the text of
-- the conversation. Counted is what has to be looked at all the same.
local json = require "moongate.core.json"

local MARKS, CALLS, BUDGETS = 1, 2, 3
local LARGEST = 2 ^ 31 - 1
local DEEPEST_SCHEMA = 100
local LEAST_BUDGET = 1024

local BOOLEAN = { kind = "boolean", null = true }
local STRING = { kind = "string", null = true }
local TEXT = { kind = "string", tally = true }
local FILLED = { kind = "string", least = 1 }

local function one_of(...) return { kind = "string", values = { ... } } end
local function maybe(...) return { kind = "string", null = true, values = { ... } } end
local function number(least, most) return { kind = "number", least = least, most = most, null = true } end
local function integer(least, most, null)
  return { kind = "number", least = least, most = most, whole = true, null = null }
end
local function list(items, least) return { kind = "array", items = items, least = least } end

-- ---- blocks ----

local CACHE = {
  kind = "object", null = true, count = MARKS, needs = { type = one_of "ephemeral" }, may = { ttl = maybe("5m", "1h") },
}

-- Marks are counted in what is called content, wherever it is.
local function block(kind, needs, may)
  needs.type = one_of(kind)
  may = may or {}
  may.cache_control, may.content = CACHE, may.content or "null"
  return { kind = "object", needs = needs, may = may }
end

local SAID = block("text", { text = TEXT })
local CALL = block("tool_use", { id = FILLED, name = { kind = "string", least = 1, tally = true },
  input = { kind = "object", tally = true } })
local THOUGHT = block("thinking", { thinking = TEXT, signature = "string" })
local RESULT = block("tool_result", { tool_use_id = FILLED }, {
  is_error = BOOLEAN, content = { either = { { kind = "string", null = true, tally = true }, list(SAID) } },
})
CALL.count, RESULT.count = CALLS, CALLS

local function message(role, blocks)
  return {
    kind = "object", needs = { role = one_of(role), content = { either = { TEXT, blocks } } },
    may = { cache_control = "null" },
  }
end

local MESSAGES = list({ either = {
  message("user", list({ either = { SAID, RESULT } }, 1)),
  message("assistant", list { either = { SAID, CALL, THOUGHT } }),
} }, 1)

-- ---- the rest ----

local function schema(needs) return { kind = "object", deepest = DEEPEST_SCHEMA, needs = needs } end

local TOOL = {
  kind = "object",
  needs = {
    name = { kind = "string", least = 1, most = 128, letters = "_-", note = true, new = true },
    input_schema = schema { type = one_of "object" },
  },
  may = { type = maybe "custom", description = STRING, cache_control = CACHE, content = "null" },
}

local FORMAT = { kind = "object", null = true, needs = { type = one_of "json_schema", schema = schema() } }

local THINKING = { either = {
  { kind = "object", null = true, needs = { type = one_of("adaptive", "disabled") } },
  { kind = "object", count = BUDGETS, needs = { type = one_of "enabled", budget_tokens = integer(LEAST_BUDGET) } },
} }

local function body(needs, may)
  needs.messages = MESSAGES
  for name, value in pairs {
    model = { kind = "string", least = 1, null = true }, stream = BOOLEAN,
    system = { either = { { kind = "string", null = true, tally = true }, list(SAID) } },
    temperature = number(0, 1), top_p = number(0, 1), top_k = integer(0, LARGEST, true),
    stop_sequences = { kind = "array", null = true, items = "string" },
    metadata = { kind = "object", null = true, may = { user_id = STRING } },
    tools = { kind = "array", null = true, items = TOOL },
    -- Which tool it has to be, or that there is one, is looked at closely.
    tool_choice = {
      kind = "object", null = true, needs = { type = one_of("auto", "none") },
      may = { disable_parallel_tool_use = BOOLEAN },
    },
    thinking = THINKING, output_format = FORMAT,
    output_config = {
      kind = "object", null = true, may = { effort = maybe("low", "medium", "high", "xhigh", "max"), format = FORMAT },
    },
  } do may[name] = value end
  return json.outline { kind = "object", needs = needs, may = may }
end

-- Of a call, and of a count of its tokens. Counts: marks for the cache, calls of tools and their results, budgets.
return {
  chat = body({ max_tokens = integer(1, LARGEST) }, {}),
  count = body({}, { max_tokens = integer(1, LARGEST, true) }),
}
