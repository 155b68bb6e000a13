-- Where in a Lua file that returns a table each key stands: path ("providers.groq.base_url", "models[2].id") -> line.
-- Reads the table constructor after the last outer `return`; what it cannot follow it leaves out. Runs nothing.

local places = {}

local DEEPEST = 64

-- The next token from position `at`: kind ("name", "string", "mark", "end"), its text, the position behind it, and the
-- number of line ends passed.
local function token(text, at)
  local lines = 0
  local function pass(from, to)
    local position = string.find(text, "\n", from, true)
    while position and position <= to do
      lines = lines + 1
      position = string.find(text, "\n", position + 1, true)
    end
    return to + 1
  end
  while true do
    local _, blank = string.find(text, "^%s+", at)
    if blank then
      at = pass(at, blank)
    elseif string.sub(text, at, at + 1) == "--" then
      local level = string.match(text, "^%-%-%[(=*)%[", at)
      local _, stop
      if level then
        _, stop = string.find(text, "]" .. level .. "]", at, true)
      else
        _, stop = string.find(text, "^[^\n]*", at)
      end
      at = pass(at, stop or #text)
    else
      break
    end
  end
  if at > #text then return "end", "", at, lines end
  local name = string.match(text, "^[%a_][%w_]*", at)
  if name then return "name", name, at + #name, lines end
  local number = string.match(text, "^%.?%d[%w_.]*", at)
  if number then return "number", number, at + #number, lines end
  local level = string.match(text, "^%[(=*)%[", at)
  if level then
    local open = at + #level + 2
    local start, stop = string.find(text, "]" .. level .. "]", open, true)
    local before = lines
    local after = pass(at, stop or #text)
    return "string", string.sub(text, open, (start or #text + 1) - 1), after, before
  end
  local quote = string.match(text, "^[\"']", at)
  if quote then
    local position = at + 1
    while position <= #text do
      local byte = string.sub(text, position, position)
      if byte == quote then break end
      position = position + (byte == "\\" and 2 or 1)
    end
    return "string", string.sub(text, at + 1, position - 1), position + 1, lines
  end
  return "mark", string.sub(text, at, at), at + 1, lines
end

-- All tokens with their lines: { kind=, text=, line= }.
local function tokens(text)
  local list, at, line = {}, 1, 1
  repeat
    local kind, word, after, passed = token(text, at)
    line = line + passed
    list[#list + 1] = { kind = kind, text = word, line = line }
    if kind == "string" then
      -- a long string's own line ends come after its first line
      local _, inner = string.gsub(string.sub(text, at, after - 1), "\n", "\n")
      line = line + math.max(0, inner - passed)
    end
    at = after
  until kind == "end"
  return list
end

-- The path of a key below another: "a", "a.b", "a[1]", 'a["x-y"]'.
---@param path string
---@param key string|number
---@return string
function places.below(path, key)
  if type(key) == "string" and string.find(key, "^[%a_][%w_]*$") then
    return path == "" and key or path .. "." .. key
  end
  return path .. "[" .. (type(key) == "string" and '"' .. key .. '"' or tostring(key)) .. "]"
end

local opening = { ["("] = true, ["{"] = true, ["["] = true }
local closing = { [")"] = true, ["}"] = true, ["]"] = true }

local function is(item, text)
  return item ~= nil and item.kind == "mark" and item.text == text
end

-- Skips an expression; returns the index of the `,`, `;` or `}` behind it, nil where it cannot tell.
local function skip(list, at)
  local depth = 0
  while true do
    local item = list[at]
    if item.kind == "end" or (item.kind == "name" and item.text == "function") then return nil end
    if item.kind == "mark" then
      if depth == 0 and (item.text == "," or item.text == ";" or item.text == "}") then return at end
      if opening[item.text] then depth = depth + 1 end
      if closing[item.text] then depth = depth - 1 end
    end
    at = at + 1
  end
end

-- Reads the constructor whose `{` is at index at; returns the index behind its `}`, nil where it cannot follow.
local function read(list, at, path, found, twice, depth)
  if depth > DEEPEST then return nil end
  local index = 0
  at = at + 1
  while not is(list[at], "}") do
    local item, key = list[at], nil
    if item.kind == "end" then return nil end
    local line = item.line
    if item.kind == "name" and is(list[at + 1], "=") and not is(list[at + 2], "=") then
      key, at = item.text, at + 2
    elseif is(item, "[") then
      local literal = list[at + 1]
      if not (is(list[at + 2], "]") and is(list[at + 3], "=")) then return nil end
      if literal.kind == "string" and not string.find(literal.text, "\\", 1, true) then key = literal.text end
      if literal.kind == "number" then key = tonumber(literal.text) end
      at = at + 4
    else
      index = index + 1
      key = index
    end
    local below = key ~= nil and places.below(path, key) or nil
    if below and found[below] then twice[below] = found[below] end
    if below then found[below] = line end
    if is(list[at], "{") and below then
      at = read(list, at, below, found, twice, depth + 1)
      if not at then return nil end
    end
    at = skip(list, at)
    if not at then return nil end
    if not is(list[at], "}") then at = at + 1 end
  end
  return at + 1
end

-- Every key's line, as far as it can be told; and the earlier lines of those that are there twice.
---@param text string Lua source
---@return table<string, integer>
---@return table<string, integer>
function places.find(text)
  local list, found, twice = tokens(text), {}, {}
  local start
  for i = 1, #list - 1 do
    if list[i].kind == "name" and list[i].text == "return" and is(list[i + 1], "{") then start = i + 1 end
  end
  if start then read(list, start, "", found, twice, 1) end
  return found, twice
end

-- The line of that path, or of the nearest table around it.
---@param found table<string, integer>
---@param path string
---@return integer|nil
function places.line(found, path)
  while path and path ~= "" do
    if found[path] then return found[path] end
    path = string.match(path, "^(.*)%[[^%[]*%]$") or string.match(path, "^(.*)%.[^.]*$")
  end
  return nil
end

return places
