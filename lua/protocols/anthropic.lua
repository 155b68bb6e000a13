-- Anthropic's protocol: POST /v1/messages, and the count of tokens beside it. For callers of the same format the body
-- is their own, with the model's name and the model's quirks; else it is written from the neutral chat
-- (anthropic_body). What comes back is read in anthropic_reply. Never decides what follows from a failure.
local dialect = require "moongate.dialect"
local json = require "moongate.core.json"
local http = require "protocols.http"
local anthropic_body = require "protocols.anthropic_body"
local known = require "protocols.known"
local reply = require "protocols.anthropic_reply"

local anthropic = {
  speaks = "anthropic", reads_headers = true,
  counts = true,
  read_reply = reply.read_reply,
  read_event = reply.read_event,
  reply = reply.reply,
  reader = reply.reader,
}

-- What the C relay looks for in stream events before it wakes this file.
anthropic.scan = {
  terminal = { "message_stop" }, failed = { "error" }, needs_terminal = true,
  usage_mark = '"usage"', error_mark = '"error"', finish_mark = '"stop_reason"',
  text_marks = { '"text"', '"thinking"', '"partial_json"' },
  count_marks = { '"output_tokens"' },
}

local PATHS = { chat = "/v1/messages", count = "/v1/messages/count_tokens" }
local VERSION = "2023-06-01"
local DEFAULTS = {
  auth = { header = "x-api-key", prefix = "" }, headers = { ["anthropic-version"] = VERSION },
}
-- Keys that an account's login gives out; they go as bearer tokens.
local LOGIN_KEY, LOGIN_BETA = "^sk%-ant%-oat", "oauth-2025-04-20"
-- Those of the caller's headers that belong to the format.
local OWN_HEADERS = { "anthropic-version", "anthropic-beta" }

-- The caller's own body.
local function patched(order, quirks)
  local document, changes = order.document, {}
  dialect.apply(document, quirks, changes)
  changes.model = json.encode(order.target.upstream_id)
  return document:patch(changes)
end

local function headers_of(order, facts)
  local headers = http.headers(order, facts, DEFAULTS)
  for _, name in ipairs(order.document and OWN_HEADERS or {}) do
    headers[name] = (order.headers or {})[name] or headers[name]
  end
  if order.key and headers["x-api-key"] == order.key and string.find(order.key, LOGIN_KEY) then
    headers["x-api-key"], headers.authorization = nil, "Bearer " .. order.key
    local beta = headers["anthropic-beta"]
    headers["anthropic-beta"] = beta and beta .. "," .. LOGIN_BETA or LOGIN_BETA
  end
  return headers
end

-- The address may have been given with the version in it, as others want it.
local function address(base_url, operation)
  return (string.gsub(http.address(base_url, PATHS[operation]), "/v1/+v1/", "/v1/"))
end

-- The HTTP request of one attempt; or nil and why this request can't be carried to Anthropic.
---@param order table { operation, target, provider, key, stream, headers, document or chat }
---@return { method: string, url: string, headers: table<string, string>, body: string, dropped: string[]|nil }|nil
---@return { message: string, param: string|nil }|nil unfit
function anthropic.build(order)
  if not PATHS[order.operation] then
    return nil, { message = "Anthropic has no " .. order.operation .. " of its own", param = "model" }
  end
  local facts = known.facts(order.provider, "anthropic")
  local quirks = known.quirks(facts, order.target.upstream_id)
  local body, dropped
  if order.document then
    body = patched(order, quirks)
  else
    local table_of, told = anthropic_body.write(order, quirks)
    if not table_of then return nil, told end
    body, dropped = json.encode(table_of), told
  end
  return {
    method = "POST", url = address(order.provider.base_url or facts.base_url, order.operation),
    headers = headers_of(order, facts), body = body, dropped = dropped,
  }
end

return anthropic
