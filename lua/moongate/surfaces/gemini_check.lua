-- Checks the shape of bodies sent to Gemini's surface, strictly where a wrong value would fail upstream anyway, and
-- says where and why in one sentence. Parts and turns are looked at in gemini_parts.
local fields = require "moongate.surfaces.fields"
local json = require "moongate.core.json"
local own = require "moongate.surfaces.gemini_fields"
local parts = require "moongate.surfaces.gemini_parts"

local check = {}

local describe, expect, fail = fields.describe, fields.expect, fields.fail
local find = own.find

local LARGEST = 2 ^ 31 - 1
local MOST_STOPS = 5
local ARTICLES = { object = "an", array = "an" }
local MODES = { AUTO = true, ANY = true, NONE = true, VALIDATED = true, MODE_UNSPECIFIED = true }
local LEVELS = { MINIMAL = true, LOW = true, MEDIUM = true, HIGH = true, THINKING_LEVEL_UNSPECIFIED = true }
local MIME_TYPES = { ["text/plain"] = true, ["application/json"] = true, ["text/x.enum"] = true }
local TYPES = {
  STRING = true, NUMBER = true, INTEGER = true, BOOLEAN = true, ARRAY = true, OBJECT = true, NULL = true,
  TYPE_UNSPECIFIED = true,
}
-- Numbers: least, most, whole.
local NUMBERS = {
  temperature = { 0, 2 }, topP = { 0, 1 }, topK = { 1, LARGEST, true }, candidateCount = { 1, 8, true },
  maxOutputTokens = { 1, LARGEST, true }, presencePenalty = { -2, 2 }, frequencyPenalty = { -2, 2 },
  seed = { -2 ^ 31, LARGEST, true }, logprobs = { 0, 20, true },
}
local BOOLEANS = { "responseLogprobs", "enableEnhancedCivicAnswers" }

local function nothing() return nil end

-- The items of a member that may be absent.
local function each_of(document, node)
  if not node then return nothing end
  return document:items(node)
end

-- A member that may be absent, of that kind; and its path.
local function optional(document, node, name, kind, path)
  local member, spelt = find(document, node, name)
  local here = (path and path .. "." or "") .. spelt
  if member then expect(document, member, here, kind, ARTICLES[kind]) end
  return member, here
end

local function word(document, node, name, path)
  local member, spelt = find(document, node, name)
  local here = path .. "." .. spelt
  expect(document, member, here, "string")
  if document:value(member) == "" then fail(here, "expected a text", 'got ""') end
  return document:value(member), here
end

local function number(document, node, name, range, path)
  local member, spelt = find(document, node, name)
  if not member then return nil end
  local least, most, whole = range[1], range[2], range[3]
  local value = document:kind(member) == "number" and document:value(member)
  if not value or value < least or value > most or (whole and value ~= math.floor(value)) then
    local wanted = whole and most == LARGEST and (least == 1 and "a positive integer" or "an integer")
      or string.format("%s from %g to %g", whole and "an integer" or "a number", least, most)
    fail((path and path .. "." or "") .. spelt, "expected " .. wanted, describe(document, member))
  end
  return value
end

local function one_of(document, node, name, known, wanted, path)
  local member, spelt = find(document, node, name)
  if not member then return nil end
  local value = document:kind(member) == "string" and document:value(member)
  if not known[value and string.upper(value)] and not known[value] then
    fail(path .. "." .. spelt, "expected " .. wanted, describe(document, member))
  end
  return value
end

local function check_words(document, node, name, path, most)
  local words, here = optional(document, node, name, "array", path)
  if not words then return nil, here end
  for index, each in document:items(words) do
    expect(document, each, here .. "[" .. (index - 1) .. "]", "string")
  end
  if most and document:size(words) > most then
    fail(here, "expected at most " .. most .. " of them", "got " .. document:size(words))
  end
  return words, here
end

-- ---- schemas ----

