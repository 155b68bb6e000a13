-- A provider that speaks a wire format of its own: policies/protocols/says.lua is all it takes, and no rebuild.
--   moongate -c examples/own-protocol/moongate.lua
--   curl http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "sayer", "messages": [{"role": "user", "content": "Hello"}]}'
-- (It calls http://127.0.0.1:9900/say, where nobody is until you are.)
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "as-listed",
  providers = { says = { protocol = "says", base_url = "http://127.0.0.1:9900", api_key = "none" } },
  models = { { id = "sayer", provider = "says", cost = { input = 0.1, output = 0.2 } } },
}
