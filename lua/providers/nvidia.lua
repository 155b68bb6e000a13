-- NVIDIA's hosted NIM. Requests may hang for minutes, a bad key is a 403, and no header tells a limit.
return {
  name = "nvidia",
  env = "NVIDIA_API_KEY",
  base_url = "https://integrate.api.nvidia.com/v1",
  protocol = "openai",
  free = true,
  quality = 65,
  limit_scope = "provider",
  limits = { rpm = 40 },
  timeouts = { first_byte = 30 },
  quirks = { roles = { developer = "system" } },
  models = {
    { id = "llama-3.3-70b", upstream_id = "meta/llama-3.3-70b-instruct", context_length = 131072,
      strengths = { "chat", "coding" }, quality = 80, tools = true, free = true },
  },
}
