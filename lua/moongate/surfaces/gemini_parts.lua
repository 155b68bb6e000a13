-- Checks the turns of a conversation sent to Gemini's surface and their parts, and that results of functions belong to
-- calls of the turn before them. Says where and why in one sentence.
local fields = require "moongate.surfaces.fields"
local own = require "moongate.surfaces.gemini_fields"

local parts = {}

local describe, expect, fail = fields.describe, fields.expect, fields.fail
local find = own.find

local ROLES = { user = true, model = true, ["function"] = true }
local IMAGES = {
  ["image/png"] = true, ["image/jpeg"] = true, ["image/jpg"] = true, ["image/webp"] = true, ["image/heic"] = true,
  ["image/heif"] = true, ["image/gif"] = true,
}
local WORDS = "png, jpeg, webp, heic, heif or gif"

local function member(document, node, name, path, kind, article)
  local found, spelt = find(document, node, name)
  local here = path .. "." .. spelt
  return expect(document, found, here, kind, article), here
end

local function filled(document, node, name, path)
  local found, here = member(document, node, name, path, "string")
  if document:string_bytes(found) == 0 then fail(here, "expected a text", 'got ""') end
  return found, here
end

local function optional(document, node, name, path, kind)
  local found, spelt = find(document, node, name)
  if found then expect(document, found, path .. "." .. spelt, kind) end
end

local function check_media(document, node, path)
  local kind, here = filled(document, node, "mimeType", path)
  local name = string.lower(document:value(kind))
  if string.find(name, "^image/") and not IMAGES[name] then
    fail(here, "expected an image as " .. WORDS, describe(document, kind))
  elseif not string.find(name, "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+") then
    fail(here, "expected a type such as image/png", describe(document, kind))
  end
end

-- What a part can hold: one of these.
local KINDS = {}

function KINDS.text(document, value, path) expect(document, value, path, "string") end

function KINDS.inlineData(document, value, path)
  expect(document, value, path, "object", "an")
  check_media(document, value, path)
  local data, here = filled(document, value, "data", path)
  if string.find(document:value(data), "[^%w+/=_%-\r\n]") then
    fail(here, "expected base64", "got other characters")
  end
end

function KINDS.fileData(document, value, path)
  expect(document, value, path, "object", "an")
  if find(document, value, "mimeType") then check_media(document, value, path) end
  filled(document, value, "fileUri", path)
end

-- What a function answered besides words.
local function check_media_in(document, list, path)
  for index, part in document:items(list) do
    local here = path .. "[" .. (index - 1) .. "]"
    expect(document, part, here, "object", "an")
    for _, name in ipairs { "inlineData", "fileData" } do
      local found, spelt = find(document, part, name)
      if found then KINDS[name](document, found, here .. "." .. spelt) end
    end
  end
end

function KINDS.functionCall(document, value, path)
  expect(document, value, path, "object", "an")
  filled(document, value, "name", path)
  optional(document, value, "id", path, "string")
  optional(document, value, "args", path, "object")
end

function KINDS.functionResponse(document, value, path)
  expect(document, value, path, "object", "an")
  filled(document, value, "name", path)
  optional(document, value, "id", path, "string")
  member(document, value, "response", path, "object", "an")
  optional(document, value, "parts", path, "array")
  local list, spelt = find(document, value, "parts")
  if list then check_media_in(document, list, path .. "." .. spelt) end
end

function KINDS.executableCode(document, value, path)
  expect(document, value, path, "object", "an")
  filled(document, value, "code", path)
end

function KINDS.codeExecutionResult(document, value, path) expect(document, value, path, "object", "an") end

KINDS.toolCall, KINDS.toolResponse = KINDS.codeExecutionResult, KINDS.codeExecutionResult

local NAMES = {
  "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
  "toolCall", "toolResponse",
}
-- Who may say what.
local SPEAKERS = {
  functionCall = { model = true }, functionResponse = { user = true, ["function"] = true },
  executableCode = { model = true }, codeExecutionResult = { model = true },
}

