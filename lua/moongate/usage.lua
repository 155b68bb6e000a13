-- Usage: what a provider says a call has used, as classes that do not overlap: fresh input, cached input, cache
-- writes, output and reasoning; they add up to `total`. Protocols call `usage.read`; the exchange calls
-- `usage.estimate` where the provider told nothing. Never negative, never guessed without the mark `estimated`.
local usage = {}

---@class moongate.usage
---@field input number fresh prompt tokens
---@field cached number prompt tokens read from a cache
---@field cache_write number prompt tokens written to a cache
---@field output number answer tokens without reasoning
---@field reasoning number
---@field total number sum of all classes
---@field estimated boolean|nil true: not told by the provider
---@field cost_usd number|nil what the provider says it charged
---@field neurons number|nil Cloudflare's unit

local LARGEST = 2 ^ 53 - 1
-- The rule of thumb of OpenAI's own help page on tokens: one token is about four characters of English text.
local BYTES_PER_TOKEN = 4
usage.bytes_per_token = BYTES_PER_TOKEN

-- A count as providers write it, or nil. Fractions do occur (billing units) and are cut.
local function count(value)
  if value == nil or type(value) ~= "number" or value ~= value or value < 0 or value > LARGEST then return nil end
  return math.floor(value)
end

local function amount(value)
  if value == nil then return nil end
  if type(value) == "string" then value = string.match(value, "^%d+%.?%d*[eE]?[%-+]?%d*$") and tonumber(value) end
  if type(value) ~= "number" or value ~= value or value < 0 or value > LARGEST then return nil end
  return value
end

local NONE = {}

local function object(value)
  return type(value) == "table" and value or NONE
end

-- What a provider says it charged, in US dollars: OpenRouter's `cost`, with what it passes on to the owner of the key;
-- Perplexity's sum of costs; xAI's ticks, of which a dollar has ten thousand million.
local TICKS = 1e10

---@param figures table
---@return number|nil
function usage.charged(figures)
  if figures.cost == nil and figures.cost_in_usd_ticks == nil and figures.is_byok == nil then return nil end
  local cost = type(figures.cost) == "table" and amount(figures.cost.total_cost) or amount(figures.cost)
  local ticks = amount(figures.cost_in_usd_ticks)
  local passed_on = figures.is_byok == true and amount(object(figures.cost_details).upstream_inference_cost) or nil
  if not (cost or ticks or passed_on) then return nil end
  return math.max(cost or 0, ticks and ticks / TICKS or 0) + (passed_on or 0)
end

-- A usage of no tokens that tells of a charge; nil where there is none.
---@param cost_usd number|nil
---@return moongate.usage|nil
function usage.nothing_but(cost_usd)
  if not cost_usd then return nil end
  return { input = 0, cached = 0, cache_write = 0, output = 0, reasoning = 0, total = 0, cost_usd = cost_usd }
end

-- Two words of one answer: the later one holds, but what it is silent of stands as it was.
---@param before moongate.usage|nil
---@param found moongate.usage|nil
---@return moongate.usage|nil
function usage.over(before, found)
  if not (before and found) then return found or before end
  local whole = {}
  for name, value in pairs(found.total > 0 and found or before) do whole[name] = value end
  whole.cost_usd = found.cost_usd or before.cost_usd
  return whole
end

-- The larger of a count and of what may be one.
local function larger(found, value)
  value = value and count(value)
  return value and value > found and value or found
end

