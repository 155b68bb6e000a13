-- MiniMax. Errors come with status 200 and `base_resp.status_code`.
return {
  name = "minimax",
  env = "MINIMAX_API_KEY",
  base_url = "https://api.minimax.io/v1",
  protocol = "openai",
  free = false,
  quality = 78,
  spends = { "plugins" },
  limit_scope = "provider",
  quirks = { clamp = { temperature = { 0.01, 1 } } },
  models = {
    { id = "minimax-m2", upstream_id = "MiniMax-M2", context_length = 204800, strengths = { "chat", "coding" },
      quality = 78, tools = true },
  },
}
