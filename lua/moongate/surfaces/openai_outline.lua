-- What nearly all bodies sent to OpenAI's chat completions look like, for `document:fits`: there is nothing wrong with
-- one that does. Others are looked at one field after another by openai_check, which knows what may be different, and
-- says what may not. Tallied are the strings that are no text: roles, and the types of parts. What a request is made of
-- is taken from where it stands.
local json = require "moongate.core.json"

local outline = {}

local OBJECT = { kind = "object", null = true }
local BOOLEAN = { kind = "boolean", null = true }

-- What is taken, in the order of the places; role is that of the last message, content that of the user's last one.
local TAKEN = {
  "model", "stream", "include_usage", "max_completion_tokens", "max_tokens", "messages", "tools", "response_format",
  "role", "content",
}
local place = {}
for i, name in ipairs(TAKEN) do place[name] = i end

local function one_of(...) return { kind = "string", values = { ... } } end
local function type_of_part(name) return { kind = "string", values = { name }, tally = true } end
local function role(...) return { kind = "string", values = { ... }, tally = true, take = place.role } end
local function number(least, most) return { kind = "number", least = least, most = most, null = true } end
local function integer(least, most, taken)
  return { kind = "number", least = least, most = most, whole = true, null = true, take = taken }
end
local function list(items, least, taken) return { kind = "array", items = items, least = least, take = taken } end

-- ---- messages ----

local PART = { kind = "object", needs = { type = type_of_part "text", text = "string" } }
local CONTENT = { either = { "string", list(PART, 1) } }
local ANY_CONTENT = { either = { { kind = "string", null = true }, list(PART, 1) } }
local ASKED = { either = { { kind = "string", take = place.content }, list(PART, 1, place.content) } }
local CALL = {
  kind = "object",
  needs = {
    id = { kind = "string", note = true },
    ["function"] = { kind = "object", needs = { name = "string", arguments = "string" } },
  },
  may = { type = { kind = "string", values = { "function" }, null = true } },
}

local MESSAGES = list({
  either = {
    { kind = "object", needs = { role = role "user", content = ASKED } },
    { kind = "object", needs = { role = role("system", "developer"), content = CONTENT } },
    {
      kind = "object", needs = { role = role "assistant", content = ANY_CONTENT },
      may = { tool_calls = { kind = "array", items = CALL, null = true } },
    },
    {
      kind = "object", needs = { role = role "assistant", tool_calls = list(CALL) },
      may = { content = ANY_CONTENT },
    },
    {
      kind = "object",
      needs = { role = role "tool", content = CONTENT, tool_call_id = { kind = "string", noted = true } },
    },
  },
}, 1, place.messages)

-- ---- the rest ----

local TOOLS = {
  kind = "array", null = true, take = place.tools,
  items = {
    kind = "object",
    needs = {
      type = one_of "function",
      ["function"] = {
        kind = "object", needs = { name = { kind = "string", least = 1 } },
        may = { description = { kind = "string", null = true }, parameters = OBJECT },
      },
    },
  },
}

local FORMAT = {
  either = {
    { kind = "object", null = true, needs = { type = one_of("text", "json_object") }, take = place.response_format },
    {
      kind = "object", take = place.response_format,
      needs = {
        type = one_of "json_schema",
        json_schema = { kind = "object", needs = { name = "string" }, may = { schema = OBJECT } },
      },
    },
  },
}

local LARGEST = 2 ^ 31 - 1

outline.messages = json.outline(MESSAGES)

outline.body = json.outline {
  kind = "object",
  needs = { messages = MESSAGES },
  may = {
    model = { kind = "string", least = 1, null = true, take = place.model },
    stream = { kind = "boolean", null = true, take = place.stream },
    logprobs = BOOLEAN, store = BOOLEAN, parallel_tool_calls = BOOLEAN,
    stream_options = {
      kind = "object", null = true,
      may = { include_usage = { kind = "boolean", null = true, take = place.include_usage } },
    },
    temperature = number(0, 2), top_p = number(0, 1), presence_penalty = number(-2, 2),
    frequency_penalty = number(-2, 2), n = integer(1, 128), top_logprobs = integer(0, 20), seed = integer(),
    max_tokens = integer(1, LARGEST, place.max_tokens),
    max_completion_tokens = integer(1, LARGEST, place.max_completion_tokens),
    logit_bias = OBJECT, response_format = FORMAT, user = { kind = "string", null = true },
    stop = { either = { { kind = "string", null = true }, list "string" } },
    tools = TOOLS, functions = "null",
    -- Which tool it has to be, or that there is one, is looked at closely.
    tool_choice = { kind = "string", null = true, values = { "auto", "none" } },
  },
}

return outline
