-- Who may use what, by script: the tier "free" gets models that cost nothing, "pro" all but the dearest, "max"
-- everything. A refusal is a 403 that says why. Try it with each key:
--   moongate -c examples/tier-gate/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions -H 'authorization: Bearer free-key' \
--     --json '{"model": "dear", "messages": [{"role": "user", "content": "Hello!"}]}'
return {
  listen = "127.0.0.1:8080",
  store = "memory:",
  policies = "policies",
  policy = "cheapest",
  tiers = { free = {}, pro = {}, max = {} },
  keys = {
    { name = "fay", tier = "free", key = env("FREE_KEY", "free-key") },
    { name = "pam", tier = "pro", key = env("PRO_KEY", "pro-key") },
    { name = "meg", tier = "max", key = env("MAX_KEY", "max-key") },
  },
  providers = { gift = { protocol = "mock", free = true }, shop = { protocol = "mock" } },
  models = {
    { id = "gratis", provider = "gift", cost = { input = 0, output = 0 } },
    { id = "fair", provider = "shop", cost = { input = 0.5, output = 2 } },
    { id = "dear", provider = "shop", cost = { input = 15, output = 75 } },
  },
}
