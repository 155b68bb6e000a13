-- The quickstart: a gateway that needs no key, no network and no database. Its two providers are mocks that answer by
-- themselves, so that you can watch the ladder. `make run` starts it; then try:
--
--   curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--     -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}'
--
-- Look at the answer's headers with `curl -i`: x-moongate-provider says who served, x-moongate-attempts after how many
-- calls. The model name "auto" lets the routing policy choose; "small" and "large" are names you can ask for.
return {
  listen = "127.0.0.1:8080",
  auth = "none",                 -- no keys: allowed because only this machine can connect
  store = "memory:",             -- "sqlite:moongate.db" keeps counters and the ledger across restarts

  -- The policies are in ../../policies/routing. Edit the one named here and save: the next request follows it.
  policies = "../../policies",
  policy = "auto-cheapest",

  providers = {
    -- The first rung: it costs nothing, and has a small quota. Ask more than five times a minute and the second serves.
    pebble = { protocol = "mock", free = true, quality = 60, limits = { rpm = 5 },
               mock = { text = "Hello from pebble, the free one." } },

    -- The second rung: paid, slower, never out of quota. A real provider looks like this:
    --   groq = { api_key = env "GROQ_API_KEY" },
    boulder = { protocol = "mock", quality = 90,
                mock = { text = "Hello from boulder, the one that costs.", delay = 0.2 } },
  },

  models = {
    { id = "small", provider = "pebble", cost = { input = 0, output = 0 }, context_length = 8192,
      strengths = { "chat" }, tools = true },
    { id = "large", provider = "boulder", cost = { input = 2.5, output = 10 }, context_length = 128000,
      strengths = { "chat", "coding", "reasoning" }, tools = true, vision = true },
  },

  -- A name that clients know already can lead to models of yours, in order or by weight.
  aliases = { ["gpt-4o-mini"] = { { model = "small" }, { model = "large" }, order = true } },
}
