-- Moonshot: the balance, vouchers included. The mainland platform (.cn) reckons in yuan.
local function check(http, options)
  local answer, why = http.json(options.base_url .. "/users/me/balance")
  if not answer then return nil, why end
  if answer.code ~= 0 or answer.status == false then return nil, "it answered with code " .. tostring(answer.code) end
  local is_mainland = string.find(options.base_url, "^https?://[%w.-]+%.cn%f[/:%z]")
  return { unit = is_mainland and "yuan" or "dollars", remaining = answer.data.available_balance }
end

return {
  base_url = "https://api.moonshot.ai/v1",
  check = check,
  fixture = {
    answers = {
      ["GET /users/me/balance"] = [[{"code": 0, "data": {"available_balance": 49.58894, "voucher_balance": 46.58893,
        "cash_balance": 3.00001}, "scode": "0x0", "status": true}]],
    },
    meters = { { metric = "dollars", window = "subscription", remaining = 49.58894, status = "ok" } },
  },
}
