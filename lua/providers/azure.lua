-- Azure OpenAI, by its v1 address: the deployment's name is the upstream id, so models come from the config. An older
-- address (.../openai/deployments/<name>?api-version=...) goes as base_url; what its version refuses goes into quirks.
local openai = require "providers.openai"

return {
  name = "azure",
  env = "AZURE_OPENAI_API_KEY",
  base_url = "https://{resource}.openai.azure.com/openai/v1",
  variables = { resource = "AZURE_OPENAI_RESOURCE" },
  protocol = "openai",
  formats = { "chat", "responses" },
  auth = { header = "api-key", prefix = "" },
  free = false,
  quality = 84,
  spends = { "data_sources" },
  limit_scope = "model",
  resets = "rolling",
  -- By the name of the deployment: one that is called otherwise needs its quirks in the config.
  quirks = openai.quirks,
  cache_read = 0.5,
  models = {},
}
