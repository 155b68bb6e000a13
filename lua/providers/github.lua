-- GitHub Models. Limits per user and model; the free tier is for trying out, not for production.
local openai = require "providers.openai"

return {
  name = "github",
  env = "GITHUB_MODELS_TOKEN",
  base_url = "https://models.github.ai/inference",
  protocol = "openai",
  headers = { accept = "application/vnd.github+json", ["x-github-api-version"] = "2022-11-28" },
  free = true,
  quality = 65,
  limit_scope = "model",
  resets = "rolling",
  quirks = { models = openai.quirks.models },
  models = {
    { id = "gpt-4.1", upstream_id = "openai/gpt-4.1", context_length = 8000, max_output = 4000,
      strengths = { "chat", "coding" }, quality = 82, tools = true, vision = true, free = true,
      limits = { rpm = 10, rpd = 50 } },
    { id = "gpt-4.1-mini", upstream_id = "openai/gpt-4.1-mini", context_length = 8000, max_output = 4000,
      strengths = { "chat" }, quality = 72, tools = true, vision = true, free = true,
      limits = { rpm = 15, rpd = 150 } },
  },
}
