-- Reads a command's words: options with a value ("--name VALUE", "--name=VALUE"), flags, and what is neither.
local near = require "moongate.near"

local command_line = {}

-- valued and flags: how an option is spelt -> under which name it is answered.
---@param words string[]
---@param valued table<string, string>
---@param flags table<string, string>
---@return table<string, string|boolean>|nil given nil: the words make no sense
---@return string[]|string plain the other words, or what is wrong
function command_line.read(words, valued, flags)
  local given, plain, i = {}, {}, 1
  while i <= #words do
    local word = words[i]
    local name, value = string.match(word, "^(%-%-?[%w-]+)=(.*)$")
    name = name or word
    if flags[word] then
      given[flags[word]] = true
    elseif valued[name] then
      if not value then i = i + 1 value = words[i] end
      if not value or value == "" then return nil, name .. " needs a value" end
      given[valued[name]] = value
    elseif string.sub(word, 1, 1) == "-" and word ~= "-" then
      return nil, string.format('"%s" is not known%s', word, near.hint(word, near.names(valued, flags)))
    else
      plain[#plain + 1] = word
    end
    i = i + 1
  end
  return given, plain
end

return command_line
