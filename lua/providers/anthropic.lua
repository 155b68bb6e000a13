-- Anthropic, through its OpenAI-compatible address: its own protocol is not among the protocols here.
return {
  name = "anthropic",
  env = "ANTHROPIC_API_KEY",
  base_url = "https://api.anthropic.com/v1",
  protocol = "openai",
  free = false,
  quality = 88,
  limit_scope = "model",
  resets = "rolling",
  quirks = {
    clamp = { temperature = { 0, 1 } },
    -- The newest models refuse these altogether.
    models = {
      {
        match = { "^claude%-opus%-5", "^claude%-sonnet%-5", "^claude%-fable%-5", "^claude%-opus%-4%-[78]" },
        quirks = { drop = { "temperature", "top_p", "top_k" } },
      },
    },
  },
  cache_read = 0.1,
  cache_write = 1.25,
  models = {
    { id = "claude-sonnet-5", upstream_id = "claude-sonnet-5", strengths = { "chat", "coding", "reasoning" },
      quality = 90, tools = true, vision = true },
  },
}