-- Answers what the part holds, the node of it and its path.
local function check_part(document, part, path, role)
  expect(document, part, path, "object", "an")
  local kind, value, here
  for _, name in ipairs(NAMES) do
    local found, spelt = find(document, part, name)
    if found then
      if kind then fail(path, "expected one of " .. kind .. " and " .. name, "got both") end
      kind, value, here = name, found, path .. "." .. spelt
    end
  end
  if not kind then
    fail(path, "expected text, inlineData, fileData, functionCall or functionResponse", "got none of them")
  end
  KINDS[kind](document, value, here)
  if role and SPEAKERS[kind] and not SPEAKERS[kind][role] then
    fail(here, "expected it in a turn of the " .. (SPEAKERS[kind].model and "model" or "user"),
      "got it in one of the " .. role)
  end
  optional(document, part, "thought", path, "boolean")
  optional(document, part, "thoughtSignature", path, "string")
  return kind, value, here
end

local function parts_of(document, content, path)
  expect(document, content, path, "object", "an")
  local list, here = member(document, content, "parts", path, "array", "an")
  if document:size(list) == 0 then fail(here, "expected at least one part", "got an empty array") end
  return list, here
end

local function name_of(document, node)
  local id = find(document, node, "id")
  return document:value((find(document, node, "name"))), id and document:value(id) or nil
end

-- ---- calls and their results ----

local function add_call(turns, document, call, path)
  local name, id = name_of(document, call)
  turns.calls[#turns.calls + 1] = { name = name, id = id, path = path }
end

-- A result belongs to the first call of the turn before it that has its id, or, where one of them has none, its name.
local function add_result(turns, document, result, path)
  local name, id = name_of(document, result)
  for _, call in ipairs(turns.calls) do
    local same = call.id and id and call.id == id or not (call.id and id) and call.name == name
    if same and not call.answered then
      call.answered, turns.answered = true, true
      return
    end
  end
  fail(path, "expected the result of a functionCall in the turn before",
    string.format('there is none for "%s"', id or name))
end

-- Results come for all calls of a turn, or for none.
local function end_of_results(turns)
  for _, call in ipairs(turns.answered and turns.calls or {}) do
    if not call.answered then
      fail(call.path, "expected a functionResponse in the next turn, as there is for the others",
        string.format('there is none for "%s"', call.id or call.name))
    end
  end
  turns.calls, turns.answered = {}, false
end

local function check_content(document, content, path, turns)
  expect(document, content, path, "object", "an")
  local node = find(document, content, "role")
  local role = "user"
  if node then
    role = document:kind(node) == "string" and document:value(node)
    if not ROLES[role] then fail(path .. ".role", "expected user, model or function", describe(document, node)) end
  end
  if role == "model" and turns.last ~= "model" then end_of_results(turns) end
  turns.last = role
  local list, here = parts_of(document, content, path)
  for index, part in document:items(list) do
    local kind, value, place = check_part(document, part, here .. "[" .. (index - 1) .. "]", role)
    if kind == "functionCall" then add_call(turns, document, value, place) end
    if kind == "functionResponse" then add_result(turns, document, value, place) end
  end
end

-- Checks contents and the system instruction of the request at root.
---@param document table
---@param root integer
---@param base string|nil where it stands
function parts.check(document, root, base)
  local prefix = base and base .. "." or ""
  local contents = find(document, root, "contents")
  local path = prefix .. "contents"
  expect(document, contents, path, "array", "an")
  if document:size(contents) == 0 then fail(path, "expected at least one turn", "got an empty array") end
  local turns = { calls = {}, answered = false }
  for index, content in document:items(contents) do
    check_content(document, content, path .. "[" .. (index - 1) .. "]", turns)
  end
  end_of_results(turns)
  local system, spelt = find(document, root, "systemInstruction")
  if not system then return end
  local list, here = parts_of(document, system, prefix .. spelt)
  for index, part in document:items(list) do
    local place = here .. "[" .. (index - 1) .. "]"
    if check_part(document, part, place) ~= "text" then fail(place, "expected text", "got something else") end
  end
end

-- Checks what is to be embedded: text alone.
---@param document table
---@param root integer
---@param base string|nil
function parts.embedded(document, root, base)
  local path = (base and base .. "." or "") .. "content"
  local list, here = parts_of(document, document:find(root, "content"), path)
  for index, part in document:items(list) do
    local place = here .. "[" .. (index - 1) .. "]"
    if check_part(document, part, place) ~= "text" then fail(place, "expected text", "got something else") end
  end
end

return parts
