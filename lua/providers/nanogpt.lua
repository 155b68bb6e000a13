-- NanoGPT, an aggregator; the address that takes larger bodies.
return {
  name = "nanogpt",
  env = "NANOGPT_API_KEY",
  base_url = "https://api.nano-gpt.com/api/v1",
  protocol = "openai",
  free = false,
  quality = 65,
  spends = { "billing_mode", "web_search", "scraping" },
  limit_scope = "provider",
  addresses = { anthropic = "https://api.nano-gpt.com/api" },
  models = {},
}
