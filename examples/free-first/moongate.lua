-- Free tiers first: what costs nothing serves as long as it has quota left, then the cheapest of the others. Here the
-- free provider takes three requests a minute. Start it and ask four times; look at x-moongate-provider:
--   moongate -c examples/free-first/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "free-first",
  providers = {
    gift = { protocol = "mock", free = true, limits = { rpm = 3 }, mock = { text = "This one was free." } },
    shop = { protocol = "mock", mock = { text = "This one will be on the bill." } },
  },
  models = {
    { id = "gratis", provider = "gift", cost = { input = 0, output = 0 } },
    { id = "dear", provider = "shop", cost = { input = 3, output = 15 } },
    { id = "fair", provider = "shop", cost = { input = 0.2, output = 0.8 } },
  },
}
