-- Cheap at night: from 20 to 6 o'clock (UTC), when batch jobs run and nobody waits, the cheapest model serves; by day
-- the best one does. See what would serve now, and why:
--   echo '{"messages": [{"role": "user", "content": "Hello!"}]}' |
--     moongate explain -c examples/cheap-at-night/moongate.lua -
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "cheap-at-night",
  providers = { shop = { protocol = "mock" } },
  models = {
    { id = "brilliant", provider = "shop", quality = 95, cost = { input = 3, output = 15 } },
    { id = "thrifty", provider = "shop", quality = 60, cost = { input = 0.1, output = 0.4 } },
  },
}
