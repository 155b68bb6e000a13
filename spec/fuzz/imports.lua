-- Fuzz target: lists of models and prices, be they OpenRouter's, LiteLLM's or a table. The input is the name of a
-- format (none: it is found out), a line feed, and the list. It is read whole, every price a figure or unknown, or each
-- problem is a line that begins with where it was found.
rawset(package.preload, "moongate.core.models", function() return {} end) -- the store's: reading does without
local importing = require "moongate.importing"
local json = require "moongate.core.json"

local KNOWN = {}
for _, format in ipairs(importing.formats) do KNOWN[format] = true end

local function is_sane(number)
  return number == nil or (number == number and number >= 0 and number < math.huge)
end

return function(bytes)
  local format, text = string.match(bytes, "^([^\n]*)\n(.*)$")
  local list, lines = importing.read(text or bytes, KNOWN[format] and format or nil, "the list")
  if not list then
    assert(#lines > 0, "what is wrong is said")
    for _, line in ipairs(lines) do
      assert(string.find(line, "^the list"), "a problem says where")
      assert(#line < 4000, "a problem is a line")
    end
    return
  end
  assert(#list.rows > 0 and list.skipped >= 0)
  local seen = {}
  for _, row in ipairs(list.rows) do
    local key = row.provider .. "\n" .. row.id
    assert(row.id ~= "" and row.provider ~= "" and not seen[key], "a model has a name of its own")
    seen[key] = true
    for _, price in pairs(row.cost or {}) do assert(is_sane(price), "a price is a figure, or not known") end
    assert(is_sane(row.context_length) and is_sane(row.max_output), "a length is a figure")
    assert(json.encode(row))
  end
end
