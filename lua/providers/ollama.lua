-- A local Ollama, by its compatible address. Longer prompts than its context are cut silently.
return {
  name = "ollama",
  base_url = "http://127.0.0.1:11434/v1",
  protocol = "openai",
  is_local = true,
  free = true,
  quality = 50,
  limit_scope = "provider",
  -- The names of pulled models are the operator's: none is built in.
  models = {},
}
