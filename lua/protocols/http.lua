-- What all protocols have in common on the wire: addresses, headers, and the errors that providers wrap in many ways.
-- Knows no format's answers, and never decides what follows from a failure.
local json = require "moongate.core.json"
local providers = require "moongate.providers"

local http = {}

local BEARER = { header = "authorization", prefix = "Bearer " }
local LONGEST_MESSAGE = 500
local LONGEST_PAGE = 4000

-- What is the same for all calls, by what the config says of a provider: that does not change.
local facts_of = setmetatable({}, { __mode = "k" })
local frames_of = setmetatable({}, { __mode = "k" })

local function find_facts(provider)
  local facts = providers.get(provider.like or provider.name) or {}
  if not (provider.quirks or provider.spends) then return facts end
  return setmetatable({ quirks = provider.quirks, spends = provider.spends }, { __index = facts })
end

-- What the built-in tables know of the provider, under its own name or that of the one it is like; with what the
-- config says of it: its quirks have those of the table in them.
---@param provider { name: string, like: string|nil, quirks: moongate.quirks|nil, spends: string[]|nil }
---@return moongate.provider_table|table
function http.known(provider)
  local facts = facts_of[provider]
  if not facts then
    facts = find_facts(provider)
    facts_of[provider] = facts
  end
  return facts
end

