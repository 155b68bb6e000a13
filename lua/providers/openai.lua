-- OpenAI. Limits per organisation, project and model; tokens refill all the time, so a hint in a refusal is true.
-- Reasoning models refuse these, or any value of them but the default.
local SAMPLING = {
  "temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias",
}

return {
  name = "openai",
  env = "OPENAI_API_KEY",
  base_url = "https://api.openai.com/v1",
  protocol = "openai",
  formats = { "chat", "responses" },
  free = false,
  quality = 85,
  spends = { "web_search_options" },
  limit_scope = "model",
  resets = "rolling",
  -- Azure and GitHub serve the same models, there as openai/<name>.
  quirks = {
    needs = { tool_choice = "tools", parallel_tool_calls = "tools" },
    message_drop = { "reasoning_content", "reasoning", "reasoning_details", "thinking_blocks" },
    part_drop = { "cache_control" },
    models = {
      -- Reasoning models refuse the old name.
      {
        match = { "^o%d", "^openai/o%d", "^gpt%-[5-9]", "^openai/gpt%-[5-9]" },
        quirks = { rename = { max_tokens = "max_completion_tokens" } },
      },
      {
        match = { "^o%d", "^openai/o%d", "^gpt%-5$", "^gpt%-5%-", "^openai/gpt%-5$", "^openai/gpt%-5%-" },
        except = { "%-chat" }, quirks = { drop = SAMPLING },
      },
      -- The newer ones take them where no thinking is asked for.
      {
        match = { "^gpt%-5%.", "^gpt%-[6-9]", "^openai/gpt%-5%.", "^openai/gpt%-[6-9]" },
        except = { "%-chat" }, quirks = { thinking_drop = SAMPLING },
      },
    },
  },
  -- Of the input price, where a table has none for cached input.
  cache_read = 0.5,
  models = {
    -- The public list price (openai.com/api/pricing), USD per million tokens.
    { id = "gpt-4o", upstream_id = "gpt-4o", context_length = 128000, strengths = { "chat", "coding" }, quality = 82,
      tools = true, vision = true, cost = { input = 2.50, output = 10.00, cached_input = 1.25 } },
    { id = "gpt-4o-mini", upstream_id = "gpt-4o-mini", context_length = 128000, strengths = { "chat" }, quality = 70,
      tools = true, vision = true },
    { id = "text-embedding-3-small", upstream_id = "text-embedding-3-small", context_length = 8192,
      strengths = { "embedding" } },
  },
}
