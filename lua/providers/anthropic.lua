-- Anthropic. Output limits and the parameters taken differ by generation of model: that is in the quirks below.
return {
  name = "anthropic",
  env = "ANTHROPIC_API_KEY",
  base_url = "https://api.anthropic.com",
  protocol = "anthropic",
  auth = { header = "x-api-key", prefix = "" },
  free = false,
  quality = 88,
  spends = { "container", "mcp_servers", "inference_geo", "speed" },
  limit_scope = "model",
  resets = "rolling",
  -- Besides those of moongate.dialect, for protocols.anthropic:
  --   thinking  "budget": so many tokens; "adaptive": by effort; false: none. Without a word: by budget
  --   efforts   words for effort that the model knows by another name
  --   schema    false: no output_config.format and no strict tools
  --   prefill   false: the last message must be the user's
  --   either    groups of fields of which only the first present may be sent
  quirks = {
    clamp = { temperature = { 0, 1 } },
    models = {
      -- The newest refuse sampling parameters altogether.
      {
        match = { "^claude%-%a+%-[5-9]", "^claude%-opus%-4%-[78]" },
        quirks = { drop = { "temperature", "top_p", "top_k" }, thinking = "adaptive", prefill = false },
      },
      {
        match = { "^claude%-%a+%-4%-6" },
        quirks = {
          either = { { "temperature", "top_p" } }, thinking = "adaptive", efforts = { xhigh = "high" }, prefill = false,
        },
      },
      {
        match = {
          "^claude%-%a+%-4%-[15]%f[%D]", "^claude%-%a+%-4%-0", "^claude%-%a+%-4%-%d%d%d%d", "^claude%-%a+%-4$",
        },
        quirks = { either = { { "temperature", "top_p" } }, thinking = "budget" },
      },
      {
        match = { "^claude%-%a+%-4%-0", "^claude%-%a+%-4%-%d%d%d%d", "^claude%-%a+%-4$", "^claude%-3", "^claude%-2" },
        quirks = { schema = false },
      },
      { match = { "^claude%-2", "^claude%-3%-%a", "^claude%-3%-5" }, quirks = { thinking = false } },
    },
  },
  cache_read = 0.1,
  cache_write = 1.25,
  models = {
    { id = "claude-sonnet-5", upstream_id = "claude-sonnet-5", strengths = { "chat", "coding", "reasoning" },
      quality = 90, tools = true, vision = true },
  },
}
