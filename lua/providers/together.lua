-- Together. Limits per second and model, and they move with the load.
return {
  name = "together",
  env = "TOGETHER_API_KEY",
  base_url = "https://api.together.ai/v1",
  protocol = "openai",
  free = false,
  quality = 75,
  limit_scope = "model",
  resets = "rolling",
  quirks = {
    extensions = { "top_k", "min_p" },
    -- A number there: how many.
    drop = { "top_logprobs" },
    values = { logprobs = { ["true"] = 1, ["false"] = false } },
    roles = { developer = "system" },
  },
  models = {
    { id = "llama-3.3-70b", upstream_id = "meta-llama/Llama-3.3-70B-Instruct-Turbo", context_length = 131072,
      strengths = { "chat", "coding" }, quality = 80, tools = true },
  },
}
