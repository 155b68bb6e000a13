-- What two policies share is in policies/lib/: here, what counts as usable and as good enough. Saving the shared file
-- reloads both. Choose the policy by a header:
--   moongate -c examples/shared-lib/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions -H 'x-moongate-policy: quick' \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "thrifty",
  providers = { shop = { protocol = "mock" } },
  models = {
    { id = "weak", provider = "shop", quality = 30, cost = { input = 0.1, output = 0.1 }, latency_ms = 100 },
    { id = "solid", provider = "shop", quality = 75, cost = { input = 1, output = 2 }, latency_ms = 900 },
    { id = "swift", provider = "shop", quality = 80, cost = { input = 3, output = 9 }, latency_ms = 200 },
  },
}
