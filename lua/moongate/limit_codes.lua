-- What error codes mean, as data: a code, type or reason in a provider's error -> failure class. Numbers mean something
-- only at the provider that uses them; names mean the same everywhere.
local limit_codes = {}

local CLASSES = {
  quota_exhausted = {
    "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded", "organization_usage_limit_exceeded", "exceeded_current_quota_error",
    "usage_limit_reached", "insufficient_balance", "payment_required", "billing_error", "weight_exceeds_budget",
  },
  overloaded = {
    "engine_overloaded_error", "service_tier_capacity_exceeded", "model_capacity_exhausted", "capacity_exceeded",
    "provider_overloaded", "insufficient_system_resource",
  },
  context_too_long = { "context_length_exceeded", "exceed_context_size_error" },
  auth = { "api_key_invalid", "invalid_api_key", "incorrect_api_key_error", "invalid_authentication_error" },
  -- A 402 that clears by itself in seconds.
  rate_limited = { "in_flight_budget_exhausted" },
}

local NUMBERS = {
  cloudflare = {
    quota_exhausted = { 3036, 4006 }, overloaded = { 3040 }, context_too_long = { 3006 }, server_error = { 3007, 3008 },
    bad_request = { 3003, 5004, 5007, 3042, 5019, 5005 }, auth = { 3023, 3041, 5016, 5018 },
  },
  mistral = { overloaded = { 3505 }, bad_request = { 1500 } },
  minimax = {
    server_error = { 1000, 1001, 1024, 1033 }, rate_limited = { 1002, 1039 }, auth = { 1004, 2049 },
    quota_exhausted = { 1008, 2056 }, bad_request = { 1026, 1027, 2013 },
  },
  zai = {
    auth = { 1000, 1001, 1002, 1003, 1004, 1110, 1111, 1112, 1121, 1311 },
    quota_exhausted = { 1113, 1304, 1308, 1309, 1310, 1313 },
    bad_request = { 1210, 1211, 1212, 1213, 1214, 1215, 1301 }, context_too_long = { 1261 },
    rate_limited = { 1302, 1303, 1305 }, overloaded = { 1312 },
  },
}

-- Statuses that mean something else at one provider.
local STATUSES = { cohere = { [498] = "auth" } }

-- Codes by which it is money that is missing, not a window that is used up.
local BILLING = {
  insufficient_quota = true, credit_balance_exhausted = true, organization_spend_limit_exceeded = true,
  project_spend_limit_exceeded = true, exceeded_current_quota_error = true, insufficient_balance = true,
  payment_required = true, billing_error = true, weight_exceeds_budget = true,
}
local BILLING_NUMBERS = { minimax = { ["1008"] = true }, zai = { ["1113"] = true, ["1309"] = true } }

-- Which status an error inside a 2xx stands for, where it bears no numeric code.
local TYPE_STATUS = {
  overloaded_error = 529, rate_limit_error = 429, api_error = 500, invalid_request_error = 400,
  authentication_error = 401, permission_error = 403, not_found_error = 404, request_too_large = 413,
  billing_error = 402, rate_limit_exceeded = 429, rate_limited = 429, rate_limit_reached_error = 429,
  too_many_requests_error = 429, too_many_tokens_error = 429, resource_exhausted = 429, unavailable = 503,
}

local names = {}
for class, list in pairs(CLASSES) do
  for _, name in ipairs(list) do names[name] = class end
end

local numbers = {}
for provider, classes in pairs(NUMBERS) do
  numbers[provider] = {}
  for class, list in pairs(classes) do
    for _, number in ipairs(list) do numbers[provider][tostring(number)] = class end
  end
end

-- The class that one of these codes (lower case) names, or nil.
---@param codes string[]
---@param provider string|nil
---@return string|nil
function limit_codes.class(codes, provider)
  local own = numbers[provider]
  for _, code in ipairs(codes) do
    local class = names[code] or (own and own[code])
    if class then return class end
  end
end

---@param codes string[]
---@param provider string|nil
---@return boolean
function limit_codes.is_billing(codes, provider)
  local own = BILLING_NUMBERS[provider]
  for _, code in ipairs(codes) do
    if BILLING[code] or (own and own[code]) then return true end
  end
  return false
end

---@param status number
---@param provider string|nil
---@return string|nil
function limit_codes.of_status(status, provider)
  local own = STATUSES[provider]
  return own and own[status]
end

---@param codes string[]
---@return number|nil
function limit_codes.status(codes)
  for _, code in ipairs(codes) do
    if TYPE_STATUS[code] then return TYPE_STATUS[code] end
  end
end

return limit_codes
