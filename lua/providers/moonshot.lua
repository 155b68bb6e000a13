-- Moonshot's Kimi platform, the international one; keys of the mainland one (https://api.moonshot.cn/v1) and of the
-- subscription (https://api.kimi.com/coding/v1) do not fit here.
return {
  name = "moonshot",
  env = "MOONSHOT_API_KEY",
  base_url = "https://api.moonshot.ai/v1",
  protocol = "openai",
  free = false,
  quality = 84,
  limit_scope = "provider",
  addresses = { anthropic = "https://api.moonshot.ai/anthropic" },
  quirks = {
    drop = { "seed", "top_k" },
    clamp = { temperature = { 0, 1 } },
    roles = { developer = "system" },
    message_rename = { reasoning = "reasoning_content" },
    keep_reasoning = true,
    bare_any_of = true,
    models = {
      { match = { "." }, except = { "^kimi%-k2%.", "^kimi%-k[3-9]" }, quirks = { drop = { "reasoning_effort" } } },
      { match = { "^kimi%-k2%.", "^kimi%-k[3-9]" }, quirks = {
        switch = { field = "thinking", on = { type = "enabled" }, off = { type = "disabled" } },
      } },
      -- Thinking, its temperature is fixed.
      { match = { "^kimi%-k2%.", "^kimi%-k2%-thinking" }, quirks = { thinking_drop = { "temperature" } } },
      { match = { "^kimi%-k2%." }, quirks = { values = { reasoning_effort = { ["*"] = false } } } },
      { match = { "^kimi%-k[3-9]" }, quirks = {
        values = { reasoning_effort = { none = false, minimal = "low", medium = "high", xhigh = "max" } },
      } },
    },
  },
  models = {
    { id = "kimi-k2", upstream_id = "kimi-k2-0905-preview", context_length = 262144,
      strengths = { "chat", "coding" }, quality = 84, tools = true },
  },
}
