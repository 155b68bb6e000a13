-- Checks that calls and results of tools belong together in a conversation sent to Anthropic's surface: every result to
-- a call of the turn before it, every call with one result in the turn behind it.
local fields = require "moongate.surfaces.fields"

local turns = {}

local fail = fields.fail

local function kind_of(document, block) return document:value(document:find(block, "type")) end

-- Messages of the same role in a row are one turn.
local function add_call(own, document, block, path)
  local id = document:value(document:find(block, "id"))
  if own.seen[id] then fail(path .. ".id", "expected an id of its own", 'got "' .. id .. '" again') end
  own.seen[id] = true
  own.calls[#own.calls + 1] = { id = id, path = path }
  own.open[id] = true
end

local function add_result(own, document, block, path)
  local id = document:value(document:find(block, "tool_use_id"))
  if own.open[id] == nil then
    fail(path .. ".tool_use_id", "expected the id of a tool_use block in the message before", 'got "' .. id .. '"')
  elseif own.open[id] == false then
    fail(path .. ".tool_use_id", "expected one result for each call", 'got another one for "' .. id .. '"')
  end
  own.open[id] = false
end

local function end_of_user(own)
  for _, call in ipairs(own.calls) do
    if own.open[call.id] then
      fail(call.path, "expected a tool_result for this call in the next message",
        'there is none for "' .. call.id .. '"')
    end
  end
  own.calls, own.open = {}, {}
end

---@param document table
---@param messages integer
function turns.check(document, messages)
  local own, last = { seen = {}, calls = {}, open = {} }, nil
  for index, message in document:items(messages) do
    local role, content = document:value(document:find(message, "role")), document:find(message, "content")
    if role == "assistant" and last == "user" then end_of_user(own) end
    if role ~= "system" then last = role end
    if document:kind(content) == "array" then
      for place, block in document:items(content) do
        local path = string.format("messages[%d].content[%d]", index - 1, place - 1)
        local kind = kind_of(document, block)
        if kind == "tool_use" then add_call(own, document, block, path) end
        if kind == "tool_result" then add_result(own, document, block, path) end
      end
    end
  end
  if last == "user" then end_of_user(own) end
end

return turns
