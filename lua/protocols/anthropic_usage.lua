-- Anthropic's figures of use as classes that do not overlap, see moongate.usage. In streams they come in parts, each
-- one cumulative: the later one holds, and is never added.
local usage = require "moongate.usage"

local anthropic_usage = {}

local NONE = {}
local NOTHING = { input = 0, cached = 0, cache_write = 0, output = 0, reasoning = 0 }

local function count(value)
  if type(value) ~= "number" or value ~= value or value < 0 or value > 2 ^ 53 then return nil end
  return math.floor(value)
end

-- What was written to the cache, as it is told, and by its age.
local function written(told, five_minutes, hour)
  local sum = (five_minutes or 0) + (hour or 0)
  if sum > (told or 0) then return sum end
  return told
end

-- A conversation that was compacted on the way has cost more than the last of its passes, which is all that the figures
-- at the top tell.
local function with_passes(figures)
  local passes, is_compacted = {}, false
  for _, pass in ipairs(type(figures.iterations) == "table" and figures.iterations or {}) do
    if type(pass) == "table" and (pass.type == "compaction" or pass.type == "message") then
      passes[#passes + 1] = pass
      is_compacted = is_compacted or pass.type == "compaction"
    end
  end
  if not is_compacted then return figures end
  local sum = { output_tokens_details = figures.output_tokens_details }
  for _, name in ipairs {
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
  } do
    for _, pass in ipairs(passes) do sum[name] = (sum[name] or 0) + (count(pass[name]) or 0) end
  end
  return sum
end

-- The classes that Anthropic's counts make, all of which may be missing, over what the stream has told before. What was
-- written to the cache is told as a whole, by its age, or both.
---@param before moongate.usage|nil
---@param input integer|nil
---@param cached integer|nil
---@param told integer|nil as written to the cache
---@param five_minutes integer|nil
---@param hour integer|nil
---@param output integer|nil with what was thought
---@param thinking integer|nil
---@param cost_usd number|nil
---@return moongate.usage|nil
function anthropic_usage.of_counts(before, input, cached, told, five_minutes, hour, output, thinking, cost_usd)
  local cache_write = written(told, five_minutes, hour)
  if not (input or cached or cache_write or output) then return before end
  before = before or NOTHING
  -- Some tell nothing but noughts the second time.
  if (input or 0) + (cached or 0) + (cache_write or 0) == 0 then input, cached, cache_write = nil, nil, nil end
  output = output or before.output + before.reasoning
  input, cached, cache_write = input or before.input, cached or before.cached, cache_write or before.cache_write
  local reasoning = math.min(thinking or before.reasoning, output)
  return {
    input = input, cached = cached, cache_write = cache_write, output = output - reasoning, reasoning = reasoning,
    total = input + cached + cache_write + output, cost_usd = cost_usd or before.cost_usd,
  }
end

-- Reads a usage object over what the stream has told before.
---@param figures table|nil
---@param before moongate.usage|nil
---@return moongate.usage|nil
function anthropic_usage.read(figures, before)
  if type(figures) ~= "table" then return before end
  local cost_usd = usage.charged(figures)
  figures = with_passes(figures)
  local by_age = type(figures.cache_creation) == "table" and figures.cache_creation or NONE
  local details = type(figures.output_tokens_details) == "table" and figures.output_tokens_details or NONE
  return anthropic_usage.of_counts(before, count(figures.input_tokens), count(figures.cache_read_input_tokens),
    count(figures.cache_creation_input_tokens), count(by_age.ephemeral_5m_input_tokens),
    count(by_age.ephemeral_1h_input_tokens), count(figures.output_tokens), count(details.thinking_tokens), cost_usd)
end

return anthropic_usage
