-- JSON in plain Lua: what moongate.testing puts in the place of the gateway's own reader, which is C, where a test runs
-- without the gateway. Reads and writes the same texts; slower, and its documents are built rather than scanned.
local json = {}

local DEEPEST = 200
local LARGEST = 2 ^ 53
local ARRAY = { __metatable = "array" }

-- Like the gateway's, it is no table and equal to nothing else.
json.null = newproxy()

---@param t table
---@return table
function json.array(t)
  debug.setmetatable(t, ARRAY)
  return t
end

---@param value any
---@return boolean
function json.is_array(value)
  return type(value) == "table" and (debug.getmetatable(value) == ARRAY or rawget(value, 1) ~= nil)
end

-- ---- reading ----

local ESCAPES = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function fail(at, message) error({ at = at, message = message }, 0) end

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  local last, middle = 0x80 + code % 64, 0x80 + math.floor(code / 64) % 64
  if code < 0x10000 then return string.char(0xE0 + math.floor(code / 4096), middle, last) end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64, middle, last)
end

-- A code unit after "\u", and where it ends; two of them where the first is half a character.
local function read_code(text, at)
  local high = tonumber(string.match(text, "^%x%x%x%x", at) or fail(at, "expected four hexadecimal digits"), 16)
  if high < 0xD800 or high > 0xDFFF then return high, at + 4 end
  local low = tonumber(string.match(text, "^\\u(%x%x%x%x)", at + 4) or "0", 16)
  if high > 0xDBFF or low < 0xDC00 or low > 0xDFFF then fail(at, "half of a surrogate pair") end
  return 0x10000 + (high - 0xD800) * 1024 + (low - 0xDC00), at + 10
end

