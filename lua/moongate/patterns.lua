-- Which model names a key may use: "*", "gpt-4o", "llama-*", "*:free". A star stands for any text, nothing else is
-- special. Matching takes one pass over the name, whatever the pattern.

local patterns = {}

local function split(pattern)
  local parts, from = {}, 1
  while true do
    local star = string.find(pattern, "*", from, true)
    parts[#parts + 1] = string.sub(pattern, from, (star or 0) - 1)
    if not star then return parts end
    from = star + 1
  end
end

local function matches(parts, name)
  local count = #parts
  if count == 1 then return name == parts[1] end
  local first, last = parts[1], parts[count]
  if #name < #first + #last then return false end
  if string.sub(name, 1, #first) ~= first then return false end
  if last ~= "" and string.sub(name, -#last) ~= last then return false end
  local from, stop = #first + 1, #name - #last
  for i = 2, count - 1 do
    local _, found = string.find(name, parts[i], from, true)
    if parts[i] ~= "" then
      if not found or found > stop then return false end
      from = found + 1
    end
  end
  return true
end

local compiled = setmetatable({}, { __mode = "k" })

-- True when one of the patterns fits the name. No list at all permits everything; an empty one nothing.
---@param list string[]|nil
---@param name string
---@return boolean
function patterns.permit(list, name)
  if not list then return true end
  local all = compiled[list]
  if not all then
    all = {}
    for i, pattern in ipairs(list) do all[i] = split(pattern) end
    compiled[list] = all
  end
  for i = 1, #all do
    if matches(all[i], name) then return true end
  end
  return false
end

-- True when the patterns leave nothing out.
---@param list string[]|nil
---@return boolean
function patterns.everything(list)
  if not list then return true end
  for i = 1, #list do
    if list[i] == "*" then return true end
  end
  return false
end

return patterns
