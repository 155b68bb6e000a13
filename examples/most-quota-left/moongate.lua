-- The provider with the most quota left goes first, so that several free tiers are used up evenly and none runs dry
-- early. Ask a few times and watch x-moongate-provider change:
--   moongate -c examples/most-quota-left/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "most-quota-left",
  providers = {
    brook = { protocol = "mock", free = true, limits = { rpd = 4 } },
    river = { protocol = "mock", free = true, limits = { rpd = 6 } },
  },
  models = {
    { id = "llama", provider = "brook", cost = { input = 0, output = 0 } },
    { id = "llama", provider = "river", cost = { input = 0, output = 0 } },
  },
}
