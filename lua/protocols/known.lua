-- What providers who speak another format than OpenAI's want: the quirks of the format's owner, as the others serve the
-- same models or keep to the same rules. See moongate.dialect for those who are shaped like OpenAI.
local http = require "protocols.http"
local providers = require "moongate.providers"

local known = {}

-- What is the same for all calls, by what is known of a provider: that does not change.
local facts_of = setmetatable({}, { __mode = "k" })
local quirks_of = setmetatable({}, { __mode = "k" })

-- What is known of a provider.
---@param provider table
---@param owner string the provider whose format it is, and the protocol's name
---@return table
function known.facts(provider, owner)
  local facts = http.known(provider)
  if facts.protocol == owner then return facts end
  local by_owner = facts_of[facts] or {}
  facts_of[facts] = by_owner
  local own = by_owner[owner]
  if not own then
    own = { base_url = facts.base_url, headers = facts.headers, quirks = providers.get(owner).quirks }
    by_owner[owner] = own
  end
  return own
end

local function fits(entry, upstream_id)
  for _, pattern in ipairs(entry.match) do
    if string.find(upstream_id, pattern) then return true end
  end
  return false
end

local function find_quirks(facts, upstream_id)
  local own = {}
  for name, value in pairs(facts.quirks or {}) do own[name] = value end
  for _, entry in ipairs(own.models or {}) do
    if fits(entry, upstream_id) then
      for name, value in pairs(entry.quirks) do own[name] = value end
    end
  end
  own.models = nil
  return own
end

-- The quirks of a model in one table, which is nobody's to change; where several entries say something, the later one
-- holds.
---@param facts table see `facts`
---@param upstream_id string
---@return table
function known.quirks(facts, upstream_id)
  local by_model = quirks_of[facts] or {}
  quirks_of[facts] = by_model
  by_model[upstream_id] = by_model[upstream_id] or find_quirks(facts, upstream_id)
  return by_model[upstream_id]
end

return known
