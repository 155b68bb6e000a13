-- What the importers share: how prices, dates, numbers and names of a foreign list are read. Whatever the list's unit,
-- a price here is USD per million tokens; false is a price that is known to be unknown. Pure.

local facts = {}

---@class moongate.imported a model as an importer tells it; what is nil the list does not say
---@field provider string
---@field id string as the list has it
---@field upstream_id string|nil the name to call it by, where that is not its id
---@field name string|nil
---@field cost table|false|nil { input, output, cached_input, cache_write }; false: unknown
---@field free boolean|nil
---@field context_length integer|nil
---@field max_output integer|nil
---@field tools boolean|nil
---@field vision boolean|nil
---@field json_schema boolean|nil
---@field embeddings boolean|nil
---@field strengths string[]|nil
---@field quality number|nil
---@field priority number|nil
---@field deprecated string|true|nil the day since which (YYYY-MM-DD), or a reason
---@field replacement string|nil

-- A list is never longer, nor is one of its problems told more often.
facts.most_models = 100000
facts.most_problems = 20

local MOST_USD_PER_TOKEN = 1
local LONGEST_ID, LONGEST_NAME, LONGEST_PROVIDER = 127, 128, 63
local MOST_TOKENS = 2 ^ 53 - 1

-- 2.5e-06 a token is 2.5 a million: the noise of binary fractions is not part of a price.
local function per_million(per_token)
  return tonumber(string.format("%.12g", per_token * 1e6)) + 0
end

-- Digits as people and programs write them; nil for anything else that a programmer may call a number.
---@param text string
---@return number|nil
function facts.decimal(text)
  local digits = string.match(text, "^[+-]?([%d.]+)$") or string.match(text, "^[+-]?([%d.]+)[eE][+-]?%d+$")
  local number = digits and tonumber(text)
  if not number or number == math.huge or number == -math.huge then return nil end
  -- What is too small to be held is not nothing.
  if number == 0 and string.find(digits, "[1-9]") then return nil end
  return number
end

-- A price per token, as a number or a decimal text: USD per million, false for -1 (unknown); nil where there is none,
-- or nil and what is wrong.
---@param value any
---@return number|false|nil
---@return string|nil
function facts.price(value)
  local number = value
  if type(value) == "string" then
    number = facts.decimal(string.match(value, "^%s*(.-)%s*$"))
    if not number then
      return nil, string.format('expected USD per token as a decimal, found "%s"', facts.shown(value))
    end
  end
  if type(number) ~= "number" then return nil end
  if number == -1 then return false end
  if number < 0 or number > MOST_USD_PER_TOKEN then
    return nil, string.format("expected USD per single token from 0 to %d, or -1 for unknown, found %.14g",
      MOST_USD_PER_TOKEN, number)
  end
  return per_million(number)
end

---@param value any
---@return string
function facts.shown(value)
  local text = string.gsub(tostring(value), "%c", "?")
  if #text > 60 then text = string.gsub(string.sub(text, 1, 60), "[\192-\255][\128-\191]*$", "") .. "..." end
  return text
end

-- What cannot be a model's or a provider's name here, in words; nil: it can.
---@param id any
---@return string|nil
function facts.no_id(id)
  if type(id) ~= "string" or id == "" then return "has no name" end
  if #id > LONGEST_ID or string.find(id, "[%c%s]") then return "its name has blanks or more than 127 bytes" end
  if id == "auto" then return '"auto" is kept for "let the policy choose"' end
  return nil
end

---@param name any
---@return string|nil
function facts.no_provider(name)
  if type(name) ~= "string" or name == "" then return "its provider is not named" end
  if #name > LONGEST_PROVIDER or not string.find(name, "^%w[%w._-]*$") then
    return "its provider has no name that a provider may have here"
  end
  return nil
end

-- A number of tokens; lists have it as text, too, or 0 for "not known".
---@param value any
---@return integer|nil
function facts.tokens(value)
  local number = type(value) == "string" and string.find(value, "^%d+$") and tonumber(value) or value
  if type(number) ~= "number" or number < 1 or number > MOST_TOKENS then return nil end
  return math.floor(number)
end

---@param value any
---@return string|nil
function facts.day(value)
  if type(value) ~= "string" then return nil end
  local day, month, date = string.match(value, "^(%d%d%d%d%-(%d%d)%-(%d%d))")
  month, date = tonumber(month), tonumber(date)
  if not day or month < 1 or month > 12 or date < 1 or date > 31 then return nil end
  return day
end

---@param value any
---@return string|nil
function facts.title(value)
  if type(value) ~= "string" or value == "" then return nil end
  if #value > LONGEST_NAME then
    value = string.gsub(string.sub(value, 1, LONGEST_NAME), "[\192-\255][\128-\191]*$", "")
  end
  return (string.gsub(value, "%c", " "))
end

---@param value any
---@return boolean|nil
function facts.flag(value)
  if type(value) == "boolean" then return value end
  return nil
end

-- Gathers the models of a list, and what is wrong with it: where = "data[3] (x/y)".
---@return { rows: moongate.imported[], problems: table[], skipped: integer, why: table<string, integer> }
function facts.gathering()
  local self = { rows = {}, problems = {}, skipped = 0, why = {}, seen = {} }
  function self.wrong(where, message, line)
    if #self.problems < facts.most_problems then
      self.problems[#self.problems + 1] = { where = where, message = message, line = line }
    end
  end
  -- One that cannot be of use here: it is counted, and the rest goes on.
  function self.skip(reason)
    self.skipped = self.skipped + 1
    self.why[reason] = (self.why[reason] or 0) + 1
  end
  -- False if it is there already.
  function self.add(row)
    local key = row.provider .. "\n" .. row.id
    if self.seen[key] then return false end
    self.seen[key] = true
    self.rows[#self.rows + 1] = row
    return true
  end
  return self
end

return facts
