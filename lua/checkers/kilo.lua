-- Kilo: the balance, which may be negative; of an organization, if `organization` names one.
local function check(http, options)
  local headers = { ["x-kilocode-organizationid"] = options.organization }
  local answer, why = http.json(options.base_url .. "/profile/balance", { headers = headers })
  if not answer then return nil, why end
  return { unit = "dollars", remaining = answer.balance }
end

return {
  base_url = "https://api.kilo.ai/api",
  check = check,
  fixture = {
    options = { organization = "org-1" },
    answers = { ["GET /profile/balance"] = [[{"balance": -0.35, "isDepleted": true}]] },
    meters = { { metric = "dollars", window = "subscription", remaining = -0.35, status = "exhausted" } },
  },
}
