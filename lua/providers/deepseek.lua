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
  addresses = { anthropic = "https://api.deepseek.com/anthropic" },
  quirks = {
    drop = { "seed" },
    roles = { developer = "system" },
    switch = { field = "thinking", on = { type = "enabled" }, off = { type = "disabled" } },
    values = { reasoning_effort = { none = false, minimal = "high", low = "high", medium = "high", xhigh = "max" } },
    message_rename = { reasoning = "reasoning_content" },
    keep_reasoning = true,
    -- The one that must not see its thoughts again.
    models = { { match = { "%-r1" }, quirks = {
      keep_reasoning = false, message_drop = { "reasoning_content", "reasoning" },
    } } },
  },
  cache_read = 0.1,
  models = {
    { id = "deepseek-flash", upstream_id = "deepseek-flash", strengths = { "chat", "coding" }, quality = 80,
      tools = true },
    { id = "deepseek-v4-pro", upstream_id = "deepseek-v4-pro", strengths = { "reasoning", "coding" }, quality = 88,
      tools = true },
  },
}
