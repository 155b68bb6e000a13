-- DeepSeek: the balance, in dollars or, of an account that has none, in yuan.
local UNITS = { USD = "dollars", CNY = "yuan" }

local function check(http, options)
  local answer, why = http.json(options.base_url .. "/user/balance")
  if not answer then return nil, why end
  local meters = {}
  for _, info in ipairs(answer.balance_infos) do
    local remaining = info.total_balance
    -- Its own word: what there is cannot be spent.
    if answer.is_available == false then remaining = 0 end
    if UNITS[info.currency] then meters[#meters + 1] = { unit = UNITS[info.currency], remaining = remaining } end
  end
  return meters
end

return {
  base_url = "https://api.deepseek.com",
  check = check,
  fixture = {
    answers = {
      ["GET /user/balance"] = [[{"is_available": true, "balance_infos": [{"currency": "USD", "total_balance": "110.00",
        "granted_balance": "10.00", "topped_up_balance": "100.00"}]}]],
    },
    meters = { { metric = "dollars", window = "subscription", remaining = 110, status = "ok" } },
  },
}
