-- Z.ai's coding plan: shares used of five hours (the shortest limit on tokens) and, where it has one, of the week.
local MINUTES = { [1] = 1440, [3] = 60, [6] = 10080 } -- what `unit` counts in

local function length(limit)
  return (MINUTES[limit.unit] or 1e6) * (tonumber(limit.number) or 1)
end

local function check(http, options)
  local team = { ["bigmodel-organization"] = options.organization, ["bigmodel-project"] = options.project }
  local url = options.base_url .. "/api/monitor/usage/quota/limit" .. (options.organization and "?type=2" or "")
  local answer, why = http.json(url, { headers = team })
  if not answer then return nil, why end
  if answer.success == false then return nil, "it refuses: " .. tostring(answer.msg or answer.code) end
  local limits, meters = {}, {}
  for _, limit in ipairs(answer.data.limits) do
    if limit.type == "TOKENS_LIMIT" then limits[#limits + 1] = limit end
  end
  table.sort(limits, function(a, b) return length(a) < length(b) end)
  for i, window in ipairs { "five_hour", "weekly" } do
    local limit = limits[i]
    if limit then
      meters[i] = { unit = "percentage", window = window, used = limit.percentage, resets = limit.nextResetTime }
    end
  end
  return meters
end

return {
  base_url = "https://api.z.ai",
  check = check,
  fixture = {
    answers = {
      ["GET /api/monitor/usage/quota/limit"] = [[{"code": 200, "success": true, "data": {"level": "pro", "limits": [
        {"type": "TIME_LIMIT", "unit": 5, "number": 1, "percentage": 4, "usage": 1000, "currentValue": 40},
        {"type": "TOKENS_LIMIT", "unit": 6, "number": 1, "percentage": 92, "nextResetTime": 1796083200000},
        {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": 10}]}}]],
    },
    meters = {
      { metric = "percent", window = "5h", limit = 100, used = 10, remaining = 90, status = "ok" },
      { metric = "percent", window = "week", limit = 100, used = 92, remaining = 8, status = "critical",
        resets_at = 1796083200 },
    },
  },
}
