-- What speaks of tables is about SQL; the rest is chat.
local text = require "moongate.text"

local WORDS = { "select ", "insert into", "left join", "group by" }

return function(request)
  return text.contains(text.of(request.messages), WORDS) and "sql" or "chat"
end
