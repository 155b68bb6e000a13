-- Takes what must not be read out of texts that people read: secrets that are known, and what looks like a key. Pure.
local secrets = {}

local HIDDEN = "***"
local SHORTEST = 4 -- of a known one: what is shorter stands in words, too
-- How keys begin, as their makers draw them; and from how many characters on something that begins so is one.
local BEGINNINGS = {
  "sk-", "sk_", "pk-", "rk_", "mg-", "gsk_", "AIza", "xai-", "hf_", "csk-", "nvapi-", "r8_", "pplx-", "tgp_", "fw_",
  "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xox", "AKIA", "ASIA", "eyJ",
}
local LEAST = 16

-- The text without those that are known.
---@param text string
---@param known string[] the longest first
---@return string
function secrets.hide(text, known)
  for _, secret in ipairs(known) do
    local from, to = string.find(text, secret, 1, true)
    while from do
      text = string.sub(text, 1, from - 1) .. HIDDEN .. string.sub(text, to + 1)
      from, to = string.find(text, secret, from + #HIDDEN, true)
    end
  end
  return text
end

-- Those of the values that are texts, in the order in which to hide them.
---@param values any[]
---@return string[]
function secrets.list(values)
  local list = {}
  for _, value in ipairs(values) do
    if type(value) == "string" and #value >= SHORTEST then list[#list + 1] = value end
  end
  table.sort(list, function(a, b) return #a > #b end)
  return list
end

local function unlike(word)
  if #word < LEAST then return nil end
  for _, beginning in ipairs(BEGINNINGS) do
    if string.sub(word, 1, #beginning) == beginning then return HIDDEN end
  end
  return nil
end

-- The text without what looks like somebody's key.
---@param text string
---@return string
function secrets.scrub(text)
  text = string.gsub(text, "([Bb][Ee][Aa][Rr][Ee][Rr]%s+)[%w._~+/=-]+", "%1" .. HIDDEN)
  return (string.gsub(text, "[%w_-]+", unlike))
end

return secrets
