-- What was asked, for the log of an operator who wants to read it (`log = { prompts = true }`): bounded, without keys,
-- and as it goes to a provider, after hooks have changed it. Nobody else calls this.
local json = require "moongate.core.json"
local secrets = require "moongate.secrets"
local translation = require "moongate.translation"

local prompts = {}

-- The newest messages, and the beginning of each.
local MOST_MESSAGES, MOST_BYTES = 20, 2000
local SPARE = 200 -- what is looked at beyond that, so that no half of a key is left

local known = setmetatable({}, { __mode = "k" }) -- by configuration: its secrets

local function known_of(config)
  if not known[config] then
    local values = { config.admin_token }
    for _, key in ipairs(config.keys or {}) do values[#values + 1] = key.key end
    for _, provider in pairs(config.providers) do
      for _, key in ipairs(provider.keys or {}) do values[#values + 1] = key.key end
    end
    known[config] = secrets.list(values)
  end
  return known[config]
end

-- At most that many bytes, and no half of a character at the end.
local function cut(text, most)
  if not string.find(text, "^[\128-\191]", most + 1) then return string.sub(text, 1, most) end
  return (string.gsub(string.sub(text, 1, most), "[\192-\255][\128-\191]*$", ""))
end

local function shown(text, hidden)
  local size = #text
  text = secrets.scrub(secrets.hide(cut(text, MOST_BYTES + SPARE), hidden))
  if size <= MOST_BYTES and #text <= MOST_BYTES then return text end
  return string.format("%s... (%d bytes)", cut(text, MOST_BYTES), size)
end

-- A content as text: what is none is named by its type.
local function text_of(content)
  if type(content) == "string" then return content end
  local pieces = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    local text = type(part) == "table" and part.text or part
    if type(text) == "string" then
      pieces[#pieces + 1] = text
    else
      pieces[#pieces + 1] = string.format("(%s)", type(part) == "table" and tostring(part.type) or "tokens")
    end
  end
  return table.concat(pieces, "\n")
end

local function told(message, hidden)
  local text = text_of(message.content)
  for _, call in ipairs(type(message.tool_calls) == "table" and message.tool_calls or {}) do
    local fn = type(call["function"]) == "table" and call["function"] or {}
    local words = string.format("(calls %s %s)", tostring(fn.name), tostring(fn.arguments))
    text = text == "" and words or text .. "\n" .. words
  end
  return { role = message.role, content = shown(text, hidden) }
end

-- The messages of a body in OpenAI's shape, the newest last; for embeddings what is to be embedded.
---@param body table
---@param hidden string[] secrets, the longest first
---@return table[] list of { role, content }
---@return integer left_out how many older ones there are
function prompts.list(body, hidden)
  local messages, list = body.messages, {}
  if not messages then
    messages = {}
    local is_list = type(body.input) == "table" and type(body.input[1]) ~= "number"
    for i, input in ipairs(is_list and body.input or { body.input }) do
      messages[i] = { role = "input", content = input }
    end
  end
  local first = math.max(1, #messages - MOST_MESSAGES + 1)
  for i = first, #messages do
    list[#list + 1] = type(messages[i]) == "table" and told(messages[i], hidden) or nil
  end
  return list, first - 1
end

-- For the request's line: its messages, and how many older ones it had. nil: nothing is to be told of it.
---@param call moongate.call
---@return table|nil
---@return integer|nil
function prompts.of(call)
  local config = call.state.config
  if not (config.log and config.log.prompts) or call.request.privacy then return nil end
  local refusal = not call.shown and translation.show(call)
  if refusal then return nil end
  local list, left_out = prompts.list(call.shown:value(0), known_of(config))
  return json.array(list), left_out > 0 and left_out or nil
end

return prompts
