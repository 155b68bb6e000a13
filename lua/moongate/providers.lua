-- The built-in provider tables (lua/providers/<name>.lua): address, key variable, header grammar, quirks, known free
-- tiers. Only data: what the config says beats all of it, and headers beat the figures.
local providers = {}

---@class moongate.provider_table
---@field name string
---@field env string|nil the usual variable of its key; nil: no key
---@field base_url string may hold {names} of `variables`
---@field variables table<string, string>|nil name in base_url -> environment variable
---@field protocol string
---@field formats string[]|nil "chat", "responses": which of OpenAI's two it speaks at its own address
---@field addresses table<string, string>|nil protocol -> base address, for those it speaks besides its own
---@field auth { header: string, prefix: string }|nil default: authorization, Bearer
---@field headers table<string, string>|nil sent with every call
---@field is_local boolean|nil
---@field free boolean has a lasting free tier
---@field quality number 0-100
---@field limits table|nil the provider's own, as in a config
---@field limit_scope "model"|"provider" what a refusal usually concerns
---@field resets "rolling"|"fixed"|nil how long windows refill; a fixed one only at its end, whatever a hint says
---@field timeouts table|nil
---@field quirks moongate.quirks|nil
---@field spends string[]|nil body fields by which it would spend money on its own, see moongate.spending
---@field free_only table<string, string>|nil what tells it to charge nothing: raw JSON of body fields
---@field cache_read number|nil price of cached input, as a share of the input price
---@field cache_write number|nil
---@field models table[] a few well-known ones

local NAMES = {
  "anthropic", "azure", "cerebras", "cloudflare", "cohere", "deepseek", "gemini", "github", "groq", "kilo",
  "llamacpp", "minimax", "mistral", "moonshot", "naga", "nanogpt", "nvidia", "ollama", "openai", "openrouter",
  "synthetic", "together", "vllm", "xai", "zai",
}

local is_known = {}
for _, name in ipairs(NAMES) do is_known[name] = true end

-- The table of that name, or nil. Do not change it: it is shared.
---@param name string|nil
---@return moongate.provider_table|nil
function providers.get(name)
  if not is_known[name] then return nil end
  return require("providers." .. name)
end

local prices

-- USD per million tokens of a model that some table knows, as "gpt-4o" or "openai/gpt-4o"; nil when none does.
---@param model string
---@return table|nil
function providers.cost(model)
  if not prices then
    prices = {}
    for _, name in ipairs(NAMES) do
      for _, each in ipairs(providers.get(name).models) do
        if each.cost then
          prices[name .. "/" .. each.id] = each.cost
          prices[each.id] = prices[each.id] or each.cost
        end
      end
    end
  end
  return prices[model]
end

-- All names, sorted.
---@return string[]
function providers.names()
  local names = {}
  for index, name in ipairs(NAMES) do names[index] = name end
  return names
end

-- The base address with its {names} filled by `lookup(variable)`; or nil and the variable that is missing.
---@param provider moongate.provider_table
---@param lookup fun(variable: string): string|nil
---@return string|nil base_url
---@return string|nil missing
function providers.base_url(provider, lookup)
  local missing
  local url = string.gsub(provider.base_url, "{([%w_]+)}", function(name)
    local variable = (provider.variables or {})[name]
    local value = variable and lookup(variable)
    if not value or value == "" then missing = missing or variable or name end
    return value
  end)
  if missing then return nil, missing end
  return url
end

return providers
