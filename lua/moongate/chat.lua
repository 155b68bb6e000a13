-- The neutral chat: what every surface can read its callers' bodies into, and every protocol can write its providers'
-- bodies from, so that N surfaces and M protocols meet in one place. It is a superset of what they say. It is made only
-- where the two sides speak different formats; where they speak the same, the caller's own bytes go on.
--
-- Surfaces (lua/moongate/surfaces) and protocols (lua/protocols) never see each other: only these shapes.
local json = require "moongate.core.json"

jit.off(true, true) -- policies call this with what they like: compiled, it could not be stopped

local chat = {}

-- ---- the request ----

---@class moongate.chat
---@field system moongate.block[] text blocks; all system and developer turns in their order
---@field turns moongate.turn[] roles alternate; none is empty; tool results stand in user turns, before any text
---@field tools moongate.chat_tool[]
---@field tool_choice { kind: "auto"|"none"|"any"|"named", name: string|nil }|nil
---@field parallel boolean|nil false: at most one call at a time
---@field max_tokens integer|nil
---@field temperature number|nil
---@field top_p number|nil
---@field top_k integer|nil
---@field min_p number|nil
---@field stop string[]|nil
---@field seed integer|nil
---@field presence_penalty number|nil
---@field frequency_penalty number|nil
---@field n integer|nil
---@field logprobs boolean|nil
---@field top_logprobs integer|nil
---@field format moongate.chat_format|nil
---@field reasoning { effort: string|nil, budget: integer|nil, show: boolean|nil }|nil effort none, minimal, low,
---  medium, high, xhigh; budget in tokens, 0 is none
---@field user string|nil
---@field stream boolean
---@field unread string[] fields of the caller's that no other format has: a protocol adds them to what it drops

---@class moongate.turn
---@field role "user"|"assistant"
---@field blocks moongate.block[]

---@class moongate.chat_format
---@field kind "json"|"schema"
---@field schema table|nil
---@field name string|nil
---@field description string|nil
---@field strict boolean|nil

---@class moongate.chat_tool
---@field name string
---@field description string|nil
---@field schema table|nil JSON Schema as decoded; nil: takes no arguments
---@field strict boolean|nil
---@field cache table|nil see moongate.block

-- Fields by kind. `cache` (cache_control as decoded) may stand on any but thinking.
--   text         text, [cache]
--   image        data (base64) and media_type, or url; [detail]
--   document     data (base64) and media_type, or url, or text; [name]
--   audio        data (base64), format ("wav", "mp3", ...)
--   tool_use     id, name, arguments (JSON text of an object), [signature, origin]
--   tool_result  id, name (looked up from its call), blocks (text, image, document), [is_error]
--   thinking     text, [signature, origin, id]
--   redacted     data, origin: thoughts that only their maker can read
--   refusal      text
---@class moongate.block
---@field kind string

-- ---- the answer ----

---@class moongate.chat_reply
---@field id string|nil
---@field model string|nil as the provider names it
---@field choices moongate.chat_choice[]
---@field usage moongate.usage|nil

---@class moongate.chat_choice
---@field blocks moongate.block[]
---@field finish moongate.finish
---@field stop_sequence string|nil
---@field logprobs table|nil

-- pause: the provider wants to go on after another turn.
---@alias moongate.finish "stop"|"stop_sequence"|"length"|"tool_calls"|"content_filter"|"pause"

-- ---- the answer as a stream: what protocol.reader() makes of events and surface.writer() writes ----
-- `index` is the choice (0 where absent), `call` counts the calls of one choice from 0.
--   start      [id, model]
--   text       text, [index, logprobs]
--   refusal    text, [index]
--   thinking   text, [index]
--   signature  signature, origin, [index]: of the thoughts before it
--   redacted   data, origin, [index]
--   tool       call, id, name, [index, signature, origin]
--   arguments  call, text: a fragment of the JSON text, [index]
--   image      data, media_type, [index]
--   finish     finish, [stop_sequence, index]
--   ping
---@class moongate.chat_event
---@field kind string

-- ---- embeddings ----

---@class moongate.embedding_call
---@field inputs (string|integer[])[] texts or token lists
---@field dimensions integer|nil
---@field task string|nil
---@field title string|nil

---@class moongate.embedding_reply
---@field vectors number[][]
---@field usage moongate.usage|nil

-- ---- signatures ----

