-- Checks the shape of bodies sent to Anthropic's surface, strictly where a wrong value would fail upstream anyway, and
-- says where and why in one sentence. The order of a conversation is looked at in anthropic_turns. What looks as nearly
-- all bodies do (anthropic_outline) is looked at only for what an outline can't tell.
local blocks = require "moongate.surfaces.anthropic_blocks"
local fields = require "moongate.surfaces.fields"
local outline = require "moongate.surfaces.anthropic_outline"
local turns = require "moongate.surfaces.anthropic_turns"

local check = {}

local describe, expect, fail, optional = fields.describe, fields.expect, fields.fail, fields.optional

-- A system message in mid-conversation is rare, but newer SDKs have it.
local ROLES = { user = true, assistant = true, system = true }
local LARGEST = 2 ^ 31 - 1
local LEAST_BUDGET = 1024
local CHOICES = { auto = true, any = true, tool = true, none = true }
local EFFORTS = { low = true, medium = true, high = true, xhigh = true, max = true }
-- With this beta, thoughts between calls may go beyond max_tokens.
local INTERLEAVED = "interleaved-thinking"

local function word(document, node, name, path)
  local member = expect(document, document:find(node, name), path .. "." .. name, "string")
  return document:value(member)
end

local function check_number(document, name, least, most, whole, is_required)
  local node = optional(document, 0, name)
  if not node and not is_required then return end
  local value = node and document:kind(node) == "number" and document:value(node)
  if not value or value < least or value > most or (whole and value ~= math.floor(value)) then
    local wanted = whole and (least == 1 and "a positive integer" or "an integer, 0 or more")
      or string.format("a number from %g to %g", least, most)
    fail(name, "expected " .. wanted, describe(document, document:find(0, name)))
  end
end

local function check_message(document, message, path)
  expect(document, message, path, "object", "an")
  local node = document:find(message, "role")
  local role = node and document:kind(node) == "string" and document:value(node)
  if not ROLES[role] then fail(path .. ".role", "expected user or assistant", describe(document, node)) end
  local content = document:find(message, "content")
  local kind = content and document:kind(content)
  if kind == "string" then return end
  if kind ~= "array" then fail(path .. ".content", "expected text or a list of blocks", describe(document, content)) end
  blocks.check(document, content, path .. ".content", role)
end

local function check_messages(document)
  local messages = expect(document, document:find(0, "messages"), "messages", "array", "an")
  if document:size(messages) == 0 then fail("messages", "expected at least one message", "got an empty array") end
  for index, message in document:items(messages) do
    check_message(document, message, "messages[" .. (index - 1) .. "]")
  end
  turns.check(document, messages)
end

local function check_system(document)
  local system = optional(document, 0, "system")
  if not system or document:kind(system) == "string" then return end
  if document:kind(system) ~= "array" then
    fail("system", "expected text or a list of text blocks", describe(document, system))
  end
  for index, block in document:items(system) do
    local path = "system[" .. (index - 1) .. "]"
    expect(document, block, path, "object", "an")
    if word(document, block, "type", path) ~= "text" then
      fail(path .. ".type", "expected text", describe(document, document:find(block, "type")))
    end
    word(document, block, "text", path)
    blocks.check_cache(document, block, path)
  end
end

local function check_schema(document, node, path)
  expect(document, node, path, "object", "an")
  fields.schema_depth(document, node, path)
end

-- The caller's own tools; those of the provider have a dated type.
local function check_own_tool(document, tool, path)
  local name = word(document, tool, "name", path)
  if #name > 128 or not string.find(name, "^[%w_%-]+$") then
    fail(path .. ".name", 'expected up to 128 letters, digits, "_" or "-"',
      describe(document, document:find(tool, "name")))
  end
  local schema = expect(document, document:find(tool, "input_schema"), path .. ".input_schema", "object", "an")
  check_schema(document, schema, path .. ".input_schema")
  local kind = document:find(schema, "type")
  if not kind or document:kind(kind) ~= "string" or document:value(kind) ~= "object" then
    fail(path .. ".input_schema.type", "expected object", describe(document, kind))
  end
  local description = optional(document, tool, "description")
  if description then expect(document, description, path .. ".description", "string") end
end

-- Answers the tools by name.
local function check_tools(document)
  local names, tools = {}, optional(document, 0, "tools")
  if not tools then return names end
  expect(document, tools, "tools", "array", "an")
  for index, tool in document:items(tools) do
    local path = "tools[" .. (index - 1) .. "]"
    expect(document, tool, path, "object", "an")
    local kind = optional(document, tool, "type")
    local own = not kind or document:value(expect(document, kind, path .. ".type", "string")) == "custom"
    if own then check_own_tool(document, tool, path) end
    local name = optional(document, tool, "name")
    name = name and document:value(expect(document, name, path .. ".name", "string"))
    if name and names[name] then
      fail(path .. ".name", "expected a name of its own", 'there is already a tool "' .. name .. '"')
    end
    if name then names[name] = true end
    blocks.check_cache(document, tool, path)
  end
  return names
end

