-- Money and billed tokens, in whole numbers: prices are USD per million tokens, which is micro-dollars per token;
-- sums are exact and rounded up once, to the micro-dollar. Never adds fractions as floating point.

local money = {}

local ceil = math.ceil
local PARTS = 1000000 -- a price is kept in millionths of a micro-dollar per token

-- An answer's length where the caller set no bound, for estimates before the call.
local ASSUMED_OUTPUT = 500
money.assumed_output = ASSUMED_OUTPUT
-- Where there is no room for that: what a stream may begin with, or go on with, until more is reserved.
money.lengths = { money.assumed_output, 125, 31 }

-- A price in whole micro-dollars, and in millionths of one beyond them; noughts where it is not known.
local function split(price)
  local parts = math.floor((price or 0) * PARTS + 0.5)
  local rest = parts % PARTS
  return (parts - rest) / PARTS, rest
end

-- By cost table: what a token of each class costs. Where the table is silent, cached input and cache writes are priced
-- like fresh input, so that an estimate errs upwards; reasoning is output.
local kept = setmetatable({}, { __mode = "k" })

local function prices_of(cost)
  local prices = kept[cost]
  if prices then return prices end
  local cached, written = cost.cached_input or cost.input, cost.cache_write or cost.input
  prices = {
    lacks_input = not cost.input, lacks_cached = not cached, lacks_written = not written,
    lacks_output = not cost.output, lacks = not (cost.input and cost.output),
  }
  prices.input, prices.input_rest = split(cost.input)
  prices.cached, prices.cached_rest = split(cached)
  prices.written, prices.written_rest = split(written)
  prices.output, prices.output_rest = split(cost.output)
  kept[cost] = prices
  return prices
end

-- Whether a price that is needed is unknown.
local function is_lacking(prices, input, cached, written, output)
  return input > 0 and prices.lacks_input or cached > 0 and prices.lacks_cached
    or written > 0 and prices.lacks_written or output > 0 and prices.lacks_output
end

-- Micro-dollars for that usage, rounded up; nil when a price that is needed is unknown.
---@param usage table {input, cached, cache_write, output, reasoning}
---@param cost table|nil {input, output, cached_input, cache_write}; it is read once, and must not change
---@return integer|nil
function money.cost(usage, cost)
  if not cost then return nil end
  local prices = prices_of(cost)
  local input, cached, written = usage.input or 0, usage.cached or 0, usage.cache_write or 0
  local output = (usage.output or 0) + (usage.reasoning or 0)
  if prices.lacks and is_lacking(prices, input, cached, written, output) then return nil end
  local whole = input * prices.input + cached * prices.cached + written * prices.written + output * prices.output
  local rest = input * prices.input_rest + cached * prices.cached_rest + written * prices.written_rest
    + output * prices.output_rest
  local below = rest % PARTS
  whole = whole + (rest - below) / PARTS
  return below > 0 and whole + 1 or whole
end

-- What a call would cost in USD; nil when unknown. Local and free ones cost nothing unless a price is stated.
---@param target table
---@param request table estimated_tokens (of the prompt), max_tokens, surface
---@return number|nil
function money.estimate(target, request)
  local cost = target.cost
  if not cost then
    if target.free or target.is_local then return 0 end
    return nil
  end
  local input, output = request.estimated_tokens or 0, 0
  if request.surface ~= "embeddings" then
    local most = target.max_output
    output = request.max_tokens or ASSUMED_OUTPUT
    if most and output > most then output = most end
  end
  local per_input, per_output = cost.input, cost.output
  if (input > 0 and not per_input) or (output > 0 and not per_output) then return nil end
  -- A guess needs no exact sum; rounding it up to the micro-dollar rids it of binary noise. + 0: not minus zero.
  return (ceil(input * (per_input or 0) + output * (per_output or 0) - 1e-6) + 0) / 1000000
end

-- Micro-dollars saved against a baseline's price for the same tokens; negative when it was dearer; nil when unknown.
---@param usage table
---@param baseline table|nil the baseline's cost table
---@param spent integer|nil micro-dollars
---@return integer|nil
function money.savings(usage, baseline, spent)
  local price = money.cost(usage, baseline)
  if not (price and spent) then return nil end
  return price - spent
end

-- True for what a billing policy may answer: a number from 0 to a million.
---@param value any
---@return boolean
function money.is_multiplier(value)
  return type(value) == "number" and value >= 0 and value <= 1e6
end

-- ceil(total x multiplier), exact for a multiplier of up to nine decimals: 10 x 1.1 is 11, not 12.
---@param total integer
---@param multiplier number
---@return integer
function money.billed(total, multiplier)
  if multiplier == 1 then return total end -- nearly always
  assert(money.is_multiplier(multiplier), "a billing multiplier is a number from 0 to 1000000")
  if multiplier % 1 == 0 then return total * multiplier end
  local whole, decimals = string.match(string.format("%.9f", multiplier), "^(%d+)%.(%d+)$")
  -- total x decimals / 1e9, in two steps that stay below 2^53
  local upper, lower = tonumber(string.sub(decimals, 1, 4)), tonumber(string.sub(decimals, 5))
  local left = total * upper % 10000
  local carried = (total * upper - left) / 10000
  local fraction = left * 100000 + total * lower
  local below = fraction % 1000000000
  carried = carried + (fraction - below) / 1000000000
  return total * tonumber(whole) + carried + (below > 0 and 1 or 0)
end

return money
