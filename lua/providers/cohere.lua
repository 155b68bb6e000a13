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
    rename = { max_completion_tokens = "max_tokens" },
    takes = {
      "model", "messages", "stream", "reasoning_effort", "response_format", "tools", "temperature", "max_tokens",
      "stop", "seed", "top_p", "frequency_penalty", "presence_penalty",
    },
    needs = { tool_choice = "tools" },
    only = { n = { 1 }, tool_choice = { "auto" } },
    either = { { "frequency_penalty", "presence_penalty" } },
    clamp = { temperature = { 0, 1 } },
    values = { reasoning_effort = { none = "none", minimal = "none", ["*"] = "high" } },
    tool_name = "^[%a_][%w_]*$",
    roles = { developer = "system" },
    part_drop = { "cache_control" },
  },
  models = {
    { id = "command-a", upstream_id = "command-a-03-2025", context_length = 256000, strengths = { "chat" },
      quality = 70, tools = true, free = true },
  },
}
