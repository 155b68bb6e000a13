-- What moongate.core.words does in the gateway, without C: which kind of text it is, by the phrases that occur in it.
local words = {}

-- The number of the first kind of which a phrase occurs in a text, as whole words; nil: of none.
---@param kinds string[][] phrases in small letters, with single spaces between words
---@return fun(text: string): integer|nil
function words.finder(kinds)
  return function(text)
    local said = " " .. string.gsub(string.lower(text), "[%s%p]+", " ") .. " "
    for number, phrases in ipairs(kinds) do
      for _, phrase in ipairs(phrases) do
        if string.find(said, " " .. phrase .. " ", 1, true) then return number end
      end
    end
    return nil
  end
end

return words
