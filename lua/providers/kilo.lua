-- The Kilo gateway. It turns a 402 of its upstreams into a 503.
return {
  name = "kilo",
  env = "KILO_API_KEY",
  base_url = "https://api.kilo.ai/api/gateway",
  protocol = "openai",
  free = false,
  quality = 70,
  spends = { "provider", "plugins" },
  limit_scope = "provider",
  models = {},
}
