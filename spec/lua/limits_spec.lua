local limits = require "moongate.limits"

-- 2027-03-14 09:00:00 UTC
local NOW = 1805014800
local DAY_END = NOW + 15 * 3600

-- Limits are written "metric/window limit remaining reset", `-` for unknown.
local function shown(value)
  if value == nil then return "-" end
  return (string.gsub(string.format("%.3f", value), "%.?0+$", ""))
end

local function line(limit)
  return string.format("%s/%s %s %s %s", limit.metric, limit.window, shown(limit.limit), shown(limit.remaining),
    shown(limit.reset_s))
end

local function openai_error(message, kind, code)
  return { error = { message = message, type = kind, code = code } }
end

local function google(violations, delay, message)
  local details = {}
  if violations then
    local list = {}
    for id, value in pairs(violations) do list[#list + 1] = { quotaId = id, quotaValue = value } end
    details[#details + 1] = { ["@type"] = "type.googleapis.com/google.rpc.QuotaFailure", violations = list }
  end
  if delay then
    details[#details + 1] = { ["@type"] = "type.googleapis.com/google.rpc.RetryInfo", retryDelay = delay }
  end
  return { error = { code = 429, status = "RESOURCE_EXHAUSTED", message = message or "Quota exceeded.",
    details = details } }
end

-- title; provider, status, headers, body; class, wait, limits
local CASES = {
  -- OpenAI
  { "reads OpenAI's twins per minute", "openai", 200,
    { ["x-ratelimit-limit-requests"] = "500", ["x-ratelimit-remaining-requests"] = "488",
      ["x-ratelimit-reset-requests"] = "1.44s", ["x-ratelimit-limit-tokens"] = "40000",
      ["x-ratelimit-remaining-tokens"] = "39120", ["x-ratelimit-reset-tokens"] = "1m1s" }, nil,
    nil, nil, { "requests/minute 500 488 1.44", "tokens/minute 40000 39120 61" } },
  { "ignores the twins it has no name for", "openai", 200,
    { ["x-ratelimit-limit-tokens_usage_based"] = "9", ["x-ratelimit-remaining-project-tokens"] = "9" } },
  { "lets the header win over what the body adds up to", "openai", 429,
    { ["x-ratelimit-limit-tokens"] = "20000", ["x-ratelimit-remaining-tokens"] = "311" },
    openai_error("Rate limit reached for m on tokens per min (TPM): Limit 20000, Used 19000, Requested 2000. "
      .. "Please try again in 3.5s.", "tokens", "rate_limit_exceeded"),
    "rate_limited", 3.5, { "tokens/minute 20000 311 -" } },
  { "relabels a header by the body's window where the limit is the same", "openai", 429,
    { ["x-ratelimit-limit-requests"] = "150", ["x-ratelimit-remaining-requests"] = "0",
      ["x-ratelimit-reset-requests"] = "9m36s" },
    openai_error("Rate limit reached on requests per day (RPD): Limit 150, Used 150, Requested 1. "
      .. "Please try again in 9m36s.", "requests", "rate_limit_exceeded"),
    "quota_exhausted", 576, { "requests/day 150 0 576" } },
  { "does not relabel a header with another limit", "openai", 429,
    { ["x-ratelimit-limit-requests"] = "60" },
    openai_error("on requests per day (RPD): Limit 150, Used 150.", "requests", "rate_limit_exceeded"),
    "quota_exhausted", nil, { "requests/minute 60 - -", "requests/day 150 0 -" } },
  { "knows that insufficient_quota never clears", "openai", 429, {},
    openai_error("You exceeded your current quota.", "insufficient_quota", "insufficient_quota"), "quota_exhausted" },
  { "knows the newer spending codes", "openai", 429, {},
    openai_error("Stop.", "insufficient_quota", "organization_spend_limit_exceeded"), "quota_exhausted" },
  { "sees that a request above the whole minute's budget is too long", "openai", 429, {},
    openai_error("Request too large for m on tokens per min (TPM): Limit 8000, Requested 9100.", "tokens",
      "rate_limit_exceeded"), "context_too_long", nil, { "tokens/minute 8000 - -" } },
  { "reads milliseconds in words", "openai", 429, {},
    openai_error("on requests per min (RPM): Limit 90, Used 90, Requested 1. Please try again in 250ms."),
    "rate_limited", 0.25, { "requests/minute 90 0 -" } },
  { "reads a grouped number as one", "openai", 429, {},
    openai_error("on tokens per min (TPM): Limit 10,000, Used 9,500, Requested 900."),
    "rate_limited", nil, { "tokens/minute 10000 500 -" } },
  { "prefers retry-after-ms", "openai", 503, { ["retry-after-ms"] = "800", ["retry-after"] = "20" }, nil,
    "overloaded", 0.8 },
  { "waits for nothing when the key is bad", "openai", 401, { ["retry-after"] = "9" },
    openai_error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"), "auth" },
  { "tells a server error", "openai", 500, {}, openai_error("Oops.", "server_error"), "server_error" },
  { "tells a context that is too long by its code", "openai", 400, {},
    openai_error("Too long.", "invalid_request_error", "context_length_exceeded"), "context_too_long" },
  { "tells a context that is too long by its words", "openai", 400, {},
    openai_error("This model's maximum context length is 8192 tokens."), "context_too_long" },
  { "tells a bad request", "openai", 400, {}, openai_error("Invalid value.", "invalid_request_error"), "bad_request" },
  { "counts an unknown model among the bad requests", "openai", 404, {},
    openai_error("No such model.", "invalid_request_error", "model_not_found"), "bad_request" },

  -- retry-after
  { "reads retry-after as seconds", "x", 429, { ["retry-after"] = "41" }, nil, "rate_limited", 41 },
  { "reads retry-after as a fraction", "x", 429, { ["retry-after"] = "0.35" }, nil, "rate_limited", 0.35 },
  { "reads retry-after as an HTTP date", "x", 429, { ["retry-after"] = "Sun, 14 Mar 2027 09:02:05 GMT" }, nil,
    "rate_limited", 125 },
  { "takes a past date for now", "x", 429, { ["retry-after"] = "Sun, 14 Mar 2027 07:00:00 GMT" }, nil,
    "rate_limited", 0 },
  { "reads retry-after as an epoch", "x", 429, { ["retry-after"] = tostring(NOW + 77) }, nil, "rate_limited", 77 },
  { "reads retry-after as a duration", "x", 429, { ["retry-after"] = "1m5s" }, nil, "rate_limited", 65 },
  { "takes the largest of a repeated header", "x", 429, { ["retry-after"] = { "3", "19", "11" } }, nil,
    "rate_limited", 19 },
  { "takes the largest valid one of a list", "x", 429, { ["retry-after"] = "4, never, 12" }, nil, "rate_limited", 12 },
  { "reads repeated dates", "x", 429, { ["retry-after"] = { "Sun, 14 Mar 2027 09:00:10 GMT", "5" } }, nil,
    "rate_limited", 10 },
  { "falls through a negative hint", "x", 429,
    { ["retry-after"] = "-3", ["x-ratelimit-limit-requests"] = "7", ["x-ratelimit-remaining-requests"] = "0",
      ["x-ratelimit-reset-requests"] = "8s" }, nil, "rate_limited", 8, { "requests/minute 7 0 8" } },
  { "falls through an exponent", "x", 429, { ["retry-after"] = "2e2" }, nil, "rate_limited" },
  { "falls through hexadecimal", "x", 429, { ["retry-after"] = "0x20" }, nil, "rate_limited" },
  { "falls through an empty hint to the words", "x", 429, { ["retry-after"] = "" },
    openai_error("Slow down. Try again in 1m2.5s."), "rate_limited", 62.5 },
  { "clamps a wait to 31 days", "x", 429, { ["retry-after"] = "888888888" }, nil, "quota_exhausted", 2678400 },
  { "takes a wait of an hour for a quota", "x", 429, { ["retry-after"] = "3600" }, nil, "quota_exhausted", 3600 },
  { "takes a wait of nearly an hour for a rate", "x", 429, { ["retry-after"] = "3599" }, nil, "rate_limited", 3599 },

  -- numbers and entries
  { "drops an entry of which nothing is known", "x", 429,
    { ["x-ratelimit-limit-requests"] = "inf", ["x-ratelimit-remaining-requests"] = "nan",
      ["x-ratelimit-reset-requests"] = "later" }, nil, "rate_limited" },
  { "leaves a number above 2^53 out", "x", 200,
    { ["x-ratelimit-limit-tokens"] = "88888888888888888888", ["x-ratelimit-remaining-tokens"] = "12" }, nil,
    nil, nil, { "tokens/minute - 12 -" } },
  { "leaves an unknown unit out", "x", 200,
    { ["x-ratelimit-limit-requests"] = "9", ["x-ratelimit-reset-requests"] = "3fortnights" }, nil,
    nil, nil, { "requests/minute 9 - -" } },
  { "clamps resets too", "x", 200,
    { ["x-ratelimit-limit-requests"] = "9", ["x-ratelimit-reset-requests"] = "400d" }, nil,
    nil, nil, { "requests/minute 9 - 2678400" } },

  -- bare and standard headers
  { "does not know the window of bare headers", "x", 200,
    { ["x-ratelimit-limit"] = "80", ["x-ratelimit-remaining"] = "79", ["x-ratelimit-reset"] = tostring(NOW + 21) }, nil,
    nil, nil, { "requests/unknown 80 79 21" } },
  { "reads the window out of the standard header", "x", 429,
    { ["ratelimit-limit"] = "40, 40;w=3600", ["ratelimit-remaining"] = "0", ["ratelimit-reset"] = "12" }, nil,
    "rate_limited", 12, { "requests/hour 40 0 12" } },
  { "reads the window out of the standard policy header", "x", 200,
    { ["ratelimit-limit"] = "40", ["ratelimit-policy"] = '40;w=86400' }, nil, nil, nil, { "requests/day 40 - -" } },
  { "does not invent a window of odd length", "x", 200, { ["ratelimit-limit"] = "40;w=7" }, nil,
    nil, nil, { "requests/unknown 40 - -" } },

  -- Codex and Claude plans
  { "reads plan windows by their length, not their place", "openai-codex", 429,
    { ["x-codex-primary-used-percent"] = "31.5", ["x-codex-primary-window-minutes"] = "10080",
      ["x-codex-primary-reset-at"] = tostring(NOW + 90000), ["x-codex-secondary-used-percent"] = "104",
      ["x-codex-secondary-window-minutes"] = "300", ["x-codex-secondary-reset-after-seconds"] = "1200" },
    openai_error("The usage limit has been reached", "usage_limit_reached"),
    "quota_exhausted", 1200, { "percent/week 100 68.5 90000", "percent/5h 100 0 1200" } },
  { "reads Claude's shares as fractions and its resets as epochs", "anthropic", 429,
    { ["anthropic-ratelimit-unified-5h-utilization"] = "0.4",
      ["anthropic-ratelimit-unified-5h-reset"] = tostring(NOW + 700),
      ["anthropic-ratelimit-unified-7d-utilization"] = "1.01",
        ["anthropic-ratelimit-unified-7d-reset"] = tostring(NOW + 9e4) },
    { type = "error", error = { type = "rate_limit_error", message = "Over your account's rate limit." } },
    "quota_exhausted", 90000, { "percent/5h 100 60 700", "percent/week 100 0 90000" } },
  { "keeps the tighter of two weeks", "anthropic", 200,
    { ["anthropic-ratelimit-unified-7d-utilization"] = "0.2",
      ["anthropic-ratelimit-unified-7d_oi-utilization"] = "0.9" },
    nil, nil, nil, { "percent/week 100 10 -" } },
  { "takes the claim for the window that is used up", "anthropic", 429,
    { ["anthropic-ratelimit-unified-status"] = "rejected",
      ["anthropic-ratelimit-unified-representative-claim"] = "seven_day" }, nil, "quota_exhausted" },

  -- Anthropic
  { "reads Anthropic's dates", "anthropic", 200,
    { ["anthropic-ratelimit-output-tokens-limit"] = "8000", ["anthropic-ratelimit-output-tokens-remaining"] = "7000",
      ["anthropic-ratelimit-output-tokens-reset"] = "2027-03-14T10:00:07.5+01:00" }, nil,
    nil, nil, { "output_tokens/minute 8000 7000 7.5" } },
  { "reads Anthropic's priority tier", "anthropic", 200,
    { ["anthropic-priority-output-tokens-limit"] = "900", ["anthropic-priority-output-tokens-remaining"] = "899" }, nil,
    nil, nil, { "priority_output_tokens/minute 900 899 -" } },
  { "leaves an impossible date out", "anthropic", 200,
    { ["anthropic-ratelimit-requests-limit"] = "5", ["anthropic-ratelimit-requests-reset"] = "2027-02-31T00:00:00Z" },
    nil, nil, nil, { "requests/minute 5 - -" } },
  { "finds the missing money behind a 400", "anthropic", 400, {},
    { type = "error", error = { type = "invalid_request_error", message = "Your credit balance is too low." } },
    "quota_exhausted" },
  { "finds the long prompt behind a 400", "anthropic", 400, {},
    { type = "error", error = { type = "invalid_request_error",
      message = "prompt is too long: 9 tokens > 8 maximum" } },
    "context_too_long" },
  { "takes a request of too many bytes for too long", "anthropic", 413, {},
    { type = "error", error = { type = "request_too_large", message = "Too large" } }, "context_too_long" },
  { "takes 529 for overload", "anthropic", 529, {},
    { type = "error", error = { type = "overloaded_error", message = "Overloaded" } }, "overloaded" },
  { "takes 403 for the key's fault", "anthropic", 403, {},
    { type = "error", error = { type = "permission_error", message = "Not yours." } }, "auth" },
  { "reads overload out of an error inside a 200", "anthropic", 200, {},
    { type = "error", error = { type = "overloaded_error", message = "Busy" } }, "overloaded" },
  { "reads a rate limit out of an error inside a 200", "anthropic", 200, {},
    { type = "error", error = { type = "rate_limit_error", message = "Slow down" } }, "rate_limited" },

  -- Gemini
  { "reads Google's minute violation and delay", "gemini", 429, {},
    google({ ["GenerateRequestsPerMinutePerProjectPerModel-FreeTier"] = "7" }, "21.5s"),
    "rate_limited", 21.5, { "requests/minute 7 0 -" } },
  { "lets a day's violation decide over a short delay", "gemini", 429, {},
    google({ ["GenerateRequestsPerDayPerProjectPerModel-FreeTier"] = "25" }, "18s"),
    "quota_exhausted", 18, { "requests/day 25 0 -" } },
  { "tells input tokens from tokens", "gemini", 429, {},
    google({ ["GenerateContentInputTokensPerModelPerMinute-FreeTier"] = "125000" }),
    "rate_limited", nil, { "input_tokens/minute 125000 0 -" } },
  { "takes a quota of nothing for a model outside the tier", "gemini", 429, {},
    google(nil, nil, "Quota exceeded for metric: free_tier_requests, limit: 0, model: m\nPlease retry in 9.5s."),
    "quota_exhausted", 9.5 },
  { "does not take a limit of 20 for a limit of 0", "gemini", 429, {},
    google(nil, nil, "Quota exceeded for metric: free_tier_requests, limit: 20\nPlease retry in 9.5s."),
    "rate_limited", 9.5 },
  { "falls through a delay that is no duration", "gemini", 429, {}, google(nil, "shortly", "Please retry in 6s."),
    "rate_limited", 6 },
  { "reads an error wrapped in an array", "gemini", 429, {}, { google(nil, "0.75s") }, "rate_limited", 0.75 },
  { "tells missing capacity from missing quota", "gemini", 429, {},
    { error = { code = 429, message = "No capacity.", details = { { reason = "MODEL_CAPACITY_EXHAUSTED" } } } },
    "overloaded" },
  { "reads hours out of Google's words", "gemini", 429, {}, google(nil, nil, "Your quota will reset after 5h30m1s."),
    "quota_exhausted", 19801 },
  { "takes a bad key for what it is, behind a 400", "gemini", 400, {},
    { error = { code = 400, status = "INVALID_ARGUMENT",
      message = "API key not valid. Please pass a valid API key." } },
    "auth" },
  { "reads the reason of a bad key", "gemini", 400, {},
    { error = { code = 400, message = "No.", details = { { reason = "API_KEY_INVALID" } } } }, "auth" },
  { "reads Google's words for a long prompt", "gemini", 400, {},
    { error = { code = 400, message = "The input token count (9) exceeds the maximum" } }, "context_too_long" },

  -- Groq
  { "reads Groq's requests per day and tokens per minute", "groq", 200,
    { ["x-ratelimit-limit-requests"] = "1000", ["x-ratelimit-remaining-requests"] = "931",
      ["x-ratelimit-reset-requests"] = "1h39m21.6s", ["x-ratelimit-limit-tokens"] = "6000",
      ["x-ratelimit-remaining-tokens"] = "5100", ["x-ratelimit-reset-tokens"] = "9s" }, nil,
    nil, nil, { "requests/day 1000 931 5961.6", "tokens/minute 6000 5100 9" } },
  { "takes the words of a provider that is like Groq", "mine", 200, { ["x-ratelimit-limit-requests"] = "44" }, nil,
    nil, nil, { "requests/day 44 - -" }, like = "groq" },
  { "takes a day that stands at nothing for a quota", "groq", 429,
    { ["x-ratelimit-limit-requests"] = "700", ["x-ratelimit-remaining-requests"] = "0",
      ["x-ratelimit-reset-requests"] = "2m3s" }, nil, "quota_exhausted", 123, { "requests/day 700 0 123" } },
  { "reads what is left of a day's tokens", "groq", 429, {},
    openai_error("Rate limit reached for model `m` in organization `o` service tier `a` on tokens per day (TPD): "
      .. "Limit 90000, Used 88123, Requested 4000. Please try again in 33m57s. Need more?", "tokens",
        "rate_limit_exceeded"),
    "quota_exhausted", 2037, { "tokens/day 90000 1877 -" } },
  { "takes a 413 for a request that never fits", "groq", 413, { ["retry-after"] = "2" },
    openai_error("Request too large on tokens per minute (TPM): Limit 7000, Requested 7700.", "tokens",
      "rate_limit_exceeded"), "context_too_long", nil, { "tokens/minute 7000 - -" } },
  { "takes 498 for overload", "groq", 498, {}, openai_error("Flex capacity", "capacity_exceeded", "capacity_exceeded"),
    "overloaded" },

  -- Cerebras
  { "reads windows out of names and float seconds", "cerebras", 200,
    { ["x-ratelimit-limit-requests-day"] = "900", ["x-ratelimit-remaining-requests-day"] = "899",
      ["x-ratelimit-reset-requests-day"] = "51234.987654321", ["x-ratelimit-limit-tokens-hour"] = "70000" }, nil,
    nil, nil, { "requests/day 900 899 51234.988", "tokens/hour 70000 - -" } },
  { "tells a minute from a day by Cerebras' words alone", "cerebras", 429, {},
    { message = "Requests per minute limit exceeded", type = "too_many_requests_error",
      code = "request_quota_exceeded" },
    "rate_limited" },
  { "tells a day from a minute by Cerebras' words alone", "cerebras", 429, {},
    { message = "Requests per day limit exceeded", type = "too_many_requests_error", code = "request_quota_exceeded" },
    "quota_exhausted" },
  { "knows no wait where something is left", "cerebras", 429,
    { ["x-ratelimit-limit-tokens-minute"] = "5000", ["x-ratelimit-remaining-tokens-minute"] = "800",
      ["x-ratelimit-reset-tokens-minute"] = "17.25" }, { message = "Tokens per minute limit exceeded" },
    "rate_limited", nil, { "tokens/minute 5000 800 17.25" } },

  -- Mistral
  { "reads Mistral's short names", "mistral", 200,
    { ["x-ratelimit-limit-req-10-second"] = "3", ["x-ratelimit-remaining-req-10-second"] = "2",
      ["x-ratelimit-limit-req-minute"] = "12", ["x-ratelimit-tokens-query-cost"] = "30",
      ["x-ratelimitbysize-limit-month"] = "8000000" }, nil,
    nil, nil, { "requests/10s 3 2 -", "requests/minute 12 - -", "tokens/month 8000000 - -" } },
  { "lets a used-up month decide over a short hint", "mistral", 429,
    { ["x-ratelimit-limit-tokens-month"] = "3000000", ["x-ratelimit-remaining-tokens-month"] = "0",
      ["retry-after"] = "1" },
    { object = "error", message = "Rate limit exceeded", type = "rate_limited", code = "1300" },
    "quota_exhausted", 1, { "tokens/month 3000000 0 -" } },
  { "tells Mistral's missing capacity", "mistral", 429, {},
    { object = "error", message = "No capacity", type = "service_tier_capacity_exceeded", code = "3505" },
      "overloaded" },
  { "tells a refused field", "mistral", 422, {}, { detail = { { type = "extra_forbidden", msg = "Extra inputs" } } },
    "bad_request" },

  -- OpenRouter
  { "reads a day's limits inside the body", "openrouter", 429, {},
    { error = { code = 429, message = "Rate limit exceeded: free-models-per-day-high-balance.",
      metadata = { headers = { ["X-RateLimit-Limit"] = "1000", ["X-RateLimit-Remaining"] = "0",
        ["X-RateLimit-Reset"] = tostring(DAY_END * 1000) } } } },
    "quota_exhausted", 54000, { "requests/day 1000 0 54000" } },
  { "does not mistake an advertisement for the window", "openrouter", 429, {},
    { error = { code = 429, message = "Rate limit exceeded: free-models-per-min. Buy to unlock 1000 requests per day",
      metadata = { headers = { ["X-RateLimit-Limit"] = "20", ["X-RateLimit-Remaining"] = "0",
        ["X-RateLimit-Reset"] = (NOW + 9) * 1000 } } } },
    "rate_limited", 9, { "requests/minute 20 0 9" } },
  { "reads the seconds an upstream asks for", "openrouter", 429, {},
    { error = { code = 429, message = "Provider returned error", metadata = { retry_after_seconds = 13 } } },
    "rate_limited", 13 },
  { "reads the raw seconds if there is nothing else", "openrouter", 429, {},
    { error = { code = 429, message = "Provider returned error", metadata = { retry_after_seconds_raw = 4.75 } } },
    "rate_limited", 4.75 },
  { "reads retry-after inside the body", "openrouter", 429, {},
    { error = { code = 429, message = "Wait", metadata = { headers = { ["Retry-After"] = "23" } } } },
    "rate_limited", 23 },
  { "takes a 402 for missing credits", "openrouter", 402, {}, openai_error("Insufficient credits", nil, 402),
    "quota_exhausted" },
  { "knows the 402 that clears by itself", "openrouter", 402, {},
    { error = { code = 402, message = "Busy", metadata = { reason = "in_flight_budget_exhausted" } } },
      "rate_limited" },
  { "takes the code of an error inside a 200 for its status", "openrouter", 200, {},
    { choices = {}, error = { code = 503, message = "No provider" } }, "overloaded" },
  { "takes an error without code inside a 200 for a server error", "openrouter", 200, {},
    { error = { message = "Hm" } },
    "server_error" },

  -- Cloudflare, GitHub, Azure
  { "reads the day's neurons", "cloudflare", 429, {},
    { success = false, errors = { { code = 4006,
      message = "You have used up your daily free allocation of 10,000 neurons." } } },
    "quota_exhausted", nil, { "neurons/day 10000 0 -" } },
  { "tells Cloudflare's missing capacity", "cloudflare", 429, {},
    { success = false, errors = { { code = 3040, message = "Capacity temporarily exceeded" } } }, "overloaded" },
  { "reads GitHub's day in seconds", "github", 429, { ["retry-after"] = "40000" },
    openai_error("Rate limit of 150 per 86400s exceeded for UserByModelByDay. Please wait 40000 seconds.", nil,
      "RateLimitReached"), "quota_exhausted", 40000, { "requests/day 150 0 -" } },
  { "reads GitHub's concurrency", "github", 429, {},
    openai_error("Rate limit of 5 per 0s exceeded for UserConcurrentRequests. Please wait 2 seconds."),
    "rate_limited", 2, { "concurrency/none 5 0 -" } },
  { "reads GitHub's header for the window", "github", 429, { ["x-ratelimit-type"] = "UserByModelByDay" }, nil,
    "quota_exhausted" },
  { "reads Azure's plain seconds", "azure", 429,
    { ["retry-after-ms"] = "31250", ["retry-after"] = "32", ["x-ratelimit-limit-requests"] = "80",
      ["x-ratelimit-remaining-requests"] = "0", ["x-ratelimit-reset-requests"] = "32" },
    openai_error("Please retry after 32 seconds.", nil, "429"),
    "rate_limited", 31.25, { "requests/minute 80 0 32" } },
  { "takes Azure's -1 for unknown", "azure", 200,
    { ["x-ratelimit-limit-tokens"] = "-1", ["x-ratelimit-remaining-tokens"] = "77" }, nil,
    nil, nil, { "tokens/minute - 77 -" } },

  -- Moonshot, MiniMax, Z.ai, Cohere, DeepSeek, NVIDIA
  { "reads Moonshot's requests per minute", "moonshot", 429, {},
    openai_error("request reached organization max RPM: 50, please try again after 2 seconds",
      "rate_limit_reached_error"),
    "rate_limited", 2, { "requests/minute 50 0 -" } },
  { "reads Moonshot's concurrency", "moonshot", 429, {},
    openai_error("request reached organization max concurrency: 4, please try again after 1 seconds"),
    "rate_limited", 1, { "concurrency/none 4 0 -" } },
  { "reads Moonshot's tokens per day", "moonshot", 429, {},
    openai_error("request reached organization TPD rate limit,current:700100, limit:700000",
      "rate_limit_reached_error"),
    "quota_exhausted", nil, { "tokens/day 700000 0 -" } },
  { "tells Moonshot's empty account", "moonshot", 429, {},
    openai_error("Your account is suspended", "exceeded_current_quota_error"), "quota_exhausted" },
  { "tells Moonshot's busy engine", "moonshot", 429, {}, openai_error("Try later", "engine_overloaded_error"),
    "overloaded" },
  { "finds a usage limit behind a 403", "moonshot", 403, {},
    openai_error("You've reached your usage limit for this billing cycle."), "quota_exhausted" },
  { "finds MiniMax' rate limit inside a 200", "minimax", 200, {}, { base_resp = { status_code = 1002,
    status_msg = "rpm" } },
    "rate_limited" },
  { "finds MiniMax' empty balance inside a 200", "minimax", 200, {},
    { base_resp = { status_code = 1008, status_msg = "insufficient balance" } }, "quota_exhausted" },
  { "takes MiniMax' zero for success", "minimax", 200, {}, { base_resp = { status_code = 0 }, choices = { {} } } },
  { "takes an unknown code of MiniMax for a server error", "minimax", 200, {}, { base_resp = { status_code = 4711 } },
    "server_error" },
  { "takes Z.ai's stamp for UTC+8", "zai", 429, {},
    openai_error("Usage limit reached for 5 hour. Your limit will reset at 2027-03-14 18:00:00", nil, "1308"),
    "quota_exhausted", 3600 },
  { "takes anybody else's stamp for UTC", "x", 429, {}, openai_error("Your limit will reset at 2027-03-14 09:00:30."),
    "rate_limited", 30 },
  { "tells Z.ai's busy model", "zai", 429, {}, openai_error("Busy", nil, "1312"), "overloaded" },
  { "tells Z.ai's arrears", "zai", 429, {}, openai_error("In arrears", nil, "1113"), "quota_exhausted" },
  { "does not read Z.ai's numbers at others", "x", 429, {}, openai_error("Hm", nil, "1113"), "rate_limited" },
  { "reads Cohere's trial limits", "cohere", 200,
    { ["x-trial-endpoint-call-limit"] = "40", ["x-trial-endpoint-call-remaining"] = "12",
      ["x-endpoint-monthly-call-limit"] = "900" }, nil,
    nil, nil, { "requests/minute 40 12 -", "requests/month 900 - -" } },
  { "tells Cohere's minute", "cohere", 429, {}, { message = "Trial keys are limited to 40 API calls / minute." },
    "rate_limited" },
  { "tells Cohere's month", "cohere", 429, {}, { message = "Trial keys are limited to 900 API calls / month." },
    "quota_exhausted" },
  { "tells Cohere's bad token", "cohere", 498, {}, { message = "invalid token" }, "auth" },
  { "reads an error that is a bare string", "nanogpt", 402, {}, { error = "Insufficient balance", status = 402 },
    "quota_exhausted" },
  { "tells NVIDIA's bad key", "nvidia", 403, {}, { status = 403, title = "Forbidden" }, "auth" },
  { "reads Together's seconds", "together", 429,
    { ["x-ratelimit-limit"] = "8", ["x-ratelimit-remaining"] = "0", ["x-ratelimit-reset"] = "1",
      ["x-tokenlimit-limit"] = "2500" }, openai_error("Slow down", "model_rate_limit"),
    "rate_limited", 1, { "requests/second 8 0 1", "tokens/second 2500 - -" } },
  { "tells llama.cpp's long prompt", "llamacpp", 400, {},
    { error = { code = 400, message = "request exceeds the available context size",
      type = "exceed_context_size_error" } },
    "context_too_long" },
  { "tells a server that is loading", "llamacpp", 503, {}, { error = { code = 503, message = "Loading model" } },
    "overloaded" },

  -- bodies of no known shape
  { "reads a page that is not JSON", "x", 429, {}, "<html>Too many requests. Retry after 8 seconds.</html>",
    "rate_limited", 8 },
  { "reads JSON that was cut off", "x", 429, { ["retry-after"] = "6" }, '{"error":{"mess', "rate_limited", 6 },
  { "reads a bad gateway", "x", 502, {}, "<html>Bad gateway</html>", "server_error" },
  { "reads minutes in words", "x", 429, {}, openai_error("Try again in ~25 min."), "rate_limited", 1500 },
  { "reads several words", "x", 429, {}, openai_error("Please wait 1 minute and 15 seconds."), "rate_limited", 75 },
  { "takes a timeout of the edge for a server error", "x", 524, {}, nil, "server_error" },
  { "takes a client's timeout for a server error", "x", 408, {}, nil, "server_error" },
  { "does not take the end of a word for a window", "x", 429, {}, openai_error("See httpd docs. Insufficient credits."),
    "quota_exhausted" },
}

describe("limits.read", function()
  for _, case in ipairs(CASES) do
    local title, provider, status, headers, body, class, wait, expected = unpack(case, 1, 8)
    it(title, function()
      local reading = limits.read({
        provider = provider, like = case.like, status = status, headers = headers, body = body, now = NOW,
      })
      assert.equal(class, reading.class)
      if wait then assert.near(wait, reading.retry_after_s, 0.01) else assert.is_nil(reading.retry_after_s) end
      local lines = {}
      for index, limit in ipairs(reading.limits) do lines[index] = line(limit) end
      expected = { unpack(expected or {}) }
      table.sort(lines)
      table.sort(expected)
      assert.same(expected, lines)
    end)
  end

  it("says when only money helps", function()
    local money = { provider = "x", status = 429, headers = {}, now = NOW, body = openai_error("Insufficient credits") }
    assert.is_true(limits.read(money).billing)
    money.body = openai_error("Limit per day reached")
    assert.is_nil(limits.read(money).billing)
  end)
end)

describe("limits.read on anything at all", function()
  local state
  local function random(most)
    state = (state * 1664525 + 1013904223) % 2 ^ 32
    return math.floor(state / 65536) % most + 1
  end

  local NAMES = {
    "retry-after", "retry-after-ms", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens-day", "ratelimit-limit",
    "ratelimit-reset", "anthropic-ratelimit-requests-reset", "anthropic-ratelimit-unified-5h-utilization",
    "x-codex-primary-used-percent", "x-codex-primary-reset-at", "x-ratelimit-reset", "x-ratelimit-type",
  }
  local VALUES = {
    "", "-1", "0", "5", "1e9", "nan", "inf", "0x10", "99999999999999999999", "1805014900", "1805014900000", "3s",
      "9d9d",
    "2027-03-14T09:30:00Z", "2027-99-99T00:00:00Z", "Sun, 14 Mar 2027 09:30:00 GMT", ";w=60", "5;w=", "\0\255", "1.2.3",
    ",,,", "100, 100;w=60", string.rep("7", 500), string.rep("1s", 200), "UserByModelByDay",
  }
  local WORDS = {
    "try again in ", "retry after ", "please wait ", "reset at ", "on tokens per day ", "Limit ", "Used ", "limit: 0",
    "max RPM: ", "rate limit of ", " per 60s exceeded for ", "daily free allocation of ", "TPD rate limit,current:",
    "free-models-per-day ", "5", "10,000", "12.5s", "1m", " minutes ", ".", "\n", "\195\164", "overloaded ",
    "2027-03-14 10:00:00", "-", "99999999999999999999999",
  }
  local PROVIDERS = { "openai", "azure", "anthropic", "gemini", "groq", "mistral", "openrouter", "zai", "minimax", "x" }
  local STATUSES = { 0, 200, 204, 301, 400, 401, 402, 403, 404, 408, 413, 422, 429, 434, 498, 500, 503, 529, 599 }

  local function words()
    local parts = {}
    for index = 1, random(12) do parts[index] = WORDS[random(#WORDS)] end
    return table.concat(parts)
  end

  local function anything(depth)
    local pick = random(8)
    if pick == 1 then return random(2000) - 1000 end
    if pick == 2 then return 0 / 0 end
    if pick == 3 then return true end
    if pick <= 5 or depth == 0 then return words() end
    local value = {}
    local keys = {
      "error", "message", "code", "type", "details", "violations", "quotaId", "quotaValue", "metadata", "headers",
        "raw",
      "retry_after_seconds", "errors", "base_resp", "status_code", "detail", "title", "@type", "retryDelay", "status",
        1, 2,
    }
    for _ = 1, random(5) do value[keys[random(#keys)]] = anything(depth - 1) end
    return value
  end

  it("never throws, never waits below zero nor above 31 days", function()
    for seed = 1, 4000 do
      state = seed * 7919
      local headers = {}
      for _ = 1, random(6) do
        local value = VALUES[random(#VALUES)]
        headers[NAMES[random(#NAMES)]] = random(5) == 1 and { value, VALUES[random(#VALUES)] } or value
      end
      local reading = limits.read({
        provider = PROVIDERS[random(#PROVIDERS)], status = STATUSES[random(#STATUSES)], headers = headers,
        body = anything(4), now = NOW,
      })
      local waits = { reading.retry_after_s }
      for _, limit in ipairs(reading.limits) do
        waits[#waits + 1] = limit.reset_s
        assert.is_true((limit.limit or 0) >= 0 and (limit.remaining or 0) >= 0)
        assert.is_true(limit.limit ~= nil or limit.remaining ~= nil or limit.reset_s ~= nil)
      end
      for _, seconds in ipairs(waits) do assert.is_true(seconds >= 0 and seconds <= 2678400) end
    end
  end)

  it("reads a long hostile text in little time", function()
    local texts = {
      string.rep("on tokens ", 20000), string.rep("limit: ", 20000), string.rep("try again in ", 20000),
      string.rep("9", 200000), string.rep("on tokens per ", 20000), string.rep("max rpm: 1 ", 20000), string.rep(" ",
        200000),
    }
    local started = os.clock()
    for _, said in ipairs(texts) do
      limits.read({ provider = "x", status = 429, headers = { ["retry-after"] = said }, body = said, now = NOW })
    end
    assert.is_true(os.clock() - started < 2)
  end)
end)
