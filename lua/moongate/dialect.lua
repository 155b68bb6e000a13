-- What a provider wants written differently in an OpenAI-shaped body: fields it refuses, other names, narrower ranges,
-- roles and ids. Driven by the `quirks` of its provider table; answers the changes for `document:patch`, so whatever is
-- not named stays byte for byte. Never drops a message or a tool.
local json = require "moongate.core.json"

local dialect = {}

---@class moongate.quirks
---@field drop string[]|nil top-level fields the provider refuses
---@field rename table<string, string>|nil fields it knows by another name
---@field needs table<string, string>|nil fields it refuses unless the other one is there
---@field clamp table<string, number[]>|nil field -> least, most
---@field roles table<string, string>|nil roles it knows by another name
---@field message_drop string[]|nil members of messages it refuses
---@field call_id { length: number }|nil tool call ids must have just that many letters or digits
---@field stream_options boolean|nil false: usage in streams comes unasked and asking is refused
---@field extensions string[]|nil what it takes beyond OpenAI's own: top_k, min_p, cache_control
---@field keep_reasoning boolean|nil wants the assistant's thoughts back as reasoning_content
---@field embeddings moongate.quirks|nil the same for embeddings
---@field models { match: string[], quirks: moongate.quirks }[]|nil more, for upstream ids that match a pattern
---@field [string] any what only one protocol knows, as its own files say

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

local function has(document, name)
  local node = document:find(0, name)
  return node and document:kind(node) ~= "null"
end

local ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

-- The raw text of an id of just that many letters and digits, made from the one at node, always the same way; nil if
-- that one is fine.
local function short_id(document, node, length)
  if document:kind(node) ~= "string" then return nil end
  local id = document:value(node)
  if #id == length and string.find(id, "^%w+$") then return nil end
  local left, right = 5381, 52711
  for index = 1, #id do
    local byte = string.byte(id, index)
    left = (left * 33 + byte) % 2 ^ 32
    right = (right * 31 + byte) % 2 ^ 32
  end
  local letters = {}
  for place = 1, length do
    local digit = left % 62
    letters[place] = string.sub(ALPHABET, digit + 1, digit + 1)
    left, right = right, (math.floor(left / 62) + right * 7 + place) % 2 ^ 32
  end
  return json.encode(table.concat(letters))
end

-- An object again, member by member; `change(name, node)` answers raw text, false to leave the member out, nil to keep.
local function rewrite(document, node, change)
  local members = {}
  for name, member in document:items(node) do
    local raw = change(name, member)
    if raw == nil then raw = document:text(member) end
    if raw then members[#members + 1] = json.encode(name) .. ":" .. raw end
  end
  return "{" .. table.concat(members, ",") .. "}"
end

-- Tool calls as raw text, or nil if their ids are fine.
local function rewrite_calls(document, calls, length)
  local changed, list = false, {}
  for index, call in document:items(calls) do
    list[index] = rewrite(document, call, function(name, member)
      local raw
      if name == "id" then raw = short_id(document, member, length) end
      if raw then changed = true end
      return raw
    end)
  end
  return changed and "[" .. table.concat(list, ",") .. "]" or nil
end

-- The messages as raw text, or nil if they can go as they are.
local function rewrite_messages(document, quirks)
  local messages = document:find(0, "messages")
  if not messages or not (quirks.roles or quirks.message_drop or quirks.call_id) then return nil end
  local roles, refused = quirks.roles or {}, set_of(quirks.message_drop)
  local length = quirks.call_id and quirks.call_id.length
  local changed, list = false, {}
  for index, message in document:items(messages) do
    list[index] = rewrite(document, message, function(name, member)
      local raw
      if refused[name] then
        raw = false
      elseif name == "role" and roles[document:value(member)] then
        raw = json.encode(roles[document:value(member)])
      elseif length and name == "tool_call_id" then
        raw = short_id(document, member, length)
      elseif length and name == "tool_calls" and document:kind(member) == "array" then
        raw = rewrite_calls(document, member, length)
      end
      if raw ~= nil then changed = true end
      return raw
    end)
  end
  return changed and "[" .. table.concat(list, ",") .. "]" or nil
end

local function apply(document, quirks, changes, dropped)
  for name, other in pairs(quirks.rename or {}) do
    local node = document:find(0, name)
    if node then
      -- The name the provider knows wins if the caller sent both.
      if document:kind(node) ~= "null" and not has(document, other) then changes[other] = document:text(node) end
      changes[name] = false
    end
  end
  local function drop(name)
    if changes[name] ~= false and has(document, name) then dropped[#dropped + 1] = name end
    changes[name] = false
  end
  for _, name in ipairs(quirks.drop or {}) do
    if document:find(0, name) then drop(name) end
  end
  for name, other in pairs(quirks.needs or {}) do
    if document:find(0, name) and not has(document, other) then drop(name) end
  end
  for name, range in pairs(quirks.clamp or {}) do
    local node = document:find(0, name)
    local value = node and document:kind(node) == "number" and document:value(node)
    if value and value < range[1] then changes[name] = json.encode(range[1]) end
    if value and value > range[2] then changes[name] = json.encode(range[2]) end
  end
  changes.messages = rewrite_messages(document, quirks) or changes.messages
end

-- Collects into `changes` what the provider's quirks ask for.
---@param document table the caller's body
---@param quirks moongate.quirks|nil
---@param operation "chat"|"embeddings"
---@param upstream_id string
---@param changes table<string, string|false>
---@return string[] dropped the names of what is left out
function dialect.apply(document, quirks, operation, upstream_id, changes)
  local dropped = {}
  if not quirks then return dropped end
  if operation == "embeddings" then
    if quirks.embeddings then apply(document, quirks.embeddings, changes, dropped) end
    return dropped
  end
  apply(document, quirks, changes, dropped)
  for _, entry in ipairs(quirks.models or {}) do
    for _, pattern in ipairs(entry.match) do
      if string.find(upstream_id, pattern) then
        apply(document, entry.quirks, changes, dropped)
        break
      end
    end
  end
  table.sort(dropped)
  return dropped
end

-- The raw text of `stream_options` with usage asked for; what else the caller wrote there stays.
---@param document table
---@return string
function dialect.stream_options(document)
  local node = document:find(0, "stream_options")
  if not node or document:kind(node) ~= "object" then return '{"include_usage":true}' end
  local asked = false
  local raw = rewrite(document, node, function(name)
    if name ~= "include_usage" then return nil end
    asked = true
    return "true"
  end)
  if asked then return raw end
  return raw == "{}" and '{"include_usage":true}' or string.sub(raw, 1, -2) .. ',"include_usage":true}'
end

return dialect
