-- The shape of `quirks` in a config's provider: what it wants written differently in an OpenAI-shaped body. What each
-- means is in lua/providers/README.md.
local shape = require "moongate.shape"

local text, list, map, record, boolean = shape.text, shape.list, shape.map, shape.record, shape.boolean

local names = list(text(), 1)
local words = map(text())
local scalar = shape.either { string = text(), number = shape.number(-1e15, 1e15), boolean = boolean }

local pattern = text(function(value)
  local fine, message = pcall(string.find, "", value)
  if not fine then return "is no Lua pattern: " .. string.gsub(message, "^.-:%d+: ", "") end
end)

local pair = list(shape.number(-1e15, 1e15))

local function range(value, path, report)
  pair(value, path, report)
  if type(value) ~= "table" then return end
  local least, most = value[1], value[2]
  if #value ~= 2 or (type(least) == "number" and type(most) == "number" and least > most) then
    report(path, "needs two numbers: { least, most }")
  end
end

local fields = {
  takes = names, drop = names, thinking_drop = names, rename = words, needs = words,
  either = list(list(text(), 2), 1), only = map(list(scalar, 1)), clamp = map(range), values = map(map(scalar)),
  switch = record({ field = text(), on = shape.plain, off = shape.plain }, { required = { "field", "on", "off" } }),
  add = map(shape.plain), stream_options = boolean,
  roles = words, message_drop = names, message_rename = words, part_drop = names,
  call_id = record({ length = shape.whole(1, 64) }, { required = { "length" } }),
  after_tool = text(), prefix = text(), keep_reasoning = boolean, bare_any_of = boolean, tool_name = pattern,
  extensions = names,
}

local inner = record(fields)
local whole = { embeddings = inner }
for name, each in pairs(fields) do whole[name] = each end
whole.models = list(record({ match = list(pattern, 1), except = list(pattern, 1), quirks = inner },
  { required = { "match", "quirks" } }), 1)

return { check = record(whole), fields = whole }
