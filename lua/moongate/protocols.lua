-- The provider protocols by name: lua/protocols/<name>.lua, and the operator's own of policies/protocols/.
local own_protocol = require "moongate.own_protocol"

local protocols = {}

local KNOWN = { anthropic = true, gemini = true, mock = true, ollama = true, openai = true }

---@return table<string, true>
function protocols.names()
  local names = {}
  for name in pairs(KNOWN) do names[name] = true end
  return names
end

local loaded = {}

---@param name string
---@return table|nil
function protocols.get(name)
  local protocol = loaded[name]
  if not protocol and KNOWN[name] then
    protocol = require("protocols." .. name)
    loaded[name] = protocol
  end
  return protocol
end

local function lists(formats, wanted)
  for i = 1, formats and #formats or 0 do
    if formats[i] == wanted then return true end
  end
  return false
end

-- The protocol in which a provider is spoken to for a caller of that format. OpenAI's has two dialects of its own:
-- `formats` says which of them the provider has, the first being the usual one.
---@param provider { protocol: string, formats: string[]|nil }
---@param format string|nil
---@param policies moongate.policies.set|nil
---@return table|nil
function protocols.of(provider, format, policies)
  if provider.protocol == "openai" then
    local responses = lists(provider.formats, "responses")
    if responses and (format == "openai_responses" or provider.formats[1] == "responses") then
      return require "protocols.openai_responses"
    end
  end
  return protocols.get(provider.protocol) or (policies and own_protocol.of(policies, provider.protocol))
end

return protocols
