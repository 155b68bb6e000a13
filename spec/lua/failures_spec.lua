local failures = require "moongate.failures"

local function judge(outcome)
  outcome.stage = outcome.stage or "head"
  return failures.judge(outcome)
end

local function refused(class, wait, more)
  local reading = { class = class, retry_after_s = wait, limits = {} }
  for name, value in pairs(more or {}) do reading[name] = value end
  return reading
end

-- title; outcome; kind, retry, next, breaker, pass_on
local CASES = {
  { "tries a server error again, then goes on", { status = 500, reading = refused("server_error") },
    "server_error", true, "yes", true, false },
  { "tries a timeout of the edge again", { status = 524, reading = refused("server_error") },
    "server_error", true, "yes", true, false },
  { "tries a 408 again", { status = 408, reading = refused("server_error") }, "server_error", true, "yes", true,
    false },
  { "tries an overloaded provider again", { status = 503, reading = refused("overloaded") },
    "overloaded", true, "yes", true, false },
  { "does not wait long for an overloaded provider", { status = 503, reading = refused("overloaded", 30) },
    "overloaded", false, "yes", true, false },
  { "goes on at once after a refusal with a long wait", { status = 429, reading = refused("rate_limited", 41) },
    "rate_limited", false, "yes", false, false },
  { "goes on at once after a refusal without a hint", { status = 429, reading = refused("rate_limited") },
    "rate_limited", false, "yes", false, false },
  { "waits out a short refusal on the last rung only", { status = 429, reading = refused("rate_limited", 2) },
    "rate_limited", "last_rung", "yes", false, false },
  { "does not repeat what has no quota", { status = 429, reading = refused("quota_exhausted", 1) },
    "quota_exhausted", false, "yes", false, false },
  { "leaves a provider whose key is bad", { status = 401, reading = refused("auth") }, "auth", false, "yes", false,
    false },
  { "leaves a provider that forbids", { status = 403, reading = refused("auth") }, "forbidden", false, "yes", false,
    false },
  { "leaves a provider that wants money", { status = 402, reading = refused("quota_exhausted") },
    "quota_exhausted", false, "yes", false, false },
  { "leaves a provider without that model", { status = 404, reading = refused("bad_request") },
    "not_found", false, "yes", false, false },
  { "knows a retired model behind a 400",
    { status = 400, reading = refused("bad_request"), error = { code = "model_decommissioned", message = "Gone." } },
    "not_found", false, "yes", false, false },
  { "passes the caller's own fault on", { status = 400, reading = refused("bad_request"),
    error = { message = "messages: expected an array" } }, "bad_request", false, "no", false, true },
  { "goes on where only the dialect is wrong", { status = 422, reading = refused("bad_request"),
    error = { type = "extra_forbidden", message = "Extra inputs are not permitted" } },
    "unsupported", false, "yes", false, true },
  { "goes on where a parameter is not supported", { status = 400, reading = refused("bad_request"),
    error = { code = "unsupported_parameter", message = "max_tokens" } }, "unsupported", false, "yes", false, true },
  { "passes refused content on", { status = 400, reading = refused("bad_request"),
    error = { code = "content_filter", message = "Filtered." } }, "content_refusal", false, "no", false, true },
  { "knows refused content by its words", { status = 400, reading = refused("bad_request"),
    error = { message = "The prompt triggered our content management policy" } },
    "content_refusal", false, "no", false, true },
  { "knows refused content behind a 403", { status = 403, reading = refused("auth"),
    error = { message = "Your input was flagged by moderation" } }, "content_refusal", false, "no", false, true },
  { "looks for a larger context", { status = 413, reading = refused("context_too_long") },
    "context_too_long", false, "larger", false, true },
  { "has a broken tool call written again", { status = 400, reading = refused("bad_request"),
    error = { code = "tool_use_failed", message = "Failed to call a function" } },
    "bad_generation", true, "yes", false, false },
  { "tries a refused connection again", { stage = "connect", end_name = "unreachable" },
    "unreachable", true, "yes", true, false },
  { "tries an unresolved name again", { stage = "connect", end_name = "unresolved" },
    "unresolved", true, "yes", true, false },
  { "tries a slow connection again", { stage = "connect", end_name = "connect_timeout" },
    "connect_timeout", true, "yes", true, false },
  { "does not try a bad certificate again", { stage = "connect", end_name = "tls" }, "tls", false, "yes", true, false },
  { "does not wait for a first byte twice", { end_name = "first_byte_timeout" }, "timeout", false, "yes", true, false },
  { "does not wait for content twice", { stage = "body", end_name = "first_content_timeout" },
    "timeout", false, "yes", true, false },
  { "does not wait through silence twice", { stage = "body", end_name = "idle_timeout" },
    "timeout", false, "yes", true, false },
  { "tries a cut before content again", { stage = "body", end_name = "cut" }, "cut", true, "yes", true, false },
  { "tries an answer that is no HTTP again", { end_name = "malformed" }, "malformed", true, "yes", true, false },
  { "tries an answer that is no JSON again", { status = 200, error = { type = "malformed", message = "no JSON" } },
    "malformed", true, "yes", true, false },
  { "leaves a request that cannot be sent", { stage = "connect", end_name = "impossible" },
    "impossible", false, "yes", false, false },
  { "ends with the stream that breaks off", { stage = "stream", end_name = "cut" }, "cut", false, "no", true, false },
  { "ends with the stream that falls silent", { stage = "stream", end_name = "idle_timeout" },
    "timeout", false, "no", true, false },
  { "ends with the stream that turns into an error",
    { stage = "stream", status = 200, reading = refused("overloaded"), error = { message = "busy" } },
    "overloaded", false, "no", true, false },
}

