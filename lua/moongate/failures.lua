-- What follows from a failed attempt. One table says it for every kind of failure; `judge` finds the kind. Only the
-- table decides: whoever runs the attempts obeys the verdict. Messages never hold what could be a secret.
local failures = {}

-- Defaults where the provider gives no hint, in seconds.
local RATE_LIMITED_S, NO_QUOTA_S, BAD_KEY_S, NO_MODEL_S = 60, 3600, 300, 600
-- A refusal is waited out on the same target only if it is this short and nobody else is left.
local SHORT_WAIT_S = 2

-- kind ->
--   retry: once more at the same target, after a pause ("last_rung": only if the wait is short and no rung is left);
--   next: on to the next rung ("larger": only to one with a larger context);
--   exhaust: "provider" or "model" is out for a while, "limit": whichever its limits concern, "hint": the model, if the
--     provider says how long; seconds: how long without a hint;
--   breaker: counts against the target's health;
--   pass_on: if nobody can help, the caller gets the upstream's own answer.
failures.table = {
  rate_limited = { retry = "last_rung", next = "yes", exhaust = "limit", seconds = RATE_LIMITED_S },
  quota_exhausted = { retry = false, next = "yes", exhaust = "limit", seconds = NO_QUOTA_S },
  overloaded = { retry = true, next = "yes", exhaust = "hint", breaker = true },
  server_error = { retry = true, next = "yes", breaker = true },
  bad_generation = { retry = true, next = "yes" },
  unresolved = { retry = true, next = "yes", breaker = true },
  unreachable = { retry = true, next = "yes", breaker = true },
  cut = { retry = true, next = "yes", breaker = true },
  malformed = { retry = true, next = "yes", breaker = true },
  connect_timeout = { retry = true, next = "yes", breaker = true },
  -- The caller has waited for it already: not twice.
  timeout = { retry = false, next = "yes", breaker = true },
  tls = { retry = false, next = "yes", breaker = true },
  impossible = { retry = false, next = "yes" },
  auth = { retry = false, next = "yes", exhaust = "provider", seconds = BAD_KEY_S },
  forbidden = { retry = false, next = "yes", exhaust = "model", seconds = BAD_KEY_S },
  not_found = { retry = false, next = "yes", exhaust = "model", seconds = NO_MODEL_S },
  -- The dialect's fault, not the caller's: a field or value this provider does not take.
  unsupported = { retry = false, next = "yes", pass_on = true },
  bad_request = { retry = false, next = "no", pass_on = true },
  content_refusal = { retry = false, next = "no", pass_on = true },
  context_too_long = { retry = false, next = "larger", pass_on = true },
}

local ENDS = {
  unresolved = "unresolved", unreachable = "unreachable", connect_timeout = "connect_timeout", tls = "tls",
  first_byte_timeout = "timeout", first_content_timeout = "timeout", idle_timeout = "timeout",
  total_timeout = "timeout", cut = "cut", malformed = "malformed", impossible = "impossible",
}

local SENTENCES = {
  unresolved = "its name does not resolve", unreachable = "it cannot be reached", tls = "TLS failed",
  connect_timeout = "no connection in time", first_byte_timeout = "no answer in time",
  first_content_timeout = "no content in time", idle_timeout = "it fell silent", total_timeout = "out of time",
  cut = "it broke off", malformed = "its answer is not understood", impossible = "the request could not be sent",
  rate_limited = "rate limited", quota_exhausted = "quota used up", overloaded = "overloaded",
  server_error = "server error", auth = "the key was refused", forbidden = "access was refused",
  not_found = "no such model there", unsupported = "a part of the request is not supported there",
  bad_request = "the request was refused", content_refusal = "the content was refused",
  context_too_long = "the request is too long", bad_generation = "the model wrote a broken tool call",
}

