-- What an operator's own protocol gives back, made fit for the gateway: known fields of the right types are taken over
-- into fresh tables, and what is wrong is an error that says where. Raw reads only: the tables are the policy's.
local own_shapes = {}

local LARGEST = 2 ^ 53
local CLASSES = { "input", "cached", "cache_write", "output", "reasoning" }

local function wrong(where, expected)
  error(where .. " must be " .. expected, 0)
end

local function object(value, where)
  return type(value) == "table" and value or wrong(where, "a table")
end

local function count(value, where)
  local fits = type(value) == "number" and value >= 0 and value <= LARGEST
  return fits and math.floor(value) or wrong(where, "a number from 0")
end

local function word(value, where)
  return type(value) == "string" and value or wrong(where, "a text")
end

local function maybe(check, value, where)
  if value == nil then return nil end
  return check(value, where)
end

---@param value any
---@param where string
---@return moongate.usage|nil
function own_shapes.usage(value, where)
  if value == nil then return nil end
  object(value, where)
  local own = { total = 0 }
  for _, name in ipairs(CLASSES) do
    own[name] = maybe(count, rawget(value, name), where .. "." .. name) or 0
    own.total = own.total + own[name]
  end
  return own
end

-- An error: { message, type, code }.
---@param value any
---@return table|nil
function own_shapes.error(value)
  if value == nil then return nil end
  if type(value) == "string" then return { message = value } end
  object(value, "error")
  local own = {}
  for _, name in ipairs { "message", "type", "code" } do
    local told = rawget(value, name)
    if type(told) == "string" or (name == "code" and type(told) == "number") then own[name] = told end
  end
  own.message = own.message or "no reason given"
  return own
end

-- What blocks and events are made of: name -> { field = check }, those that must be there; others that may.
local MUST = {
  text = { text = word }, refusal = { text = word }, thinking = { text = word }, redacted = { data = word },
  image = {}, tool_use = { id = word, name = word, arguments = word },
  start = {}, ping = {}, signature = { signature = word }, tool = { call = count, id = word, name = word },
  arguments = { call = count, text = word }, finish = { finish = word },
}
local MAY = {
  id = word, model = word, signature = word, origin = word, index = count, data = word, media_type = word, url = word,
  stop_sequence = word, logprobs = object,
}
local BLOCKS = { text = true, refusal = true, thinking = true, redacted = true, image = true, tool_use = true }
local EVENTS = {
  start = true, text = true, refusal = true, thinking = true, signature = true, redacted = true, tool = true,
  arguments = true, image = true, finish = true, ping = true,
}

local function said(value, kinds, where)
  local kind = rawget(object(value, where), "kind")
  if not kinds[kind] then wrong(where .. ".kind", "one of those in lua/moongate/chat.lua") end
  local own = { kind = kind }
  for name, check in pairs(MUST[kind]) do own[name] = check(rawget(value, name), where .. "." .. name) end
  for name, check in pairs(MAY) do
    if own[name] == nil then own[name] = maybe(check, rawget(value, name), where .. "." .. name) end
  end
  return own
end

local function list(values, kinds, where)
  local own = {}
  for i, value in ipairs(object(values, where)) do own[i] = said(value, kinds, where .. "[" .. i .. "]") end
  return own
end

-- What reader's function makes of an event.
---@param value any
---@return moongate.chat_event[]
function own_shapes.events(value)
  return list(value, EVENTS, "the events of reader")
end

-- What reply returns.
---@param value any
---@return moongate.chat_reply
function own_shapes.reply(value)
  local own = { choices = {} }
  for _, name in ipairs { "id", "model" } do
    own[name] = maybe(word, rawget(object(value, "what reply returns"), name), name)
  end
  for i, choice in ipairs(object(rawget(value, "choices"), "choices")) do
    local where = "choices[" .. i .. "]"
    own.choices[i] = {
      blocks = list(rawget(object(choice, where), "blocks"), BLOCKS, where .. ".blocks"),
      finish = maybe(word, rawget(choice, "finish"), where .. ".finish") or "stop",
      stop_sequence = maybe(word, rawget(choice, "stop_sequence"), where .. ".stop_sequence"),
    }
  end
  if #own.choices == 0 then wrong("choices", "a list of at least one choice") end
  own.usage = own_shapes.usage(rawget(value, "usage"), "usage")
  return own
end

-- What vectors returns.
---@param value any
---@return moongate.embedding_reply
function own_shapes.vectors(value)
  local own = { vectors = {} }
  for i, vector in ipairs(object(rawget(object(value, "what vectors returns"), "vectors"), "vectors")) do
    local where, numbers = "vectors[" .. i .. "]", {}
    for n, number in ipairs(object(vector, where)) do
      local fits = type(number) == "number" and number == number and math.abs(number) ~= math.huge
      numbers[n] = fits and number or wrong(where, "a list of numbers")
    end
    own.vectors[i] = numbers
  end
  own.usage = own_shapes.usage(rawget(value, "usage"), "usage")
  return own
end

-- What read_reply returns.
---@param value any
---@return table
function own_shapes.read_reply(value)
  object(value, "what read_reply returns")
  return {
    error = own_shapes.error(rawget(value, "error")), usage = own_shapes.usage(rawget(value, "usage"), "usage"),
    text_length = maybe(count, rawget(value, "text_length"), "text_length") or 0,
    finish = maybe(word, rawget(value, "finish"), "finish"), body = rawget(value, "body"),
  }
end

local READINGS = { lifecycle = true, content = true, usage = true, finish = true, ["end"] = true, error = true }

-- What read_event returns.
---@param value any
---@return table
function own_shapes.read_event(value)
  local kind = rawget(object(value, "what read_event returns"), "kind")
  if not READINGS[kind] then wrong("kind", "one of lifecycle, content, usage, finish, end and error") end
  local fault = own_shapes.error(rawget(value, "error"))
  return {
    kind = kind, error = fault or (kind == "error" and { message = "no reason given" }) or nil,
    usage = own_shapes.usage(rawget(value, "usage"), "usage"), last = rawget(value, "last") == true,
    text_length = maybe(count, rawget(value, "text_length"), "text_length"), body = rawget(value, "body"),
  }
end

return own_shapes
