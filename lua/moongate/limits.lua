-- Reads a provider's reply for its limits: rate-limit headers and error bodies, whatever their names and time formats,
-- become { retry_after_s, limits, class }. Never throws, whatever a provider sends; never waits below zero or above 31
-- days. What to do about a class is decided in moongate.failures.
local codes = require "moongate.limit_codes"
local headers = require "moongate.limit_headers"
local text = require "moongate.limit_text"
local time = require "moongate.time"

local limits = {}

---@class moongate.limit_reading
---@field metric string requests, tokens, input_tokens, output_tokens, neurons, concurrency, percent ...
---@field window string second, 10s, minute, hour, 5h, day, week, month, none, unknown
---@field limit number|nil
---@field remaining number|nil
---@field reset_s number|nil
---@field source string|nil "error" where only the body told it

---@class moongate.reading
---@field retry_after_s number|nil
---@field limits moongate.limit_reading[]
---@field class string|nil rate_limited, quota_exhausted, overloaded, auth, bad_request, context_too_long, server_error
---@field billing boolean|nil true: a quota that only money brings back

local HOUR = 3600
-- Where stamps bear no zone and do not mean UTC.
local OFFSETS = { zai = 8 * HOUR }
-- Their headers do not name the window; the body's word for the same limit is taken.
local RELABELLED = { openai = true, azure = true }
local LONG_WINDOWS = { ["5h"] = true, day = true, week = true, month = true }

local function object(value)
  return type(value) == "table" and value or nil
end

local function string_of(value)
  return type(value) == "string" and value ~= "" and value or nil
end

-- The error object of a body and everything in it that names the failure.
local function error_parts(body)
  local inner = object(body.error) or {}
  local metadata = object(inner.metadata) or {}
  local base = object(body.base_resp) or {}
  local first = object(object(body.errors) and body.errors[1]) or {}
  return inner, metadata, base, first
end

