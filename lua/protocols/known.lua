-- What providers who speak another format than OpenAI's want: the quirks of the format's owner, as the others serve the
-- same models or keep to the same rules. See moongate.dialect for those who are shaped like OpenAI.
local http = require "protocols.http"
local providers = require "moongate.providers"

local known = {}

-- What is known of a provider.
---@param provider table
---@param owner string the provider whose format it is, and the protocol's name
---@return table
function known.facts(provider, owner)
  local facts = http.known(provider)
  if facts.protocol == owner then return facts end
  return { base_url = facts.base_url, headers = facts.headers, quirks = providers.get(owner).quirks }
end

local function fits(entry, upstream_id)
  for _, pattern in ipairs(entry.match) do
    if string.find(upstream_id, pattern) then return true end
  end
  return false
end

-- The quirks of a model in one table, which is the caller's; where several entries say something, the later one holds.
---@param facts table
---@param upstream_id string
---@return table
function known.quirks(facts, upstream_id)
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

return known
