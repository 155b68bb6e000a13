-- Counting for /metrics: series by name and labels, each looked up once.
local metrics = require "moongate.core.metrics"

local meter = {}

local known = {} -- by name and labels, a tree: its nodes hold a series at SERIES
local SERIES = 1

local function escape(value)
  return (string.gsub(tostring(value), '[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function made(name, ...)
  local parts = {}
  for i = 1, select("#", ...), 2 do
    local label, value = select(i, ...)
    parts[#parts + 1] = label .. '="' .. escape(value) .. '"'
  end
  return metrics.series(name, table.concat(parts, ","))
end

-- The step after these on the way to a series: label by label, value by value.
local function below(node, label, value, ...)
  if label == nil then return node end
  if value == nil then value = "nil" end
  local values = node[label]
  if not values then
    values = {}
    node[label] = values
  end
  local following = values[value]
  if not following then
    following = {}
    values[value] = following
  end
  return below(following, ...)
end

-- What a series is counted under, to be kept by who counts it with every request. Labels: pairs of name and value, in
-- their order.
---@param name string
---@return integer
function meter.series(name, ...)
  local root = known[name]
  if not root then
    root = {}
    known[name] = root
  end
  local node = below(root, ...)
  node[SERIES] = node[SERIES] or made(name, ...)
  return node[SERIES]
end

-- Adds to a counter: meter.add("moongate_attempts_total", 1, "outcome", "ok").
---@param name string
---@param amount number
function meter.add(name, amount, ...)
  metrics.add(meter.series(name, ...), amount)
end

-- Counts a duration.
---@param name string
---@param seconds number
function meter.observe(name, seconds, ...)
  metrics.observe(meter.series(name, ...), seconds)
end

return meter