local CODES = {
  content_filter = "content_refusal", content_policy_violation = "content_refusal",
  responsibleaipolicyviolation = "content_refusal", data_inspection_failed = "content_refusal",
  datainspectionfailed = "content_refusal", moderation = "content_refusal", content_blocked = "content_refusal",
  prompt_blocked = "content_refusal",
  model_not_found = "not_found", invalid_model = "not_found", model_decommissioned = "not_found",
  model_not_active = "not_found", model_not_available = "not_found", resource_not_found_error = "not_found",
  deploymentnotfound = "not_found", ["1211"] = "not_found", ["1311"] = "not_found", ["1500"] = "not_found",
  unsupported_parameter = "unsupported", unsupported_value = "unsupported", unknown_parameter = "unsupported",
  extra_forbidden = "unsupported", unrecognized_parameter = "unsupported",
  tool_use_failed = "bad_generation",
}
-- Codes of one provider's own numbering that mean refused content: Z.ai, MiniMax.
local CONTENT_NUMBERS = { ["1301"] = true, ["1026"] = true, ["1027"] = true }

local TEXTS = {
  { "content_refusal", {
    "content management policy", "content filter", "content policy", "safety system", "flagged as", "was flagged",
    "moderation", "prohibited content",
  } },
  { "not_found", {
    "model not found", "model does not exist", "does not exist or you do not have access", "no such model",
    "unknown model", "has been decommissioned", "has been deprecated", "is no longer available", "model not exist",
    "not a valid model", "invalid model", "no endpoints found",
  } },
  { "unsupported", {
    "extra inputs are not permitted", "unrecognized request argument", "unrecognized field", "unknown parameter",
    "unsupported parameter", "unsupported value", "unknown field", "unknown name", "is not supported",
    "does not support", "is unsupported", "are not supported", "additional properties are not allowed",
  } },
}

local function kind_by_text(message)
  for _, entry in ipairs(TEXTS) do
    for _, words in ipairs(entry[2]) do
      if string.find(message, words, 1, true) then return entry[1] end
    end
  end
end

-- What a refusal for the request's own sake is about. The caller's JSON, unless code or words say otherwise.
local function kind_of_request(status, error)
  local code, message = string.lower(error.code or ""), string.lower(error.message or "")
  local kind = CODES[code] or CODES[string.lower(error.type or "")]
  if kind then return kind end
  if CONTENT_NUMBERS[code] then return "content_refusal" end
  if status == 404 then return "not_found" end
  kind = kind_by_text(message)
  if kind then return kind end
  if status == 405 or status == 501 then return "unsupported" end
  return "bad_request"
end

local function kind_of_auth(status, error)
  local code, message = string.lower(error.code or ""), string.lower(error.message or "")
  local kind = CODES[code] or CODES[string.lower(error.type or "")]
  if kind == "content_refusal" or kind == "not_found" then return kind end
  -- A 403 of some gateways is a guardrail, of others a bad key; most concern the model.
  if status == 403 then
    kind = kind_by_text(message)
    if kind == "content_refusal" or kind == "not_found" then return kind end
    return "forbidden"
  end
  return "auth"
end

local function kind_of(outcome)
  if outcome.end_name and ENDS[outcome.end_name] then return ENDS[outcome.end_name] end
  local class, status, error = outcome.reading and outcome.reading.class, outcome.status, outcome.error or {}
  if class == "auth" then return kind_of_auth(status, error) end
  if class == "bad_request" then return kind_of_request(status, error) end
  if status == 501 then return kind_of_request(status, error) end
  if class then return class end
  if error.type == "malformed" then return "malformed" end
  return "server_error"
end

-- Names of models are lower case, in short parts, with a hyphen. Keys are not.
local function is_name(word)
  if #word > 48 or not string.find(word, "^%l[%l%d]*%-[%l%d%.%-]+$") or string.find(word, "^sk%-") then return false end
  if string.find(word, "^%x+%-%x+%-%x+%-%x+%-%x+$") then return false end
  for part in string.gmatch(word, "[%l%d]+") do
    if #part > 12 then return false end
  end
  return true
end

