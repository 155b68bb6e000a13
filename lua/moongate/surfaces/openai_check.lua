-- Checks the shape of bodies sent to OpenAI's surface, strictly where a wrong value would fail upstream anyway, and
-- says where and why in one sentence. Fields and part types it does not know are left to the provider. What looks as
-- nearly all bodies do (openai_outline) has nothing wrong with it, and does not come here.
local fields = require "moongate.surfaces.fields"
local outline = require "moongate.surfaces.openai_outline"

local check = {}

local describe, expect, fail, optional = fields.describe, fields.expect, fields.fail, fields.optional

local ROLES = { "system", "developer", "user", "assistant", "tool", "function" }

local is_role = {}
for _, role in ipairs(ROLES) do is_role[role] = true end

---@param document table
---@param node number|nil
---@return boolean
function check.filled(document, node)
  return node ~= nil and document:kind(node) == "array" and document:size(node) > 0
end

local function text(document, node, name, path)
  return expect(document, document:find(node, name), path .. "." .. name, "string")
end

local function object(document, node, name, path)
  return expect(document, document:find(node, name), path .. "." .. name, "object", "an")
end

-- The parts of a message's content that OpenAI's reference names.
local PARTS = {
  text = function(document, part, path) text(document, part, "text", path) end,
  refusal = function(document, part, path) text(document, part, "refusal", path) end,
  image_url = function(document, part, path)
    local image = object(document, part, "image_url", path)
    local url = text(document, image, "url", path .. ".image_url")
    local address = document:value(url)
    if address == "" then fail(path .. ".image_url.url", "expected an address or a data URL", 'got ""') end
    if string.find(address, "^data:") and not string.find(address, "^data:image/[^,]*;base64,") then
      fail(path .. ".image_url.url", "expected a base64 data URL of an image", describe(document, url))
    end
  end,
  input_audio = function(document, part, path)
    local audio = object(document, part, "input_audio", path)
    text(document, audio, "data", path .. ".input_audio")
    text(document, audio, "format", path .. ".input_audio")
  end,
  file = function(document, part, path) object(document, part, "file", path) end,
}

local function check_parts(document, content, path)
  if document:size(content) == 0 then fail(path, "expected text or a list of parts", "got an empty array") end
  for index, part in document:items(content) do
    local here = path .. "[" .. (index - 1) .. "]"
    expect(document, part, here, "object", "an")
    local kind = document:value(text(document, part, "type", here))
    local shape = PARTS[kind]
    if shape then shape(document, part, here) end
  end
end

local function check_calls(document, calls, path, ids)
  expect(document, calls, path, "array", "an")
  for index, call in document:items(calls) do
    local here = path .. "[" .. (index - 1) .. "]"
    expect(document, call, here, "object", "an")
    ids[document:value(text(document, call, "id", here))] = true
    local kind = optional(document, call, "type")
    if not kind or document:value(kind) == "function" then
      local inner = object(document, call, "function", here)
      text(document, inner, "name", here .. ".function")
      text(document, inner, "arguments", here .. ".function")
    end
  end
end

-- What stands in for content in an assistant's turn.
local function says_otherwise(document, message)
  for _, name in ipairs({ "tool_calls", "function_call", "refusal", "audio", "reasoning_content", "reasoning" }) do
    if optional(document, message, name) then return true end
  end
  return false
end

local function check_content(document, message, role, path)
  local content = document:find(message, "content")
  local here = path .. ".content"
  local kind = content and document:kind(content)
  if kind == "string" then return end
  if kind == "array" then return check_parts(document, content, here) end
  if kind == "null" and (role == "assistant" or role == "function") then return end
  if not kind and role == "assistant" and says_otherwise(document, message) then return end
  fail(here, "expected text or a list of parts", describe(document, content))
end

