-- A local Ollama, by its own API. Prompts longer than its context are cut silently: `context_length` of a model in the
-- configuration goes along with each call (options.num_ctx). Its cloud is https://ollama.com, with a key.
return {
  name = "ollama",
  base_url = "http://127.0.0.1:11434",
  protocol = "ollama",
  addresses = { openai = "http://127.0.0.1:11434/v1", anthropic = "http://127.0.0.1:11434" },
  is_local = true,
  free = true,
  quality = 50,
  limit_scope = "provider",
  -- The names of pulled models are the operator's: none is built in.
  models = {},
}
