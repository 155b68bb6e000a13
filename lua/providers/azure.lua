-- Azure OpenAI, by its v1 address: the deployment's name is the upstream id, so models come from the config.
return {
  name = "azure",
  env = "AZURE_OPENAI_API_KEY",
  base_url = "https://{resource}.openai.azure.com/openai/v1",
  variables = { resource = "AZURE_OPENAI_RESOURCE" },
  protocol = "openai",
  auth = { header = "api-key", prefix = "" },
  free = false,
  quality = 84,
  spends = { "data_sources" },
  limit_scope = "model",
  resets = "rolling",
  cache_read = 0.5,
  models = {},
}
