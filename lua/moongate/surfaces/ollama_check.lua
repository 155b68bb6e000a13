-- Checks the shape of bodies sent to Ollama's surface, strictly where a wrong value would fail later anyway, and says
-- where and why in one sentence. Fields and options it does not know are left alone, as Ollama does.
local fields = require "moongate.surfaces.fields"
local json = require "moongate.core.json"

local check = {}

local describe, expect, fail, optional = fields.describe, fields.expect, fields.fail, fields.optional

local ROLES = { "system", "user", "assistant", "tool" }
local is_role = {}
for _, role in ipairs(ROLES) do is_role[role] = true end

local THOUGHTS = { low = true, medium = true, high = true, max = true }
-- Deeper than any schema that a model could follow; what turns them into another dialect walks them by recursion.
local SCHEMA_DEPTH = 64
local SHALLOW = json.outline { kind = "any", deepest = SCHEMA_DEPTH }
local MOST_LOGPROBS = 20

-- What an option is, by its name; -1 and -2 mean "without end" to Ollama.
local OPTIONS = {}
for kind, names in pairs {
  number = {
    "temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty",
    "mirostat_tau", "mirostat_eta",
  },
  whole = {
    "num_predict", "top_k", "seed", "num_ctx", "num_keep", "repeat_last_n", "mirostat", "num_batch", "num_gpu",
    "main_gpu", "num_thread",
  },
  boolean = { "use_mmap", "use_mlock", "numa", "low_vram", "penalize_newline" },
} do
  for _, name in ipairs(names) do OPTIONS[name] = kind end
end

local function text(document, node, name, path)
  return expect(document, document:find(node, name), path .. "." .. name, "string")
end

local function may_be(document, node, name, kind, path)
  local member = optional(document, node, name)
  local article = kind == "object" and "an" or kind == "array" and "an" or nil
  return member and expect(document, member, (path and path .. "." or "") .. name, kind, article) or nil
end

local function check_whole(document, node, path, least, most)
  local value = document:kind(node) == "number" and document:value(node)
  if value and value == math.floor(value) and value >= least and value <= most then return end
  fail(path, least > 0 and "expected a positive integer" or "expected a whole number", describe(document, node))
end

-- ---- images ----

local function check_image(document, node, path)
  local data = document:value(expect(document, node, path, "string"))
  if string.find(data, "^data:") then
    fail(path, "expected the image's bytes in base64, without the beginning of a data URL", describe(document, node))
  end
  data = string.gsub(data, "[\r\n]", "")
  local bare = string.gsub(string.sub(data, -2), "=", "")
  if data == "" or #data % 4 ~= 0 or string.find(string.sub(data, 1, -3) .. bare, "[^%w+/]") then
    fail(path, "expected the image's bytes in base64", describe(document, node))
  end
end

local function check_images(document, node, path)
  local images = may_be(document, node, "images", "array", path)
  if not images then return false end
  path = (path and path .. "." or "") .. "images"
  for index, image in document:items(images) do check_image(document, image, path .. "[" .. (index - 1) .. "]") end
  return document:size(images) > 0
end

-- ---- messages ----

local function check_calls(document, calls, path)
  for index, call in document:items(calls) do
    local here = path .. "[" .. (index - 1) .. "]"
    expect(document, call, here, "object", "an")
    may_be(document, call, "id", "string", here)
    local inner = expect(document, document:find(call, "function"), here .. ".function", "object", "an")
    text(document, inner, "name", here .. ".function")
    may_be(document, inner, "arguments", "object", here .. ".function")
  end
end

local function check_message(document, message, path)
  expect(document, message, path, "object", "an")
  local node = document:find(message, "role")
  local role = node and document:kind(node) == "string" and string.lower(document:value(node))
  if not is_role[role] then
    fail(path .. ".role", "expected one of " .. table.concat(ROLES, ", "), describe(document, node))
  end
  local calls = may_be(document, message, "tool_calls", "array", path)
  if calls then check_calls(document, calls, path .. ".tool_calls") end
  local says_otherwise = check_images(document, message, path) or calls ~= nil
  for _, name in ipairs { "thinking", "tool_name", "tool_call_id", "name" } do
    says_otherwise = may_be(document, message, name, "string", path) and name == "thinking" or says_otherwise
  end
  local content = document:find(message, "content")
  if content and document:kind(content) == "array" then
    fail(path .. ".content", 'expected a string (images go into "images")', describe(document, content))
  end
  if optional(document, message, "content") or not says_otherwise then text(document, message, "content", path) end
end

local function check_messages(document)
  local messages = may_be(document, 0, "messages", "array")
  if not messages then return end
  for index, message in document:items(messages) do
    check_message(document, message, "messages[" .. (index - 1) .. "]")
  end
end

-- ---- tools, formats, options ----

