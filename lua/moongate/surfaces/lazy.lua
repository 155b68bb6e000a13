-- What policies rarely look at and is dear to build: made when somebody reads it, and then kept.
local lazy = {}

-- Gives a request its `messages`, always in the shape of OpenAI's chat completions, whatever the caller speaks.
---@param request table
---@param make fun(): table[]
---@return table request
function lazy.messages(request, make)
  local messages
  return setmetatable(request, {
    __index = function(_, name)
      if name ~= "messages" then return nil end
      messages = messages or make()
      return messages
    end,
  })
end

return lazy
