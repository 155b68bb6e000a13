-- Looking at texts, for policies: plain words, no patterns, so that no prompt however long can hold one up.
jit.off(true, true) -- policies call this with what they like: compiled, it could not be stopped

local text = {}

local find, lower, sub = string.find, string.lower, string.sub

-- True if the text holds one of the words (whole or as part of a longer one), whatever their case.
---@param value string
---@param words string|string[]
---@return boolean
function text.contains(value, words)
  if type(words) == "string" then words = { words } end
  local within = lower(value)
  for _, word in ipairs(words) do
    if find(within, lower(word), 1, true) then return true end
  end
  return false
end

---@param value string
---@param beginning string
---@return boolean
function text.starts_with(value, beginning)
  return sub(value, 1, #beginning) == beginning
end

---@param value string
---@param ending string
---@return boolean
function text.ends_with(value, ending)
  return ending == "" or sub(value, -#ending) == ending
end

-- What the messages of a request say, as one text: strings and the text parts of lists, line by line.
---@param messages table[]
---@return string
function text.of(messages)
  local parts = {}
  for _, message in ipairs(messages) do
    local content = message.content
    if type(content) == "string" then parts[#parts + 1] = content end
    if type(content) == "table" then
      for _, part in ipairs(content) do
        if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
      end
    end
  end
  return table.concat(parts, "\n")
end

return text
