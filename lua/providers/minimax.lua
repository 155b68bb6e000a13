-- MiniMax. Errors come with status 200 and `base_resp.status_code`. The mainland's is https://api.minimaxi.com/v1.
return {
  name = "minimax",
  env = "MINIMAX_API_KEY",
  base_url = "https://api.minimax.io/v1",
  protocol = "openai",
  free = false,
  quality = 78,
  spends = { "plugins" },
  limit_scope = "provider",
  addresses = { anthropic = "https://api.minimax.io/anthropic" },
  quirks = {
    clamp = { temperature = { 0.01, 1 } },
    only = { n = { 1 } },
    -- Thoughts apart from the answer, not in it as <think>...</think>.
    add = { reasoning_split = true },
    roles = { developer = "system" },
  },
  models = {
    { id = "minimax-m2", upstream_id = "MiniMax-M2", context_length = 204800, strengths = { "chat", "coding" },
      quality = 78, tools = true },
  },
}
