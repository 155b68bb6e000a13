-- A provider's dialect inside messages and tools: roles, members, tool call ids, the order of turns, schemas. What no
-- quirk names keeps its bytes, and no message and no tool is ever lost. The quirks themselves are in moongate.dialect.
local json = require "moongate.core.json"

local dialect_messages = {}

local none = {}

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or none) do set[name] = true end
  return set
end

-- An object again, member by member; `change(name, node)` answers raw text, false to leave the member out, nil to keep,
-- and another name for it where it has one. `more` is a member to end with.
---@param document table
---@param node integer
---@param change fun(name: string, node: integer): string|false|nil, string|nil
---@param more string|nil
---@return string
function dialect_messages.rewrite(document, node, change, more)
  local members = {}
  for name, member in document:items(node) do
    local raw, other = change(name, member)
    if raw == nil then raw = document:text(member) end
    if raw then members[#members + 1] = json.encode(other or name) .. ":" .. raw end
  end
  members[#members + 1] = more
  return "{" .. table.concat(members, ",") .. "}"
end

local rewrite = dialect_messages.rewrite

local function text_at(document, node, name)
  local member = document:find(node, name)
  return member and document:kind(member) == "string" and document:value(member) or nil
end

-- ---- tool call ids ----

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

-- ---- lists of objects ----

-- A list again, each object in it by `each(node)`, which answers raw text or nil; nil if none is another one.
local function rewrite_list(document, node, each)
  if document:kind(node) ~= "array" then return nil end
  local changed, list = false, {}
  for index, item in document:items(node) do
    local raw = document:kind(item) == "object" and each(item) or nil
    changed = changed or raw ~= nil
    list[index] = raw or document:text(item)
  end
  return changed and "[" .. table.concat(list, ",") .. "]" or nil
end

local function calls_of(document, node, length)
  return rewrite_list(document, node, function(call)
    local id = document:find(call, "id")
    local short = id and short_id(document, id, length)
    return short and rewrite(document, call, function(name) return name == "id" and short or nil end)
  end)
end

local function without(document, node, refused)
  local found = false
  for name in document:items(node) do found = found or refused[name] end
  return found and rewrite(document, node, function(name)
    if refused[name] then return false end
  end) or nil
end

-- ---- messages ----

-- One message as raw text, and whether it is another one.
local function message_of(document, message, quirks, sets, is_last)
  local roles, others = quirks.roles or none, quirks.message_rename or none
  local length = quirks.call_id and quirks.call_id.length
  local changed, more = false, nil
  local is_assistant = text_at(document, message, "role") == "assistant"
  local thoughts = document:find(message, "reasoning_content")
    or others.reasoning and document:find(message, "reasoning")
  if is_assistant and quirks.keep_reasoning and not thoughts then
    changed, more = true, '"reasoning_content":""'
  end
  if is_assistant and is_last and quirks.prefix and not document:find(message, quirks.prefix)
    and not document:find(message, "tool_calls") then
    changed, more = true, (more and more .. "," or "") .. json.encode(quirks.prefix) .. ":true"
  end
  local raw = rewrite(document, message, function(name, member)
    local raw, other
    if sets.refused[name] then
      raw = false
    elseif others[name] then
      other = others[name]
      -- The name the provider knows wins if both are there.
      raw = not document:find(message, other) and document:text(member)
    elseif name == "role" and roles[document:value(member)] then
      raw = json.encode(roles[document:value(member)])
    elseif length and name == "tool_call_id" then
      raw = short_id(document, member, length)
    elseif length and name == "tool_calls" then
      raw = calls_of(document, member, length)
    elseif name == "content" and quirks.part_drop then
      raw = rewrite_list(document, member, function(part) return without(document, part, sets.parts) end)
    end
    if raw ~= nil then changed = true end
    return raw, other
  end, more)
  return raw, changed
end

local QUIRKS = {
  "roles", "message_drop", "message_rename", "part_drop", "call_id", "after_tool", "prefix", "keep_reasoning",
}

local function concerns(quirks)
  for _, name in ipairs(QUIRKS) do
    if quirks[name] then return true end
  end
  return false
end

-- The messages as raw text, or nil if they can go as they are.
---@param document table
---@param quirks moongate.quirks
---@return string|nil
function dialect_messages.messages(document, quirks)
  local node = document:find(0, "messages")
  if not node or not concerns(quirks) or document:kind(node) ~= "array" then return nil end
  local sets = { refused = set_of(quirks.message_drop), parts = set_of(quirks.part_drop) }
  local last
  for index in document:items(node) do last = index end
  local is_other, list, before = false, {}, nil
  for index, message in document:items(node) do
    local raw, changed = document:text(message), false
    if document:kind(message) == "object" then
      raw, changed = message_of(document, message, quirks, sets, index == last)
      local role = text_at(document, message, "role")
      if quirks.after_tool and before == "tool" and role == "user" then
        list[#list + 1] = '{"role":"assistant","content":' .. json.encode(quirks.after_tool) .. "}"
        changed = true
      end
      before = role
    end
    is_other = is_other or changed
    list[#list + 1] = raw
  end
  return is_other and "[" .. table.concat(list, ",") .. "]" or nil
end

-- ---- tools ----

-- The name of the first tool that does not match; nil if all do.
---@param document table
---@param pattern string
---@return string|nil
function dialect_messages.odd_tool(document, pattern)
  local tools = document:find(0, "tools")
  if not tools or document:kind(tools) ~= "array" then return nil end
  for _, tool in document:items(tools) do
    local inner = document:kind(tool) == "object" and document:find(tool, "function")
    local name = inner and document:kind(inner) == "object" and text_at(document, inner, "name")
    if name and not string.find(name, pattern) then return name end
  end
  return nil
end

-- Members of a schema that are no schemas, and those that hold schemas by names.
local VALUES = { enum = true, const = true, default = true, examples = true, required = true }
local NAMED = { properties = true, ["$defs"] = true, definitions = true, patternProperties = true }

-- A schema whose `type` beside `anyOf` has moved into the branches; `kind` is what a branch is given.
local function bare(document, node, is_schema, kind)
  local shape = document:kind(node)
  if shape == "array" then
    local list = {}
    for index, item in document:items(node) do list[index] = bare(document, item, true, kind) end
    return "[" .. table.concat(list, ",") .. "]"
  elseif shape ~= "object" then
    return document:text(node)
  end
  local has_any = is_schema and document:find(node, "anyOf")
  local own = document:find(node, "type")
  local given = kind and not own and not document:find(node, "$ref") and not has_any and '"type":' .. kind or nil
  local passed = has_any and (own and document:text(own) or kind) or nil
  return rewrite(document, node, function(name, member)
    if has_any and name == "type" then return false end
    if is_schema and VALUES[name] then return nil end
    return bare(document, member, not (is_schema and NAMED[name]), has_any and name == "anyOf" and passed or nil)
  end, given)
end

-- The tools as raw text, or nil if they can go as they are.
---@param document table
---@param quirks moongate.quirks
---@return string|nil
function dialect_messages.tools(document, quirks)
  local node = document:find(0, "tools")
  if not node or not (quirks.part_drop or quirks.bare_any_of) then return nil end
  local refused = set_of(quirks.part_drop)
  local has_any = quirks.bare_any_of and string.find(document:text(node), '"anyOf"', 1, true)
  return rewrite_list(document, node, function(tool)
    local inner = has_any and document:find(tool, "function")
    if not inner or document:kind(inner) ~= "object" then return without(document, tool, refused) end
    return rewrite(document, tool, function(name)
      if refused[name] then return false end
      return name == "function" and rewrite(document, inner, function(member, below)
        return member == "parameters" and bare(document, below, true) or nil
      end) or nil
    end)
  end)
end

return dialect_messages
