-- What stands in the address of a request: names and values with %XX for what may not stand there as it is. Pure.
local address = {}

local function character(digits) return string.char(tonumber(digits, 16)) end

-- The text that is meant. A plus stays one.
---@param text string
---@return string
function address.decoded(text)
  return (string.gsub(text, "%%(%x%x)", character))
end

-- The values of a query by their names, the last where there are several; a plus is a blank.
---@param query string
---@return table<string, string>
function address.values(query)
  local values = {}
  for name, value in string.gmatch(query, "([^&=]+)=([^&]*)") do
    values[name] = address.decoded((string.gsub(value, "+", " ")))
  end
  return values
end

return address
