-- Gemini's protocol: generateContent, its stream, the count of tokens, and embeddings. The model is in the address, so
-- the body of a caller of the same format goes on as it is; else it is written from the neutral shapes (gemini_body).
-- What comes back is read in gemini_reply. Never decides what follows from a failure.
local gemini_body = require "protocols.gemini_body"
local http = require "protocols.http"
local json = require "moongate.core.json"
local known = require "protocols.known"
local reply = require "protocols.gemini_reply"

local gemini = {
  speaks = "gemini",
  counts = true,
  read_reply = reply.read_reply,
  read_event = reply.read_event,
  reply = reply.reply,
  reader = reply.reader,
  vectors = reply.vectors,
}

-- What the C relay looks for in stream events before it wakes this file. There is no last event: a stream that has
-- told its finish may end.
gemini.scan = {
  usage_mark = '"usageMetadata"', error_mark = '"error"', finish_mark = '"finishReason"', text_marks = { '"text"' },
  count_marks = { '"candidatesTokenCount"', '"thoughtsTokenCount"' },
}

local DEFAULTS = { auth = { header = "x-goog-api-key", prefix = "" } }
local VERBS = { chat = "generateContent", count = "countTokens", embeddings = "batchEmbedContents" }

local function quirks_of(facts, model, base_url)
  local own = known.quirks(facts, model)
  -- Vertex refuses ids of calls.
  if not string.find(base_url, "aiplatform.googleapis.com", 1, true) then return own end
  return setmetatable({ call_ids = false }, { __index = own })
end

-- The model in the address: "models/x", or a whole name of another kind ("tunedModels/x").
local function path_of(upstream_id)
  local name = string.find(upstream_id, "^%a+Models/") and upstream_id
    or "models/" .. string.gsub(upstream_id, "^models/", "")
  return name, "/" .. string.gsub(name, "[^%w%-%._~/@]", function(letter)
    return string.format("%%%02X", string.byte(letter))
  end)
end

-- Model names within the caller's own body must be the provider's.
local function named(document, node, name)
  local members = {}
  for member, value in document:items(node) do
    if member ~= "model" then members[#members + 1] = json.encode(member) .. ":" .. document:text(value) end
  end
  members[#members + 1] = '"model":' .. json.encode(name)
  return "{" .. table.concat(members, ",") .. "}"
end

local function patched(document, name)
  local changes = {}
  if document:find(0, "model") then changes.model = json.encode(name) end
  for _, member in ipairs { "generateContentRequest", "generate_content_request" } do
    local node = document:find(0, member)
    if node and document:kind(node) == "object" then changes[member] = named(document, node, name) end
  end
  local requests = document:find(0, "requests")
  if requests and document:kind(requests) == "array" then
    local list = {}
    for i, request in document:items(requests) do list[i] = named(document, request, name) end
    changes.requests = "[" .. table.concat(list, ",") .. "]"
  end
  return next(changes) and document:patch(changes) or document:text(0)
end

local function written(order, quirks, name)
  local body, told
  if order.operation == "embeddings" then
    body, told = gemini_body.embeddings(order, name)
  elseif order.operation == "count" then
    body, told = gemini_body.count(order, quirks, name)
  else
    body, told = gemini_body.chat(order, quirks)
  end
  if not body then return nil, told end
  return json.encode(body), told
end

local function new_frame(order, path)
  local facts = known.facts(order.provider, "gemini")
  return {
    method = "POST", url = http.address(order.provider.base_url or facts.base_url, path),
    headers = http.headers(order, facts, DEFAULTS),
  }
end

-- The HTTP request of one attempt; or nil and why this request can't be carried to Gemini.
---@param order table { operation, target, provider, key, stream, and one of document, chat, embedding }
---@return { method: string, url: string, headers: table<string, string>, body: string, dropped: string[]|nil }|nil
---@return { message: string, param: string|nil }|nil unfit
function gemini.build(order)
  local verb = VERBS[order.operation]
  if not verb then return nil, { message = "Gemini has no " .. order.operation .. " of its own", param = "model" } end
  local facts = known.facts(order.provider, "gemini")
  local base_url = order.provider.base_url or facts.base_url
  local name, path = path_of(order.target.upstream_id)
  local body, told
  if order.document then
    body, told = patched(order.document, name), {}
    if order.operation == "embeddings" and not order.document:find(0, "requests") then verb = "embedContent" end
  else
    body, told = written(order, quirks_of(facts, string.gsub(name, "^models/", "", 1), base_url), name)
    if not body then return nil, told end
  end
  if order.operation == "chat" and order.stream then verb = "streamGenerateContent?alt=sse" end
  return http.framed(http.frame(order, path .. ":" .. verb, nil, new_frame), body, told)
end

return gemini
