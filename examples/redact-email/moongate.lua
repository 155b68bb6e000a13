-- A hook that takes e-mail addresses out of what is sent to a provider, and says in the header x-redacted how many
-- there were.
--   moongate -c examples/redact-email/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "Ask bob@acme.test"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "as-listed",
  providers = { cloud = { protocol = "mock" } },
  models = { { id = "big", provider = "cloud", cost = { input = 1, output = 4 } } },
}
