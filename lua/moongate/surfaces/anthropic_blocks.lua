-- Checks the blocks of a message sent to Anthropic's surface: which there are, who may say them, what they must hold.
-- Blocks of the provider's own tools are let through as they come.
local fields = require "moongate.surfaces.fields"

local blocks = {}

local describe, expect, fail, optional = fields.describe, fields.expect, fields.fail, fields.optional

local IMAGES = { ["image/jpeg"] = true, ["image/png"] = true, ["image/gif"] = true, ["image/webp"] = true }
-- Places that may be marked for the cache.
blocks.most_breakpoints = 4
local AGES = { ["5m"] = true, ["1h"] = true }
-- Whose blocks may be said by one side only.
local SPEAKERS = {
  tool_use = "assistant", thinking = "assistant", redacted_thinking = "assistant", tool_result = "user",
}
-- Left to the provider.
local FOREIGN = {
  search_result = true, server_tool_use = true, mcp_tool_use = true, container_upload = true, compaction = true,
  fallback = true, mid_conv_system = true, tool_reference = true,
}
-- What a tool may answer with.
local RESULTS = { text = true, image = true, document = true, search_result = true, tool_reference = true }

local function member(document, block, name, path, kind)
  return expect(document, document:find(block, name), path .. "." .. name, kind or "string",
    kind == "object" and "an" or "a")
end

local function word(document, block, name, path)
  return document:value(member(document, block, name, path))
end

local check_list

local function filled(document, block, name, path)
  if word(document, block, name, path) == "" then fail(path .. "." .. name, "expected some text", 'got ""') end
end

local IMAGE_SOURCES = {}

function IMAGE_SOURCES.base64(document, source, path)
  local kind = word(document, source, "media_type", path)
  if not IMAGES[kind] then
    fail(path .. ".media_type", "expected image/jpeg, image/png, image/gif or image/webp",
      describe(document, document:find(source, "media_type")))
  end
  filled(document, source, "data", path)
end

function IMAGE_SOURCES.url(document, source, path) filled(document, source, "url", path) end

function IMAGE_SOURCES.file(document, source, path) filled(document, source, "file_id", path) end

local DOCUMENT_SOURCES = { url = IMAGE_SOURCES.url, file = IMAGE_SOURCES.file }

function DOCUMENT_SOURCES.base64(document, source, path)
  if word(document, source, "media_type", path) ~= "application/pdf" then
    fail(path .. ".media_type", "expected application/pdf", describe(document, document:find(source, "media_type")))
  end
  filled(document, source, "data", path)
end

function DOCUMENT_SOURCES.text(document, source, path) word(document, source, "data", path) end

function DOCUMENT_SOURCES.content(document, source, path)
  local content = document:find(source, "content")
  if content and document:kind(content) == "string" then return end
  check_list(document, expect(document, content, path .. ".content", "array", "an"), path .. ".content", RESULTS)
end

local function check_source(sources, wanted)
  return function(document, block, path)
    local source = member(document, block, "source", path, "object")
    local kind = word(document, source, "type", path .. ".source")
    if not sources[kind] then
      fail(path .. ".source.type", "expected " .. wanted, describe(document, document:find(source, "type")))
    end
    sources[kind](document, source, path .. ".source")
  end
end

local SHAPES = {
  image = check_source(IMAGE_SOURCES, "base64, url or file"),
  document = check_source(DOCUMENT_SOURCES, "base64, text, url, content or file"),
}

function SHAPES.text(document, block, path) word(document, block, "text", path) end

function SHAPES.tool_use(document, block, path)
  filled(document, block, "id", path)
  filled(document, block, "name", path)
  member(document, block, "input", path, "object")
end

function SHAPES.tool_result(document, block, path)
  filled(document, block, "tool_use_id", path)
  local failed = optional(document, block, "is_error")
  if failed then expect(document, failed, path .. ".is_error", "boolean") end
  local content = optional(document, block, "content")
  if not content or document:kind(content) == "string" then return end
  if document:kind(content) ~= "array" then
    fail(path .. ".content", "expected text or a list of blocks", describe(document, content))
  end
  check_list(document, content, path .. ".content", RESULTS)
end

function SHAPES.thinking(document, block, path)
  word(document, block, "thinking", path)
  word(document, block, "signature", path)
end

function SHAPES.redacted_thinking(document, block, path) word(document, block, "data", path) end

local function is_known(kind)
  return SHAPES[kind] ~= nil or FOREIGN[kind] or string.find(kind, "_tool_result$") ~= nil
end

-- The mark by which a prompt's beginning is kept.
function blocks.check_cache(document, block, path)
  local cache = optional(document, block, "cache_control")
  if not cache then return end
  path = path .. ".cache_control"
  expect(document, cache, path, "object", "an")
  if word(document, cache, "type", path) ~= "ephemeral" then
    fail(path .. ".type", "expected ephemeral", describe(document, document:find(cache, "type")))
  end
  local age = optional(document, cache, "ttl")
  if age and not AGES[document:value(age)] then fail(path .. ".ttl", "expected 5m or 1h", describe(document, age)) end
end

function check_list(document, list, path, allowed)
  for index, block in document:items(list) do
    local here = path .. "[" .. (index - 1) .. "]"
    expect(document, block, here, "object", "an")
    local kind = word(document, block, "type", here)
    if not is_known(kind) or (allowed and not allowed[kind]) then
      local wanted = allowed and "text, image, document or search_result"
        or "a block such as text, image, document, tool_use or tool_result"
      fail(here .. ".type", "expected " .. wanted, describe(document, document:find(block, "type")))
    end
    if SHAPES[kind] then SHAPES[kind](document, block, here) end
    blocks.check_cache(document, block, here)
  end
end

-- Which blocks a role may not say.
local function check_speakers(document, list, path, role)
  for index, block in document:items(list) do
    local speaker = SPEAKERS[document:value(document:find(block, "type"))]
    if speaker and speaker ~= role then
      local wanted = "expected blocks that a message of the " .. role .. " may hold"
      fail(path .. "[" .. (index - 1) .. "].type", wanted,
        describe(document, document:find(block, "type")))
    end
  end
end

-- The content of a message.
---@param document table
---@param list integer
---@param path string
---@param role string
function blocks.check(document, list, path, role)
  if document:size(list) == 0 and role ~= "assistant" then
    fail(path, "expected text or a list of blocks", "got an empty array")
  end
  check_list(document, list, path)
  check_speakers(document, list, path, role)
end

local function marks(document, list)
  local count = 0
  if not list or document:kind(list) ~= "array" then return 0 end
  for _, block in document:items(list) do
    if document:kind(block) == "object" then
      if optional(document, block, "cache_control") then count = count + 1 end
      count = count + marks(document, document:find(block, "content"))
    end
  end
  return count
end

-- At most four places may be marked. Messages' contents are looked at as the content of blocks are.
---@param document table
function blocks.check_breakpoints(document)
  local count = 0
  for _, name in ipairs { "tools", "system", "messages" } do count = count + marks(document, document:find(0, name)) end
  if count > blocks.most_breakpoints then
    fail("cache_control", "expected at most 4 blocks with cache_control", "got " .. count)
  end
end

return blocks
