-- Cloudflare Workers AI, by its compatible address. 10 000 neurons a day for the whole account, until 00:00 UTC.
return {
  name = "cloudflare",
  env = "CLOUDFLARE_API_TOKEN",
  base_url = "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai/v1",
  variables = { account_id = "CLOUDFLARE_ACCOUNT_ID" },
  protocol = "openai",
  free = true,
  quality = 60,
  limit_scope = "provider",
  resets = "fixed",
  limits = { rpm = 300, neurons_per_day = { 10000, zone = "UTC" } },
  quirks = { roles = { developer = "system" } },
  models = {
    { id = "llama-3.1-8b", upstream_id = "@cf/meta/llama-3.1-8b-instruct", context_length = 7968,
      strengths = { "chat" }, quality = 50, free = true },
    { id = "llama-3.3-70b", upstream_id = "@cf/meta/llama-3.3-70b-instruct-fp8-fast", context_length = 24000,
      strengths = { "chat", "coding" }, quality = 75, tools = true, free = true },
  },
}
