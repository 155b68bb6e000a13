-- Checks what the bodies of the router's own surfaces have besides the fields of a chat completion, field by field.
-- Strict: a field that is not known here is a fault, for a misspelt wish would else be ignored in silence.
local fields = require "moongate.surfaces.fields"
local near = require "moongate.near"
local task = require "moongate.task"

local check = {}

local PRIORITIES = { "cheap", "balanced", "best" }
local LATENCIES = { "normal", "fast" }

-- What the caller asks of the router, and no provider is told.
check.wishes = { "priority", "latency_pref", "max_cost", "privacy", "task", "policy" }

-- What /v1/chat hands on to the provider.
local HANDED_ON = {
  "messages", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed",
  "presence_penalty", "frequency_penalty", "logit_bias", "response_format", "tools", "tool_choice",
  "parallel_tool_calls", "reasoning_effort", "metadata", "user", "n", "stream",
}
-- What a chat completion may have besides, for a body that is explained and not served.
local CHAT_ALONE = {
  "audio", "function_call", "functions", "logprobs", "modalities", "prediction", "prompt_cache_key",
  "safety_identifier", "service_tier", "store", "stream_options", "top_logprobs", "verbosity", "web_search_options",
}

local function joined(...)
  local all = {}
  for _, list in ipairs { ... } do
    for _, name in ipairs(list) do all[#all + 1] = name end
  end
  return all
end

local CHAT = joined(HANDED_ON, check.wishes)
local EITHER = joined(CHAT, CHAT_ALONE)
local AGENT = { "input", "model" }

local function choice(document, name, words)
  local node = fields.optional(document, 0, name)
  if not node then return end
  local value = document:kind(node) == "string" and document:value(node)
  for _, word in ipairs(words) do
    if value == word then return end
  end
  local hint = value and near.hint(value, words) or ""
  fields.fail(name, "expected one of " .. table.concat(words, ", "), fields.describe(document, node) .. hint)
end

local function kind(document, name, wanted, article)
  local node = fields.optional(document, 0, name)
  if node then fields.expect(document, node, name, wanted, article) end
end

local function filled(document, name, words)
  local node = fields.optional(document, 0, name)
  if node and (document:kind(node) ~= "string" or document:value(node) == "") then
    fields.fail(name, "expected " .. words, fields.describe(document, node))
  end
end

local function check_wishes(document)
  choice(document, "priority", PRIORITIES)
  choice(document, "latency_pref", LATENCIES)
  choice(document, "task", task.types)
  kind(document, "privacy", "boolean")
  filled(document, "policy", "the name of a routing policy")
  local node = fields.optional(document, 0, "max_cost")
  local amount = node and document:kind(node) == "number" and document:value(node)
  if node and not (amount and amount >= 0) then
    fields.fail("max_cost", "expected an amount in USD such as 0.01", fields.describe(document, node))
  end
end

local function check_seed(document)
  local seed = fields.optional(document, 0, "seed")
  if seed and (document:kind(seed) ~= "number" or document:value(seed) % 1 ~= 0) then
    fields.fail("seed", "expected an integer", fields.describe(document, seed))
  end
end

local function check_handed_on(document)
  check_seed(document)
  kind(document, "user", "string")
  kind(document, "metadata", "object", "an")
  filled(document, "reasoning_effort", "a word such as low")
end

-- There is one answer, and it comes whole.
local function check_single(document)
  local stream = fields.optional(document, 0, "stream")
  if stream and document:value(fields.expect(document, stream, "stream", "boolean")) then
    local message = "stream: this path answers as a whole; streams are at /v1/chat/completions"
    error({ param = "stream", message = message }, 0)
  end
  local count = fields.optional(document, 0, "n")
  if count and document:value(count) ~= 1 then
    fields.fail("n", "expected 1, for there is one output", fields.describe(document, count))
  end
end

-- A body of /v1/chat, or with `fixed_task` one of /v1/agent-step. The messages and what else a chat completion has are
-- left to the check of that surface.
---@type fun(document: table, fixed_task: string|nil): { param: string|nil, message: string }|nil
check.chat = fields.guarded(function(document, fixed_task)
  fields.body(document)
  fields.known(document, CHAT)
  check_wishes(document)
  check_handed_on(document)
  check_single(document)
  local named = fixed_task and fields.optional(document, 0, "task")
  if named and document:value(named) ~= fixed_task then
    fields.fail("task", "expected " .. fixed_task .. " here, or none", fields.describe(document, named))
  end
end)

-- A body that is only explained: /v1/chat's, which is known by the wishes in it, or that of a chat completion, whose
-- unknown fields are the provider's affair.
---@type fun(document: table): { param: string|nil, message: string }|nil
check.explained = fields.guarded(function(document)
  fields.body(document)
  for _, name in ipairs(check.wishes) do
    if document:find(0, name) then
      fields.known(document, EITHER)
      break
    end
  end
  check_wishes(document)
  check_seed(document)
end)

-- A run of an agent.
---@type fun(document: table): { param: string|nil, message: string }|nil
check.agent = fields.guarded(function(document)
  fields.body(document)
  fields.known(document, AGENT)
  local input = document:find(0, "input")
  if not input or document:kind(input) ~= "string" or not string.find(document:value(input), "%S") then
    fields.fail("input", "expected the text to work on", fields.describe(document, input))
  end
  filled(document, "model", 'the name of a model (or "auto")')
end)

return check
