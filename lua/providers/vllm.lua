-- A vLLM server of one's own; its models are the operator's.
return {
  name = "vllm",
  base_url = "http://127.0.0.1:8000/v1",
  protocol = "openai",
  is_local = true,
  free = true,
  quality = 50,
  limit_scope = "provider",
  addresses = { anthropic = "http://127.0.0.1:8000" },
  quirks = { extensions = { "top_k", "min_p" }, roles = { developer = "system" } },
  models = {},
}
