-- Checks the shape of bodies sent to the Responses surface, strictly where a wrong value would fail upstream anyway,
-- and says where and why in one sentence. Items, parts and tools it does not know are left to a provider of that API.
local fields = require "moongate.surfaces.fields"
local json = require "moongate.core.json"

local check = {}

local describe, expect, fail, optional = fields.describe, fields.expect, fields.fail, fields.optional

local ROLES = { user = true, assistant = true, system = true, developer = true }
local NUMBERS = {
  { "temperature", 0, 2 }, { "top_p", 0, 1 }, { "max_output_tokens", 1, 2 ^ 31 - 1, true },
  { "top_logprobs", 0, 20, true }, { "max_tool_calls", 1, 2 ^ 31 - 1, true },
}
local BOOLEANS = { "stream", "store", "background", "parallel_tool_calls" }
local OBJECTS = { "text", "reasoning", "metadata", "stream_options", "prompt" }
local STRINGS = { "instructions", "previous_response_id", "user", "safety_identifier" }
-- What stands for turns that the body does not have.
local EARLIER = { "previous_response_id", "conversation", "prompt" }

local function text(document, node, name, path)
  return expect(document, document:find(node, name), path .. "." .. name, "string")
end

local function word(document, node, name)
  local member = optional(document, node, name)
  return member and document:kind(member) == "string" and document:value(member) or nil
end

-- ---- input ----

local PARTS = {
  input_text = "text", output_text = "text", text = "text", summary_text = "text", refusal = "refusal",
}

local function check_part(document, part, path)
  expect(document, part, path, "object", "an")
  local kind = document:value(text(document, part, "type", path))
  if PARTS[kind] then text(document, part, PARTS[kind], path) end
  if kind ~= "input_image" or optional(document, part, "file_id") then return end
  local url = text(document, part, "image_url", path)
  local address = document:value(url)
  if string.find(address, "^data:") and not string.find(address, "^data:image/[^,]*;base64,") then
    fail(path .. ".image_url", "expected an http address or a data URL of an image", describe(document, url))
  end
end

local function check_content(document, content, path)
  local kind = content and document:kind(content)
  if kind == "string" then return end
  if kind ~= "array" then fail(path, "expected text or a list of parts", describe(document, content)) end
  for index, part in document:items(content) do check_part(document, part, path .. "[" .. (index - 1) .. "]") end
end

local ITEMS = {}

function ITEMS.message(document, item, path)
  local role = word(document, item, "role")
  if not ROLES[role] then
    fail(path .. ".role", "expected user, assistant, system or developer", describe(document,
      document:find(item, "role")))
  end
  check_content(document, document:find(item, "content"), path .. ".content")
end

function ITEMS.function_call(document, item, path, calls)
  calls[document:value(text(document, item, "call_id", path))] = true
  text(document, item, "name", path)
  text(document, item, "arguments", path)
end

function ITEMS.function_call_output(document, item, path, calls)
  local id = text(document, item, "call_id", path)
  if not calls[document:value(id)] and not calls.unseen then
    fail(path .. ".call_id", "expected the call_id of a function_call before it", describe(document, id))
  end
  check_content(document, document:find(item, "output"), path .. ".output")
end

function ITEMS.reasoning(document, item, path)
  local sealed = optional(document, item, "encrypted_content")
  if sealed then expect(document, sealed, path .. ".encrypted_content", "string") end
  local summary = optional(document, item, "summary")
  if summary then expect(document, summary, path .. ".summary", "array", "an") end
end

function ITEMS.item_reference(_, _, _, calls) calls.unseen = true end

local function has_earlier(document)
  for _, name in ipairs(EARLIER) do
    if optional(document, 0, name) then return true end
  end
  return false
end

local function check_input(document)
  local input, earlier = document:find(0, "input"), has_earlier(document)
  local kind = input and document:kind(input)
  if (not kind or kind == "null") and earlier then return end
  if kind == "string" then
    if document:string_bytes(input) == 0 and not earlier then fail("input", "expected text or items", 'got ""') end
    return
  end
  if kind ~= "array" or (document:size(input) == 0 and not earlier) then
    fail("input", "expected text or a list of items", describe(document, input))
  end
  local calls = { unseen = earlier }
  for index, item in document:items(input) do
    local path = "input[" .. (index - 1) .. "]"
    expect(document, item, path, "object", "an")
    local named = optional(document, item, "type")
    if named then expect(document, named, path .. ".type", "string") end
    local shape = ITEMS[named and document:value(named) or "message"]
    if shape then shape(document, item, path, calls) end
  end
