-- Naga: the balance. It takes a provisioning key: give it to the checker as `api_key`.
local function check(http, options)
  local answer, why = http.json(options.base_url .. "/account/balance")
  if not answer then return nil, why end
  return { unit = "dollars", remaining = answer.balance }
end

return {
  base_url = "https://api.naga.ac/v1",
  check = check,
  fixture = {
    answers = { ["GET /account/balance"] = [[{"balance": "4.2000"}]] },
    meters = { { metric = "dollars", window = "subscription", remaining = 4.2, status = "ok" } },
  },
}
