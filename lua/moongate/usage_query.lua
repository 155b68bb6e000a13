-- What is asked of usage, by /v1/usage as by `moongate usage`: from, to, by. Pure.
local near = require "moongate.near"
local period = require "moongate.period"

local usage_query = {}

-- What usage is told by, as callers name it; "request" tells each row.
usage_query.dimensions = { "model", "provider", "task", "key", "label", "org", "tier", "day", "request" }
usage_query.sums = {
  "requests", "input_tokens", "output_tokens", "billed_tokens", "cost_microusd", "savings_microusd",
}
-- A row of the ledger, as it is told.
usage_query.columns = {
  "request_id", "time", "org", "key", "label", "tier", "surface", "task", "policy", "provider", "model", "outcome",
  "attempts", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
  "billed_tokens", "cost_microusd", "estimated", "latency_ms", "savings_microusd",
}

local DEFAULT_BY, DEFAULT_SECONDS = "model", 30 * 86400
local SHOWN = 60 -- of a wrong value

local function shown(text)
  return string.sub(string.gsub(text, "[^\32-\126]", "?"), 1, SHOWN)
end

local function moment_of(given, name, now, otherwise)
  if given[name] == nil then return otherwise end
  local moment = period.moment(given[name], now)
  if moment then return moment end
  return nil, name, string.format('"%s" is no time: expected %s', shown(given[name]), period.EXPECTED)
end

local function dimension_of(given)
  local by = given.by or DEFAULT_BY
  for _, name in ipairs(usage_query.dimensions) do
    if by == name then return by end
  end
  return nil, "by", string.format('"%s" is not known%s: expected one of %s', shown(by),
    near.hint(by, usage_query.dimensions), table.concat(usage_query.dimensions, ", "))
end

-- { by, from, to } in unix seconds, from the texts that were given; or nil, the name of the wrong one, and what is
-- wrong with it. Without from it is the last 30 days, without to it has no end.
---@param given { by: string|nil, from: string|nil, to: string|nil }
---@param now number
---@return { by: string, from: number, to: number|nil }|nil
---@return string|nil name
---@return string|nil message
function usage_query.read(given, now)
  local by, name, message = dimension_of(given)
  if not by then return nil, name, message end
  local from, to
  from, name, message = moment_of(given, "from", now, math.max(0, now - DEFAULT_SECONDS))
  if not from then return nil, name, message end
  to, name, message = moment_of(given, "to", now, nil)
  if name then return nil, name, message end
  if to and from >= to then
    local both = given.from and string.format('"%s" is not before to, "%s"', shown(given.from), shown(given.to))
      or string.format('"%s" is more than 30 days ago, where from begins unless it is told', shown(given.to))
    return nil, given.from and "from" or "to", both .. ": expected from < to"
  end
  return { by = by, from = from, to = to }
end

return usage_query
