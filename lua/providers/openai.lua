-- OpenAI. Limits per organisation, project and model; tokens refill all the time, so a hint in a refusal is true.
return {
  name = "openai",
  env = "OPENAI_API_KEY",
  base_url = "https://api.openai.com/v1",
  protocol = "openai",
  free = false,
  quality = 85,
  spends = { "web_search_options" },
  limit_scope = "model",
  resets = "rolling",
  quirks = {
    -- Reasoning models refuse the old name.
    models = { { match = { "^o%d", "^gpt%-5" }, quirks = { rename = { max_tokens = "max_completion_tokens" } } } },
  },
  -- Of the input price, where a table has none for cached input.
  cache_read = 0.5,
  models = {
    -- The public list price (openai.com/api/pricing), USD per million tokens.
    { id = "gpt-4o", upstream_id = "gpt-4o", context_length = 128000, strengths = { "chat", "coding" }, quality = 82,
      tools = true, vision = true, cost = { input = 2.50, output = 10.00, cached_input = 1.25 } },
    { id = "gpt-4o-mini", upstream_id = "gpt-4o-mini", context_length = 128000, strengths = { "chat" }, quality = 70,
      tools = true, vision = true },
    { id = "text-embedding-3-small", upstream_id = "text-embedding-3-small", context_length = 8192,
      strengths = { "embedding" } },
  },
}
