-- Google AI Studio, by its own protocol. Answers carry no rate-limit headers; the day's quota falls at midnight
-- Pacific, per project and model.
return {
  name = "gemini",
  env = "GEMINI_API_KEY",
  base_url = "https://generativelanguage.googleapis.com/v1beta",
  protocol = "gemini",
  addresses = { openai = "https://generativelanguage.googleapis.com/v1beta/openai" },
  free = true,
  quality = 90,
  limit_scope = "model",
  resets = "fixed",
  cache_read = 0.1,
  -- Of models that several entries match, the later ones hold.
  quirks = {
    models = {
      { match = { "^gemini%-2%.5" }, quirks = {
        thinking = "budget", budgets = { 0, 24576 }, json_schema = true, file_urls = true,
      } },
      { match = { "^gemini%-2%.5.*lite" }, quirks = { least_thought = 512 } },
      { match = { "^gemini%-2%.5%-pro" }, quirks = { budgets = { 128, 32768 } } },
      { match = { "^gemini%-[3-9]", "^gemini%-%a[%a%-]*latest$" }, quirks = {
        thinking = "level", json_schema = true, json_with_tools = true, file_urls = true, signatures = true,
        result_parts = true,
      } },
      { match = { "^gemini%-3.*pro", "^gemini%-pro" }, quirks = { levels = { none = "LOW", minimal = "LOW" } } },
      { match = { "^gemini%-3%-pro" }, quirks = { levels = { none = "LOW", minimal = "LOW", medium = "HIGH" } } },
      { match = { "^gemini.*image", "^gemini.*tts" }, quirks = { thinking = false, json_with_tools = false } },
      { match = { "^gemma%-[123]" }, quirks = { system = false, json = false } },
    },
  },
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
