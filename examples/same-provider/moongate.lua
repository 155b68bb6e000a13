-- A conversation stays with one provider, whose prompt cache then saves money: all turns that begin with the same first
-- message of the user go the same way. Should that provider fail, only its own conversations move.
--   moongate -c examples/same-provider/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "same-provider",
  providers = { north = { protocol = "mock" }, east = { protocol = "mock" }, south = { protocol = "mock" } },
  models = {
    { id = "llama", provider = "north", cost = { input = 1, output = 2 } },
    { id = "llama", provider = "east", cost = { input = 1, output = 2 } },
    { id = "llama", provider = "south", cost = { input = 1, output = 2 } },
  },
}