end

-- ---- tools ----

-- What nearly all lists of tools look like.
local TOOLS = json.outline {
  kind = "array",
  items = {
    kind = "object",
    needs = { type = { kind = "string", values = { "function" } }, name = { kind = "string", least = 1 } },
    may = { parameters = { kind = "object", null = true } },
  },
}

-- Answers the names of functions, and how many tools there are.
local function check_tools(document)
  local tools, names = optional(document, 0, "tools"), {}
  if not tools then return names, 0 end
  expect(document, tools, "tools", "array", "an")
  if document:fits(tools, TOOLS) then
    local choice = optional(document, 0, "tool_choice")
    -- Only one of them that is asked for has to be looked for.
    if not choice or document:kind(choice) == "string" then return names, document:size(tools) end
  end
  for index, tool in document:items(tools) do
    local path = "tools[" .. (index - 1) .. "]"
    expect(document, tool, path, "object", "an")
    if document:value(text(document, tool, "type", path)) == "function" then
      local name = document:find(tool, "name")
      if not name and document:find(tool, "function") then
        fail(path .. ".name", "expected the function's name here, for tools are flat in this API",
          "got a nested function")
      end
      expect(document, name, path .. ".name", "string")
      if document:value(name) == "" then fail(path .. ".name", "expected a name", 'got ""') end
      names[document:value(name)] = true
      local parameters = optional(document, tool, "parameters")
      if parameters then expect(document, parameters, path .. ".parameters", "object", "an") end
    end
  end
  return names, document:size(tools)
end

local function check_choice(document, names, count)
  local choice = optional(document, 0, "tool_choice")
  if not choice then return end
  local kind = document:kind(choice)
  if kind == "string" then
    local value = document:value(choice)
    if value ~= "auto" and value ~= "none" and value ~= "required" then
      fail("tool_choice", "expected auto, none, required or an object", describe(document, choice))
    end
    if value == "required" and count == 0 then
      fail("tool_choice", "required needs tools to choose from", "there are none")
    end
    return
  end
  expect(document, choice, "tool_choice", "object", "a string or an")
  if word(document, choice, "type") ~= "function" then return end
  local name = document:find(choice, "name")
  if not names[name and document:kind(name) == "string" and document:value(name)] then
    fail("tool_choice.name", "expected the name of one of the tools", describe(document, name))
  end
end

-- ---- the rest ----

local function check_kinds(document)
  for kind, names in pairs { boolean = BOOLEANS, object = OBJECTS, string = STRINGS } do
    for _, name in ipairs(names) do
      local node = optional(document, 0, name)
      if node then expect(document, node, name, kind, kind == "object" and "an" or "a") end
    end
  end
  local include = optional(document, 0, "include")
  if include then
    expect(document, include, "include", "array", "an")
    for index, item in document:items(include) do expect(document, item, "include[" .. (index - 1) .. "]", "string") end
  end
end

local function check_format(document)
  local told = optional(document, 0, "text")
  local format = told and optional(document, told, "format")
  if not format then return end
  expect(document, format, "text.format", "object", "an")
  if document:value(text(document, format, "type", "text.format")) ~= "json_schema" then return end
  if optional(document, format, "json_schema") and not optional(document, format, "name") then
    fail("text.format.name", "expected the schema's name here, for formats are flat in this API",
      "got a nested json_schema")
  end
  text(document, format, "name", "text.format")
  expect(document, document:find(format, "schema"), "text.format.schema", "object", "an")
end

---@type fun(document: table): { param: string|nil, message: string }|nil
check.request = fields.guarded(function(document)
  fields.body(document)
  fields.model(document)
  check_kinds(document)
  for _, entry in ipairs(NUMBERS) do fields.number(document, unpack(entry)) end
  check_input(document)
  local names, count = check_tools(document)
  check_choice(document, names, count)
  check_format(document)
end)

return check
