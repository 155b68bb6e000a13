-- A provider that speaks a wire format of its own: policies/protocols/says.lua is all it takes, and no rebuild.
return {
  auth = "none",
  store = "memory:",
  providers = {
    says = { protocol = "says", base_url = "http://127.0.0.1:9900", api_key = env("SAYS_KEY", "none") },
  },
  models = { { id = "sayer", provider = "says", cost = { input = 0.1, output = 0.2 } } },
  policies = "policies",
  policy = "as-listed",
}
