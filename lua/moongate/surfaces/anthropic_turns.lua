-- Checks that calls and results of tools belong together in a conversation sent to Anthropic's surface: every result to
-- a call of the turn before it, every call with one result in the turn behind it.
local fields = require "moongate.surfaces.fields"

local turns = {}

local fail = fields.fail

-- Where a block stands: told only of one that is wrong.
local function path_of(call) return string.format("messages[%d].content[%d]", call.message - 1, call.block - 1) end

-- Messages of the same role in a row are one turn.
local function add_call(own, id, message, block)
  local call = { id = id, message = message, block = block }
  if own.seen[id] then fail(path_of(call) .. ".id", "expected an id of its own", 'got "' .. id .. '" again') end
  own.seen[id] = true
  own.calls[#own.calls + 1] = call
  own.open[id] = true
end

local function add_result(own, id, message, block)
  local open = own.open[id]
  if open then
    own.open[id] = false
    return
  end
  local path = path_of({ message = message, block = block }) .. ".tool_use_id"
  if open == nil then
    fail(path, "expected the id of a tool_use block in the message before", 'got "' .. id .. '"')
  end
  fail(path, "expected one result for each call", 'got another one for "' .. id .. '"')
end

local function end_of_user(own)
  if #own.calls == 0 then return end
  for _, call in ipairs(own.calls) do
    if own.open[call.id] then
      fail(path_of(call), "expected a tool_result for this call in the next message",
        'there is none for "' .. call.id .. '"')
    end
  end
  own.calls, own.open = {}, {}
end

local function add_blocks(own, document, content, message)
  for place, block in document:items(content) do
    local kind, call, result = document:find(block, "type", "id", "tool_use_id")
    -- Most blocks are neither.
    if call or result then
      kind = document:value(kind)
      if kind == "tool_use" then add_call(own, document:value(call), message, place) end
      if kind == "tool_result" then add_result(own, document:value(result), message, place) end
    end
  end
end

---@param document table
---@param messages integer
function turns.check(document, messages)
  local own, last = { seen = {}, calls = {}, open = {} }, nil
  for index, message in document:items(messages) do
    local role, content = document:find(message, "role", "content")
    role = document:value(role)
    if role == "assistant" and last == "user" then end_of_user(own) end
    if role ~= "system" then last = role end
    if document:kind(content) == "array" then add_blocks(own, document, content, index) end
  end
  if last == "user" then end_of_user(own) end
end

return turns