local MARK = "moongate."
-- The same where a format demands base64 (Gemini's does).
local MARK_IN_BASE64 = "bW9vbmdhdGUu"

-- A signature as it goes to a caller: bare where the caller's format is that of its origin, else with its origin in
-- front, so that it finds its way back to those who can read it and to nobody else.
---@param signature string
---@param origin string a format, as in `speaks`
---@param format string the caller's
---@return string
function chat.seal(signature, origin, format)
  if origin == format then return signature end
  return MARK .. origin .. "." .. signature
end

-- The signature and its origin, as a caller of that format sent it.
---@param sealed string
---@param format string
---@return string signature
---@return string origin
function chat.unseal(sealed, format)
  local origin, signature = string.match(sealed, "^moongate%.([%w_]+)%.(.*)$")
  if origin then return signature, origin end
  return sealed, format
end

-- Whether a body holds what was sealed here: then it can't go on as it is.
---@param document table
---@return boolean
function chat.has_seal(document) return document:begins(MARK, MARK_IN_BASE64) end

jit.on(chat.has_seal) -- every body is asked, and nothing here loops

-- ---- building ----

-- Tokens of thought, at most, that an effort stands for.
local EFFORTS = { { 0, "none" }, { 2048, "low" }, { 12288, "medium" }, { math.huge, "high" } }
local RESULT_FIRST = { tool_result = true }

-- Adds blocks to a chat's turns: equal roles in a row become one turn, tool results come first in it, nothing empty.
---@param turns table[]
---@param role "user"|"assistant"
---@param blocks moongate.block[]
function chat.add(turns, role, blocks)
  if #blocks == 0 then return end
  local last = turns[#turns]
  if not last or last.role ~= role then
    last = { role = role, blocks = {} }
    turns[#turns + 1] = last
  end
  local results = 0
  for _, block in ipairs(last.blocks) do
    if not RESULT_FIRST[block.kind] then break end
    results = results + 1
  end
  for _, block in ipairs(blocks) do
    if RESULT_FIRST[block.kind] then
      results = results + 1
      table.insert(last.blocks, results, block)
    else
      last.blocks[#last.blocks + 1] = block
    end
  end
end

-- The texts of blocks in one.
---@param blocks moongate.block[]
---@param between string|nil
---@return string
function chat.text(blocks, between)
  local parts = {}
  for _, block in ipairs(blocks) do
    if block.kind == "text" then parts[#parts + 1] = block.text end
  end
  return table.concat(parts, between or "")
end

-- Gives every tool result the name of its call. Answers the id of a result that belongs to no call, if there is one.
---@param turns table[]
---@return string|nil stray
function chat.name_results(turns)
  local names = {}
  for _, turn in ipairs(turns) do
    for _, block in ipairs(turn.blocks) do
      if block.kind == "tool_use" then names[block.id] = block.name end
      if block.kind == "tool_result" then
        block.name = block.name or names[block.id]
        if not block.name then return block.id end
      end
    end
  end
  return nil
end

-- The arguments of a call as a table; text that is no JSON object is not lost, but can only be wrapped.
---@param arguments string
---@return table
function chat.arguments(arguments)
  if not string.find(arguments, "%S") then return {} end
  local value = json.decode(arguments)
  if type(value) == "table" and not json.is_array(value) then return value end
  return { _raw = arguments }
end

-- The word for how much is to be thought; nil: nobody said.
---@param reasoning { effort: string|nil, budget: integer|nil }|nil
---@return string|nil
function chat.effort(reasoning)
  if not reasoning then return nil end
  if reasoning.effort or not reasoning.budget then return reasoning.effort end
  for _, entry in ipairs(EFFORTS) do
    if reasoning.budget <= entry[1] then return entry[2] end
  end
end

-- The text of a failed tool's result, where a format has no other word for that.
---@param text string
---@return string
function chat.as_error(text)
  return string.find(string.lower(text), "^%s*error") and text or "Error: " .. text
end

-- An id of letters, digits, "_" and "-" alone, as some demand them; the same always becomes the same.
---@param id any
---@return string
function chat.clean_id(id)
  return (string.gsub(tostring(id or ""), "[^%w_%-]", "_"))
end

-- The data of a block as a URL.
---@param block { data: string, media_type: string|nil }
---@param media_type string|nil where the block tells none
---@return string
function chat.as_url(block, media_type)
  return "data:" .. (block.media_type or media_type or "application/octet-stream") .. ";base64," .. (block.data or "")
end

-- What a data URL holds; nil for any other address.
---@param url string
---@return string|nil media_type
---@return string|nil data base64
function chat.data_url(url)
  local kind, data = string.match(url, "^data:([^,]*);base64,(.*)$")
  if not kind then return nil end
  return string.match(kind, "^[^;]*"), data
end

-- The real kind of an image, by its first bytes as base64 writes them; otherwise what was said.
---@param data string base64
---@param said string|nil
---@return string|nil
function chat.image_type(data, said)
  if string.find(data, "^/9j/") then return "image/jpeg" end
  if string.find(data, "^iVBORw0KGgo") then return "image/png" end
  if string.find(data, "^R0lGOD") then return "image/gif" end
  if string.find(data, "^UklGR") then return "image/webp" end
  return said
end

return chat
