-- Moonshot's Kimi platform, the international one; keys of the mainland one do not fit here.
return {
  name = "moonshot",
  env = "MOONSHOT_API_KEY",
  base_url = "https://api.moonshot.ai/v1",
  protocol = "openai",
  free = false,
  quality = 84,
  limit_scope = "provider",
  quirks = { drop = { "seed", "top_k" }, clamp = { temperature = { 0, 1 } }, keep_reasoning = true },
  models = {
    { id = "kimi-k2", upstream_id = "kimi-k2-0905-preview", context_length = 262144,
      strengths = { "chat", "coding" }, quality = 84, tools = true },
  },
}
