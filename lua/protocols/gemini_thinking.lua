-- How much a Gemini model is to think: by a budget of tokens (2.5) or by a level (3 and later); others do not think, or
-- cannot be told. Some can't be kept from it altogether: they then think as little as they can.
local chat = require "moongate.chat"

local gemini_thinking = {}

local BUDGETS = { none = 0, minimal = 1024, low = 1024, medium = 8192, high = 24576, xhigh = 32768 }
local LEVELS = { none = "MINIMAL", minimal = "MINIMAL", low = "LOW", medium = "MEDIUM", high = "HIGH", xhigh = "HIGH" }
-- Thoughts count as output: of the caller's limit, what they may take when nobody named a figure.
local SHARE = 0.8

local function budget_of(reasoning, quirks, most)
  local budget = reasoning.budget
  if not budget or reasoning.effort == "none" then
    budget = BUDGETS[reasoning.effort]
    if budget and most then budget = math.min(budget, math.floor(most * SHARE)) end
  end
  if not budget then return nil end
  local range = quirks.budgets or { 0, 24576 }
  if budget > 0 and quirks.least_thought then budget = math.max(budget, quirks.least_thought) end
  return math.min(math.max(budget, range[1]), range[2])
end

-- Puts thinkingConfig into the configuration. Answers whether what was asked had to be left out.
---@param config table
---@param neutral moongate.chat
---@param quirks table
---@return boolean left_out
function gemini_thinking.put(config, neutral, quirks)
  local reasoning = neutral.reasoning
  if not reasoning then return false end
  local effort = chat.effort(reasoning)
  if not LEVELS[effort] then effort = nil end
  if not effort and not reasoning.show then return false end
  if not quirks.thinking then return effort ~= "none" end
  local own = {}
  if quirks.thinking == "level" then
    own.thinkingLevel = effort and ((quirks.levels or {})[effort] or LEVELS[effort]) or nil
  else
    own.thinkingBudget = budget_of(reasoning, quirks, config.maxOutputTokens)
  end
  if effort ~= "none" and reasoning.show ~= false then own.includeThoughts = true end
  config.thinkingConfig = own
  return false
end

return gemini_thinking