local function all_codes(body)
  local inner, metadata, base, first = error_parts(body)
  local list = {}
  local function add(value)
    if type(value) == "number" and value == value then value = string.format("%.14g", value) end
    if string_of(value) then list[#list + 1] = string.lower(value) end
  end
  for _, detail in ipairs(object(inner.details) or {}) do
    if object(detail) then add(detail.reason) end
  end
  add(metadata.reason)
  add(inner.code)
  add(inner.type)
  add(metadata.error_type)
  add(inner.status)
  add(body.code)
  add(body.type)
  add(first.code)
  add(base.status_code)
  return list
end

-- All that the body says in words, joined by newlines.
local function all_text(body)
  if type(body) == "string" then return body end
  local inner, metadata, base = error_parts(body)
  local lines = {}
  local function add(value)
    if string_of(value) then lines[#lines + 1] = value end
  end
  add(body.error)
  add(inner.message)
  add(body.message)
  add(body.detail)
  add(body.title)
  for _, each in ipairs(object(body.errors) or {}) do
    if object(each) then add(each.message) end
  end
  add(base.status_msg)
  add(metadata.raw)
  return table.concat(lines, "\n")
end

-- The status that counts: that of an error inside a 2xx, else the reply's. nil: a success.
local function effective_status(status, body, list)
  if status < 200 or status > 299 then return status end
  local inner = body.error
  local base = object(body.base_resp)
  if base and type(base.status_code) == "number" and base.status_code ~= 0 then return 500 end
  local is_error = string_of(inner) or (object(inner) and next(inner) ~= nil) or body.object == "error"
  if not is_error then return nil end
  local number = object(inner) and time.figure(inner.code) or nil
  if number and number >= 400 and number <= 599 then return math.floor(number) end
  return codes.status(list) or 500
end

local function class_of_refusal(facts)
  if text.is_overloaded(facts.text) then return "overloaded" end
  if text.is_too_large(facts.text) and string.find(facts.text, "tokens per", 1, true) then return "context_too_long" end
  -- A limit of nothing: the model is not in the key's tier at all.
  if facts.limit_zero or text.is_limit_zero(facts.text) then return "quota_exhausted" end
  if facts.window == "long" then return "quota_exhausted" end
  if facts.window == "short" then return "rate_limited" end
  if facts.billing then return "quota_exhausted" end
  for _, limit in ipairs(facts.header_limits) do
    if LONG_WINDOWS[limit.window] and limit.remaining == 0 then return "quota_exhausted" end
  end
  return "rate_limited"
end

local BAD_REQUESTS = { [400] = true, [404] = true, [405] = true, [422] = true }

local function class_of(status, facts)
  local class = codes.class(facts.codes, facts.provider) or codes.of_status(status, facts.provider)
  if class then return class end
  if status == 401 then return "auth" end
  if status == 402 then return "quota_exhausted" end
  if status == 403 then return (facts.billing or text.is_usage_limit(facts.text)) and "quota_exhausted" or "auth" end
  if BAD_REQUESTS[status] then
    if text.is_context(facts.text) then return "context_too_long" end
    if facts.billing then return "quota_exhausted" end
    return text.is_key(facts.text) and "auth" or "bad_request"
  end
  if status == 413 then return "context_too_long" end
  if status == 429 then return class_of_refusal(facts) end
  if status == 498 or status == 503 or status == 529 then return "overloaded" end
  if status >= 500 or status == 408 or status == 409 or status == 425 or status == 499 or status < 400 then
    return "server_error"
  end
  return "bad_request"
end

-- How quota ids name their window, longest first.
local QUOTA_WINDOWS = {
  { "PerMonth", "month" }, { "PerWeek", "week" }, { "PerDay", "day" }, { "PerHour", "hour" },
  { "PerMinute", "minute" }, { "PerSecond", "second" },
}
local QUOTA_METRICS = {
  { "InputToken", "input_tokens" }, { "OutputToken", "output_tokens" }, { "Token", "tokens" },
  { "Request", "requests" },
}

-- The name beside the first of these words that the quota id holds.
local function named_in(id, list)
  for _, entry in ipairs(list) do
    if string.find(id, entry[1], 1, true) then return entry[2] end
  end
end

-- Google's violations: { metric, window, limit } each, as far as the quota's name tells them.
local function violations(body)
  local list = {}
  local inner = object(body.error) or {}
  for _, detail in ipairs(object(inner.details) or {}) do
    for _, each in ipairs(object(detail) and object(detail.violations) or {}) do
      local id = object(each) and string_of(each.quotaId) or ""
      local window, metric = named_in(id, QUOTA_WINDOWS), named_in(id, QUOTA_METRICS)
      if window then list[#list + 1] = { metric = metric, window = window, limit = time.figure(each.quotaValue) } end
    end
  end
  return list
end

-- OpenRouter sends the headers of its refusal inside the body.
local function inner_headers(body)
  local inner = object(body.error) or {}
  local found = {}
  for name, value in pairs(object((object(inner.metadata) or {}).headers) or {}) do
    if type(value) == "number" then value = string.format("%.14g", value) end
    if type(name) == "string" and string_of(value) then found[string.lower(name)] = value end
  end
  return found
end

-- The limits that the body states, in the order found; `named` tells whether the violated windows are long or short.
local function body_limits(body, said, now)
  local list, named = {}, nil
  local function add(metric, window, limit, remaining, reset_s)
    if not (limit or remaining or reset_s) then return end
    list[#list + 1] = { metric = metric, window = window, limit = limit, remaining = remaining, reset_s = reset_s }
  end
  text.limits(said, add)
  if object(body) then
    for _, each in ipairs(violations(body)) do
      if LONG_WINDOWS[each.window] then named = "long" else named = named or "short" end
      if each.limit and each.metric then add(each.metric, each.window, each.limit) end
    end
    local word = string.match(said, "free%-models%-per%-(%a+)")
    local window = word == "day" and "day" or (word == "min" and "minute") or nil
    for _, each in ipairs(headers.read(inner_headers(body), "generic", now)) do
      add(each.metric, window or each.window, each.limit, each.remaining, each.reset_s)
    end
  end
  return list, named
end

local function has_zero(list)
  for _, limit in ipairs(list) do
    if limit.limit == 0 then return true end
  end
  return false
end

-- Whether the text's own limits name their window.
local function window_of(list)
  local named
  for _, limit in ipairs(list) do
    if LONG_WINDOWS[limit.window] then return "long" end
    if limit.window ~= "unknown" then named = "short" end
  end
  return named
end

local function find_limit(list, metric, window)
  for _, limit in ipairs(list) do
    if limit.metric == metric and limit.window == window then return limit end
  end
end

-- Puts what the body states beside what the headers told; headers win.
local function merge(list, stated, refused, relabel)
  for _, new in ipairs(stated) do
    if refused and new.remaining == nil then new.remaining = 0 end
    local old = find_limit(list, new.metric, new.window)
    if not old and relabel then
      old = find_limit(list, new.metric, "minute")
      if old and old.limit ~= new.limit then old = nil end
      if old then old.window = new.window end
    end
    if old then
      for field, value in pairs(new) do
        if old[field] == nil then old[field] = value end
      end
    else
      new.source = "error"
      list[#list + 1] = new
    end
  end
end

-- `retry-after` as a whole, else the largest of what commas separate.
local function retry_header(value, now, offset)
  local longest
  for _, line in ipairs(type(value) == "table" and value or { value }) do
    if type(line) == "string" then
      local seconds = time.wait(line, now, offset)
      if not seconds then
        for part in string.gmatch(line, "[^,]+") do
          local each = time.wait(part, now, offset)
          if each and (not seconds or each > seconds) then seconds = each end
        end
      end
      if seconds and (not longest or seconds > longest) then longest = seconds end
    end
  end
  return longest
end

local function milliseconds_header(value)
  local longest
  for _, line in ipairs(type(value) == "table" and value or { value }) do
    for part in string.gmatch(type(line) == "string" and line or "", "[^,]+") do
      local number = time.number(part)
      if number and (not longest or number > longest) then longest = number end
    end
  end
  return longest and time.clamp(longest / 1000)
end

-- The hints that sit in members of the body.
local function retry_members(body, now, offset)
  local inner, metadata = error_parts(body)
  for _, detail in ipairs(object(inner.details) or {}) do
    if object(detail) and string.find(string_of(detail["@type"]) or "", "RetryInfo", 1, true) then
      local seconds = string_of(detail.retryDelay) and time.wait(detail.retryDelay, now, offset)
      if seconds then return seconds end
    end
  end
  local told = time.figure(metadata.retry_after_seconds) or time.figure(metadata.retry_after_seconds_raw)
  if told then return time.clamp(told) end
  local header = inner_headers(body)["retry-after"]
  return header and retry_header(header, now, offset)
end

local function longest_reset(list)
  local longest
  for _, limit in ipairs(list) do
    if limit.remaining == 0 and limit.reset_s and (not longest or limit.reset_s > longest) then
      longest = limit.reset_s
    end
  end
  return longest
end

local NO_WAIT = { auth = true, bad_request = true, context_too_long = true }

local function wait_for(reply, body, said, list, offset)
  local now, sent = reply.now, reply.headers or {}
  return milliseconds_header(sent["retry-after-ms"]) or retry_header(sent["retry-after"], now, offset)
    or (object(body) and retry_members(body, now, offset)) or text.wait(said, now, offset) or longest_reset(list)
end

-- A header that names the refused limit in words.
local function header_words(sent)
  local words = {}
  for _, name in ipairs({ "x-ratelimit-type", "anthropic-ratelimit-unified-representative-claim" }) do
    local value = sent[name]
    if type(value) == "string" then words[#words + 1] = string.lower(value) end
  end
  return table.concat(words, " ")
end

local CLAIMS = { "five_hour", "seven_day" }

local function named_window(stated, violated, said, sent)
  local named = violated or window_of(stated) or text.window(said)
  if named then return named end
  local words = header_words(sent)
  for _, claim in ipairs(CLAIMS) do
    if string.find(words, claim, 1, true) then return "long" end
  end
  return text.window(words)
end

local function has_credit_words(list)
  for _, code in ipairs(list) do
    if text.is_billing(code) then return true end
  end
  return false
end

-- Reads one reply.
---@param reply { provider: string|nil, like: string|nil, status: number, headers: table, body: any, now: number }
---@return moongate.reading
function limits.read(reply)
  local sent, body, now = reply.headers or {}, reply.body, reply.now
  local provider = reply.like or reply.provider
  local list = headers.read(sent, headers.family(provider), now)
  if object(body) and object(body[1]) and body.error == nil then body = body[1] end
  if not object(body) and type(body) ~= "string" then body = "" end
  local members = object(body) or {}

  local found = all_codes(members)
  -- That envelope is MiniMax's, whatever the operator calls the provider.
  local dialect = object(members.base_resp) and "minimax" or provider
  local status = effective_status(reply.status or 0, members, found)
  if not status then return { limits = list } end

  local said = text.prepare(all_text(body))
  local stated, violated = body_limits(body, said, now)
  local facts = {
    provider = dialect, codes = found, text = said, header_limits = list, limit_zero = has_zero(stated),
    window = named_window(stated, violated, said, sent),
    billing = text.is_billing(said) or has_credit_words(found) or codes.is_billing(found, dialect),
  }
  local class = class_of(status, facts)
  local refused = class == "rate_limited" or class == "quota_exhausted"
  merge(list, stated, refused, RELABELLED[provider])
  local retry_after_s
  if not NO_WAIT[class] then retry_after_s = wait_for(reply, body, said, list, OFFSETS[provider]) end
  if class == "rate_limited" and retry_after_s and retry_after_s >= HOUR then class = "quota_exhausted" end
  local billing = class == "quota_exhausted" and (facts.billing or status == 402) or nil
  return { retry_after_s = retry_after_s, limits = list, class = class, billing = billing }
end

return limits
