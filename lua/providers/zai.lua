-- Z.ai (GLM). Its reset stamps bear no zone and mean UTC+8. The coding plan has https://api.z.ai/api/coding/paas/v4,
-- the mainland https://open.bigmodel.cn/api/paas/v4.
return {
  name = "zai",
  env = "ZAI_API_KEY",
  base_url = "https://api.z.ai/api/paas/v4",
  protocol = "openai",
  free = false,
  quality = 80,
  spends = { "web_search" },
  limit_scope = "provider",
  resets = "rolling",
  addresses = { anthropic = "https://api.z.ai/api/anthropic" },
  quirks = {
    clamp = { temperature = { 0, 1 } },
    needs = { tool_choice = "tools" },
    only = { tool_choice = { "auto" } },
    roles = { developer = "system" },
    switch = { field = "thinking", on = { type = "enabled" }, off = { type = "disabled" } },
    values = { reasoning_effort = { ["*"] = false } },
    message_rename = { reasoning = "reasoning_content" },
  },
  models = {
    { id = "glm-4.6", upstream_id = "glm-4.6", context_length = 204800, strengths = { "chat", "coding" }, quality = 82,
      tools = true },
  },
}