local function depth_of(document, node, most)
  local kind = document:kind(node)
  if kind ~= "object" and kind ~= "array" then return 0 end
  if most == 0 then return 1 end
  local deepest = 0
  for _, inner in document:items(node) do deepest = math.max(deepest, depth_of(document, inner, most - 1)) end
  return deepest + 1
end

local function check_schema(document, node, path)
  if not document:fits(node, SHALLOW) and depth_of(document, node, SCHEMA_DEPTH) > SCHEMA_DEPTH then
    fail(path, "expected a schema of at most " .. SCHEMA_DEPTH .. " levels", "it is deeper")
  end
end

-- What nearly all lists of tools look like.
local TOOLS = json.outline {
  kind = "array",
  items = {
    kind = "object",
    needs = {
      ["function"] = {
        kind = "object", needs = { name = { kind = "string", least = 1 } },
        may = {
          description = { kind = "string", null = true },
          parameters = { kind = "object", null = true, deepest = SCHEMA_DEPTH },
        },
      },
    },
  },
}

local function check_tools(document)
  local tools = may_be(document, 0, "tools", "array")
  if not tools or document:fits(tools, TOOLS) then return end
  for index, tool in document:items(tools) do
    local path = "tools[" .. (index - 1) .. "]"
    expect(document, tool, path, "object", "an")
    local inner = expect(document, document:find(tool, "function"), path .. ".function", "object", "an")
    path = path .. ".function"
    local name = text(document, inner, "name", path)
    if document:value(name) == "" then fail(path .. ".name", "expected a name", 'got ""') end
    may_be(document, inner, "description", "string", path)
    local parameters = may_be(document, inner, "parameters", "object", path)
    if parameters then check_schema(document, parameters, path .. ".parameters") end
  end
end

local function check_format(document)
  local format = optional(document, 0, "format")
  if not format then return end
  if document:kind(format) == "object" then return check_schema(document, format, "format") end
  local word = document:kind(format) == "string" and document:value(format)
  if word ~= "json" and word ~= "" then
    fail("format", 'expected "json" or a JSON schema', describe(document, format))
  end
end

local function check_think(document)
  local think = optional(document, 0, "think")
  if not think or document:kind(think) == "boolean" then return end
  if document:kind(think) ~= "string" or not THOUGHTS[document:value(think)] then
    fail("think", "expected true, false, low, medium, high or max", describe(document, think))
  end
end

local function check_options(document)
  local options = may_be(document, 0, "options", "object")
  if not options then return end
  for name, node in document:items(options) do
    local path, kind = "options." .. name, OPTIONS[name]
    if document:kind(node) ~= "null" and kind == "whole" then
      check_whole(document, node, path, -2 ^ 53, 2 ^ 53)
    elseif document:kind(node) ~= "null" and kind then
      expect(document, node, path, kind)
    end
  end
  local stop = may_be(document, options, "stop", "array", "options")
  if not stop then return end
  for index, item in document:items(stop) do
    expect(document, item, "options.stop[" .. (index - 1) .. "]", "string")
  end
end

local function check_rest(document)
  fields.body(document)
  fields.model(document)
  for _, name in ipairs { "stream", "logprobs", "truncate", "shift", "raw" } do
    may_be(document, 0, name, "boolean")
  end
  local most = optional(document, 0, "top_logprobs")
  if most then
    local value = document:kind(most) == "number" and document:value(most)
    if not value or value < 0 or value > MOST_LOGPROBS or value ~= math.floor(value) then
      fail("top_logprobs", "expected a whole number from 0 to " .. MOST_LOGPROBS, describe(document, most))
    end
  end
  check_options(document)
  check_format(document)
  check_think(document)
end

-- ---- the bodies ----

---@type fun(document: table): { param: string|nil, message: string }|nil
check.chat = fields.guarded(function(document)
  check_rest(document)
  check_messages(document)
  check_tools(document)
end)

---@type fun(document: table): { param: string|nil, message: string }|nil
check.generate = fields.guarded(function(document)
  check_rest(document)
  for _, name in ipairs { "prompt", "system", "suffix", "template" } do may_be(document, 0, name, "string") end
  check_images(document, 0)
end)

-- `input` of /api/embed, or `prompt` of the older /api/embeddings.
---@type fun(document: table): { param: string|nil, message: string }|nil
check.embeddings = fields.guarded(function(document)
  fields.body(document)
  fields.model(document)
  may_be(document, 0, "options", "object")
  local dimensions = optional(document, 0, "dimensions")
  if dimensions then check_whole(document, dimensions, "dimensions", 1, 2 ^ 31 - 1) end
  local input = optional(document, 0, "input")
  if not input and may_be(document, 0, "prompt", "string") then return end
  local kind = input and document:kind(input)
  if kind == "string" then return end
  if kind ~= "array" or document:size(input) == 0 then
    fail("input", "expected text or a list of texts", describe(document, input))
  end
  for index, item in document:items(input) do expect(document, item, "input[" .. (index - 1) .. "]", "string") end
end)

return check
