-- OpenRouter: what the key may still spend, and what the account has; the latter only by a management key.
local function check(http, options)
  local answer, why = http.json(options.base_url .. "/key")
  if not answer then return nil, why end
  local key, meters = answer.data, {}
  if type(key.limit) == "number" then
    meters[1] = { unit = "dollars", window = key.limit_reset, limit = key.limit, remaining = key.limit_remaining }
  end
  local credits, refused, status = http.json(options.base_url .. "/credits")
  if credits then
    meters[#meters + 1] = { unit = "dollars", limit = credits.data.total_credits, used = credits.data.total_usage }
  elseif status ~= 401 and status ~= 403 then
    return nil, refused
  end
  if #meters == 0 then meters[1] = { unit = "dollars", used = key.usage } end
  return meters
end

return {
  base_url = "https://openrouter.ai/api/v1",
  check = check,
  fixture = {
    answers = {
      ["GET /key"] = [[{"data": {"label": "sk-or-v1-1", "limit": 10, "limit_remaining": 2, "limit_reset": "monthly",
        "usage": 30.25, "usage_daily": 0.5, "is_free_tier": false, "rate_limit": {"requests": -1}}}]],
      ["GET /credits"] = [[{"data": {"total_credits": 50, "total_usage": 40.2}}]],
    },
    meters = {
      { metric = "dollars", window = "month", limit = 10, used = 8, remaining = 2, status = "warning" },
      { metric = "dollars", window = "subscription", limit = 50, used = 40.2, remaining = 9.8, status = "warning" },
    },
  },
}
