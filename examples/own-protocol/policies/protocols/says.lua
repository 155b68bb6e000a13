-- A wire format of one's own, in one file: a provider that takes { model, prompt } and answers { said, read, written },
-- or, streamed, a line of JSON for each piece. It meets the neutral chat (lua/moongate/chat.lua) and nothing else.
local chat = require "moongate.chat"
local json = require "moongate.json"

local function usage(body)
  if not body.written then return nil end
  return {
    input = body.read, cached = 0, cache_write = 0, output = body.written, reasoning = 0,
    total = body.read + body.written,
  }
end

local protocol = { stream_type = "application/x-ndjson" }

function protocol.build(order)
  if #order.chat.tools > 0 then return nil, { message = "this provider calls no tools", param = "tools" } end
  local said = {}
  if #order.chat.system > 0 then said[1] = chat.text(order.chat.system) end
  for _, turn in ipairs(order.chat.turns) do said[#said + 1] = turn.role .. ": " .. chat.text(turn.blocks) end
  local body = { model = order.target.upstream_id, prompt = table.concat(said, "\n"), stream = order.stream }
  return {
    url = order.provider.base_url .. "/say", body = json.encode(body), lines = true,
    headers = { ["content-type"] = "application/json", ["x-key"] = order.key or "" },
  }
end

function protocol.read_reply(status, _, text)
  local body = json.decode(text) or {}
  if status ~= 200 then return { error = { message = body.problem or "no reason given" }, body = body } end
  return { usage = usage(body), text_length = #(body.said or ""), finish = "stop", body = body }
end

function protocol.reply(body)
  return { choices = { { blocks = { { kind = "text", text = body.said } }, finish = "stop" } } }
end

function protocol.read_event(event)
  event.document = json.decode(event.data) or {}
  if event.document.problem then return { kind = "error", error = { message = event.document.problem } } end
  if event.document.written then return { kind = "finish", usage = usage(event.document) } end
  return { kind = "content", text_length = #event.document.said }
end

function protocol.reader()
  return function(event)
    if event.document.written then return { { kind = "finish", finish = "stop" } } end
    return { { kind = "text", text = event.document.said } }
  end
end

return protocol