describe("failures.judge", function()
  for _, case in ipairs(CASES) do
    local title, outcome, kind, retry, on, breaker, pass_on = unpack(case, 1, 7)
    it(title, function()
      local verdict = judge(outcome)
      assert.same({ kind, retry, on, breaker, pass_on },
        { verdict.kind, verdict.retry, verdict.next, verdict.breaker, verdict.pass_on })
    end)
  end

  it("knows what follows from every kind", function()
    for kind, row in pairs(failures.table) do
      assert.is_not_nil(row.retry, kind)
      assert.is_true(row.next == "yes" or row.next == "no" or row.next == "larger", kind)
    end
  end)
end)

describe("exhaustion", function()
  it("lasts as long as the provider says", function()
    local verdict = judge({ status = 429, reading = refused("rate_limited", 41) })
    assert.same({ scope = "provider", seconds = 41 }, verdict.exhaust)
  end)

  it("lasts a minute if the provider does not say", function()
    assert.equal(60, judge({ status = 429, reading = refused("rate_limited") }).exhaust.seconds)
  end)

  it("concerns the model where limits are the model's", function()
    local verdict = judge({ status = 429, reading = refused("rate_limited", 5), limit_scope = "model" })
    assert.equal("model", verdict.exhaust.scope)
  end)

  it("concerns the provider where money is missing", function()
    local verdict = judge({ status = 402, limit_scope = "model", reading = refused("quota_exhausted", nil,
      { billing = true }) })
    assert.same({ scope = "provider", seconds = 3600 }, verdict.exhaust)
  end)

  it("lasts until the window begins anew where a fixed window contradicts its hint", function()
    local verdict = judge({
      status = 429, resets = "fixed", limit_scope = "model",
      reading = refused("quota_exhausted", 37, {
        limits = { { metric = "requests", window = "day", limit = 20, remaining = 0 },
          { metric = "requests", window = "minute", limit = 5, remaining = 0 } },
      }),
    })
    assert.same({ scope = "model", window = "day", at_least = 37 }, verdict.exhaust)
  end)

  it("lasts as told where the window refills all the time", function()
    local verdict = judge({
      status = 429, resets = "rolling", limit_scope = "model",
      reading = refused("quota_exhausted", 432, { limits = { { metric = "requests", window = "day",
        remaining = 0 } } }),
    })
    assert.same({ scope = "model", seconds = 432, window = "day" }, verdict.exhaust)
  end)

  it("takes a provider out whose key is bad, and only the model that is forbidden or gone", function()
    assert.equal("provider", judge({ status = 401, reading = refused("auth") }).exhaust.scope)
    assert.equal("model", judge({ status = 403, reading = refused("auth") }).exhaust.scope)
    assert.equal("model", judge({ status = 404, reading = refused("bad_request") }).exhaust.scope)
  end)

  it("follows from overload only if the provider says for how long", function()
    assert.is_nil(judge({ status = 503, reading = refused("overloaded") }).exhaust)
    assert.same({ scope = "model", seconds = 20 }, judge({ status = 503, reading = refused("overloaded", 20) }).exhaust)
  end)

  it("does not follow from server errors or the caller's faults", function()
    assert.is_nil(judge({ status = 500, reading = refused("server_error", 20) }).exhaust)
    assert.is_nil(judge({ status = 400, reading = refused("bad_request") }).exhaust)
  end)
end)

describe("the message of a verdict", function()
  it("is a sentence with the status, the wait and the provider's words", function()
    local verdict = judge({ status = 429, reading = refused("rate_limited", 40.2),
      error = { message = "Slow\ndown." } })
    assert.equal("rate limited (429), 41 s to wait: Slow down.", verdict.message)
    assert.equal("it cannot be reached", judge({ end_name = "unreachable" }).message)
    assert.equal("no content in time", judge({ status = 200, end_name = "first_content_timeout" }).message)
  end)

  for _, secret in ipairs({
    "sk-proj-AbCd1234efgh5678", "sk-short", "gsk_Zz91Yy82Xx73Ww64Vv55", "AIzaSyD4-abcdefghij1234567",
      "nvapi-abcdefgh12345678ijkl",
    "3f1c2a9e-77aa-4b1c-9d2e-0a1b2c3d4e5f", "0123456789abcdef0123456789abcdef.AbCdEf123456",
  }) do
    it("never shows " .. string.sub(secret, 1, 6) .. "...", function()
      local verdict = judge({ status = 401, reading = refused("auth"),
        error = { message = "Bad key: " .. secret .. "." } })
      assert.is_nil(string.find(verdict.message, secret, 1, true))
      assert.is_not_nil(string.find(verdict.message, "***", 1, true))
    end)
  end

  it("hides whatever follows Bearer", function()
    assert.equal("got Bearer *** instead", failures.redact("got Bearer abc instead"))
  end)

  it("still names the model", function()
    assert.equal("The model `llama-3.3-70b-versatile` is gone",
      failures.redact("The model `llama-3.3-70b-versatile` is gone"))
  end)

  it("is cut before a broken character", function()
    local short = failures.redact(string.rep("\195\164", 300))
    assert.is_true(#short < 210)
    assert.is_not_nil(string.find(short, "\195\164%.%.%.$"))
  end)
end)

describe("failures.backoff", function()
  it("doubles from a quarter second to four", function()
    local function most() return 1 end
    local pauses = {}
    for attempt = 1, 7 do pauses[attempt] = failures.backoff(attempt, most) end
    assert.same({ 0.25, 0.5, 1, 2, 4, 4, 4 }, pauses)
  end)

  it("is anything down to nothing, by chance", function()
    assert.equal(0, failures.backoff(3, function() return 0 end))
    assert.equal(0.5, failures.backoff(3, function() return 0.5 end))
  end)
end)
