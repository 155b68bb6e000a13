-- Privacy words stay local: a request that speaks of salaries, passwords and the like is served on this machine or not
-- at all; everything else goes to the cloud.
--   moongate -c examples/private-words/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "My salary?"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "private-words",
  providers = {
    here = { protocol = "mock", is_local = true, mock = { text = "Between us." } },
    cloud = { protocol = "mock", mock = { text = "From afar." } },
  },
  models = {
    { id = "home", provider = "here", quality = 50 },
    { id = "big", provider = "cloud", quality = 90, cost = { input = 1, output = 4 } },
  },
}
