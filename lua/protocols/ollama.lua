-- Ollama's protocol: chat, generate and embeddings, streams as lines of JSON. For callers of the same format the body
-- is their own, with the model's name; else it is written from the neutral chat (ollama_body). What comes back is read
-- in ollama_reply. Never decides what follows from a failure.
local http = require "protocols.http"
local json = require "moongate.core.json"
local ollama_body = require "protocols.ollama_body"
local reply = require "protocols.ollama_reply"

local STREAM = "application/x-ndjson"

local ollama = {
  speaks = "ollama", stream_type = STREAM, read_reply = reply.read_reply, read_event = reply.read_event,
  reply = reply.reply, reader = reply.reader, vectors = reply.vectors,
}

-- What the C relay looks for in the lines of a stream before it wakes this file. Usage stands at the top of the last
-- one, so what makes it the last tells of usage too. Arguments of calls are objects: they are not measured.
ollama.scan = {
  last_mark = '"done"', needs_terminal = true, usage_mark = '"done"', error_mark = '"error"',
  text_marks = { '"content"', '"thinking"', '"response"' },
}

local DEFAULTS = { stream = STREAM, lines = true }

-- The path of a call: that of the caller, as his body tells it, or the newest.
local function path_of(order)
  local document = order.document
  if order.operation == "chat" then
    return document and not document:find(0, "messages") and "/api/generate" or "/api/chat"
  elseif order.operation == "embeddings" then
    return document and not document:find(0, "input") and "/api/embeddings" or "/api/embed"
  end
end

-- The caller's own body. Without a word a stream is meant there.
local function patched(order)
  local document, changes = order.document, { model = json.encode(order.target.upstream_id) }
  local node = document:find(0, "stream")
  local said = not node or document:value(node) ~= false
  if order.operation == "chat" and said ~= (order.stream == true) then changes.stream = tostring(not said) end
  return document:patch(changes)
end

-- The HTTP request of one attempt; or nil and why it can't be carried. `lines`: a streamed answer is one of lines.
---@param order table { operation, target, provider, key, stream, and one of document, chat, embedding }
---@return { method: string, url: string, headers: table, body: string, lines: true|nil, dropped: string[]|nil }|nil
---@return { message: string, param: string|nil }|nil unfit
function ollama.build(order)
  local path = path_of(order)
  if not path then return nil, { message = "this provider can't do this: " .. order.operation } end
  local text, dropped
  if order.document then
    text = patched(order)
  else
    local written, told = ollama_body.write(order)
    if not written then return nil, told end
    text, dropped = json.encode(written), told
  end
  return http.framed(http.frame(order, path, DEFAULTS), text, dropped)
end

return ollama
