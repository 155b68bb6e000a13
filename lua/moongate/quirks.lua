-- What a provider wants written differently, as data: which quirks there are, how those of the config are added to
-- those of a built-in table, and which hold for one model. What follows from them is in moongate.dialect.
local quirks = {}

---@class moongate.quirks
---@field takes string[]|nil a closed schema: the only top-level fields it knows
---@field drop string[]|nil top-level fields the provider refuses
---@field thinking_drop string[]|nil the same, unless reasoning_effort is "none"
---@field rename table<string, string>|nil fields it knows by another name
---@field needs table<string, string>|nil fields it refuses unless the other one is there
---@field either string[][]|nil groups of fields of which only the first present may be sent
---@field only table<string, any[]>|nil the only values it serves of a field; any other, and the call does not fit
---@field clamp table<string, number[]>|nil field -> least, most
---@field values table<string, table<string, any>>|nil field -> word -> its own, or false: left out; ["*"]: any other
---@field switch { field: string, on: any, off: any }|nil how thinking is switched on and off: by reasoning_effort
---@field add table<string, any>|nil fields that go along unless the caller says them
---@field stream_options boolean|nil false: usage in streams comes unasked and asking is refused
---@field roles table<string, string>|nil roles it knows by another name
---@field message_drop string[]|nil members of messages it refuses
---@field message_rename table<string, string>|nil members of messages it knows by another name
---@field part_drop string[]|nil members of content parts and of tools it refuses
---@field call_id { length: number }|nil tool call ids must have just that many letters or digits
---@field after_tool string|nil what an assistant says between a tool's result and a user, who may not follow it there
---@field prefix string|nil the member that tells an answer begun by the caller: a last message of the assistant
---@field keep_reasoning boolean|nil wants the assistant's thoughts back as reasoning_content, in every turn
---@field bare_any_of boolean|nil schemas of tools may have no `type` beside `anyOf`
---@field tool_name string|nil pattern of the names of tools it takes
---@field extensions string[]|nil what it takes beyond OpenAI's own: top_k, min_p, cache_control
---@field embeddings moongate.quirks|nil the same for embeddings
---@field models { match: string[], except: string[]|nil, quirks: moongate.quirks }[]|nil more, for upstream ids that
---  match one pattern and none of the exceptions; of two words for the same thing the later one holds
---@field [string] any what only one protocol knows, as its own files say

-- Both: lists are joined, tables by name united; of what both say, the second holds.
---@param first moongate.quirks|nil
---@param second moongate.quirks|nil
---@return moongate.quirks
function quirks.merge(first, second)
  local result = {}
  for name, value in pairs(first or {}) do result[name] = value end
  for name, value in pairs(second or {}) do
    local other = result[name]
    if type(value) ~= "table" or type(other) ~= "table" then
      result[name] = value
    else
      local both = {}
      for key, item in pairs(other) do both[key] = item end
      for key, item in pairs(value) do both[type(key) == "number" and #both + 1 or key] = item end
      result[name] = both
    end
  end
  return result
end

local function finds(patterns, upstream_id)
  for _, pattern in ipairs(patterns or {}) do
    if string.find(upstream_id, pattern) then return true end
  end
  return false
end

local function flat(given, upstream_id)
  local result = given
  for _, entry in ipairs(given.models or {}) do
    if finds(entry.match, upstream_id) and not finds(entry.except, upstream_id) then
      result = quirks.merge(result, entry.quirks)
    end
  end
  return result
end

local none = {}
local known = setmetatable({}, { __mode = "k" })

-- The quirks of one model: its provider's, and what is added for it. Do not change them: they are shared.
---@param given moongate.quirks|nil
---@param operation "chat"|"embeddings"
---@param upstream_id string
---@return moongate.quirks
function quirks.of(given, operation, upstream_id)
  if not given then return none end
  if operation == "embeddings" then return given.embeddings or none end
  if not given.models then return given end
  known[given] = known[given] or {}
  local found = known[given][upstream_id]
  if found == nil then
    found = flat(given, upstream_id)
    -- What held its own key would stay for ever.
    if found == given then found = false end
    known[given][upstream_id] = found
  end
  return found or given
end

return quirks
