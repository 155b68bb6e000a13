-- Anthropic's protocol: POST /v1/messages, and the count of tokens beside it. For callers of the same format the body
-- is their own, with the model's name and the model's quirks; else it is written from the neutral chat
-- (anthropic_body). What comes back is read in anthropic_reply. Never decides what follows from a failure.
local dialect = require "moongate.dialect"
local json = require "moongate.core.json"
local http = require "protocols.http"
local anthropic_body = require "protocols.anthropic_body"
local known = require "protocols.known"
local reply = require "protocols.anthropic_reply"

-- Those of the caller's headers that belong to the format.
local OWN_HEADERS = { "anthropic-version", "anthropic-beta" }

local anthropic = {
  speaks = "anthropic", reads_headers = OWN_HEADERS,
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
-- What callers say in these is much the same; of what is not, so much is kept.
local MOST_KEPT = 32
local NONE = {}

-- The caller's own body.
local function patched(order, quirks)
  local document, changes = order.document, {}
  dialect.apply(document, quirks, changes)
  changes.model = json.encode(order.target.upstream_id)
  return document:patch(changes)
end

-- own: those of the caller's headers.
local function headers_of(order, own)
  local headers = http.headers(order, known.facts(order.provider, "anthropic"), DEFAULTS)
  for _, name in ipairs(OWN_HEADERS) do headers[name] = own[name] or headers[name] end
  if order.key and headers["x-api-key"] == order.key and string.find(order.key, LOGIN_KEY) then
    headers["x-api-key"], headers.authorization = nil, "Bearer " .. order.key
    local beta = headers["anthropic-beta"]
    headers["anthropic-beta"] = beta and beta .. "," .. LOGIN_BETA or LOGIN_BETA
  end
  return headers
end

-- The address may have been given with the version in it, as others want it.
local function new_frame(order, path, own)
  local base_url = order.provider.base_url or known.facts(order.provider, "anthropic").base_url
  local url = string.gsub(http.address(base_url, path), "/v1/+v1/", "/v1/")
  return { method = "POST", url = url, headers = headers_of(order, own) }
end

-- By the frame of a caller who says nothing in headers: those of others, by what they say.
local others_of = setmetatable({}, { __mode = "k" })

local function frame_of(order)
  local path = PATHS[order.operation]
  local frame = http.frame(order, path, NONE, new_frame)
  local own = order.document and order.headers or NONE
  local version, beta = own["anthropic-version"], own["anthropic-beta"]
  if not beta and (not version or version == frame.headers["anthropic-version"]) then return frame end
  local others = others_of[frame] or { count = 0, frames = {} }
  others_of[frame] = others
  local said = (version or "") .. "\0" .. (beta or "")
  local other = others.frames[said]
  if not other then
    other = new_frame(order, path, own)
    other.__index = other -- as http.frame has it
    if others.count == MOST_KEPT then others.count, others.frames = 0, {} end
    others.count, others.frames[said] = others.count + 1, other
  end
  return other
end

-- The HTTP request of one attempt; or nil and why this request can't be carried to Anthropic.
---@param order table { operation, target, provider, key, stream, headers, document or chat }
---@return { method: string, url: string, headers: table<string, string>, body: string, dropped: string[]|nil }|nil
---@return { message: string, param: string|nil }|nil unfit
function anthropic.build(order)
  if not PATHS[order.operation] then
    return nil, { message = "Anthropic has no " .. order.operation .. " of its own", param = "model" }
  end
  local quirks = known.quirks(known.facts(order.provider, "anthropic"), order.target.upstream_id)
  local body, dropped
  if order.document then
    body = patched(order, quirks)
  else
    local table_of, told = anthropic_body.write(order, quirks)
    if not table_of then return nil, told end
    body, dropped = json.encode(table_of), told
  end
  return http.framed(frame_of(order), body, dropped)
end

return anthropic
