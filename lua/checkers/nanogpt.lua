-- NanoGPT: the input tokens of the subscription by day and week, where there is one, and the balance.
local function check(http, options)
  local usage, why = http.json(options.base_url .. "/subscription/v1/usage")
  local balance, also = http.json(options.base_url .. "/check-balance",
    { method = "POST", headers = { ["x-api-key"] = "{key}" } })
  if not usage and not balance then return nil, why or also end
  local meters = {}
  if usage and usage.active then
    local limits = type(usage.limits) == "table" and usage.limits or {}
    for window, name in pairs { daily = "dailyInputTokens", weekly = "weeklyInputTokens" } do
      local told = usage[name]
      if type(told) == "table" and type(limits[name]) == "number" then
        meters[#meters + 1] = { unit = "input_tokens", window = window, limit = limits[name], used = told.used,
          remaining = told.remaining, resets = told.resetAt }
      end
    end
  end
  if balance then meters[#meters + 1] = { unit = "dollars", remaining = balance.usd_balance } end
  return meters
end

return {
  base_url = "https://nano-gpt.com/api",
  check = check,
  fixture = {
    answers = {
      ["GET /subscription/v1/usage"] = [[{"active": true, "state": "active", "limits": {"dailyInputTokens": null,
        "weeklyInputTokens": 60000000, "dailyImages": 100}, "weeklyInputTokens": {"used": 15000000,
        "remaining": 45000000, "percentUsed": 0.25, "resetAt": 1796083200000}}]],
      ["POST /check-balance"] = [[{"usd_balance": "7.05", "nano_balance": "0.00", "nanoDepositAddress": "nano_1"}]],
    },
    meters = {
      { metric = "input_tokens", window = "week", limit = 6e7, used = 1.5e7, remaining = 4.5e7, status = "ok",
        resets_at = 1796083200 },
      { metric = "dollars", window = "subscription", remaining = 7.05, status = "ok" },
    },
  },
}
