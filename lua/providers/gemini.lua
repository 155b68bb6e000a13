-- Google AI Studio, through its OpenAI-compatible address: its own protocol is not among the protocols here.
-- Answers carry no rate-limit headers; the day's quota falls at midnight Pacific, per project and model.
return {
  name = "gemini",
  env = "GEMINI_API_KEY",
  base_url = "https://generativelanguage.googleapis.com/v1beta/openai",
  protocol = "openai",
  free = true,
  quality = 90,
  limit_scope = "model",
  resets = "fixed",
  cache_read = 0.1,
  models = {
    { id = "gemini-3.5-flash", upstream_id = "gemini-3.5-flash", strengths = { "chat", "coding", "reasoning" },
      quality = 88, tools = true, vision = true, free = true,
      limits = { rpm = 5, rpd = { 20, zone = "America/Los_Angeles" }, tpm = 250000 } },
    { id = "gemini-3.1-flash-lite", upstream_id = "gemini-3.1-flash-lite", strengths = { "chat" }, quality = 75,
      tools = true, vision = true, free = true,
      limits = { rpm = 15, rpd = { 500, zone = "America/Los_Angeles" }, tpm = 250000 } },
    { id = "gemini-2.5-flash", upstream_id = "gemini-2.5-flash", context_length = 1048576,
      strengths = { "chat", "coding" }, quality = 82, tools = true, vision = true, free = true,
      limits = { rpm = 5, rpd = { 20, zone = "America/Los_Angeles" }, tpm = 250000 } },
    { id = "gemini-2.5-flash-lite", upstream_id = "gemini-2.5-flash-lite", context_length = 1048576,
      strengths = { "chat" }, quality = 70, tools = true, vision = true, free = true,
      limits = { rpm = 10, rpd = { 20, zone = "America/Los_Angeles" }, tpm = 250000 } },
    -- Not in the free tier: a refusal says "limit: 0".
    { id = "gemini-2.5-pro", upstream_id = "gemini-2.5-pro", context_length = 1048576,
      strengths = { "reasoning", "coding" }, quality = 92, tools = true, vision = true, free = false },
  },
}
