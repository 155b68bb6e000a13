-- A price per customer: tokens are billed with the discount of the customer's contract. Budgets and the ledger go by
-- them; see the header x-moongate-billed-tokens:
--   moongate -c examples/customer-price/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions -H 'authorization: Bearer acme-key' \
--     --json '{"model": "big", "messages": [{"role": "user", "content": "Hello!"}]}'
return {
  listen = "127.0.0.1:8080",
  store = "memory:",
  policies = "policies",
  policy = "as-listed",
  keys = {
    { name = "acme", org = "acme", key = env("ACME_KEY", "acme-key") },
    { name = "walk-in", key = env("WALKIN_KEY", "walk-in-key") },
  },
  providers = { cloud = { protocol = "mock" }, here = { protocol = "mock", is_local = true } },
  models = {
    { id = "big", provider = "cloud", cost = { input = 1, output = 4 } },
    { id = "home", provider = "here" },
  },
}
