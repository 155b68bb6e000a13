-- DeepSeek. No limit per minute but concurrency per account; under load it keeps the connection open with comments.
return {
  name = "deepseek",
  env = "DEEPSEEK_API_KEY",
  base_url = "https://api.deepseek.com/v1",
  protocol = "openai",
  free = false,
  quality = 84,
  limit_scope = "provider",
  timeouts = { first_byte = 120, first_content = 600 },
  quirks = { drop = { "seed" }, roles = { developer = "system" }, keep_reasoning = true },
  cache_read = 0.1,
  models = {
    { id = "deepseek-flash", upstream_id = "deepseek-flash", strengths = { "chat", "coding" }, quality = 80,
      tools = true },
    { id = "deepseek-v4-pro", upstream_id = "deepseek-v4-pro", strengths = { "reasoning", "coding" }, quality = 88,
      tools = true },
  },
}
