-- OpenRouter, a router of routers. The free quota is one for all `:free` models of an account and falls at 00:00 UTC;
-- 50 a day until ten dollars were ever bought, then 1000.
return {
  name = "openrouter",
  env = "OPENROUTER_API_KEY",
  base_url = "https://openrouter.ai/api/v1",
  protocol = "openai",
  addresses = { anthropic = "https://openrouter.ai/api" },
  -- Who calls, in its statistics. With an http-referer of one's own, in the config, it is told whose.
  headers = { ["x-title"] = "moongate" },
  free = true,
  quality = 80,
  limit_scope = "provider",
  resets = "fixed",
  spends = { "models", "route", "provider", "plugins", "preset", "transforms", "web_search_options" },
  free_only = { provider = '{"max_price":{"prompt":0,"completion":0,"request":0,"image":0}}' },
  quirks = { extensions = { "top_k", "min_p", "cache_control" } },
  models = {
    { id = "gpt-oss-20b:free", upstream_id = "openai/gpt-oss-20b:free", cost = { input = 0, output = 0 },
      context_length = 131072, strengths = { "chat", "reasoning" }, quality = 70, tools = true, free = true,
      limits = { rpm = 20, rpd = { 50, zone = "UTC" } } },
    { id = "llama-3.3-70b:free", upstream_id = "meta-llama/llama-3.3-70b-instruct:free",
      cost = { input = 0, output = 0 }, context_length = 65536, strengths = { "chat", "coding" }, quality = 80,
      tools = true, free = true, limits = { rpm = 20, rpd = { 50, zone = "UTC" } } },
  },
}
