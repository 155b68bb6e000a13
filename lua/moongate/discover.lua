-- The config where there is no config file: a provider for each usual key variable that is set, and a local Ollama.
-- Listens on this machine only, asks for no keys, keeps nothing on disk.

local crosscheck = require "moongate.crosscheck"
local defaults = require "moongate.defaults"

local discover = {}

-- "OPENAI_API_KEY, GROQ_API_KEY or ANTHROPIC_API_KEY", from the tables there are.
local function examples(known)
  local wanted, names = { "openai", "groq", "anthropic", "gemini", "openrouter" }, {}
  for _, name in ipairs(wanted) do
    local builtin = known.provider(name)
    local variable = builtin and builtin.env
    if type(variable) == "table" then variable = variable[1] end
    names[#names + 1] = variable
  end
  if #names < 2 then return names[1] or "a provider's key variable" end
  local last = table.remove(names)
  return table.concat(names, ", ") .. " or " .. last
end

-- Where Ollama listens: its usual address, or the one that its own variable names.
local function ollama(known, env)
  local host = env "OLLAMA_HOST"
  if not host or host == "" then
    return known.provider "ollama" and {}
      or { protocol = "ollama", base_url = "http://127.0.0.1:11434", is_local = true, free = true }
  end
  local scheme, address = string.match(host, "^(https?://)(.*)$")
  address = string.gsub(string.gsub(address or host, "/+$", ""), "^0%.0%.0%.0", "127.0.0.1")
  if not string.find(address, ":%d+$") then address = address .. ":11434" end
  return {
    protocol = "ollama", base_url = (scheme or "http://") .. address, free = true,
    is_local = crosscheck.is_loopback(address),
  }
end

-- env(name) reads a variable; local_models are the names a local Ollama answers with; known as in config.load.
---@param env fun(name: string): string|nil
---@param local_models string[]
---@param known table
---@return table config
---@return string hint what was found, or what to do when nothing was
function discover.run(env, local_models, known)
  local found, models, said = {}, {}, {}
  for _, name in ipairs(known.providers) do
    local builtin = known.provider(name)
    local key, variable = nil, nil
    if builtin and builtin.env and known.protocols[builtin.protocol] then
      key, variable = defaults.variable(builtin.env, env)
    end
    if key and builtin.models and #builtin.models > 0 and defaults.address(builtin, env) then
      found[name] = { api_key = key }
      said[#said + 1] = name .. " (" .. variable .. ")"
    end
  end
  if #local_models > 0 then
    found.ollama = ollama(known, env)
    for i, name in ipairs(local_models) do models[i] = { id = name, provider = "ollama" } end
    said[#said + 1] = string.format("a local Ollama (%d model%s)", #local_models, #local_models == 1 and "" or "s")
  end
  local config = defaults.fill({
    store = "memory:", auth = "none", providers = found, models = models,
  }, "moongate.lua", env, { provider = known.provider })
  if #said == 0 then
    return config, "no provider found: set " .. examples(known) .. ", start Ollama, or write a moongate.lua"
  end
  return config, "no config file: found " .. table.concat(said, ", ") .. "; counters and ledger are kept in memory only"
end

return discover