local function check_choice(document, names)
  local choice = optional(document, 0, "tool_choice")
  if not choice then return end
  expect(document, choice, "tool_choice", "object", "an")
  local kind = word(document, choice, "type", "tool_choice")
  if not CHOICES[kind] then
    fail("tool_choice.type", "expected auto, any, tool or none", describe(document, document:find(choice, "type")))
  end
  if (kind == "any" or kind == "tool") and next(names) == nil then
    fail("tool_choice", "expected tools to choose from", "there are none")
  end
  if kind == "tool" then
    local name = word(document, choice, "name", "tool_choice")
    if not names[name] then
      fail("tool_choice.name", "expected the name of one of the tools",
        describe(document, document:find(choice, "name")))
    end
  end
  local single = optional(document, choice, "disable_parallel_tool_use")
  if single then expect(document, single, "tool_choice.disable_parallel_tool_use", "boolean") end
end

local function check_thinking(document, headers)
  local thinking = optional(document, 0, "thinking")
  if not thinking then return end
  expect(document, thinking, "thinking", "object", "an")
  local kind = word(document, thinking, "type", "thinking")
  if kind ~= "enabled" and kind ~= "adaptive" and kind ~= "disabled" then
    fail("thinking.type", "expected enabled, adaptive or disabled",
      describe(document, document:find(thinking, "type")))
  end
  if kind ~= "enabled" then return end
  local node = document:find(thinking, "budget_tokens")
  local budget = node and document:kind(node) == "number" and document:value(node)
  if not budget or budget < LEAST_BUDGET or budget ~= math.floor(budget) then
    fail("thinking.budget_tokens", "expected an integer of at least " .. LEAST_BUDGET, describe(document, node))
  end
  local most = optional(document, 0, "max_tokens")
  local beta = headers and headers["anthropic-beta"] or ""
  if most and budget >= document:value(most) and not string.find(beta, INTERLEAVED, 1, true) then
    fail("thinking.budget_tokens", "expected less than max_tokens", describe(document, node))
  end
end

local function check_format(document, format, path)
  if not format then return end
  expect(document, format, path, "object", "an")
  if word(document, format, "type", path) ~= "json_schema" then
    fail(path .. ".type", "expected json_schema", describe(document, document:find(format, "type")))
  end
  check_schema(document, document:find(format, "schema"), path .. ".schema")
end

local function check_output(document)
  check_format(document, optional(document, 0, "output_format"), "output_format")
  local output = optional(document, 0, "output_config")
  if not output then return end
  expect(document, output, "output_config", "object", "an")
  local effort = optional(document, output, "effort")
  if effort and not EFFORTS[document:value(effort)] then
    fail("output_config.effort", "expected low, medium, high, xhigh or max", describe(document, effort))
  end
  check_format(document, optional(document, output, "format"), "output_config.format")
end

local function check_words(document)
  local words = optional(document, 0, "stop_sequences")
  if not words then return end
  expect(document, words, "stop_sequences", "array", "an")
  for index, each in document:items(words) do
    expect(document, each, "stop_sequences[" .. (index - 1) .. "]", "string")
  end
end

local function check_rest(document)
  check_number(document, "temperature", 0, 1)
  check_number(document, "top_p", 0, 1)
  check_number(document, "top_k", 0, LARGEST, true)
  check_words(document)
  local stream = optional(document, 0, "stream")
  if stream then expect(document, stream, "stream", "boolean") end
  local metadata = optional(document, 0, "metadata")
  if not metadata then return end
  expect(document, metadata, "metadata", "object", "an")
  local user = optional(document, metadata, "user_id")
  if user then expect(document, user, "metadata.user_id", "string") end
end

local function check_body(document, headers, is_count)
  fields.body(document)
  fields.model(document)
  check_number(document, "max_tokens", 1, LARGEST, true, not is_count)
  check_system(document)
  check_messages(document)
  check_choice(document, check_tools(document))
  check_thinking(document, headers)
  check_output(document)
  check_rest(document)
  blocks.check_breakpoints(document)
end

-- The same for any body, as if it were an unusual one.
---@type fun(document: table, headers: table|nil, is_count: boolean|nil): { param: string|nil, message: string }|nil
check.closely = fields.guarded(check_body)

local is_wrong = fields.guarded(function(document, headers, calls, budgets)
  if calls > 0 then turns.check(document, document:find(0, "messages")) end
  if budgets > 0 then check_thinking(document, headers) end
end)

-- What is wrong with a body; where nothing is, and it is a usual one, the bytes of its text.
local function check_any(document, headers, is_count)
  local is_usual, text, marks, calls, budgets = document:fits(0, is_count and outline.count or outline.chat)
  if is_usual and marks <= blocks.most_breakpoints then
    local is_plain = calls == 0 and budgets == 0
    return not is_plain and is_wrong(document, headers, calls, budgets) or nil, text
  end
  return check.closely(document, headers, is_count)
end

---@param document table
---@param headers table|nil
---@return { param: string|nil, message: string }|nil
---@return integer|nil text
function check.chat(document, headers) return check_any(document, headers, false) end

---@param document table
---@param headers table|nil
---@return { param: string|nil, message: string }|nil
---@return integer|nil text
function check.count(document, headers) return check_any(document, headers, true) end

return check