-- A provider's words without what might be a key, on one line, cut.
---@param text string
---@return string
function failures.redact(text)
  text = string.gsub(string.sub(text, 1, 4000), "%s+", " ")
  text = string.gsub(text, "([Bb]earer) %S+", "%1 ***")
  text = string.gsub(text, "%f[%w][%w_%-%*%.]+", function(word)
    if string.find(word, "^sk%-") then return "***" end
    if #word >= 16 and string.find(word, "%d") and not is_name(word) then return "***" end
  end)
  if #text > 200 then text = string.gsub(string.sub(text, 1, 200), "[\192-\255][\128-\191]*$", "") .. "..." end
  return text
end

local function sentence(outcome, kind, seconds)
  local parts = {}
  local first = SENTENCES[outcome.end_name] or SENTENCES[kind]
  local status = outcome.status
  if status and not outcome.end_name then first = first .. " (" .. status .. ")" end
  parts[1] = first
  if seconds then parts[2] = string.format("%d s to wait", math.ceil(seconds)) end
  local text = table.concat(parts, ", ")
  local said = outcome.error and outcome.error.message
  if type(said) == "string" and said ~= "" then text = text .. ": " .. failures.redact(said) end
  return text
end

local LENGTHS = { ["5h"] = 1, day = 2, week = 3, month = 4 }

-- The longest window that stands at nothing.
local function empty_window(reading)
  local window
  for _, limit in ipairs(reading.limits or {}) do
    if limit.remaining == 0 and LENGTHS[limit.window] and (LENGTHS[limit.window] > (LENGTHS[window] or 0)) then
      window = limit.window
    end
  end
  return window
end

-- Who is out of the race, and for how long. `seconds` nil with a `window`: until that window begins anew, for the
-- provider's own clock says more than its hint.
local function exhaustion(row, kind, outcome)
  if not row.exhaust then return nil end
  local reading = outcome.reading or {}
  local hint = reading.retry_after_s
  if row.exhaust == "hint" then return hint and hint > 0 and { scope = "model", seconds = hint } or nil end
  if row.exhaust ~= "limit" then return { scope = row.exhaust, seconds = row.seconds } end
  local scope = reading.billing and "provider" or outcome.limit_scope or "provider"
  local window = kind == "quota_exhausted" and not reading.billing and empty_window(reading) or nil
  if window and (outcome.resets == "fixed" or not hint) then
    return { scope = scope, window = window, at_least = hint }
  end
  return { scope = scope, seconds = hint or row.seconds, window = window }
end

-- Judges one failed attempt.
--   outcome: stage ("connect", "head", "body", or "stream" once content went out), end_name or status with reading and
--   error; of the provider's table: limit_scope ("model" or "provider", the default) and resets ("fixed" or "rolling").
--   verdict: kind, retry (true, false, "last_rung"), next ("yes", "no", "larger"), exhaust ({ scope, seconds, window,
--   at_least } or nil), breaker, pass_on, message.
---@param outcome table
---@return table verdict
function failures.judge(outcome)
  local kind = kind_of(outcome)
  local row = failures.table[kind]
  local streaming = outcome.stage == "stream"
  local retry = row.retry
  local wait = outcome.reading and outcome.reading.retry_after_s
  if retry == "last_rung" and not (wait and wait <= SHORT_WAIT_S) then retry = false end
  if retry == true and wait and wait > SHORT_WAIT_S then retry = false end
  return {
    kind = kind,
    retry = not streaming and retry,
    next = streaming and "no" or row.next,
    exhaust = exhaustion(row, kind, outcome),
    breaker = row.breaker or false,
    pass_on = (row.pass_on or false) and not streaming,
    message = sentence(outcome, kind, row.exhaust and wait or nil),
  }
end

local FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4

-- The pause before an attempt is repeated: doubling, with full jitter.
---@param attempt number 1 for the first repetition
---@param random fun(): number in [0, 1)
---@return number seconds
function failures.backoff(attempt, random)
  local ceiling = math.min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ^ math.min(attempt - 1, 10))
  return ceiling * random()
end

return failures
