---@meta moongate.score
-- `require "moongate.score"`: for editors only, never run.

---@class moongate.score
---@field parts string[] "cost", "latency", "task", "quality"
local score = {}

---The scores of candidates from 0 to 1, in their order, without sorting them.
---@param candidates moongate.candidate[]
---@param weights table<string, number>
---@param task string
---@return number[]
function score.of(candidates, weights, task) end

---What is wrong with weights; nil when they can be used.
---@param weights any
---@return string|nil
function score.problem(weights) end

return score
