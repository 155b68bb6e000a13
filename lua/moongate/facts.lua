-- What policies are shown by name of a request, its caller, a model, its price, and what was used. A name that is none
-- of these is an error: read as nil, it would decide wrongly without a word. What was not said is nil. Costs nothing
-- where nothing is read that is not there.
local near = require "moongate.near"

local facts = {}

-- The names of each, as policies/README.md has them.
facts.names = {
  request = {
    "model", "surface", "stream", "messages", "text_length", "estimated_tokens", "tools", "images", "json_schema",
    "max_tokens", "privacy", "priority", "latency_pref", "max_cost", "task", "headers", "caller", "policy", "affinity",
    "now", "seed",
  },
  caller = { "name", "org", "tier" },
  model = { "id", "provider", "is_local", "free", "cost" },
  usage = { "input", "cached", "cache_write", "output", "reasoning", "total" },
  cost = { "input", "output", "cached_input", "cache_write" },
}

local is_name, metatables = {}, {}
for kind, names in pairs(facts.names) do
  is_name[kind] = {}
  for _, name in ipairs(names) do is_name[kind][name] = true end
  local called = "a " .. kind
  metatables[kind] = {
    __metatable = kind,
    __index = function(_, name)
      if not is_name[kind][name] then error(near.missing(called, name, names), 2) end
      return nil
    end,
  }
end

-- Whether a request has a field of that name.
---@param name any
---@return boolean
function facts.of_request(name) return is_name.request[name] == true end

-- Guards the names of a policy's own copy, and answers it; nil stays nil.
---@generic T: table|nil
---@param kind "request"|"caller"|"model"|"usage"|"cost"
---@param copy T
---@return T
function facts.guard(kind, copy)
  return copy and setmetatable(copy, metatables[kind])
end

-- A guarded copy of what there is to show of it; nil stays nil.
---@param kind "caller"|"usage"|"cost"
---@param values table|nil
---@return table|nil
function facts.shown(kind, values)
  if not values then return nil end
  local copy = {}
  for _, name in ipairs(facts.names[kind]) do copy[name] = values[name] end
  return facts.guard(kind, copy)
end

-- A target as access and billing see it.
---@param target table
---@return moongate.model
function facts.model(target)
  return facts.guard("model", {
    id = target.model, provider = target.provider, is_local = target.is_local, free = target.free,
    cost = facts.shown("cost", target.cost),
  })
end

return facts
