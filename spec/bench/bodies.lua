-- The requests of the benchmark: chats of the sizes that real ones have, with quotes, line ends and letters outside
-- ASCII, the same in every run.
local json = require "dkjson"

local bodies = {}

local WORDS = { "quota", "minute", "provider", "the", "of", "a", "request", "stream", "left", "before", "chunk",
  "naïve", "model", "so", '"as', 'it"', "were", "answer.\n", "without", "waiting", "tokens", "– and", "which", "room" }

-- About so many bytes of words.
local function prose(size, seed)
  local list, length = {}, 0
  while length < size do
    seed = (seed * 16807) % 2147483647
    local word = WORDS[seed % #WORDS + 1]
    list[#list + 1] = word
    length = length + #word + 1
  end
  return table.concat(list, " "), seed
end

local function tool(index)
  local properties = {}
  for number = 1, 6 do
    properties["field_" .. number] = { type = "string", description = "What it is about", enum = { "a", "b", "c" } }
  end
  return { type = "function", ["function"] = { name = "tool_" .. index, description = "Looks one thing up",
    parameters = { type = "object", required = { "field_1", "field_2" }, properties = properties } } }
end

local function encode(value)
  return json.encode(value, { keyorder = { "model", "stream", "temperature", "max_tokens", "messages", "role",
    "content", "tools", "type", "function", "name", "description", "parameters", "properties", "required" } })
end

-- A chat of so many bytes.
---@param size integer
---@param options { pace?: string, stream?: boolean, tools?: integer }|nil
---@return string
function bodies.chat(size, options)
  options = options or {}
  local body = { model = "auto", temperature = 0.7, max_tokens = 512, messages = {} }
  body.stream = options.stream
  body.messages[1] = { role = "system", content = "You are a patient assistant. " .. (options.pace or "") }
  for index = 1, options.tools or 0 do
    body.tools = body.tools or {}
    body.tools[index] = tool(index)
  end
  local turns, seed, left = math.max(1, math.min(41, math.floor(size / 1500) * 2 + 1)), 7, size - #encode(body)
  for turn = 1, turns do
    local text
    text, seed = prose(math.max(20, left / (turns - turn + 1) * 0.85 - 40), seed)
    body.messages[turn + 1] = { role = turn % 2 == 1 and "user" or "assistant", content = text }
    left = left - #encode(body.messages[turn + 1]) - 1
  end
  local short = size - #encode(body)
  local final = body.messages[#body.messages]
  if short > 0 then final.content = final.content .. ("."):rep(short) end
  return encode(body)
end

-- Writes them into a folder: name -> path.
---@param folder string
---@return table<string, string>
function bodies.write(folder)
  local texts = {
    ["1k"] = bodies.chat(1024),
    ["32k"] = bodies.chat(32 * 1024),
    tools = bodies.chat(32 * 1024, { tools = 45 }),
    stream = bodies.chat(1024, { stream = true, pace = "pace:gap=20,chunks=60" }),
  }
  local paths = {}
  for name, text in pairs(texts) do
    paths[name] = folder .. "/" .. name .. ".json"
    local file = assert(io.open(paths[name], "wb"))
    file:write(text)
    file:close()
  end
  return paths
end

return bodies
