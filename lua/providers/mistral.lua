-- Mistral. Its schema is closed: an unknown field is a 422. Usage comes in the last chunk of every stream, unasked.
-- Keys for Codestral belong to https://codestral.mistral.ai/v1.
return {
  name = "mistral",
  env = "MISTRAL_API_KEY",
  base_url = "https://api.mistral.ai/v1",
  protocol = "openai",
  free = true,
  quality = 70,
  spends = { "agent_id" },
  limit_scope = "model",
  resets = "fixed",
  -- Keys were seen with 2 to 60 a minute: the strictest first, headers raise it.
  limits = { rps = 1 },
  quirks = {
    stream_options = false,
    rename = { max_completion_tokens = "max_tokens", seed = "random_seed" },
    takes = {
      "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata",
      "response_format", "tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction",
      "parallel_tool_calls", "prompt_mode", "reasoning_effort", "guardrails", "prompt_cache_key", "safe_prompt",
    },
    needs = { tool_choice = "tools", parallel_tool_calls = "tools" },
    clamp = { temperature = { 0, 1.5 } },
    values = { reasoning_effort = { none = "none", minimal = "none", ["*"] = "high" } },
    roles = { developer = "system" },
    message_drop = {
      "name", "refusal", "audio", "function_call", "reasoning_content", "reasoning", "reasoning_details",
      "thinking_blocks",
    },
    part_drop = { "cache_control" },
    call_id = { length = 9 },
    prefix = "prefix",
    embeddings = {
      rename = { dimensions = "output_dimension" },
      takes = { "model", "input", "metadata", "output_dimension", "output_dtype", "encoding_format" },
    },
    models = { { match = { "^open%-", "^mistral%-tiny", "%-2[34]%d%d$" }, quirks = { after_tool = "Done." } } },
  },
  models = {
    { id = "mistral-small", upstream_id = "mistral-small-latest", context_length = 131072, strengths = { "chat" },
      quality = 70, tools = true, vision = true, free = true,
      limits = { rpm = 2, tpm = 500000, tpmonth = 1000000000 } },
    { id = "magistral-medium", upstream_id = "magistral-medium-latest", context_length = 40960,
      strengths = { "reasoning" }, quality = 78, tools = true, free = true,
      limits = { rpm = 2, tpm = 500000, tpmonth = 1000000000 } },
    { id = "mistral-embed", upstream_id = "mistral-embed", context_length = 8192, strengths = { "embedding" },
      free = true, limits = { rpm = 2, tpm = 500000, tpmonth = 1000000000 } },
  },
}
