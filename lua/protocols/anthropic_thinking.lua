-- How much an Anthropic model is to think: by a budget of tokens, or, for newer models, by effort. Thinking shuts out
-- other wishes (sampling, forced tools, unsigned thoughts before tool calls): where both can't be, the caller's plain
-- order to use a tool goes before thinking, and thinking before sampling.
local chat = require "moongate.chat"

local anthropic_thinking = {}

local LEAST, DEFAULT_ANSWER = 1024, 4096
local BUDGETS = { minimal = 1024, low = 1024, medium = 8192, high = 24576, xhigh = 32768 }
local KNOWN_EFFORTS = { minimal = "low", low = "low", medium = "medium", high = "high", xhigh = "xhigh" }
-- Of the caller's limit, what thinking may take.
local SHARE = 0.8
local FORCED = { any = true, tool = true }

-- In the middle of a tool's use, the turn that called must begin with its thoughts.
local function lost_its_thoughts(messages)
  local last, before = messages[#messages], messages[#messages - 1]
  if not before or before.role ~= "assistant" or last.role ~= "user" then return false end
  if not last.content[1] or last.content[1].type ~= "tool_result" then return false end
  local first = before.content[1]
  return first ~= nil and first.type ~= "thinking" and first.type ~= "redacted_thinking"
end

local function is_off(reasoning)
  if reasoning.effort then return reasoning.effort == "none" end
  return reasoning.budget == 0
end

local function without_sampling(body)
  body.temperature, body.top_p, body.top_k = nil, nil, nil
end

-- A budget that leaves room for an answer. The caller's limit holds, but where it is too small for any thought.
local function put_budget(body, wanted, max_output)
  local budget = math.max(LEAST, wanted)
  local most = body.max_tokens
  if not most then
    most = max_output or budget + DEFAULT_ANSWER
  elseif most * SHARE < LEAST then
    most = most + LEAST
  end
  if max_output then most = math.min(most, max_output) end
  if body.max_tokens or max_output then budget = math.min(budget, math.max(math.floor(most * SHARE), LEAST)) end
  if budget >= most then return true end
  body.max_tokens, body.thinking = most, { type = "enabled", budget_tokens = budget }
  without_sampling(body)
  return false
end

local function put_adaptive(body, reasoning, quirks, is_barred)
  local effort = KNOWN_EFFORTS[chat.effort(reasoning)]
  effort = effort and (quirks.efforts or {})[effort] or effort
  if effort then
    body.output_config = body.output_config or {}
    body.output_config.effort = effort
  end
  if is_barred then return true end
  local display
  if reasoning.show ~= nil then display = reasoning.show and "summarized" or "omitted" end
  body.thinking = { type = "adaptive", display = display }
  without_sampling(body)
  return false
end

-- Puts thinking into the body. Answers whether it had to be left out.
---@param body table
---@param neutral moongate.chat
---@param quirks table
---@param max_output integer|nil
---@return boolean left_out
function anthropic_thinking.put(body, neutral, quirks, max_output)
  local reasoning = neutral.reasoning
  if not reasoning or not (reasoning.effort or reasoning.budget or reasoning.show) then return false end
  if is_off(reasoning) then
    if quirks.thinking == "adaptive" then body.thinking = { type = "disabled" } end
    return false
  end
  if quirks.thinking == false then return true end
  local is_barred = body.tool_choice ~= nil and FORCED[body.tool_choice.type] or false
  if quirks.thinking == "adaptive" then return put_adaptive(body, reasoning, quirks, is_barred) end
  local wanted = reasoning.budget or BUDGETS[reasoning.effort]
  if not wanted then return false end
  if is_barred or lost_its_thoughts(body.messages) then return true end
  return put_budget(body, wanted, max_output)
end

return anthropic_thinking
