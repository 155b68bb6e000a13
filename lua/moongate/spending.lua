-- What a request body may not say under zero_spend, for by it a provider would spend money on its own: the fields that
-- the providers' tables list (`spends`), of all providers at once, since any of them may stand behind an address; and
-- what stands below. Data: a caller's body is held against it here, and refused; the bodies that go out are held
-- against the same rules in C (core/gate/spending.c), which has the last word.
local json = require "moongate.core.json"
local providers = require "moongate.providers"

local spending = {}

---@class moongate.spending.rule
---@field path string as messages name it
---@field steps string[] the path's names without case, "_" and "-"; "[]": each item of an array
---@field values string[]|nil what the value may be: of a string its text, else the JSON as it is written
---@field names string[]|nil the only members that the object may have
---@field model true|nil it must be the target's name at its provider
---@field refusal string

-- What proxies of many providers take besides.
local PROXIES = { "fallbacks", "fallback_models", "extra_body", "provider_options", "api_base" }

-- Without a word, or with one of these, a call has its usual price.
local TIERS = { "default", "auto", "standard", "standard_only" }
-- The caller runs these himself; any other type of tool runs at the provider, and has a price there.
local TOOL_TYPES = { "function", "custom", "local_shell", "apply_patch" }
-- Of a tool that the caller runs. Gemini names its own tools by members in their place.
local TOOL_MEMBERS = {
  "type", "function", "custom", "name", "description", "parameters", "strict", "format", "input_schema",
  "cache_control", "input_examples", "eager_input_streaming", "defer_loading", "function_declarations",
}

-- As the laxest of readers would compare them, which know no case within ASCII, or take snake for camel.
local function fold(name)
  name = string.gsub(string.gsub(name, "\197\191", "s"), "\226\132\170", "k")
  return (string.gsub(string.lower(name), "[_%-]", ""))
end

local function folded(names)
  local list = {}
  for i, name in ipairs(names) do list[i] = fold(name) end
  return list
end

local function steps_of(path)
  local steps = {}
  for name in string.gmatch((string.gsub(path, "%[%]", ".[]")), "[^.]+") do
    steps[#steps + 1] = name == "[]" and name or fold(name)
  end
  return steps
end

local function add(rules, path, rule, wish)
  rule.path, rule.steps = path, steps_of(path)
  rule.refusal = string.format("zero_spend is on, and `%s` may cost money: %s", path, wish)
  rules[#rules + 1] = rule
end

-- The raw text of a field by which a provider is told to spend nothing, from its table.
local function free_texts(name)
  local texts = {}
  for _, each in ipairs(providers.names()) do
    texts[#texts + 1] = (providers.get(each).free_only or {})[name]
  end
  return texts
end

local function build()
  local rules, known = {}, {}
  local function deny(name)
    if not known[name] then add(rules, name, { values = json.array(free_texts(name)) }, "leave it out") end
    known[name] = true
  end
  for _, name in ipairs(providers.names()) do
    for _, field in ipairs(providers.get(name).spends or {}) do deny(field) end
  end
  for _, field in ipairs(PROXIES) do deny(field) end
  -- A prompt that is kept at the provider brings what it likes with it.
  add(rules, "prompt.id", { values = json.array {} }, "leave it out")
  for _, root in ipairs { "", "generateContentRequest." } do
    local one_of = "leave it out, or say " .. table.concat(TIERS, ", ")
    add(rules, root .. "service_tier", { values = TIERS }, one_of)
    add(rules, root .. "tools[].type", { values = TOOL_TYPES }, "only tools that you run yourself are free")
    add(rules, root .. "tools[]", { names = folded(TOOL_MEMBERS) }, "only tools that you run yourself are free")
  end
  for _, path in ipairs { "model", "requests[].model", "generateContentRequest.model" } do
    add(rules, path, { model = true }, "it is not the target's own model")
  end
  return json.array(rules)
end

local rules

-- All of them, for C too.
---@return moongate.spending.rule[]
function spending.rules()
  rules = rules or build()
  return rules
end

local function is_listed(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

local function fits(document, node, rule)
  if rule.names then
    if document:kind(node) ~= "object" then return false end
    for name in document:items(node) do
      if not is_listed(rule.names, fold(name)) then return false end
    end
    return true
  end
  local value = document:kind(node) == "string" and document:value(node) or document:text(node)
  return is_listed(rule.values, value)
end

-- The same as in C.
local function keeps(document, node, rule, step)
  local kind, name = document:kind(node), rule.steps[step]
  if kind == "null" then return true end
  if not name then return fits(document, node, rule) end
  if name == "[]" then
    if kind ~= "array" then return keeps(document, node, rule, step + 1) end
    for _, item in document:items(node) do
      if not keeps(document, item, rule, step + 1) then return false end
    end
    return true
  end
  if kind ~= "object" then return true end
  for member, value in document:items(node) do
    if fold(member) == name and not keeps(document, value, rule, step + 1) then return false end
  end
  return true
end

-- What is wrong with a caller's own body. Its model is a name of ours, and is looked at when it has become a target's.
---@param document table
---@return table|nil refusal
function spending.refusal(document)
  if document:kind(0) ~= "object" then return nil end
  local there = {}
  for member in document:items(0) do there[fold(member)] = true end
  for _, rule in ipairs(spending.rules()) do
    if there[rule.steps[1]] and not rule.model and not keeps(document, 0, rule, 1) then
      return {
        status = 400, code = "zero_spend", type = "invalid_request_error", message = rule.refusal, param = rule.path,
      }
    end
  end
  return nil
end

-- A body with the provider told to charge nothing, where it has a field for that.
---@param body string
---@param provider { name: string, like: string|nil }
---@return string
function spending.capped(body, provider)
  local known = providers.get(provider.like or provider.name)
  local free_only = known and known.free_only
  local document = free_only and json.scan(body, 1000)
  return document and document:kind(0) == "object" and document:patch(free_only) or body
end

return spending
