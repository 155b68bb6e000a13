-- Counting for /metrics: series by name and labels, each looked up once.
local metrics = require "moongate.core.metrics"

local meter = {}

local known = {}

local function escape(value)
  return (string.gsub(tostring(value), '[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

-- labels: pairs of name and value, in their order.
local function series(name, ...)
  local count = select("#", ...)
  if count == 0 then
    known[name] = known[name] or metrics.series(name, "")
    return known[name]
  end
  local parts = {}
  for i = 1, count, 2 do
    local label, value = select(i, ...)
    parts[#parts + 1] = label .. '="' .. escape(value) .. '"'
  end
  local labels = table.concat(parts, ",")
  local key = name .. "{" .. labels
  known[key] = known[key] or metrics.series(name, labels)
  return known[key]
end

-- Adds to a counter: meter.add("moongate_attempts_total", 1, "outcome", "ok").
---@param name string
---@param amount number
function meter.add(name, amount, ...)
  metrics.add(series(name, ...), amount)
end

-- Counts a duration.
---@param name string
---@param seconds number
function meter.observe(name, seconds, ...)
  metrics.observe(series(name, ...), seconds)
end

return meter
