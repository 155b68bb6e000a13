-- What a hook says in a stream of OpenAI's shape that no provider said: as events of it.
local json = require "moongate.core.json"
local openai_answer = require "moongate.surfaces.openai_answer"

local completion = {}

local function frame(call, object)
  return {
    id = "chatcmpl-" .. call.id, object = object, created = math.floor(call.request.now or 0),
    model = call.request.model or "auto",
  }
end

-- One event of a stream. like: an event of the stream it is to be a part of, or nil.
---@param call moongate.call
---@param text string|nil
---@param finish string|nil
---@param index integer|nil
---@param like table|nil
---@return string
function completion.chunk(call, text, finish, index, like)
  local event = frame(call, "chat.completion.chunk")
  for _, name in ipairs { "id", "created", "model" } do event[name] = like and like[name] or event[name] end
  local delta = text and { role = not like and "assistant" or nil, content = text } or {}
  event.choices = json.array { { index = index or 0, delta = delta, finish_reason = finish or json.null } }
  return "data: " .. json.encode(event) .. "\n\n"
end

-- The event of usage alone.
local function usage_event(call, figures, like)
  local event = frame(call, "chat.completion.chunk")
  for _, name in ipairs { "id", "created", "model" } do event[name] = like and like[name] or event[name] end
  event.choices, event.usage = json.array {}, figures
  return "data: " .. json.encode(event) .. "\n\n"
end

-- The events that say a text and end the answer, but for the terminal one.
---@param call moongate.call
---@param text string
---@param like table|nil
---@return string
function completion.events(call, text, like)
  local events = completion.chunk(call, text, nil, 0, like) .. completion.chunk(call, nil, "stop", 0, like)
  if not call.request.include_usage then return events end
  return events .. usage_event(call, { prompt_tokens = 0, completion_tokens = 0, total_tokens = 0 })
end

completion.terminal = "data: [DONE]\n\n"

-- What ends a stream of which all choices have their finish.
---@param call moongate.call
---@param usage moongate.usage|nil
---@param like table|nil
---@return string
function completion.ending(call, usage, like)
  if not (call.request.include_usage and usage) then return completion.terminal end
  return usage_event(call, openai_answer.usage(usage), like) .. completion.terminal
end

return completion
