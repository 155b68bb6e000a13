-- Z.ai (GLM). Its reset stamps bear no zone and mean UTC+8.
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
  models = {
    { id = "glm-4.6", upstream_id = "glm-4.6", context_length = 204800, strengths = { "chat", "coding" }, quality = 82,
      tools = true },
  },
}
