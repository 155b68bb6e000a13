-- What a provider wants written differently in an OpenAI-shaped body: fields it refuses, other names and words,
-- narrower ranges, roles and ids. Driven by the `quirks` of its provider table and of the config; answers the changes
-- for `document:patch`, so whatever is not named stays byte for byte. Never drops a message or a tool: what would
-- change the answer is refused (`unfit`) instead. The insides of messages and tools are in dialect_messages.
local json = require "moongate.core.json"
local messages = require "moongate.dialect_messages"
local quirks_of = require "moongate.quirks"

local dialect = {}

-- The quirks of one model, see moongate.quirks.
dialect.of = quirks_of.of

local none = {}

-- ---- what can't be said there ----

local function present(document, name)
  local node = document:find(0, name)
  return node and document:kind(node) ~= "null" and node or nil
end

local function lists(list, wanted)
  for _, each in ipairs(list) do
    if each == wanted then return true end
  end
  return false
end

local function plain(document, node)
  local kind = document:kind(node)
  if kind == "string" or kind == "number" or kind == "boolean" then return document:value(node) end
  return nil
end

-- Why the provider can't serve what the body asks for: what it would only ignore, and so answer something else.
---@param document table
---@param quirks moongate.quirks those of the model, see `of`
---@return { message: string, param: string }|nil
function dialect.unfit(document, quirks)
  for name, values in pairs(quirks.only or none) do
    local node, other = present(document, name), quirks.needs and quirks.needs[name]
    if other and not present(document, other) then node = nil end
    if node and not lists(values, plain(document, node)) then
      local words = {}
      for index, value in ipairs(values) do words[index] = tostring(value) end
      return { param = name, message = string.format("this provider takes no %s but %s", name,
        table.concat(words, ", ")) }
    end
  end
  local name = quirks.tool_name and messages.odd_tool(document, quirks.tool_name)
  if name then
    return { param = "tools", message = string.format('this provider takes no tool by the name "%s"', name) }
  end
  return nil
end

-- ---- top-level fields ----

local function rename(document, quirks, changes)
  for name, other in pairs(quirks.rename or none) do
    local node = document:find(0, name)
    if node then
      -- The name the provider knows wins if the caller sent both.
      if document:kind(node) ~= "null" and not present(document, other) then changes[other] = document:text(node) end
      changes[name] = false
    end
  end
end

local function leave_out(document, quirks, changes)
  local dropped = {}
  local function drop(name)
    if changes[name] == false or not document:find(0, name) then return end
    if present(document, name) then dropped[#dropped + 1] = name end
    changes[name] = false
  end
  for _, name in ipairs(quirks.drop or none) do drop(name) end
  local effort = quirks.thinking_drop and present(document, "reasoning_effort")
  if quirks.thinking_drop and not (effort and document:value(effort) == "none") then
    for _, name in ipairs(quirks.thinking_drop) do drop(name) end
  end
  for name, other in pairs(quirks.needs or none) do
    if not present(document, other) then drop(name) end
  end
  for _, group in ipairs(quirks.either or none) do
    local taken = false
    for _, name in ipairs(group) do
      local is_there = changes[name] ~= false and present(document, name)
      if is_there and taken then drop(name) end
      taken = taken or is_there
    end
  end
  if quirks.takes then
    for name in document:items(0) do
      if not lists(quirks.takes, name) then drop(name) end
    end
  end
  return dropped
end

local function reword(document, quirks, changes)
  for name, range in pairs(quirks.clamp or none) do
    local node = changes[name] == nil and document:find(0, name)
    local value = node and document:kind(node) == "number" and document:value(node)
    if value and value < range[1] then changes[name] = json.encode(range[1]) end
    if value and value > range[2] then changes[name] = json.encode(range[2]) end
  end
  for name, words in pairs(quirks.values or none) do
    local node = present(document, name)
    local word = node and tostring(plain(document, node))
    if node and changes[name] == nil then
      local other = words[word]
      if other == nil then other = words["*"] end
      if other ~= nil then changes[name] = other ~= false and json.encode(other) end
    end
  end
  local switch = quirks.switch
  local effort = switch and not present(document, switch.field) and present(document, "reasoning_effort")
  if effort then changes[switch.field] = json.encode(document:value(effort) == "none" and switch.off or switch.on) end
  for name, value in pairs(quirks.add or none) do
    if changes[name] == nil and not document:find(0, name) then changes[name] = json.encode(value) end
  end
end

-- Collects into `changes` what the quirks ask for.
---@param document table the caller's body
---@param quirks moongate.quirks those of the model, see `of`
---@param changes table<string, string|false>
---@return string[] dropped the names of what is left out
function dialect.apply(document, quirks, changes)
  rename(document, quirks, changes)
  local dropped = leave_out(document, quirks, changes)
  reword(document, quirks, changes)
  changes.messages = messages.messages(document, quirks) or changes.messages
  if changes.tools == nil then changes.tools = messages.tools(document, quirks) end
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
  local raw = messages.rewrite(document, node, function(name)
    if name ~= "include_usage" then return nil end
    asked = true
    return "true"
  end)
  if asked then return raw end
  return raw == "{}" and '{"include_usage":true}' or string.sub(raw, 1, -2) .. ',"include_usage":true}'
end

return dialect