-- ids: of the calls that came before.
local function check_message(document, message, path, ids)
  expect(document, message, path, "object", "an")
  local node = document:find(message, "role")
  local role = node and document:kind(node) == "string" and document:value(node)
  if not is_role[role] then
    fail(path .. ".role", "expected one of " .. table.concat(ROLES, ", "), describe(document, node))
  end
  check_content(document, message, role, path)
  if role == "tool" then
    local id = text(document, message, "tool_call_id", path)
    if not ids[document:value(id)] then
      fail(path .. ".tool_call_id", "expected the id of a call in a message before it", describe(document, id))
    end
  end
  if role == "function" then text(document, message, "name", path) end
  if role == "assistant" then
    local calls = optional(document, message, "tool_calls")
    if calls then check_calls(document, calls, path .. ".tool_calls", ids) end
  end
end

local function check_messages(document)
  local messages = expect(document, document:find(0, "messages"), "messages", "array", "an")
  if document:size(messages) == 0 then fail("messages", "expected at least one message", "got an empty array") end
  if document:fits(messages, outline.messages) then return end
  local ids = {}
  for index, message in document:items(messages) do
    check_message(document, message, "messages[" .. (index - 1) .. "]", ids)
  end
end

-- Adds the names of the functions to `names`.
local function check_tools(document, name, names)
  local tools = optional(document, 0, name)
  if not tools then return end
  expect(document, tools, name, "array", "an")
  for index, tool in document:items(tools) do
    local path = name .. "[" .. (index - 1) .. "]"
    expect(document, tool, path, "object", "an")
    if name == "functions" then
      names[document:value(text(document, tool, "name", path))] = true
    elseif document:value(text(document, tool, "type", path)) == "function" then
      local inner = object(document, tool, "function", path)
      local given = text(document, inner, "name", path .. ".function")
      if document:value(given) == "" then fail(path .. ".function.name", "expected a name", 'got ""') end
      names[document:value(given)] = true
      local description = optional(document, inner, "description")
      if description then expect(document, description, path .. ".function.description", "string") end
      local parameters = optional(document, inner, "parameters")
      if parameters then expect(document, parameters, path .. ".function.parameters", "object", "an") end
    end
  end
end

-- A choice that no answer could meet.
local function check_choice(document, names)
  local choice = optional(document, 0, "tool_choice")
  if not choice then return end
  if document:kind(choice) == "string" then
    if document:value(choice) == "required" and not check.filled(document, document:find(0, "tools")) then
      fail("tool_choice", "required needs tools to choose from", "there are none")
    end
    return
  end
  local inner = document:find(choice, "function")
  local name = inner and document:find(inner, "name")
  if not name or document:kind(name) ~= "string" or names[document:value(name)] then return end
  fail("tool_choice.function.name", "expected the name of one of the tools", describe(document, name))
end

-- Numbers: least, most, whole.
local NUMBERS = {
  temperature = { 0, 2 }, top_p = { 0, 1 }, presence_penalty = { -2, 2 }, frequency_penalty = { -2, 2 },
  n = { 1, 128, true }, max_tokens = { 1, 2 ^ 31 - 1, true }, max_completion_tokens = { 1, 2 ^ 31 - 1, true },
  top_logprobs = { 0, 20, true }, dimensions = { 1, 2 ^ 31 - 1, true },
}
local BOOLEANS = { "stream", "logprobs", "store", "parallel_tool_calls" }
local OBJECTS = { "stream_options", "response_format", "logit_bias" }

local CHAT_NUMBERS = {
  "temperature", "top_p", "presence_penalty", "frequency_penalty", "n", "max_tokens", "max_completion_tokens",
  "top_logprobs",
}

local function check_stop(document)
  local stop = optional(document, 0, "stop")
  if not stop or document:kind(stop) == "string" then return end
  if document:kind(stop) ~= "array" then
    fail("stop", "expected a string or a list of strings", describe(document, stop))
  end
  for index, item in document:items(stop) do expect(document, item, "stop[" .. (index - 1) .. "]", "string") end
