-- A canary: 5 % of the requests try the new model first, the others the proven one; each is the other's fallback. The
-- dice are the request's own, so `moongate explain` and the ledger can tell afterwards how they fell:
--   moongate -c examples/canary/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "canary",
  providers = { shop = { protocol = "mock" } },
  models = {
    { id = "proven", provider = "shop", cost = { input = 1, output = 4 } },
    { id = "new", provider = "shop", cost = { input = 1, output = 4 } },
  },
}
