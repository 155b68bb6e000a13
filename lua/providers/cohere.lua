-- Cohere, by its compatible address. A trial key has 1000 calls a month over all models.
return {
  name = "cohere",
  env = "COHERE_API_KEY",
  base_url = "https://api.cohere.ai/compatibility/v1",
  protocol = "openai",
  free = true,
  quality = 60,
  spends = { "connectors" },
  limit_scope = "provider",
  resets = "fixed",
  limits = { rpm = 20, rpmonth = 1000 },
  quirks = {
    stream_options = false,
    drop = {
      "stream_options", "store", "metadata", "logit_bias", "top_logprobs", "n", "modalities", "prediction", "audio",
      "service_tier", "parallel_tool_calls", "tool_choice", "user",
    },
    rename = { max_completion_tokens = "max_tokens" },
    clamp = { temperature = { 0, 1 } },
    roles = { developer = "system" },
  },
  models = {
    { id = "command-a", upstream_id = "command-a-03-2025", context_length = 256000, strengths = { "chat" },
      quality = 70, tools = true, free = true },
  },
}