local function read_string(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = string.find(text, '["\\%c]', from)
    if not stop then fail(at, "a string without an end") end
    parts[#parts + 1] = string.sub(text, from, stop - 1)
    local byte = string.sub(text, stop, stop)
    if byte == '"' then return table.concat(parts), stop + 1 end
    local escape = string.sub(text, stop + 1, stop + 1)
    if byte == "\127" then
      parts[#parts + 1], from = byte, stop + 1
    elseif byte ~= "\\" then
      fail(stop, "a control character in a string")
    elseif escape == "u" then
      local code
      code, from = read_code(text, stop + 2)
      parts[#parts + 1] = utf8(code)
    else
      parts[#parts + 1] = ESCAPES[escape] or fail(stop, "an unknown escape")
      from = stop + 2
    end
  end
end

local function skip(text, at) return (string.find(text, "[^ \t\r\n]", at)) or #text + 1 end

local WORDS = { ["true"] = true, ["false"] = false, null = json.null }

local read_value

local function read_array(text, at, depth)
  local list, next_at = json.array {}, skip(text, at + 1)
  if string.sub(text, next_at, next_at) == "]" then return list, next_at + 1 end
  while true do
    list[#list + 1], next_at = read_value(text, next_at, depth + 1)
    next_at = skip(text, next_at)
    local mark = string.sub(text, next_at, next_at)
    if mark == "]" then return list, next_at + 1 end
    if mark ~= "," then fail(next_at, "expected , or ]") end
    next_at = skip(text, next_at + 1)
  end
end

local function read_object(text, at, depth)
  local object, next_at = {}, skip(text, at + 1)
  if string.sub(text, next_at, next_at) == "}" then return object, next_at + 1 end
  while true do
    if string.sub(text, next_at, next_at) ~= '"' then fail(next_at, "expected the name of a member") end
    local name, value
    local name_at = next_at
    name, next_at = read_string(text, next_at)
    next_at = skip(text, next_at)
    if string.sub(text, next_at, next_at) ~= ":" then fail(next_at, "expected :") end
    if object[name] ~= nil then fail(name_at, "a member twice") end
    value, next_at = read_value(text, skip(text, next_at + 1), depth + 1)
    object[name] = value
    next_at = skip(text, next_at)
    local mark = string.sub(text, next_at, next_at)
    if mark == "}" then return object, next_at + 1 end
    if mark ~= "," then fail(next_at, "expected , or }") end
    next_at = skip(text, next_at + 1)
  end
end

-- The value that begins there, and where it ends.
function read_value(text, at, depth)
  if depth > DEEPEST then fail(at, "nested too deeply") end
  local mark = string.sub(text, at, at)
  if mark == "{" then return read_object(text, at, depth) end
  if mark == "[" then return read_array(text, at, depth) end
  if mark == '"' then return read_string(text, at) end
  local word = string.match(text, "^%a+", at)
  if word and WORDS[word] ~= nil then return WORDS[word], at + #word end
  local number = string.match(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local whole = number and string.match(number, "^-?(%d+)")
  if not number or not tonumber(number) or string.find(number, "%.%D") or string.sub(number, -1) == "."
    or string.find(whole, "^0%d") then
    fail(at, "expected a value")
  end
  return tonumber(number), at + #number
end

local function read_all(text)
  local value, at = read_value(text, skip(text, 1), 1)
  at = skip(text, at)
  if at <= #text then fail(at, "something behind the value") end
  return value
end

local function place(text, fault)
  if type(fault) ~= "table" then error(fault, 0) end
  local before = string.sub(text, 1, fault.at - 1)
  local _, lines = string.gsub(before, "\n", "")
  return lines + 1, #string.match(before, "[^\n]*$") + 1
end

---@param text string
---@return any value nil if it is no JSON
---@return string|nil message
function json.decode(text)
  local fine, value = pcall(read_all, text)
  if fine then return value end
  local line, column = place(text, value)
  return nil, string.format("line %d, column %d: %s", line, column, value.message)
end

-- ---- writing ----

local SHORT = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b",
  ["\f"] = "\\f" }

local function quoted(text)
  return '"' .. string.gsub(text, '[%z\1-\31\\"]', function(byte)
    return SHORT[byte] or string.format("\\u%04x", string.byte(byte))
  end) .. '"'
end

local function number_text(number)
  if number ~= number then error("not-a-number cannot be encoded as JSON", 0) end
  if number == math.huge or number == -math.huge then error("an infinite number cannot be encoded as JSON", 0) end
  if number == 0 then return 1 / number < 0 and "-0" or "0" end
  if number == math.floor(number) and math.abs(number) <= LARGEST then return string.format("%d", number) end
  for digits = 14, 17 do
    local text = string.format("%." .. digits .. "g", number)
    if tonumber(text) == number then return text end
  end
end

local add_value

local function add_list(parts, list, depth)
  for key in next, list do
    if type(key) ~= "number" then error("a list with a " .. type(key) .. " key cannot be encoded as JSON", 0) end
    if key % 1 ~= 0 or key < 1 or key > #list then error("a list with holes cannot be encoded as JSON", 0) end
  end
  for i = 1, #list do
    parts[#parts + 1] = i == 1 and "[" or ","
    add_value(parts, rawget(list, i), depth)
  end
  parts[#parts + 1] = #list == 0 and "[]" or "]"
end

local function add_object(parts, object, depth)
  local names = {}
  for name in next, object do
    if type(name) ~= "string" then
      error("a table with " .. type(name) .. " keys is neither a list nor an object", 0)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    parts[#parts + 1] = (i == 1 and "{" or ",") .. quoted(name) .. ":"
    add_value(parts, rawget(object, name), depth)
  end
  parts[#parts + 1] = #names == 0 and "{}" or "}"
end

function add_value(parts, value, depth)
  local kind = type(value)
  if value == json.null then
    parts[#parts + 1] = "null"
  elseif kind == "string" then
    parts[#parts + 1] = quoted(value)
  elseif kind == "number" then
    parts[#parts + 1] = number_text(value)
  elseif kind == "boolean" then
    parts[#parts + 1] = tostring(value)
  elseif kind ~= "table" then
    error("a " .. kind .. " cannot be encoded as JSON", 0)
  elseif depth >= DEEPEST then
    error("nested more than 200 deep, or in a circle: cannot be encoded as JSON", 0)
  elseif json.is_array(value) then
    add_list(parts, value, depth + 1)
  else
    add_object(parts, value, depth + 1)
  end
end

---@param value any
---@return string
function json.encode(value)
  local parts = {}
  add_value(parts, value, 0)
  return table.concat(parts)
end

-- A raw text: a comma has nothing to part behind an opening bracket.
local function add_raw(parts, text)
  local before = #parts > 0 and string.sub(parts[#parts], -1)
  if (before == "{" or before == "[") and string.sub(text, 1, 1) == "," then text = string.sub(text, 2) end
  if text ~= "" then parts[#parts + 1] = text end
end

-- A raw text, then a raw text and a value as often as one likes, both left out where the value is nil, and perhaps a
-- last raw text.
local function add_arguments(parts, ...)
  local count = select("#", ...)
  add_raw(parts, (...))
  for i = 2, count - 1, 2 do
    local raw, value = select(i, ...)
    if value ~= nil then
      add_raw(parts, raw)
      add_value(parts, value, 0)
    end
  end
  if count > 1 and count % 2 == 0 then add_raw(parts, (select(count, ...))) end
end

---@return string
function json.write(...)
  local parts = {}
  add_arguments(parts, ...)
  return table.concat(parts)
end

local begun = {} -- the parts of the one that was begun

function json.add(...) add_arguments(begun, ...) end

function json.begin(...)
  begun = {}
  if ... then json.add(...) end
end

-- A function that adds with these texts, given the values: each behind the text of its place, which is left out where
-- the value is nil; of two texts in one, the second is. What is given beyond that are raw texts.
---@param first string
---@param texts (string|string[])[]
---@param last string
---@return fun(...: any)
function json.form(first, texts, last)
  return function(...)
    add_raw(begun, first)
    for i, text in ipairs(texts) do
      local value = (select(i, ...))
      local always, own = "", text
      if type(text) == "table" then always, own = text[1], text[2] end
      add_raw(begun, value == nil and always or always .. own)
      if value ~= nil then add_value(begun, value, 0) end
    end
    add_raw(begun, last)
    for i = #texts + 1, select("#", ...) do add_raw(begun, (select(i, ...))) end
  end
end

---@return string
function json.finish() return table.concat(begun) end

-- ---- documents ----

local KINDS = { string = "string", number = "number", boolean = "boolean", userdata = "null" }

local document = {}
document.__index = document

function document:kind(node)
  local value = self.values[node]
  return KINDS[type(value)] or json.is_array(value) and "array" or "object"
end

-- The node of a member or an item: made when it is first asked for.
local function node_of(self, node, key)
  local members = self.members[node] or {}
  self.members[node] = members
  if not members[key] then
    self.count = self.count + 1
    members[key], self.values[self.count] = self.count, self.values[node][key]
  end
  return members[key]
end

function document:find(node, name, ...)
  local found
  if self:kind(node) == "object" and self.values[node][name] ~= nil then found = node_of(self, node, name) end
  if select("#", ...) == 0 then return found end
  return found, self:find(node, ...)
end

local function keys_of(self, node)
  local keys, kind = {}, self:kind(node)
  if kind ~= "object" and kind ~= "array" then return keys end
  for key in next, self.values[node] do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

function document:size(node) return #keys_of(self, node) end

function document:items(node)
  local keys, i = keys_of(self, node), 0
  return function()
    i = i + 1
    if keys[i] ~= nil then return keys[i], node_of(self, node, keys[i]) end
  end
end

function document:item(node, index)
  if index < 0 then index = index + self:size(node) + 1 end
  return self:kind(node) == "array" and self.values[node][index] ~= nil and node_of(self, node, index) or nil
end

function document:last(node, name, text)
  local found
  for _, item in self:items(node) do
    local member = self:find(item, name)
    if member and self.values[member] == text then found = item end
  end
  return found
end

local function begins(value, starts)
  for _, start in ipairs(starts) do
    if type(value) == "string" and string.sub(value, 1, #start) == start then return true end
  end
  for _, item in next, type(value) == "table" and value or {} do
    if begins(item, starts) then return true end
  end
  return false
end

function document:close() end -- luacheck: no unused args
function document:begins(...) return begins(self.values[0], { ... }) end

-- An outline saves a closer look: without it there is no less to see.
function json.outline(description) return description end
function document:fits() return false, 0 end -- luacheck: no unused args
function json.fits() return false end

function document:text(node, most) return string.sub(json.encode(self.values[node]), 1, most or -1) end

-- A fresh one each time, as the gateway gives it.
function document:value(node) return (json.decode(self:text(node))) end

local function string_bytes(value)
  if type(value) == "string" then return #value end
  local sum = 0
  for _, item in next, type(value) == "table" and value or {} do sum = sum + string_bytes(item) end
  return sum
end

function document:string_bytes(node) return string_bytes(self.values[node]) end

function document:patch(changes)
  local fresh = self:value(0)
  for name, text in pairs(changes) do fresh[name] = text and json.decode(text) or nil end
  return json.encode(fresh)
end

---@param text string
---@return table|nil document
---@return table|nil fault
function json.scan(text)
  local fine, value = pcall(read_all, text)
  if fine then return setmetatable({ values = { [0] = value }, members = {}, count = 0 }, document) end
  local line, column = place(text, value)
  return nil, { message = value.message, offset = value.at - 1, line = line, column = column }
end

return json
