-- Synthetic: open models by subscription, ids such as `hf:org/name`.
return {
  name = "synthetic",
  env = "SYNTHETIC_API_KEY",
  base_url = "https://api.synthetic.new/openai/v1",
  protocol = "openai",
  free = false,
  quality = 70,
  limit_scope = "provider",
  addresses = { anthropic = "https://api.synthetic.new/anthropic" },
  quirks = { roles = { developer = "system" } },
  models = {
    { id = "gpt-oss-120b", upstream_id = "hf:openai/gpt-oss-120b", context_length = 131072,
      strengths = { "chat", "reasoning" }, quality = 82, tools = true },
  },
}
