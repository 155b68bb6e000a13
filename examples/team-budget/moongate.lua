-- A budget per team, then small models: each team has an account of its own for the large model, with a daily allowance
-- of tokens. When it is used up the team is served by the small model, which is for everybody. Try it as a team:
--   moongate -c examples/team-budget/moongate.lua
--   curl -i http://127.0.0.1:8080/v1/chat/completions -H 'authorization: Bearer research-key' \
--     --json '{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 600}'
return {
  listen = "127.0.0.1:8080",
  store = "memory:",
  policies = "policies",
  policy = "team-budget",
  keys = {
    { name = "ada", org = "research", key = env("RESEARCH_KEY", "research-key") },
    { name = "max", org = "marketing", key = env("MARKETING_KEY", "marketing-key") },
  },
  providers = {
    research = { protocol = "mock", limits = { tpd = 2000 } },
    marketing = { protocol = "mock", limits = { tpd = 500 } },
    shared = { protocol = "mock" },
  },
  models = {
    { id = "large", provider = "research", cost = { input = 3, output = 15 } },
    { id = "large", provider = "marketing", cost = { input = 3, output = 15 } },
    { id = "small", provider = "shared", cost = { input = 0.1, output = 0.4 } },
  },
}
