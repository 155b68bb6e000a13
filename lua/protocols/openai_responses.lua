-- OpenAI's Responses protocol: builds the upstream request, reads whole replies and stream events as far as the gateway
-- goes by them; what they say is read by protocols.openai_responses_reply. Keeps nothing at the provider but where the
-- caller's own body does. Embeddings are the chat protocol's: the address is the same.
local body = require "protocols.openai_responses_body"
local http = require "protocols.http"
local openai = require "protocols.openai"
local reply = require "protocols.openai_responses_reply"

local responses = {
  speaks = "openai_responses", reply = reply.read, reader = reply.reader, vectors = openai.vectors,
}

-- What the C relay looks for in stream events before it wakes this file.
responses.scan = {
  terminal = { "response.completed", "response.incomplete" }, failed = { "error", "response.failed" },
  needs_terminal = true, usage_mark = '"usage"', text_marks = { '"delta"' },
  keep = true, -- its last event repeats all that was said
}

local object, word = http.object, http.word

-- The HTTP request of one attempt; or nil and why it can't be carried.
---@param order table { operation, target, provider, key, stream, and one of document, chat, embedding }
---@return table|nil wire
---@return { message: string, param: string|nil }|nil unfit
function responses.build(order)
  if order.operation == "embeddings" then return openai.build(order) end
  if order.operation ~= "chat" then return nil, { message = "this provider can't do this: " .. order.operation } end
  local text, told = body.write(order)
  if not text then return nil, told end
  return http.framed(http.frame(order, "/responses"), text, told)
end

-- A response that has failed says so in its status.
local function failure_in(response)
  local error = object(response.error)
  if error and next(error) ~= nil then
    return http.error(word(error.message), word(error.type) or "server_error", word(error.code))
  end
  if response.status == "failed" or response.status == "cancelled" then
    return http.error("the provider ended the answer as " .. response.status, "server_error", response.status)
  end
  return nil
end

-- Reads a whole reply. `body` is the decoded reply (or its text), for moongate.limits.
---@param status number
---@param headers table
---@param text string
---@return { usage: table|nil, error: table|nil, text_length: number, finish: string|nil, body: any }
function responses.read_reply(status, headers, text)
  local document, whole = http.whole(status, text)
  if not document then return whole end
  if object(document.data) and not document.output then return openai.read_reply(status, headers, text) end
  local usage, error = reply.usage(document), failure_in(document)
  if not error and not object(document.output) then
    error = http.error("the reply holds no answer", "malformed")
  end
  if error then return { error = error, usage = usage, text_length = 0, body = whole } end
  return {
    usage = usage, text_length = reply.text_length(document), finish = reply.finish(document), body = whole,
  }
end

-- Items that are something as soon as they begin; others are what comes after.
local SAYS_AT_ONCE = { function_call = true, custom_tool_call = true }

local function read_typed(document, kind)
  if kind == "response.completed" or kind == "response.incomplete" then
    local response = object(document.response) or {}
    return { kind = "end", usage = reply.usage(response), finish = reply.finish(response) }
  end
  if kind == "response.output_item.added" then
    local item = object(document.item) or {}
    return { kind = SAYS_AT_ONCE[item.type] and "content" or "lifecycle" }
  end
  -- Thoughts that stay hidden show only when they are over.
  if kind == "response.output_item.done" then return { kind = "content", text_length = 0 } end
  if string.find(kind, "%.delta$") and type(document.delta) == "string" then
    return { kind = document.delta ~= "" and "content" or "lifecycle", text_length = #document.delta }
  end
  return { kind = string.find(kind, "^response%.") and "lifecycle" or "other" }
end

-- Reads one stream event.
---@param event { name: string|nil, data: string }
---@return table
function responses.read_event(event)
  if string.find(event.data, "^%s*%[DONE%]%s*$") then return { kind = "other" } end
  local document, reading = http.event(event)
  if not document then return reading end
  local kind = word(document.type) or word(event.name) or ""
  local response = object(document.response)
  local error = kind == "response.failed" and (response and failure_in(response) or http.error())
    or http.error_in(document, kind == "error")
  if error then
    return {
      kind = "error", error = error, usage = response and reply.usage(response),
      body = { error = { message = error.message, type = error.type, code = error.code } },
    }
  end
  return read_typed(document, kind)
end

return responses
