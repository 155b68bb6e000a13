-- Naga, an aggregator. Its models are looked up in its own list: none is built in.
return {
  name = "naga",
  env = "NAGA_API_KEY",
  base_url = "https://api.naga.ac/v1",
  protocol = "openai",
  free = false,
  quality = 65,
  limit_scope = "provider",
  models = {},
}
