-- Says what shape plain data must have, and finds everything that is wrong with it at once. A shape is a function
-- (value, path, report) that calls report(path, message) for each fault; schema.lua puts shapes together.
-- A missing environment variable stands in the data as a marker of its own (shape.missing).

local near = require "moongate.near"
local places = require "moongate.places"

local shape = {}

local is_missing = {}

-- The marker for an environment variable that is not set; joining it to text gives it back.
---@param variable string
---@return table
function shape.missing(variable)
  local marker = setmetatable({}, {
    __concat = function(a, b) return is_missing[a] and a or b end,
    __metatable = "missing",
  })
  is_missing[marker] = variable
  return marker
end
setmetatable(is_missing, { __mode = "k" })

local function named(value)
  if value == nil then return "nothing" end
  if type(value) == "number" then return string.format("the number %.14g", value) end
  if type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end

-- Reports a missing variable or a wrong type; true when the value may be looked at.
local function expect(kind, value, path, report, words)
  local variable = is_missing[value]
  if variable then
    report(path, string.format("environment variable %s is not set (env(%q, default) gives it a default)",
      variable, variable))
    return false
  end
  if type(value) == kind then return true end
  report(path, "must be " .. words .. ", not " .. named(value))
  return false
end

-- Texts. rule(text) may answer with what is wrong with it.
---@param rule nil|fun(text: string): string|nil
function shape.text(rule)
  return function(value, path, report)
    if not expect("string", value, path, report, "a string") then return end
    if value == "" then return report(path, "must not be empty") end
    if string.find(value, "[%z\1-\31\127]") then return report(path, "must not have control characters") end
    local wrong = rule and rule(value)
    if wrong then report(path, wrong) end
  end
end

-- One of a few words.
---@param words string[]
function shape.choice(words)
  local allowed = {}
  for _, word in ipairs(words) do allowed[word] = true end
  return function(value, path, report)
    if not expect("string", value, path, report, "a string") or allowed[value] then return end
    report(path, string.format('must be one of %s, not "%s"%s', table.concat(words, ", "), string.sub(value, 1, 40),
      near.hint(value, words)))
  end
end

---@param least number
---@param most number
function shape.number(least, most)
  return function(value, path, report)
    if not expect("number", value, path, report, "a number") then return end
    if not (value >= least and value <= most) then
      report(path, string.format("must be a number from %.14g to %.14g, not %.14g", least, most, value))
    end
  end
end

---@param least number
---@param most number
function shape.whole(least, most)
  return function(value, path, report)
    if not expect("number", value, path, report, "a whole number") then return end
    if not (value >= least and value <= most and value % 1 == 0) then
      report(path, string.format("must be a whole number from %.16g to %.16g, not %.14g", least, most, value))
    end
  end
end

function shape.boolean(value, path, report)
  expect("boolean", value, path, report, "true or false")
end

-- A shape for each type: shape.either{ string = ..., table = ... }.
function shape.either(shapes)
  local kinds = {}
  for kind in pairs(shapes) do kinds[#kinds + 1] = "a " .. kind end
  table.sort(kinds)
  local words = table.concat(kinds, " or ")
  return function(value, path, report)
    local chosen = not is_missing[value] and shapes[type(value)] or nil
    if chosen then return chosen(value, path, report) end
    expect("nil", value, path, report, words)
  end
end

-- A list 1..n of one shape; least is how many there must be.
function shape.list(each, least)
  return function(value, path, report)
    if not expect("table", value, path, report, "a list") then return end
    local count = #value
    for key in pairs(value) do
      if type(key) ~= "number" or key < 1 or key > count or key % 1 ~= 0 then
        report(places.below(path, key), "is a name where a list is wanted")
      end
    end
    if count < (least or 0) then report(path, "must not be empty") end
    for i = 1, count do
      if value[i] == nil then
        report(places.below(path, i), "is missing in the list")
      else
        each(value[i], places.below(path, i), report)
      end
    end
  end
end

-- Names the operator chooses, each with a value of one shape. rule(name) may say what is wrong with a name.
function shape.map(each, rule)
  return function(value, path, report)
    if not expect("table", value, path, report, "a table") then return end
    for name, item in pairs(value) do
      local below = places.below(path, name)
      local wrong
      if type(name) == "string" then
        wrong = rule and rule(name)
      else
        wrong = "must have a name before it: NAME = ..."
      end
      if wrong then report(below, wrong) else each(item, below, report) end
    end
  end
end

-- A table of known keys. options.required lists keys that must be there; options.items is the shape of unnamed
-- values, options.rest that of any other named one.
function shape.record(fields, options)
  options = options or {}
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  return function(value, path, report)
    if not expect("table", value, path, report, "a table") then return end
    for key, item in pairs(value) do
      local below = places.below(path, key)
      local field = fields[key]
        or (type(key) == "number" and options.items)
        or (type(key) == "string" and options.rest)
      if field then
        field(item, below, report)
      elseif type(key) == "string" then
        local hint = near.hint(key, names)
        report(below, "unknown key" .. (hint ~= "" and hint or "; there are " .. table.concat(names, ", ")))
      else
        report(below, "a value without a key (the keys here: " .. table.concat(names, ", ") .. ")")
      end
    end
    for _, name in ipairs(options.required or {}) do
      if value[name] == nil then report(path, "needs the key " .. name) end
    end
  end
end

-- Anything that is plain data: no functions, no cycles, no numbers that JSON lacks.
function shape.plain(value, path, report)
  local function walk(item, below, depth)
    if is_missing[item] then return expect("string", item, below, report, "a string") end
    if type(item) == "table" then
      if depth > 16 then return report(below, "is nested too deeply") end
      for key, inner in pairs(item) do
        if type(key) ~= "string" and type(key) ~= "number" then
          report(below, "has a key that is neither text nor number")
        else
          walk(inner, places.below(below, key), depth + 1)
        end
      end
    elseif type(item) == "number" then
      if item ~= item or item == math.huge or item == -math.huge then report(below, "must be a finite number") end
    elseif type(item) ~= "string" and type(item) ~= "boolean" then
      report(below, "must be plain data, not " .. named(item))
    end
  end
  walk(value, path, 1)
end

return shape
