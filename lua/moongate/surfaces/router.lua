-- The router's own surfaces: /v1/chat and /v1/agent-step, where one text comes back with its price, and what the debug
-- endpoint reads. What goes to the provider is a chat completion; the fields meant for the router are taken out of it.
local json = require "moongate.core.json"
local money = require "moongate.money"
local check = require "moongate.surfaces.router_check"
local openai = require "moongate.surfaces.openai"
local value_of = require("moongate.surfaces.requests").value

local router = {}

-- Short words for refusals that bring none.
local CODES = {
  [400] = "invalid_request", [401] = "invalid_api_key", [403] = "forbidden", [404] = "not_found", [408] = "timeout",
  [413] = "too_large", [429] = "rate_limit_exceeded", [500] = "internal_error", [502] = "all_providers_failed",
  [503] = "unavailable", [504] = "timeout",
}
local LONGEST_CODE = 64

-- A provider's own code is handed on if it is a word.
local function word(code)
  code = code ~= nil and tostring(code) or ""
  return #code <= LONGEST_CODE and string.find(code, "^[%w_%-%.]+$") and code or nil
end

-- The body of an error answer.
---@param status integer
---@param message string
---@param _ string|nil the type, which other surfaces tell
---@param code string|number|nil
---@param _ string|nil the field: the message names it
---@param id string|nil the request's
---@return string
function router.error(status, message, _, code, _, id)
  return json.encode {
    error = { code = word(code) or CODES[status] or (status < 500 and "invalid_request" or "internal_error"),
      message = message },
    request_id = id or json.null,
  }
end

-- The document without the wishes: what a provider may see.
local function without_wishes(document)
  local changes
  for _, name in ipairs(check.wishes) do
    if document:find(0, name) then
      changes = changes or {}
      changes[name] = false
    end
  end
  return changes and assert(json.scan(document:patch(changes))) or nil
end

-- What a body asks of the router. A header wins over the body's field, as whatever stands before an application may
-- set it; but privacy holds if either asks for it.
local function read_wishes(request, document)
  for _, name in ipairs { "priority", "max_cost", "task", "policy" } do
    if request[name] == nil then request[name] = value_of(document, name) end
  end
  request.latency_pref = value_of(document, "latency_pref")
  request.privacy = request.privacy or value_of(document, "privacy") or false
end

local function refusal_of(wrong)
  return { status = 400, code = "invalid_value", message = wrong.message, param = wrong.param }
end

local function parser(checked, fixed_task)
  return function(document, headers, operation)
    local wrong = checked(document, fixed_task)
    if wrong then return nil, refusal_of(wrong) end
    local request, refusal = openai.parse(document, headers, operation)
    if not request then return nil, refusal end
    read_wishes(request, document)
    if fixed_task then request.task = fixed_task end
    request.document = without_wishes(document)
    return request
  end
end

-- The first choice of a reply: its text, and the calls of tools if it has some.
---@param reply moongate.chat_reply
---@return string output
---@return table|nil tool_calls
function router.output(reply)
  local text, refused, calls = {}, {}, {}
  for _, block in ipairs(reply.choices[1] and reply.choices[1].blocks or {}) do
    if block.kind == "text" then
      text[#text + 1] = block.text
    elseif block.kind == "refusal" then
      refused[#refused + 1] = block.text
    elseif block.kind == "tool_use" then
      calls[#calls + 1] = {
        id = block.id, type = "function", ["function"] = { name = block.name, arguments = block.arguments },
      }
    end
  end
  return table.concat(#text > 0 and text or refused), #calls > 0 and calls or nil
end

local CLASSES = { "input", "cached", "cache_write", "output", "reasoning" }

-- What a request has used, by the names that the ledger has for it.
---@param used moongate.usage
---@return table
function router.usage(used)
  local usage = { total_tokens = 0 }
  for _, class in ipairs(CLASSES) do
    usage[class .. "_tokens"] = used[class]
    usage.total_tokens = usage.total_tokens + used[class]
  end
  return usage
end

-- USD saved against the premium baseline for the same tokens; null when its price is not known.
local function savings(call, row)
  local baseline = call.state.registry:cost(call.state.config.premium_baseline)
  local saved = money.savings(row.usage, baseline, row.cost_microusd)
  return saved and saved / 1000000 or json.null
end

-- What every answer of the router's own surfaces tells.
---@param call moongate.call
---@param reply moongate.chat_reply
---@param row table
---@return table
function router.told(call, reply, row)
  local output, calls = router.output(reply)
  return {
    output = output, tool_calls = calls, model_used = row.model, provider = row.provider,
    cost = row.cost_microusd / 1000000, usage = router.usage(row.usage), billed_tokens = row.billed_tokens,
    request_id = call.id,
  }
end

local function answer_body(call, reply, row)
  local told = router.told(call, reply, row)
  told.latency_ms, told.savings_estimate = row.latency_ms, savings(call, row)
  return json.encode(told)
end

---@param checked function
---@param fixed_task string|nil
---@return moongate.surface
local function surface(checked, fixed_task)
  return {
    name = "router", reads = "openai", parse = parser(checked, fixed_task), chat = openai.chat, error = router.error,
    reply = answer_body,
  }
end

router.chat = surface(check.chat)
router.step = surface(check.chat, "agent_step")
router.explained = surface(check.explained)

-- A body that is only explained may name the seed of the plan. A live one's is the gateway's: there the field is the
-- model's.
local parse_explained = router.explained.parse
function router.explained.parse(document, headers, operation)
  local request, refusal = parse_explained(document, headers, operation)
  if request then request.seed = value_of(document, "seed") end
  return request, refusal
end

return router