end

local function check_seed(document)
  local seed = optional(document, 0, "seed")
  if seed and document:value(expect(document, seed, "seed", "number")) % 1 ~= 0 then
    fail("seed", "expected an integer", describe(document, seed))
  end
end

local function check_format(document)
  local format = optional(document, 0, "response_format")
  if not format or document:value(text(document, format, "type", "response_format")) ~= "json_schema" then return end
  local inner = object(document, format, "json_schema", "response_format")
  text(document, inner, "name", "response_format.json_schema")
  local schema = optional(document, inner, "schema")
  if schema then expect(document, schema, "response_format.json_schema.schema", "object", "an") end
end

-- Most callers send few of all that there is.
local function members(document)
  local is_there = {}
  for name in document:items(0) do is_there[name] = true end
  return is_there
end

local function check_options(document)
  local is_there = members(document)
  for _, name in ipairs(CHAT_NUMBERS) do
    if is_there[name] then fields.number(document, name, unpack(NUMBERS[name])) end
  end
  for _, name in ipairs(BOOLEANS) do
    local node = is_there[name] and optional(document, 0, name)
    if node then expect(document, node, name, "boolean") end
  end
  for _, name in ipairs(OBJECTS) do
    local node = is_there[name] and optional(document, 0, name)
    if node then expect(document, node, name, "object", "an") end
  end
  local options = optional(document, 0, "stream_options")
  local asked = options and optional(document, options, "include_usage")
  if asked then expect(document, asked, "stream_options.include_usage", "boolean") end
  local choice = optional(document, 0, "tool_choice")
  if choice and document:kind(choice) ~= "string" and document:kind(choice) ~= "object" then
    fail("tool_choice", "expected a string or an object", describe(document, choice))
  end
  local user = optional(document, 0, "user")
  if user then expect(document, user, "user", "string") end
  check_seed(document)
  check_format(document)
end

-- What is wrong with the body of a chat.
---@type fun(document: table): { param: string|nil, message: string }|nil
check.closely = fields.guarded(function(document)
  fields.body(document)
  fields.model(document)
  check_messages(document)
  check_options(document)
  local names = {}
  check_tools(document, "tools", names)
  check_tools(document, "functions", names)
  check_choice(document, names)
  check_stop(document)
end)

local function check_input(document)
  local input = document:find(0, "input")
  local kind = input and document:kind(input)
  local wanted = "expected text, a list of texts, or lists of token numbers"
  if kind ~= "string" and kind ~= "array" then fail("input", wanted, describe(document, input)) end
  if document:size(input) == 0 and kind == "array" then fail("input", wanted, "got an empty array") end
  if kind == "string" then
    if document:string_bytes(input) == 0 then fail("input", wanted, 'got ""') end
    return
  end
  local first
  for index, item in document:items(input) do
    local path = "input[" .. (index - 1) .. "]"
    local item_kind = document:kind(item)
    first = first or item_kind
    if item_kind ~= first or (first ~= "string" and first ~= "number" and first ~= "array") then
      fail(path, index == 1 and "expected text, a token number or a list of these" or "expected a " .. first
        .. " like the first", describe(document, item))
    end
    if item_kind == "array" then
      for place, token in document:items(item) do
        expect(document, token, path .. "[" .. (place - 1) .. "]", "number")
      end
    end
  end
end

---@type fun(document: table): { param: string|nil, message: string }|nil
check.embeddings = fields.guarded(function(document)
  fields.body(document)
  fields.model(document)
  check_input(document)
  fields.number(document, "dimensions", unpack(NUMBERS.dimensions))
  local format = optional(document, 0, "encoding_format")
  if format then
    local name = document:kind(format) == "string" and document:value(format)
    if name ~= "float" and name ~= "base64" then
      fail("encoding_format", "expected float or base64", describe(document, format))
    end
  end
end)

return check
