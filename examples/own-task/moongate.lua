-- A type of task of your own: task.lua says what a request is for, the routing policy sends it to a model whose
-- `strengths` name that, and the ledger writes it down with the request.
--   moongate -c examples/own-task/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "SELECT * FROM t"}]}'
return {
  listen = "127.0.0.1:8080",
  auth = "none",
  store = "memory:",
  policies = "policies",
  policy = "specialists",
  providers = { shop = { protocol = "mock" } },
  models = {
    { id = "talker", provider = "shop", strengths = { "chat" }, cost = { input = 0.2, output = 0.4 } },
    { id = "analyst", provider = "shop", strengths = { "sql" }, cost = { input = 2, output = 8 } },
  },
}
