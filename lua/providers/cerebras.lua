-- Cerebras. Admission reserves prompt + max_completion_tokens, so a refusal with something remaining is normal.
return {
  name = "cerebras",
  env = "CEREBRAS_API_KEY",
  base_url = "https://api.cerebras.ai/v1",
  protocol = "openai",
  free = true,
  quality = 100,
  limit_scope = "model",
  resets = "rolling",
  quirks = {
    rename = { max_tokens = "max_completion_tokens" },
    drop = { "presence_penalty", "frequency_penalty", "logit_bias" },
    roles = { developer = "system" },
    message_drop = { "reasoning_details", "thinking_blocks" },
    message_rename = { reasoning_content = "reasoning" },
    part_drop = { "cache_control" },
    models = {
      { match = { "." }, except = { "gpt%-oss" }, quirks = { drop = { "reasoning_effort" } } },
      { match = { "gpt%-oss" }, quirks = {
        values = { reasoning_effort = { none = "low", minimal = "low", xhigh = "high", max = "high" } },
      } },
    },
  },
  models = {
    { id = "gpt-oss-120b", upstream_id = "gpt-oss-120b", context_length = 8192,
      strengths = { "chat", "coding", "reasoning" }, quality = 82, tools = true, free = true,
      limits = { rpm = 30, rph = 900, rpd = 14400, tpm = 60000, tph = 1000000, tpd = 1000000 } },
    { id = "llama-3.1-8b", upstream_id = "llama3.1-8b", context_length = 8192, strengths = { "chat" }, quality = 55,
      tools = true, free = true,
      limits = { rpm = 30, rph = 900, rpd = 14400, tpm = 60000, tph = 1000000, tpd = 1000000 } },
  },
}
