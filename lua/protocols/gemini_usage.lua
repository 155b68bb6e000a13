-- Gemini's figures of use as classes that do not overlap, see moongate.usage: the prompt's count holds what was cached,
-- the candidates' does not hold their thoughts. In streams they are cumulative: the last holds, and is never added.
local gemini_usage = {}

local function count(value)
  if type(value) == "string" then value = string.match(value, "^%d+$") and tonumber(value) end
  if type(value) ~= "number" or value ~= value or value < 0 or value > 2 ^ 53 then return nil end
  return math.floor(value)
end

-- Reads usageMetadata; figures that tell nothing leave those before as they are.
---@param figures table|nil
---@param before moongate.usage|nil
---@return moongate.usage|nil
function gemini_usage.read(figures, before)
  if type(figures) ~= "table" then return before end
  local prompt, output = count(figures.promptTokenCount), count(figures.candidatesTokenCount)
  local told = count(figures.totalTokenCount)
  if not prompt and not output and not told then return before end
  local reasoning = count(figures.thoughtsTokenCount) or 0
  if not prompt then prompt = math.max(0, (told or 0) - (output or 0) - reasoning) end
  prompt = prompt + (count(figures.toolUsePromptTokenCount) or 0)
  output = output or count(figures.responseTokenCount) or 0
  local cached = math.min(count(figures.cachedContentTokenCount) or 0, prompt)
  -- What only the total tells was thought.
  local missing = (told or 0) - prompt - output - reasoning
  if missing > 0 and reasoning == 0 then reasoning = missing elseif missing > 0 then output = output + missing end
  return {
    input = prompt - cached, cached = cached, cache_write = 0, output = output, reasoning = reasoning,
    total = prompt + output + reasoning,
  }
end

return gemini_usage