-- The address of a call below a base address, which may carry a query (Azure's older ones have the version there).
---@param base_url string
---@param path string may carry a query too
---@return string
function http.address(base_url, path)
  local bare, query = string.match(base_url, "^([^?]*)(%??.*)$")
  local own, more = string.match(path, "^([^?]*)(%??.*)$")
  if query ~= "" and more ~= "" then more = "&" .. string.sub(more, 2) end
  return string.gsub(bare, "/+$", "") .. own .. query .. more
end

-- The headers of a call. What the provider's table says beats the protocol's defaults, the operator's own beat both.
---@param order table { key, stream, provider }
---@param facts table see `known`
---@param defaults { auth: table|nil, headers: table|nil, stream: string|nil, lines: true|nil }|nil the protocol's: who
---  carries the key, what goes with every call, the type of a streamed answer, and whether that is one of lines
---@return table<string, string>
function http.headers(order, facts, defaults)
  defaults = defaults or {}
  local headers = {
    ["content-type"] = "application/json",
    accept = order.stream and (defaults.stream or "text/event-stream") or "application/json",
  }
  for _, more in ipairs { defaults.headers or {}, facts.headers or {} } do
    for name, value in pairs(more) do headers[name] = value end
  end
  local auth = facts.auth or defaults.auth or BEARER
  if order.key and order.key ~= "" then headers[auth.header] = auth.prefix .. order.key end
  for name, value in pairs(order.provider.headers or {}) do headers[string.lower(name)] = value end
  return headers
end

-- The table at a name of another one, made where there is none.
local function at(parent, name)
  local child = parent[name]
  if not child then
    child = {}
    parent[name] = child
  end
  return child
end

---@class moongate.frame what calls to one path have in common; made once, and nobody's to change
---@field method string
---@field url string
---@field headers table<string, string>
---@field lines true|nil a streamed answer is one of lines
---@field __index moongate.frame itself: the metatable of the calls that go out in it

local function new_frame(order, path, defaults)
  local facts = http.known(order.provider)
  return {
    method = "POST", url = http.address(order.provider.base_url or facts.base_url, path),
    headers = http.headers(order, facts, defaults), lines = defaults and defaults.lines and order.stream or nil,
  }
end

-- The frame of a call: see `address` and `headers`.
---@param order table { key, stream, provider }
---@param path string
---@param defaults table|nil
---@param make nil|fun(order: table, path: string, defaults: table|nil): moongate.frame a protocol's own way to make it,
---  of nothing but key, stream and provider
---@return moongate.frame
function http.frame(order, path, defaults, make)
  local provider = order.provider
  local frames = at(at(at(frames_of, provider), path), order.key or "")
  local kind = order.stream and "stream" or "whole"
  local frame = frames[kind]
  if not frame then
    frame = (make or new_frame)(order, path, defaults)
    frame.__index, frames[kind] = frame, frame
  end
  return frame
end

-- The call that goes out in a frame.
---@param frame moongate.frame
---@param body string
---@param dropped string[]|nil the names of what was left out
---@return table wire { frame, body, dropped }, and what the frame has
function http.framed(frame, body, dropped)
  local wire = setmetatable({ frame = frame, body = body }, frame)
  if dropped and #dropped > 0 then wire.dropped = dropped end
  return wire
end

-- A text that says something, or a number as text; else nil.
---@param value any
---@return string|nil
function http.word(value)
  local kind = type(value)
  if kind == "string" and value ~= "" then return value end
  if kind == "number" then return string.format("%.14g", value) end
  return nil
end

-- A text that says something; else nil.
---@param value any
---@return string|nil
function http.filled(value)
  return type(value) == "string" and value ~= "" and value or nil
end

---@param value any
---@return table empty where the value is none
function http.list(value)
  return type(value) == "table" and value or {}
end

---@param value any
---@return table|nil
function http.object(value)
  return type(value) == "table" and value or nil
end

local word, object = http.word, http.object

local function shorten(text)
  if #text <= LONGEST_MESSAGE then return text end
  return (string.gsub(string.sub(text, 1, LONGEST_MESSAGE), "[\192-\255][\128-\191]*$", "")) .. "..."
end

---@class moongate.provider_error
---@field message string
---@field type string|nil
---@field code string|nil

---@param message string|nil
---@param kind string|nil
---@param code string|nil
---@return moongate.provider_error
function http.error(message, kind, code)
  return { message = shorten(message or "the provider gave no reason"), type = kind, code = code }
end

-- Messages come as text, as lists of faults (FastAPI), or inside an object that holds such a list.
local function sentence(value)
  if type(value) ~= "table" then return word(value) end
  if value.detail then return sentence(value.detail) end
  local parts = {}
  for _, item in ipairs(value) do
    parts[#parts + 1] = word(item) or (type(item) == "table" and word(item.msg or item.message)) or nil
  end
  return #parts > 0 and table.concat(parts, "; ") or nil
end

local function error_of_object(error, document)
  return http.error(sentence(error.message) or sentence(document.message), word(error.type) or word(error.status),
    word(error.code) or word(error.status))
end

-- The error that a decoded reply or event holds, or nil: in all the envelopes met. `failed`: the status says that it is
-- one, so bare messages count too.
---@param document table
---@param failed boolean
---@return moongate.provider_error|nil
function http.error_in(document, failed)
  local error = document.error
  if type(error) == "string" and error ~= "" then return http.error(error, word(document.type), word(document.code)) end
  if type(error) == "table" and next(error) ~= nil then return error_of_object(error, document) end
  local base = object(document.base_resp)
  if base and type(base.status_code) == "number" and base.status_code ~= 0 then
    return http.error(word(base.status_msg), "base_resp", word(base.status_code))
  end
  local groq = object(document.x_groq)
  if groq and word(groq.error) then return http.error(groq.error, "x_groq") end
  if failed or document.object == "error" or document.type == "error" then
    local first = object(object(document.errors) and document.errors[1])
    return http.error(sentence(document.message) or sentence(document.detail) or word(document.title)
      or (first and sentence(first.message)), word(document.type), word(document.code) or (first and word(first.code)))
  end
  return nil
end

-- A page instead of JSON: its text without markup; nil when there is none.
---@param text string
---@return string|nil
function http.plain(text)
  text = string.gsub(string.sub(text, 1, LONGEST_PAGE), "<[^>]*>", " ")
  text = string.match(string.gsub(text, "%s+", " "), "^ ?(.-) ?$")
  return text ~= "" and text or nil
end

-- The decoded document of a whole reply; or nil and what `read_reply` answers of one that can't be read or is an error.
-- Its body is the decoded reply, or the text, for moongate.limits.
---@param status number
---@param text string
---@param is_answer (fun(document: table): any)|nil whether an array's first item is an answer, not an array's wrapper
---@return table|nil document
---@return table reading, or the reply as it came
function http.whole(status, text, is_answer)
  local failed = status < 200 or status > 299
  local document = json.decode(text)
  if type(document) ~= "table" then
    local message = failed and http.plain(text) or "the reply is not JSON"
    return nil, { error = http.error(message, not failed and "malformed" or nil), text_length = 0, body = text }
  end
  -- Gemini wraps errors of streams in an array.
  local whole = document
  if not document.error and type(document[1]) == "table" and not (is_answer and is_answer(document)) then
    document = document[1]
  end
  local error = http.error_in(document, failed)
  if error then return nil, { error = error, text_length = 0, body = whole, document = document } end
  return document, whole
end

-- The decoded document of a stream event, which is kept in it; or nil and what `read_event` answers of an event that
-- holds none.
---@param event { name: string|nil, data: string, document: table|nil }
---@return table|nil document
---@return table|nil reading
function http.event(event)
  if event.document then return event.document end
  local data = event.data
  if not string.find(data, "%S") then return nil, { kind = "lifecycle" } end
  local document = json.decode(data)
  if type(document) ~= "table" then
    if event.name == "error" then return nil, { kind = "error", error = http.error(http.plain(data)), body = data } end
    -- Half an object is a broken stream; a word is somebody's heartbeat.
    if not string.find(data, "^%s*[{%[]") then return nil, { kind = "other" } end
    local error = http.error("an event of the stream is not JSON", "malformed")
    return nil, { kind = "error", error = error, body = data }
  end
  event.document = document
  return document
end

return http
