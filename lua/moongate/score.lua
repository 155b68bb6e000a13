-- Scores candidates from 0 to 1 by weighed parts: cost, latency, task, quality. The weights are the policy's; each
-- part is normalised over the candidates it is compared with. Pure.

local near = require "moongate.near"

jit.off(true, true) -- policies call this with what they like: compiled, it could not be stopped

local score = {}

local HALF = 0.5 -- where nothing is known, or all are alike

-- Lower is better: the lowest gets 1, the highest 0. unknown is what an unknown value gets.
local function inverse(values, count, unknown)
  local least, most
  for i = 1, count do
    local value = values[i]
    if value and (not least or value < least) then least = value end
    if value and (not most or value > most) then most = value end
  end
  local result = {}
  for i = 1, count do
    local value = values[i]
    if not value then
      result[i] = unknown
    elseif most == least then
      result[i] = 1
    else
      result[i] = (most - value) / (most - least)
    end
  end
  return result
end

local function has(list, word)
  for _, each in ipairs(list) do
    if each == word then return true end
  end
  return false
end

-- Facts are a policy's to overwrite: a number that is none counts as unknown.
local function known(value)
  return type(value) == "number" and value > -math.huge and value < math.huge and value or nil
end

local function each(candidates, fact)
  local values = {}
  for i = 1, #candidates do values[i] = fact(candidates[i]) end
  return values
end

local parts = {}

-- An unknown price counts like the highest.
function parts.cost(candidates)
  return inverse(each(candidates, function(c) return known(c.estimated_cost) end), #candidates, 0)
end

function parts.latency(candidates)
  return inverse(each(candidates, function(c) return known(c.latency_ms) end), #candidates, HALF)
end

function parts.task(candidates, task)
  return each(candidates, function(c)
    local strengths = c.strengths
    if not strengths or #strengths == 0 then return HALF end
    return has(strengths, task) and 1 or 0
  end)
end

function parts.quality(candidates)
  return each(candidates, function(c) return math.max(0, math.min(100, known(c.quality) or 50)) / 100 end)
end

score.parts = { "cost", "latency", "task", "quality" }

-- What is wrong with weights; nil when they can be used. { cost = 0.4, latency = 0.3, task = 0.3 }: any of
-- score.parts, none negative; they need not add up to 1.
---@param weights any
---@return string|nil
function score.problem(weights)
  if type(weights) ~= "table" then return "score wants weights, like score{ cost = 0.4, latency = 0.6 }" end
  local sum = 0
  for name, weight in pairs(weights) do
    if not parts[name] then
      return 'score has no part "' .. tostring(name) .. '"' .. near.hint(tostring(name), score.parts)
    end
    if type(weight) ~= "number" or not (weight >= 0 and weight < math.huge) then
      return "the weight of " .. name .. " must be a number, 0 or more"
    end
    sum = sum + weight
  end
  if sum == 0 then return "score wants at least one weight above 0" end
  return nil
end

-- The scores of candidates, in their order.
---@param candidates table[]
---@param weights table<string, number> sound ones
---@param task string
---@return number[]
function score.of(candidates, weights, task)
  local sum, total = 0, {}
  -- In a fixed order: pairs has another in every VM, and the last bit of a sum hangs on it.
  for _, name in ipairs(score.parts) do sum = sum + (weights[name] or 0) end
  for i = 1, #candidates do total[i] = 0 end
  for _, name in ipairs(score.parts) do
    local weight = weights[name]
    if weight and weight > 0 then
      local values = parts[name](candidates, task)
      for i = 1, #candidates do total[i] = total[i] + values[i] * weight / sum end
    end
  end
  for i = 1, #candidates do total[i] = math.max(0, math.min(1, total[i])) end
  return total
end

return score
