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
    if not label then break end
    parts[#parts + 1] = label .. '="' .. escape(value) .. '"'
  end
  return metrics.series(name, table.concat(parts, ","))
end

-- The step after this one on the way to a series.
local function below(node, label, value)
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
  return following
end

-- What a series is counted under, to be kept by who counts it with every request. Labels: up to four pairs of name and
-- value, in their order. They are named, since LuaJIT compiles none that begins with `...`.
---@param name string
---@return integer
function meter.series(name, label, value, label2, value2, label3, value3, label4, value4)
  local node = known[name]
  if not node then
    node = {}
    known[name] = node
  end
  if label then node = below(node, label, value) end
  if label2 then node = below(node, label2, value2) end
  if label3 then node = below(node, label3, value3) end
  if label4 then node = below(node, label4, value4) end
  node[SERIES] = node[SERIES] or made(name, label, value, label2, value2, label3, value3, label4, value4)
  return node[SERIES]
end

-- Adds to a counter: meter.add("moongate_attempts_total", 1, "outcome", "ok").
---@param name string
---@param amount number
function meter.add(name, amount, label, value, label2, value2, label3, value3, label4, value4)
  metrics.add(meter.series(name, label, value, label2, value2, label3, value3, label4, value4), amount)
end

-- Counts a duration.
---@param name string
---@param seconds number
function meter.observe(name, seconds, label, value)
  metrics.observe(meter.series(name, label, value), seconds)
end

return meter