local function check_type(document, schema, path)
  local kind = document:find(schema, "type")
  if not kind then return end
  local list = document:kind(kind) == "array" and document:value(kind) or { document:value(kind) }
  for _, each in ipairs(list) do
    if type(each) ~= "string" or not TYPES[string.upper(each)] then
      fail(path .. ".type", "expected STRING, NUMBER, INTEGER, BOOLEAN, ARRAY or OBJECT", describe(document, kind))
    end
  end
end

-- Gemini's own subset: every node has a type it knows.
local function check_subset(document, schema, path)
  expect(document, schema, path, "object", "an")
  check_type(document, schema, path)
  local properties = optional(document, schema, "properties", "object", path)
  for name, inner in each_of(document, properties) do
    check_subset(document, inner, path .. ".properties." .. name)
  end
  local items = find(document, schema, "items")
  if items and document:kind(items) == "object" then check_subset(document, items, path .. ".items") end
  local choices = optional(document, schema, "anyOf", "array", path)
  for index, inner in each_of(document, choices) do
    check_subset(document, inner, path .. ".anyOf[" .. (index - 1) .. "]")
  end
end

-- What all of that looks like, nearly always: what does not may have nothing wrong with it all the same.
local function subset()
  local names, again = {}, { again = true }
  for name in pairs(TYPES) do
    names[#names + 1] = name
    names[#names + 1] = string.lower(name)
  end
  local choices = { kind = "array", null = true, items = again }
  return json.outline {
    kind = "object",
    may = {
      type = { kind = "string", values = names }, properties = { kind = "object", null = true, others = again },
      items = { either = { again, "array", "string", "number", "boolean", "null" } },
      anyOf = choices, any_of = choices,
    },
  }
end

local SUBSET = subset()

local function check_schema(document, node, name, path, is_json)
  local schema, here = optional(document, node, name, "object", path)
  if not schema then return nil, here end
  fields.schema_depth(document, schema, here)
  if not is_json and not document:fits(schema, SUBSET) then check_subset(document, schema, here) end
  return schema, here
end

-- Of two fields that say the same, one.
local function check_schemas(document, node, plain, other, path)
  local first = check_schema(document, node, plain, path)
  local second, here = check_schema(document, node, other, path, true)
  if first and second then fail(here, "expected it without " .. plain, "got both") end
  return first or second
end

-- ---- tools ----

local function check_declaration(document, declaration, path, names)
  expect(document, declaration, path, "object", "an")
  local name, here = word(document, declaration, "name", path)
  if #name > 128 or not string.find(name, "^[%a_][%w_.:%-]*$") then
    fail(here, 'expected a letter or "_", then letters, digits, "_", ".", ":" or "-", 128 in all at most',
      describe(document, document:find(declaration, "name")))
  end
  if names[name] then fail(here, "expected a name of its own", 'there is already a function "' .. name .. '"') end
  names[name] = true
  optional(document, declaration, "description", "string", path)
  check_schemas(document, declaration, "parameters", "parametersJsonSchema", path)
end

-- Answers the functions by name.
local function check_tools(document, root, base)
  local names = {}
  local tools, path = optional(document, root, "tools", "array", base)
  for index, tool in each_of(document, tools) do
    local here = path .. "[" .. (index - 1) .. "]"
    expect(document, tool, here, "object", "an")
    local declarations, inner = optional(document, tool, "functionDeclarations", "array", here)
    for place, declaration in each_of(document, declarations) do
      check_declaration(document, declaration, inner .. "[" .. (place - 1) .. "]", names)
    end
  end
  return names
end

local function check_choice(document, root, base, names)
  local config, path = optional(document, root, "toolConfig", "object", base)
  if not config then return end
  local calling, here = optional(document, config, "functionCallingConfig", "object", path)
  if not calling then return end
  local mode = one_of(document, calling, "mode", MODES, "AUTO, ANY, NONE or VALIDATED", here)
  mode = mode and string.upper(mode)
  if mode == "ANY" and next(names) == nil then fail(here, "expected functions to choose from", "there are none") end
  local allowed, inner = check_words(document, calling, "allowedFunctionNames", here)
  if not allowed or document:size(allowed) == 0 then return end
  if mode ~= "ANY" and mode ~= "VALIDATED" then
    fail(inner, "expected the mode ANY with it", mode and "got " .. mode or "got none")
  end
  for index, each in document:items(allowed) do
    if not names[document:value(each)] then
      fail(inner .. "[" .. (index - 1) .. "]", "expected the name of one of the functions", describe(document, each))
    end
  end
end

-- ---- generationConfig ----

local function check_thinking(document, config, path)
  local thinking, here = optional(document, config, "thinkingConfig", "object", path)
  if not thinking then return end
  optional(document, thinking, "includeThoughts", "boolean", here)
  local budget = number(document, thinking, "thinkingBudget", { -1, LARGEST, true }, here)
  local level = one_of(document, thinking, "thinkingLevel", LEVELS, "MINIMAL, LOW, MEDIUM or HIGH", here)
  if budget and level then fail(here, "expected thinkingBudget or thinkingLevel", "got both") end
end

local function check_config(document, root, base)
  local config, path = optional(document, root, "generationConfig", "object", base)
  if not config then return end
  for name, range in pairs(NUMBERS) do number(document, config, name, range, path) end
  for _, name in ipairs(BOOLEANS) do optional(document, config, name, "boolean", path) end
  check_words(document, config, "stopSequences", path, MOST_STOPS)
  check_words(document, config, "responseModalities", path)
  local kind = one_of(document, config, "responseMimeType", MIME_TYPES, "text/plain, application/json or text/x.enum",
    path)
  local schema = check_schemas(document, config, "responseSchema", "responseJsonSchema", path)
  if schema and (kind == nil or kind == "text/plain") then
    fail(path .. ".responseMimeType", "expected application/json with a schema",
      describe(document, (find(document, config, "responseMimeType"))))
  end
  check_thinking(document, config, path)
end

local function check_safety(document, root, base)
  local settings, path = optional(document, root, "safetySettings", "array", base)
  for index, each in each_of(document, settings) do
    local here = path .. "[" .. (index - 1) .. "]"
    expect(document, each, here, "object", "an")
    word(document, each, "category", here)
    word(document, each, "threshold", here)
  end
end

local function check_request(document, root, base)
  parts.check(document, root, base)
  check_choice(document, root, base, check_tools(document, root, base))
  check_config(document, root, base)
  check_safety(document, root, base)
  optional(document, root, "cachedContent", "string", base)
end

---@type fun(document: table): { param: string|nil, message: string }|nil
check.chat = fields.guarded(function(document)
  fields.body(document)
  check_request(document, 0)
end)

-- A count takes bare contents, or a whole request in its own member.
---@type fun(document: table): { param: string|nil, message: string }|nil
check.count = fields.guarded(function(document)
  fields.body(document)
  local inner, path = optional(document, 0, "generateContentRequest", "object")
  if inner and find(document, 0, "contents") then fail(path, "expected it without contents", "got both") end
  check_request(document, inner or 0, inner and path)
end)

local function check_embedding(document, node, base)
  parts.embedded(document, node, base)
  optional(document, node, "taskType", "string", base)
  optional(document, node, "title", "string", base)
  number(document, node, "outputDimensionality", { 1, LARGEST, true }, base)
end

---@type fun(document: table, is_batch: boolean|nil): { param: string|nil, message: string }|nil
check.embeddings = fields.guarded(function(document, is_batch)
  fields.body(document)
  if not is_batch then return check_embedding(document, 0) end
  local requests = expect(document, document:find(0, "requests"), "requests", "array", "an")
  if document:size(requests) == 0 then fail("requests", "expected at least one request", "got an empty array") end
  for index, request in document:items(requests) do
    local here = "requests[" .. (index - 1) .. "]"
    expect(document, request, here, "object", "an")
    check_embedding(document, request, here)
  end
end)

return check
