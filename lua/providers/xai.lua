-- xAI. Its completion_tokens leave reasoning out, its total does not.
return {
  name = "xai",
  env = "XAI_API_KEY",
  base_url = "https://api.x.ai/v1",
  protocol = "openai",
  free = false,
  quality = 82,
  spends = { "search_parameters" },
  limit_scope = "model",
  resets = "rolling",
  quirks = { models = { { match = { "^grok%-[4-9]" }, quirks = {
    drop = { "presence_penalty", "frequency_penalty" },
  } } } },
  models = {
    { id = "grok-3-mini", upstream_id = "grok-3-mini", context_length = 131072, strengths = { "chat", "reasoning" },
      quality = 75, tools = true },
  },
}
