-- Fuzz target: the grammar of limits in a provider's headers and errors. The input is its name and a status, then
-- header lines, a blank line, and the body. Never a wait below zero or above 31 days, never a limit that is no number.
local json = require "moongate.core.json"
local limits = require "moongate.limits"

local NOW, LONGEST = 1790856000, 31 * 86400

local function is_sane(number, most)
  return number == nil or (number == number and number >= 0 and number <= (most or math.huge))
end

return function(bytes)
  local first, rest = string.match(bytes, "^([^\n]*)\n?(.*)$")
  local provider, status = string.match(first, "^(%S*) ?(%d*)")
  local head, body = rest, ""
  local blank = string.find(rest, "\n\n", 1, true)
  if blank then head, body = string.sub(rest, 1, blank), string.sub(rest, blank + 2) end
  local headers = {}
  for line in string.gmatch(head, "[^\n]+") do
    local name, value = string.match(line, "^([^:]+): ?(.*)$")
    if name then headers[string.lower(name)] = value end
  end
  local found = limits.read {
    provider = provider, status = tonumber(status) or 429, headers = headers, now = NOW,
    body = json.decode(body) or body,
  }
  assert(is_sane(found.retry_after_s, LONGEST), "a wait is between nothing and 31 days")
  for _, limit in ipairs(found.limits) do
    assert(type(limit.metric) == "string" and type(limit.window) == "string")
    assert(is_sane(limit.limit) and is_sane(limit.remaining) and is_sane(limit.reset_s, LONGEST), "a limit is a figure")
  end
end
