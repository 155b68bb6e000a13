-- llama.cpp's server; the model's name is ignored there unless it routes.
return {
  name = "llamacpp",
  base_url = "http://127.0.0.1:8080/v1",
  protocol = "openai",
  is_local = true,
  free = true,
  quality = 50,
  limit_scope = "provider",
  addresses = { anthropic = "http://127.0.0.1:8080" },
  quirks = { extensions = { "top_k", "min_p" }, roles = { developer = "system" } },
  models = {},
}
