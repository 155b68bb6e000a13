-- Why a rung of the ladder is passed over without a call, and what a caller at its own limit is told, in words. The one
-- source of them: for the climb and its refusals, and for what explains a plan before and after. Pure.

local passing = {}

passing.left_alone = "it failed repeatedly and is left alone for a while"

local AWAY = " (counted alone, for Redis is away)"

local function spaced(name)
  return (string.gsub(name, "_", " "))
end

-- What the store says of an exhausted target or provider.
---@param reason string
---@return string
function passing.exhausted(reason)
  return "exhausted, " .. (reason ~= "" and spaced(reason) or "no quota")
end

-- A limit of the target has no room.
---@param blocked string which, as the store names it
---@param away boolean|nil
---@return string
function passing.no_quota(blocked, away)
  return "no quota left: " .. blocked .. (away and AWAY or "")
end

---@param words string
---@param wait number|nil seconds
---@return string
function passing.with_wait(words, wait)
  return words .. (wait and wait > 0 and string.format(" (%d s left)", math.ceil(wait)) or "")
end

-- How much of it: "60 requests", "10 USD"; without the figure where it is not known.
local function figure(metric, max)
  if metric == "microusd" then return max and string.format("%.10g USD", max / 1000000) or "USD" end
  return (max and string.format("%.16g ", max) or "") .. spaced(metric)
end

-- The caller's own limit blocks: its scope, figure and reset, and the seconds until then; nil if no wait will help,
-- because the request alone is larger.
---@param caller moongate.caller
---@param outcome moongate.obstacle
---@return string
---@return integer|nil
function passing.own_limit(caller, outcome)
  local scope, metric, window = string.match(outcome.refusal, "^(%a+):.*:([%w_]+) (%w+)")
  local owner = scope == "org" and "org " .. caller.org or "key " .. caller.name
  local limit = figure(metric or "limit", outcome.max) .. " per " .. (window or "window")
  if outcome.by_tier then limit = limit .. " (of tier " .. caller.tier .. ")" end
  if outcome.max and outcome.amount and outcome.amount > outcome.max then
    return string.format("this request may take %s, and %s has %s in all: it can never fit; ask for less",
      figure(metric, outcome.amount), owner, limit)
  end
  local wait = math.max(1, math.ceil(outcome.wait or 1))
  return string.format("%s has used up its %s%s; try again in %d s", owner, limit, outcome.away and AWAY or "", wait),
    wait
end

return passing
