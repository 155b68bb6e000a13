-- Synthetic: requests of five hours and credits of a week, both of which come back bit by bit: their next tick is no
-- reset. Older plans have requests alone. To ask is free.
local function check(http, options)
  local answer, why = http.json(options.base_url .. "/v2/quotas")
  if not answer then return nil, why end
  local data, meters = type(answer.data) == "table" and answer.data or answer, {}
  local five, week, plan = data.rollingFiveHourLimit, data.weeklyTokenLimit, data.subscription
  if type(five) == "table" then
    meters[1] = { unit = "requests", window = "five_hour", limit = five.max, remaining = five.remaining }
  elseif type(plan) == "table" then
    meters[1] = { unit = "requests", window = "five_hour", limit = plan.limit, used = plan.requests,
      resets = plan.renewsAt }
  end
  if type(week) == "table" then
    meters[#meters + 1] = { unit = "dollars", window = "weekly", limit = week.maxCredits,
      remaining = week.remainingCredits }
  end
  return meters
end

return {
  base_url = "https://api.synthetic.new",
  check = check,
  fixture = {
    answers = {
      ["GET /v2/quotas"] = [[{"rollingFiveHourLimit": {"max": 500, "remaining": 345.7, "nextTickAt":
        "2026-11-30T08:00:00Z", "limited": false}, "weeklyTokenLimit": {"maxCredits": "$50.00", "remainingCredits":
        "$4.00", "percentRemaining": 8}, "search": {"hourly": {"limit": 250, "requests": 3}}}]],
    },
    meters = {
      { metric = "requests", window = "5h", limit = 500, used = 154.3, remaining = 345.7, status = "ok" },
      { metric = "dollars", window = "week", limit = 50, used = 46, remaining = 4, status = "critical" },
    },
  },
}