-- The classes that an OpenAI-shaped provider's counts make, of which prompt, completion and total may be missing:
-- cached and written tokens are part of the prompt, reasoning of the completion, or beside it.
---@param prompt integer|nil
---@param completion integer|nil
---@param told integer|nil the total
---@param cached integer
---@param cache_write integer
---@param reasoning integer
---@return moongate.usage
function usage.of_counts(prompt, completion, told, cached, cache_write, reasoning)
  if not prompt then prompt = math.max(0, (told or 0) - (completion or 0)) end
  completion = completion or 0
  cached = math.min(cached, prompt)
  cache_write = math.min(cache_write, prompt - cached)
  local output
  if reasoning > completion or (told and reasoning > 0 and told >= prompt + completion + reasoning) then
    output = completion
  else
    output = completion - reasoning
  end
  local sum = prompt + output + reasoning
  if told and told > sum then
    -- Thinking that is only in the total (Gemini's compatible address), or a class we have no name for.
    if reasoning == 0 then reasoning = told - sum else output = output + told - sum end
    sum = told
  end
  return {
    input = prompt - cached - cache_write, cached = cached, cache_write = cache_write, output = output,
    reasoning = reasoning, total = sum, cost_usd = nil, neurons = nil,
  }
end

-- Reads the usage object of an OpenAI-shaped reply in all the spellings met: details under `prompt_tokens_details`,
-- `prompt_token_details` (Mistral), `prompt_cache_hit_tokens` (DeepSeek), `cached_tokens` at the top (Moonshot),
-- `num_cached_tokens` (Mistral), reasoning inside completion_tokens (OpenAI) or beside it (xAI, Gemini).
---@param figures table|nil
---@return moongate.usage|nil
function usage.read(figures)
  if type(figures) ~= "table" then return nil end
  local prompt_details = object(figures.prompt_tokens_details)
  local odd_details = object(figures.prompt_token_details)
  local completion_details = object(figures.completion_tokens_details)
  local hit, miss = count(figures.prompt_cache_hit_tokens), count(figures.prompt_cache_miss_tokens)
  local prompt = count(figures.prompt_tokens) or count(figures.input_tokens) or (hit and miss and hit + miss)
  local completion = count(figures.completion_tokens) or count(figures.output_tokens)
  local told = count(figures.total_tokens)
  if not prompt and not completion and not told then return usage.nothing_but(usage.charged(figures)) end

  -- The same figure may come under several names: the largest, never their sum.
  local cached = larger(larger(hit or 0, prompt_details.cached_tokens), odd_details.cached_tokens)
  cached = larger(larger(cached, figures.num_cached_tokens), figures.cached_tokens)
  local cache_write = larger(larger(0, prompt_details.cache_write_tokens), prompt_details.cache_creation_tokens)
  cache_write = larger(cache_write, figures.cache_write_tokens)
  local reasoning = larger(larger(0, completion_details.reasoning_tokens), figures.reasoning_tokens)
  local told_of = usage.of_counts(prompt, completion, told, cached, cache_write, reasoning)
  told_of.cost_usd, told_of.neurons = usage.charged(figures), amount(figures.neurons)
  return told_of
end

-- The usage of a decoded reply or stream chunk: in `usage`, or in Groq's `x_groq.usage`; some proxies tell the cost
-- beside it. before is what the stream has told already: where there is nothing new, that is not told again.
---@param document table
---@param before moongate.usage|nil
---@return moongate.usage|nil
function usage.of(document, before)
  local found = usage.read(document.usage) or usage.read(object(document.x_groq).usage)
  found = usage.over(usage.nothing_but(usage.charged(document)), found)
  return found and usage.over(before, found)
end

-- What a call has used if nobody tells: about four bytes a token.
---@param prompt_bytes number
---@param output_bytes number
---@return moongate.usage
function usage.estimate(prompt_bytes, output_bytes)
  local input = math.ceil(math.max(0, prompt_bytes or 0) / BYTES_PER_TOKEN)
  local output = math.ceil(math.max(0, output_bytes or 0) / BYTES_PER_TOKEN)
  return {
    input = input, cached = 0, cache_write = 0, output = output, reasoning = 0,
    total = input + output, estimated = true,
  }
end

-- What a call has used in the end. What a provider told before an answer's end holds for the prompt alone, and noughts
-- tell nothing.
---@param told moongate.usage|nil
---@param is_whole boolean whether the answer came to its end
---@param prompt_bytes number
---@param output_bytes number
---@return moongate.usage
function usage.final(told, is_whole, prompt_bytes, output_bytes)
  if told and is_whole and told.total > 0 then return told end
  local own = usage.estimate(prompt_bytes, output_bytes)
  own.cost_usd = told and told.cost_usd
  if not told or told.total == 0 then return own end
  local prompt = told.input + told.cached + told.cache_write
  if prompt > 0 then own.input, own.cached, own.cache_write = told.input, told.cached, told.cache_write end
  own.reasoning = told.reasoning
  own.output = math.max(told.output, own.output - own.reasoning)
  own.total = own.input + own.cached + own.cache_write + own.output + own.reasoning
  return own
end

return usage
