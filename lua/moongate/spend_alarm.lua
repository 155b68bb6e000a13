-- An answer that reports a cost though nothing may cost anything: the target is called no more, and everybody is told:
-- the log, the metrics, /ready. What is out stands in the store, so all workers and the next start know it.
local json = require "moongate.core.json"
local log = require "moongate.core.log"
local meter = require "moongate.meter"
local store = require "moongate.core.store"
local usage = require "moongate.usage"

local spend_alarm = {}

local REASON = "charged"
-- The longest that a target can be left out for.
local SECONDS = 31 * 86400

-- What the headers of an answer say that it cost, as LiteLLM and its like do: "x-litellm-response-cost". What was
-- spent by a key so far, and how many tokens a query counts for, is something else.
---@param headers table<string, string|string[]>
---@return moongate.usage|nil
function spend_alarm.of_headers(headers)
  local most
  for name, value in pairs(headers) do
    local is_cost = string.find(name, "^x%-") and string.find(name, "%f[%w]cost%f[%W]")
      and not (string.find(name, "query", 1, true) or string.find(name, "limit", 1, true))
    for _, text in ipairs(is_cost and (type(value) == "table" and value or { value }) or {}) do
      local cost = usage.charged { cost = string.match(text, "^%s*%$?(.-)%s*$") }
      if cost and cost > (most or -1) then most = cost end
    end
  end
  return usage.nothing_but(most)
end

local last -- one alarm a call, whether headers, body or both say so

-- Looks at what an answer says it cost.
---@param zero_spend boolean|nil
---@param target { id: string }
---@param told moongate.usage|nil
---@param request_id string
function spend_alarm.look(zero_spend, target, told, request_id)
  local cost = zero_spend and told and told.cost_usd
  if not cost or cost <= 0 then return end
  local call = request_id .. " " .. target.id
  if call == last then return end
  last = call
  store.exhaust(target.id, SECONDS, REASON)
  meter.add("moongate_spend_alarms_total", 1, "target", target.id)
  log.write("error", "a provider charged under zero_spend: its model is called no more", string.sub(json.encode {
    request_id = request_id, target = target.id, cost_usd = cost, seconds = SECONDS,
  }, 2, -2))
end

-- What /ready is to say of targets that are out.
---@param targets { id: string }[]
---@return { what: string, message: string }[]
function spend_alarm.problems(targets)
  local problems = {}
  for _, target in ipairs(targets) do
    local seconds, reason = store.exhausted(target.id)
    if seconds > 0 and reason == REASON then
      problems[#problems + 1] = {
        what = "spend",
        message = string.format("%s reported a cost under zero_spend: it is not called for %d days", target.id,
          math.ceil(seconds / 86400)),
      }
    end
  end
  return problems
end

return spend_alarm
